# Tests of this room, by name.
hs_test(models/test_models_ref)
hs_test(models/test_models_onednn)
hs_test(models/test_anime64)
hs_test(models/test_bad_models)
hs_test(models/test_config)
hs_test(models/test_layouts)
hs_test(models/test_bad_keras)
set_tests_properties(test_anime64 PROPERTIES SKIP_RETURN_CODE 77)
