# Tests of this room, by name.
hs_test(figure/test_grid)
hs_test(figure/test_pixels)
hs_test(figure/test_plot)
hs_test(figure/test_text)
