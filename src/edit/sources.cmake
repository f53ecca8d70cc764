# Sources of this room, by name.
set(SOURCES
  edit/blend.c
  edit/mix.c)
