# Tests of this room, by name.
hs_test(io/test_file)
hs_test(io/test_json)
hs_test(io/test_safetensors)
hs_test(io/test_shards)
hs_test(io/test_direction_file)
hs_test(io/test_latent_file)
hs_test(io/test_recipe)
hs_test(io/test_allocation)
