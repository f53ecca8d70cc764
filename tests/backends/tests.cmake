# Tests of this room, by name.
hs_test(backends/test_ref)
hs_test(backends/test_onednn)
hs_test(backends/test_winograd)
