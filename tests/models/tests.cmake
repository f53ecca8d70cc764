# Tests of this room, by name.
hs_test(models/test_models_ref)
