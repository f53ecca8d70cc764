# make install: header, libraries, pkg-config file, program, man page, completion.
include(GNUInstallDirs)

install(TARGETS hspace_static hspace_shared hspace
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES include/hspace.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES docs/hspace.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES completions/hspace.bash RENAME hspace
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

# The prefix is known at the time of the installation only (--prefix), so the
# file is written then.
set(PC_IN ${CMAKE_SOURCE_DIR}/cmake/hspace.pc.in)
set(PC_OUT ${CMAKE_BINARY_DIR}/hspace.pc)
install(CODE "
  set(PROJECT_VERSION \"${PROJECT_VERSION}\")
  set(PROJECT_DESCRIPTION \"${PROJECT_DESCRIPTION}\")
  set(LIBDIR \"${CMAKE_INSTALL_LIBDIR}\")
  set(INCLUDEDIR \"${CMAKE_INSTALL_INCLUDEDIR}\")
  get_filename_component(PREFIX \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
  configure_file(\"${PC_IN}\" \"${PC_OUT}\" @ONLY)")
install(FILES ${PC_OUT} DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
