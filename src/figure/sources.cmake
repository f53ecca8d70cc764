# Sources of this room, by name.
set(SOURCES
  figure/grid.c figure/grid_layout.c figure/number.c figure/pixels.c figure/render.c
  figure/svg.c figure/text.c)
