# Tests of this room, by name.
hs_test(base/test_team)
hs_test(base/test_threads)
hs_test(base/test_resize)
