# Tests of this room, by name.
hs_test(edit/test_effect)
target_sources(test_effect PRIVATE directions/pca_run_support.c diffusion/golden.c
  diffusion/tiny_model.c)
target_include_directories(test_effect PRIVATE diffusion)
foreach(name mix noise_directions)
  hs_test(edit/test_${name})
  target_sources(test_${name} PRIVATE diffusion/golden.c diffusion/tiny_model.c)
  target_include_directories(test_${name} PRIVATE diffusion)
endforeach()
