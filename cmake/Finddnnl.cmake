# oneDNN without its own CMake package, which on Debian asks for OpenCL's
# development files that nothing here needs. Gives DNNL::dnnl.
find_path(DNNL_INCLUDE_DIR dnnl.h)
find_library(DNNL_LIBRARY dnnl)
mark_as_advanced(DNNL_INCLUDE_DIR DNNL_LIBRARY)

if(DNNL_INCLUDE_DIR AND EXISTS ${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h)
  file(STRINGS ${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h lines
    REGEX "#define DNNL_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX REPLACE "[^0-9;]" "" numbers "${lines}")
  string(REPLACE ";" "." dnnl_VERSION "${numbers}")
endif()
# 3.x has another C interface.
if(dnnl_VERSION VERSION_GREATER_EQUAL 3)
  set(dnnl_NOT_FOUND_MESSAGE "found oneDNN ${dnnl_VERSION}, hspace needs 2.x")
  set(DNNL_LIBRARY_FITS)
else()
  set(DNNL_LIBRARY_FITS ${DNNL_LIBRARY})
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(dnnl REQUIRED_VARS DNNL_LIBRARY_FITS DNNL_INCLUDE_DIR
  VERSION_VAR dnnl_VERSION REASON_FAILURE_MESSAGE "${dnnl_NOT_FOUND_MESSAGE}")
if(dnnl_FOUND AND NOT TARGET DNNL::dnnl)
  add_library(DNNL::dnnl UNKNOWN IMPORTED)
  set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION ${DNNL_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${DNNL_INCLUDE_DIR})
endif()
