# Sources of this room, by name.
set(SOURCES
  figure/axis.c figure/grid.c figure/grid_layout.c figure/heatmap.c figure/matrix.c
  figure/number.c figure/palette.c figure/pixels.c figure/plot.c figure/render.c
  figure/svg.c figure/text.c)
