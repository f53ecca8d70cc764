# Tests of this room, by name.
