# Sources of this room, by name.
set(SOURCES backends/ref/ref.c)
