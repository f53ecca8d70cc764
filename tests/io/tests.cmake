# Tests of this room, by name.
hs_test(io/test_pickle)
hs_test(io/test_torch)
hs_test(io/test_tfjs)
hs_test(io/test_safetensors)
hs_test(io/test_shards)
