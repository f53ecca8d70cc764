# Tests of this room, by name.
hs_test(models/test_models_ref)
hs_test(models/test_models_onednn)
hs_test(models/test_anime64)
hs_test(models/test_bad_models)
