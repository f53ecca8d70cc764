# Tests of this room, by name.
hs_test(edit/test_mix)
target_sources(test_mix PRIVATE diffusion/golden.c diffusion/tiny_model.c)
target_include_directories(test_mix PRIVATE diffusion)
