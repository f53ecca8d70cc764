# Tests of this room, by name.
hs_test(directions/test_assignment)
hs_test(directions/test_align)
foreach(name test_gram_pca test_incremental_pca)
  hs_test(directions/${name})
  target_sources(${name} PRIVATE directions/pca_support.c)
endforeach()
hs_test(directions/test_random_directions)
foreach(name test_pca test_pca_plan test_pca_resume)
  hs_test(directions/${name})
  target_sources(${name} PRIVATE directions/pca_support.c directions/pca_run_support.c
    diffusion/golden.c diffusion/tiny_model.c)
  target_include_directories(${name} PRIVATE diffusion)
endforeach()
