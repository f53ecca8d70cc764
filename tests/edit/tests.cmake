# Tests of this room, by name.
foreach(name mix noise_directions)
  hs_test(edit/test_${name})
  target_sources(test_${name} PRIVATE diffusion/golden.c diffusion/tiny_model.c)
  target_include_directories(test_${name} PRIVATE diffusion)
endforeach()
