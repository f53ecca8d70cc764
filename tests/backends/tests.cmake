# Tests of this room, by name.
hs_test(backends/test_ref)
hs_test(backends/test_onednn)
hs_test(backends/test_busy_neighbour)
set_tests_properties(test_busy_neighbour PROPERTIES RUN_SERIAL ON)
