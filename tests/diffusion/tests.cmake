# Tests of this room, by name.
foreach(name random schedule demo inversion)
  hs_test(diffusion/test_${name})
  target_sources(test_${name} PRIVATE diffusion/golden.c)
endforeach()
foreach(name denoiser sampler sample fit)
  hs_test(diffusion/test_${name})
  target_sources(test_${name} PRIVATE diffusion/golden.c diffusion/tiny_model.c)
endforeach()
