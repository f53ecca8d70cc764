/* Scheduler configs: defaults of each class, what is read, what is refused. */
#include <string.h>

#include "models/config.h"
#include "support.h"

typedef struct hs_config_case {
    hs_arena arena;
    hs_schedule_config config;
    hs_error err;
    int notices;
} hs_config_case;

static void hs_count_notice(void *ctx, const char *text) {
    ++*(int *)ctx;
}

static hs_status hs_parse(hs_config_case *c, const char *text) {
    *c = (hs_config_case){0};
    hs_monitor monitor = {.ctx = &c->notices, .notice = hs_count_notice};
    return hs_schedule_config_parse("scheduler_config.json", text, strlen(text), &monitor,
                                    &c->arena, &c->config, &c->err);
}

static void classes_have_their_own_defaults(void **state) {
    static const struct {
        const char *text, *beta_schedule, *spacing;
        double beta_end;
        bool set_alpha_to_one, clip;
        int notices;
    } cases[] = {
        {"{\"_class_name\": \"DDPMScheduler\"}", "linear", "leading", 0.02, true, true, 0},
        {"{\"_class_name\": \"DDIMScheduler\"}", "linear", "leading", 0.02, true, true, 0},
        {"{}", "linear", "leading", 0.02, true, true, 0},
        {"{\"_class_name\": \"PNDMScheduler\"}", "linear", "leading", 0.02, false, false, 1},
        {"{\"_class_name\": \"DPMSolverMultistepScheduler\"}", "linear", "linspace", 0.02, true,
         false, 1},
        {"{\"_class_name\": \"LCMScheduler\"}", "scaled_linear", "leading", 0.012, true, false, 1},
        {"{\"_class_name\": \"DDIMScheduler\", \"clip_sample\": null}", "linear", "leading", 0.02,
         true, true, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hs_config_case c;
        if (hs_parse(&c, cases[i].text) != HS_OK)
            fail_msg("%s", c.err.message);
        assert_string_equal(c.config.beta_schedule, cases[i].beta_schedule);
        assert_string_equal(c.config.timestep_spacing, cases[i].spacing);
        assert_true(c.config.beta_end == cases[i].beta_end);
        assert_int_equal(c.config.set_alpha_to_one, cases[i].set_alpha_to_one);
        assert_int_equal(c.config.clip_sample, cases[i].clip);
        assert_int_equal(c.config.num_train_timesteps, 1000);
        assert_int_equal(c.config.prediction, HS_PREDICT_EPSILON);
        assert_int_equal(c.notices, cases[i].notices);
        assert_false(c.config.absent);
        hs_arena_free(&c.arena);
    }
}

static void every_field_is_read(void **state) {
    hs_config_case c;
    if (hs_parse(&c, "{\"_class_name\": \"DDIMScheduler\", \"num_train_timesteps\": 3,"
                     "\"beta_schedule\": \"squaredcos_cap_v2\", \"beta_start\": 0.25,"
                     "\"beta_end\": 0.5, \"trained_betas\": [0.1, 0.2, 0.3],"
                     "\"prediction_type\": \"v_prediction\", \"timestep_spacing\": \"trailing\","
                     "\"steps_offset\": 1, \"set_alpha_to_one\": false, \"clip_sample\": false,"
                     "\"clip_sample_range\": 2.5, \"rescale_betas_zero_snr\": true,"
                     "\"thresholding\": true}") != HS_OK)
        fail_msg("%s", c.err.message);
    assert_int_equal(c.config.num_train_timesteps, 3);
    assert_true(c.config.beta_start == 0.25 && c.config.beta_end == 0.5);
    assert_non_null(c.config.trained_betas);
    assert_true(c.config.trained_betas[0] == 0.1 && c.config.trained_betas[2] == 0.3);
    assert_int_equal(c.config.prediction, HS_PREDICT_V);
    assert_string_equal(c.config.timestep_spacing, "trailing");
    assert_int_equal(c.config.steps_offset, 1);
    assert_false(c.config.set_alpha_to_one);
    assert_false(c.config.clip_sample);
    assert_true(c.config.clip_sample_range == 2.5);
    assert_true(c.config.rescale_betas_zero_snr && c.config.thresholding);
    hs_arena_free(&c.arena);
}

static void a_class_of_its_own_is_accepted_when_it_says_all(void **state) {
    hs_config_case c;
    if (hs_parse(&c,
                 "{\"_class_name\": \"MyScheduler\", \"num_train_timesteps\": 10,"
                 "\"beta_schedule\": \"linear\", \"beta_start\": 0.1, \"beta_end\": 0.2}") != HS_OK)
        fail_msg("%s", c.err.message);
    assert_int_equal(c.config.num_train_timesteps, 10);
    assert_int_equal(c.notices, 1);
    hs_arena_free(&c.arena);
}

static void what_is_unknown_is_refused_by_name(void **state) {
    static const struct {
        const char *text, *word;
        hs_status status;
    } cases[] = {
        {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\"}", "FlowMatchEuler",
         HS_ERROR_UNSUPPORTED},
        {"{\"beta_schedule\": \"sigmoid\"}", "sigmoid", HS_ERROR_UNSUPPORTED},
        {"{\"prediction_type\": \"flow\"}", "flow", HS_ERROR_UNSUPPORTED},
        {"{\"timestep_spacing\": \"karras\"}", "karras", HS_ERROR_UNSUPPORTED},
        {"{\"num_train_timesteps\": 0}", "num_train_timesteps", HS_ERROR_FORMAT},
        {"{\"num_train_timesteps\": 1000000000}", "1000000000", HS_ERROR_FORMAT},
        {"{\"num_train_timesteps\": -1}", "-1", HS_ERROR_FORMAT},
        {"{\"beta_end\": \"high\"}", "beta_end", HS_ERROR_FORMAT},
        {"{\"trained_betas\": [0.1]}", "trained_betas", HS_ERROR_FORMAT},
        {"{\"num_train_timesteps\": 1, \"trained_betas\": [2]}", "trained_betas", HS_ERROR_FORMAT},
        {"{\"steps_offset\": 1000}", "steps_offset", HS_ERROR_FORMAT},
        {"{\"clip_sample\": 1}", "clip_sample", HS_ERROR_FORMAT},
        {"[]", "object", HS_ERROR_FORMAT},
        {"{", "JSON", HS_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hs_config_case c;
        assert_int_equal(hs_parse(&c, cases[i].text), cases[i].status);
        assert_non_null(strstr(c.err.message, "scheduler_config.json"));
        if (!strstr(c.err.message, cases[i].word))
            fail_msg("\"%s\" does not say \"%s\"", c.err.message, cases[i].word);
        hs_arena_free(&c.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_have_their_own_defaults),
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(a_class_of_its_own_is_accepted_when_it_says_all),
        cmocka_unit_test(what_is_unknown_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
