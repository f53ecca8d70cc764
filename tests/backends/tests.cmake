# Tests of this room, by name.
hs_test(backends/test_ref)
hs_test(backends/test_onednn)
target_sources(test_onednn PRIVATE backends/net.c)
hs_test(backends/test_onednn_derivatives)
target_sources(test_onednn_derivatives PRIVATE backends/net.c)
hs_test(backends/test_busy_neighbour)
set_tests_properties(test_busy_neighbour PROPERTIES RUN_SERIAL ON SKIP_RETURN_CODE 77)
hs_test(backends/test_winograd)
