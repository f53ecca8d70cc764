/* Which directions `evaluate` measures, and what each is meant to change. */
#include "evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Spec i becomes one a direction of its file, all of its strength. */
static hs_status cli_expand_spec(cli_evaluate_options *options, int i, int count, hs_error *err) {
    cli_options *common = &options->common;
    int more = count - 1;
    cli_direction_spec *longer =
        realloc(common->directions, (size_t)(common->direction_count + more) * sizeof *longer);
    if (!longer)
        return cli_fail_memory(err);
    common->directions = longer;
    memmove(longer + i + count, longer + i + 1,
            (size_t)(common->direction_count - i - 1) * sizeof *longer);
    common->direction_count += more;
    cli_direction_spec own = longer[i];
    bool complete = true;
    for (int k = 0; k < count; k++) {
        longer[i + k] = (cli_direction_spec){.count = 1};
        longer[i + k].file = strdup(own.file);
        longer[i + k].strengths = malloc(sizeof *own.strengths);
        if (longer[i + k].strengths)
            longer[i + k].strengths[0] = own.strengths[0];
        if (asprintf(&longer[i + k].name, "%d", k) < 0)
            longer[i + k].name = NULL;
        complete = complete && longer[i + k].file && longer[i + k].strengths && longer[i + k].name;
    }
    cli_direction_spec_free(&own);
    for (int g = 0; g < options->group_count; g++)
        options->group_first[g] += options->group_first[g] > i ? more : 0;
    return complete ? HS_OK : cli_fail_memory(err);
}

hs_status cli_evaluate_expand(cli_evaluate_options *options, hs_error *err) {
    cli_options *common = &options->common;
    for (int i = 0; i < common->direction_count; i++) {
        hs_directions *directions = NULL;
        if (common->directions[i].name)
            continue;
        hs_status status = hs_directions_load(common->directions[i].file, &directions, err);
        if (status != HS_OK)
            return status;
        int count = hs_directions_count(directions);
        hs_directions_free(directions);
        if (count > 1)
            status = cli_expand_spec(options, i, count, err);
        if (status != HS_OK)
            return status;
        i += count - 1;
    }
    return HS_OK;
}

/* -------------------------------------------------------------- targets -- */

/* What `attribute` has written into the file, and `disentangle` kept. */
static char *cli_written_attribute(const hs_edit *edit) {
    hs_directions_view view;
    hs_directions_view_get(edit->directions, &view);
    json_t *metadata = view.metadata ? json_loads(view.metadata, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(metadata, "options"));
    json_t *options = text ? json_loads(text, 0, NULL) : NULL;
    const json_t *at = options;
    const char *attribute = NULL;
    while (at && !attribute) {
        attribute = json_string_value(json_object_get(at, "attribute"));
        at = json_object_get(at, "found_with");
    }
    char *copy = attribute ? strdup(attribute) : NULL;
    json_decref(options);
    json_decref(metadata);
    return copy;
}

/* A direction looks better on the samples that it is made of: say so where any of
 * them, "0-99,120", is among those to be measured. */
static void cli_check_seeds(cli_session *session, const cli_evaluate_options *options, int i) {
    hs_directions_view view;
    char text[300];
    int64_t first = options->effect.first_seed, shared = 0;
    int64_t last = first + (int64_t)options->effect.n * options->effect.sets - 1;
    hs_directions_view_get(session->edits[i].directions, &view);
    json_t *metadata = view.metadata ? json_loads(view.metadata, 0, NULL) : NULL;
    const char *at = json_string_value(json_object_get(metadata, "seeds"));
    while (at && *at) {
        char *end;
        int64_t from = strtoll(at, &end, 10), to = from;
        if (end == at)
            break; /* not written by us */
        if (*end == '-')
            to = strtoll(end + 1, &end, 10);
        int64_t low = from > first ? from : first, high = to < last ? to : last;
        shared += high >= low ? high - low + 1 : 0;
        at = *end == ',' ? end + 1 : NULL;
    }
    json_decref(metadata);
    if (!shared)
        return;
    snprintf(text, sizeof text,
             "%.150s: made of %lld of the samples that it is measured on; --seed takes others",
             options->common.directions[i].file, (long long)shared);
    session->monitor.notice(session->monitor.ctx, text);
}

static bool cli_is_measured(const cli_evaluation *work, const char *attribute) {
    const cli_evaluate_options *options = work->options;
    if (!options->effect.attribute_count)
        return hs_classifier_find(work->classifier, attribute) >= 0;
    for (int a = 0; a < options->effect.attribute_count; a++)
        if (!strcmp(options->attributes[a], attribute))
            return true;
    return false;
}

/* The target of direction i, strdup'ed, or NULL. */
static hs_status cli_find_target(cli_session *session, cli_evaluation *work, int i, hs_error *err) {
    const cli_evaluate_options *options = work->options;
    const hs_edit *edit = &session->edits[i];
    const char *name = hs_directions_name(edit->directions, edit->index);
    if (options->target_count) {
        if (!strcmp(options->targets[i], "-"))
            return HS_OK;
        work->row_targets[i] = strdup(options->targets[i]);
        return work->row_targets[i] ? HS_OK : cli_fail_memory(err);
    }
    /* "Smiling" and "Smiling@all", as attribute names them */
    char *target = strndup(name, strcspn(name, "@"));
    if (target && !cli_is_measured(work, target)) {
        free(target);
        target = cli_written_attribute(edit);
    }
    if (target && !cli_is_measured(work, target)) {
        char text[300];
        snprintf(text, sizeof text,
                 "%.100s#%.60s: its attribute %.60s is not measured, so it has no target",
                 options->common.directions[i].file, name, target);
        session->monitor.notice(session->monitor.ctx, text);
        free(target);
        target = NULL;
    }
    work->row_targets[i] = target;
    return HS_OK;
}

static int cli_group_of(const cli_evaluate_options *options, int i) {
    int group = 0;
    for (int g = 0; g < options->group_count; g++)
        group = options->group_first[g] <= i ? g : group;
    return group;
}

hs_status cli_evaluate_rows(cli_session *session, cli_evaluation *work, hs_error *err) {
    cli_evaluate_options *options = work->options;
    int count = options->common.direction_count;
    work->rows = calloc((size_t)count, sizeof *work->rows);
    work->row_targets = cli_new_strings(count);
    if (!work->rows || !work->row_targets)
        return cli_fail_memory(err);
    if (options->target_count && options->target_count != count)
        return cli_fail(err, HS_ERROR_ARGUMENT,
                        "--targets: %d names for %d directions, expected one each",
                        options->target_count, count);
    for (int i = 0; i < count; i++) {
        hs_status status = cli_find_target(session, work, i, err);
        if (status != HS_OK)
            return status;
        cli_check_seeds(session, options, i);
        work->rows[i] = (hs_effect_row){.edit = session->edits[i],
                                        .target = work->row_targets[i],
                                        .group = cli_group_of(options, i)};
    }
    options->effect.rows = work->rows;
    options->effect.row_count = count;
    options->effect.attributes = (const char *const *)options->attributes;
    return HS_OK;
}
