# Tests of this room, by name.
hs_test(store/test_index)
