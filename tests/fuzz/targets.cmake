# Fuzz targets, by name: hs_fuzz(fuzz_x.c corpus_folder)
