# Tests of this room, by name.
hs_test(io/test_image)
