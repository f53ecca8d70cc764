# Tests of this room, by name.
hs_test(cli/test_parse)
target_link_libraries(test_parse PRIVATE cli_parse)

# The program itself, run as a user runs it.
foreach(name test_cli test_cli_attribute test_cli_evaluate test_cli_invert test_cli_jacobian
    test_cli_labels test_cli_mix test_cli_refuses test_kill)
  hs_test(cli/${name})
  target_sources(${name} PRIVATE cli/program.c)
  target_link_libraries(${name} PRIVATE PkgConfig::JANSSON)
  target_compile_definitions(${name} PRIVATE HS_PROGRAM="$<TARGET_FILE:hspace>"
    HS_JUDGE="${CMAKE_SOURCE_DIR}/models/judge/avatars32-judge")
  add_dependencies(${name} hspace)
endforeach()

# Ends the program at a chosen call; loaded before the C library.
add_library(kill_shim MODULE cli/kill_shim.c)
target_compile_options(kill_shim PRIVATE -fvisibility=default)
target_link_libraries(kill_shim PRIVATE ${CMAKE_DL_LIBS})
target_link_libraries(test_kill PRIVATE sqlite3)
target_compile_definitions(test_kill PRIVATE HS_KILL_SHIM="$<TARGET_FILE:kill_shim>")
add_dependencies(test_kill kill_shim)

# The house's own rules, and what is installed.
add_test(NAME rooms COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/rooms.sh)
add_test(NAME exports COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/exports.sh $<TARGET_FILE:hspace_shared>)
add_test(NAME documented COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/documented.sh $<TARGET_FILE:hspace>)
add_test(NAME tour COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/tour.sh $<TARGET_FILE:hspace>)
add_test(NAME cards COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/cards.sh $<TARGET_FILE:hspace>)
if(NOT CMAKE_C_FLAGS MATCHES "sanitize") # whose libraries a plain program cannot use
  add_test(NAME install COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/install.sh ${CMAKE_BINARY_DIR}
    ${CMAKE_C_COMPILER})
endif()
