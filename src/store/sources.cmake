# Sources of this room, by name.
set(SOURCES
  store/database.c
  store/index.c
  store/index_claims.c
  store/index_scores.c)
