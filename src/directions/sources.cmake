# Sources of this room, by name.
set(SOURCES directions/align.c directions/assignment.c directions/gram_pca.c
    directions/incremental_pca.c)
