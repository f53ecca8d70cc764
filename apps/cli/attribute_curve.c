/* How the effect of a direction grows with the number of labels (the paper's Fig. 8a):
 * the directions of --curve, measured by --classifier. */
#include "attribute.h"

#include <string.h>

#define CLI_CURVE_SAMPLES 25 /* a set */
#define CLI_CURVE_SETS 4

hs_status cli_open_curve_judge(cli_session *session, cli_attribution *work, hs_error *err) {
    const char *attribute = work->options->attributes[0];
    hs_status status = cli_open_classifier(session, &work->judge, err);
    if (status == HS_OK && hs_classifier_find(work->judge, attribute) < 0)
        return cli_fail(err, HS_ERROR_ARGUMENT, "--classifier %.200s: does not score '%.60s'",
                        session->options->classifier, attribute);
    return status;
}

hs_status cli_measure_curve(cli_session *session, cli_attribution *work, hs_error *err) {
    hs_effect_row rows[HS_CURVE_MAX];
    hs_effect_options effect = hs_effect_options_default();
    const char *attribute = work->options->attributes[0];
    int points = work->options->wanted.curve_count;
    memset(rows, 0, sizeof rows);
    for (int c = 0; c < points; c++)
        rows[c] = (hs_effect_row){
            .edit = {.directions = work->curve, .index = c, .strength = 1, .last = -1},
            .target = attribute};
    effect.rows = rows;
    effect.row_count = points;
    effect.attributes = &attribute;
    effect.attribute_count = 1;
    effect.n = CLI_CURVE_SAMPLES;
    effect.sets = CLI_CURVE_SETS;
    effect.random = false;
    hs_status status = hs_effect_measure(session->sampler, work->judge, &effect, &session->monitor,
                                         &work->effects, err);
    if (status == HS_OK)
        hs_effects_view_get(work->effects, &work->effect);
    return status;
}
