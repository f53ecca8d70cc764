# Tests of this room, by name.
add_library(hs_graph_test_support OBJECT graph/graph_support.c graph/random_graph.c)
target_link_libraries(hs_graph_test_support PUBLIC hs_test_support)
foreach(name test_graph test_optable test_derivatives test_golden test_jvp_vjp test_cut)
  hs_test(graph/${name})
  target_link_libraries(${name} PRIVATE hs_graph_test_support)
endforeach()
hs_test(graph/test_plan)
hs_test(graph/test_min_cut)
