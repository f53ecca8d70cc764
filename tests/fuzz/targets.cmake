# Fuzz targets, by name.
hs_fuzz(fuzz_safetensors)
hs_fuzz(fuzz_direction_file)
hs_fuzz(fuzz_json_index)
hs_fuzz(fuzz_recipe)
hs_fuzz(fuzz_torch)
hs_fuzz(fuzz_pickle)
hs_fuzz(fuzz_tfjs)
hs_fuzz(fuzz_labels)
