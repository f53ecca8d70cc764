# Sources of this room, by name.
