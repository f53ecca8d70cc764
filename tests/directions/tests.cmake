# Tests of this room, by name.
hs_test(directions/test_assignment)
hs_test(directions/test_align)
foreach(name test_gram_pca test_incremental_pca)
  hs_test(directions/${name})
  target_sources(${name} PRIVATE directions/pca_support.c)
endforeach()
