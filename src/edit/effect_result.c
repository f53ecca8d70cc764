/* From scores to the effect matrix: changes, their means over sets and deviations
 * between them, and what sums a group up. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edit/effect.h"

/* Everything that the view points to is in `arena`. */
struct hs_effects {
    hs_arena arena;
    hs_effects_view view;
};

/* Mean and standard deviation (NAN of one) of values [n]. */
static void hs_effect_moments(const double *values, int n, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++)
        sum += values[i];
    *mean = sum / n;
    for (int i = 0; i < n; i++)
        squares += (values[i] - *mean) * (values[i] - *mean);
    *deviation = n > 1 ? sqrt(squares / (n - 1)) : NAN;
}

/* ---------------------------------------------------------------- changes -- */

static double hs_effect_change(const hs_effect_run *run, int line, int64_t sample, int a) {
    const hs_effect_plan *plan = &run->plan;
    size_t at = (size_t)sample * (size_t)plan->attributes + (size_t)a;
    size_t size = (size_t)plan->samples * (size_t)plan->attributes;
    return (double)run->scores[(size_t)line * size + at] -
           (double)run->scores[(size_t)plan->rows * size + at];
}

/* The target of `line` at a sample; a random line has one for each of its directions. */
static int hs_effect_target_at(const hs_effect_run *run, int line, int64_t sample) {
    const hs_effect_line *l = &run->plan.lines[line];
    if (!l->rows)
        return l->target;
    /* The group's own lines stand right before its random one. */
    return run->plan.lines[line - l->rows + (int)(sample % l->rows)].target;
}

/* Means of set `s`, by column: [attributes] each. */
static void hs_effect_set(const hs_effect_run *run, int line, int s, double *change,
                          double *absolute) {
    int n = run->options->n;
    for (int a = 0; a < run->plan.attributes; a++) {
        change[a] = absolute[a] = 0;
        for (int i = 0; i < n; i++) {
            double d = hs_effect_change(run, line, (int64_t)s * n + i, a);
            change[a] += d / n;
            absolute[a] += fabs(d) / n;
        }
    }
}

/* Mean change of the target and mean absolute change of all others over a set's
 * samples; samples without a target do not count. */
static void hs_effect_on_off(const hs_effect_run *run, int line, int s, double *on, double *off) {
    int n = run->options->n, counted = 0, others = run->plan.attributes - 1;
    *on = *off = 0;
    for (int i = 0; i < n; i++) {
        int64_t sample = (int64_t)s * n + i;
        int target = hs_effect_target_at(run, line, sample);
        counted += target >= 0;
        for (int a = 0; target >= 0 && a < run->plan.attributes; a++) {
            double d = hs_effect_change(run, line, sample, a);
            if (a == target)
                *on += d;
            else
                *off += fabs(d) / others;
        }
    }
    *on = counted ? *on / counted : NAN;
    *off = counted && others ? *off / counted : NAN;
}

/* --------------------------------------------------------------- matrix -- */

/* Columns of the matrix as they are filled in. */
typedef struct hs_effect_tables {
    double *change, *change_deviation, *absolute, *absolute_deviation; /* [rows,attributes] */
    double *set_change, *set_absolute; /* [sets,attributes] of the row at work */
    double *values;                    /* [sets] */
} hs_effect_tables;

static void hs_effect_row_moments(const hs_effect_run *run, int line, hs_effect_tables *t) {
    int A = run->plan.attributes, sets = run->options->sets;
    for (int s = 0; s < sets; s++)
        hs_effect_set(run, line, s, t->set_change + s * A, t->set_absolute + s * A);
    for (int a = 0; a < A; a++) {
        int at = line * A + a;
        for (int s = 0; s < sets; s++)
            t->values[s] = t->set_change[s * A + a];
        hs_effect_moments(t->values, sets, &t->change[at], &t->change_deviation[at]);
        for (int s = 0; s < sets; s++)
            t->values[s] = t->set_absolute[s * A + a];
        hs_effect_moments(t->values, sets, &t->absolute[at], &t->absolute_deviation[at]);
    }
}

/* Does the target of the line change more than any other attribute? */
static bool hs_effect_is_strongest(const hs_effect_run *run, const hs_effect_tables *t, int line) {
    int A = run->plan.attributes, target = run->plan.lines[line].target;
    for (int a = 0; a < A; a++)
        if (a != target && !(t->change[line * A + target] > t->absolute[line * A + a]))
            return false;
    return true;
}

static void hs_effect_summarise(const hs_effect_run *run, const hs_effect_tables *t, int group,
                                double *on, double *off, hs_effect_summary *out) {
    int sets = run->options->sets;
    *out = (hs_effect_summary){.random_on = NAN, .random_off = NAN};
    memset(on, 0, (size_t)sets * sizeof *on);
    memset(off, 0, (size_t)sets * sizeof *off);
    double random_on = 0, random_off = 0;
    for (int l = 0; l < run->plan.rows; l++) {
        const hs_effect_line *line = &run->plan.lines[l];
        if (line->group != group || (!line->rows && line->target < 0))
            continue;
        out->rows += !line->rows;
        out->strongest += !line->rows && hs_effect_is_strongest(run, t, l);
        for (int s = 0; s < sets; s++) {
            double set_on, set_off;
            hs_effect_on_off(run, l, s, &set_on, &set_off);
            if (line->rows) {
                random_on += set_on / sets;
                random_off += set_off / sets;
            } else {
                on[s] += set_on;
                off[s] += set_off;
            }
        }
        if (line->rows) {
            out->random_on = random_on;
            out->random_off = random_off;
        }
    }
    for (int s = 0; s < sets; s++) {
        on[s] = out->rows ? on[s] / out->rows : NAN;
        off[s] = out->rows ? off[s] / out->rows : NAN;
    }
    hs_effect_moments(on, sets, &out->on, &out->on_deviation);
    hs_effect_moments(off, sets, &out->off, &out->off_deviation);
    out->ratio = out->on > 0 ? out->off / out->on : NAN;
}

/* --------------------------------------------------------------- handle -- */

static const char *hs_effect_name(const hs_effect_run *run, const hs_effect_line *line) {
    const hs_edit *edit = &run->options->rows[line->row].edit;
    return line->rows ? "random directions" : hs_directions_name(edit->directions, edit->index);
}

static hs_status hs_effect_copy(const hs_effect_run *run, const hs_effect_tables *t,
                                const hs_effect_summary *summaries, hs_effects *out,
                                hs_error *err) {
    const hs_effect_plan *plan = &run->plan;
    hs_arena *arena = &out->arena;
    size_t rows = (size_t)plan->rows, cells = rows * (size_t)plan->attributes;
    int count;
    const char *const *labels = hs_classifier_labels(run->classifier, &count);
    const char **attributes = hs_arena_alloc(arena, (size_t)plan->attributes, sizeof *attributes);
    const char **names = hs_arena_alloc(arena, rows, sizeof *names);
    int *group = hs_arena_alloc(arena, rows, sizeof *group);
    int *target = hs_arena_alloc(arena, rows, sizeof *target);
    bool *random = hs_arena_alloc(arena, rows, sizeof *random);
    double *strength = hs_arena_alloc(arena, rows, sizeof *strength);
    double *calibrated = hs_arena_alloc(arena, rows, sizeof *calibrated);
    double *tables = hs_arena_alloc(arena, 4 * cells, sizeof *tables);
    hs_effect_summary *sums = hs_arena_alloc(arena, (size_t)plan->groups, sizeof *sums);
    bool complete = attributes && names && group && target && random && strength && calibrated &&
                    tables && sums;
    for (int a = 0; complete && a < plan->attributes; a++)
        complete = (attributes[a] = hs_arena_strdup(arena, labels[plan->columns[a]])) != NULL;
    for (int l = 0; complete && l < plan->rows; l++) {
        const hs_effect_line *line = &plan->lines[l];
        complete = (names[l] = hs_arena_strdup(arena, hs_effect_name(run, line))) != NULL;
        group[l] = line->group;
        target[l] = line->target;
        random[l] = line->rows > 0;
        strength[l] = line->rows ? NAN : run->strength[line->row];
        calibrated[l] = line->rows ? NAN : run->reached[line->row];
    }
    if (!complete)
        return hs_fail_memory(err, 4 * cells * sizeof *tables);
    memcpy(tables, t->change, cells * sizeof *tables);
    memcpy(tables + cells, t->change_deviation, cells * sizeof *tables);
    memcpy(tables + 2 * cells, t->absolute, cells * sizeof *tables);
    memcpy(tables + 3 * cells, t->absolute_deviation, cells * sizeof *tables);
    memcpy(sums, summaries, (size_t)plan->groups * sizeof *sums);
    out->view = (hs_effects_view){.rows = plan->rows,
                                  .groups = plan->groups,
                                  .attributes = plan->attributes,
                                  .n = run->options->n,
                                  .sets = run->options->sets,
                                  .attribute_names = attributes,
                                  .names = names,
                                  .group = group,
                                  .target = target,
                                  .random = random,
                                  .strength = strength,
                                  .calibrated = calibrated,
                                  .change = tables,
                                  .change_deviation = tables + cells,
                                  .absolute = tables + 2 * cells,
                                  .absolute_deviation = tables + 3 * cells,
                                  .summaries = sums};
    return HS_OK;
}

hs_status hs_effect_result(const hs_effect_run *run, hs_effects **out, hs_error *err) {
    const hs_effect_plan *plan = &run->plan;
    size_t cells = (size_t)plan->rows * (size_t)plan->attributes;
    size_t sets = (size_t)run->options->sets, own = sets * (size_t)plan->attributes;
    double *room = hs_calloc(4 * cells + 2 * own + 3 * sets, sizeof *room);
    hs_effect_summary *summaries = hs_calloc((size_t)plan->groups, sizeof *summaries);
    hs_effects *effects = hs_calloc(1, sizeof *effects);
    hs_status status = HS_OK;
    if (!room || !summaries || !effects) {
        status = hs_fail_memory(err, (4 * cells + 2 * own + 3 * sets) * sizeof *room);
        goto cleanup;
    }
    hs_effect_tables t = {.change = room,
                          .change_deviation = room + cells,
                          .absolute = room + 2 * cells,
                          .absolute_deviation = room + 3 * cells,
                          .set_change = room + 4 * cells,
                          .set_absolute = room + 4 * cells + own,
                          .values = room + 4 * cells + 2 * own};
    for (int l = 0; l < plan->rows; l++)
        hs_effect_row_moments(run, l, &t);
    for (int g = 0; g < plan->groups; g++)
        hs_effect_summarise(run, &t, g, t.values + sets, t.values + 2 * sets, &summaries[g]);
    HS_CHECK(hs_effect_copy(run, &t, summaries, effects, err));
    *out = effects;
    effects = NULL;
cleanup:
    hs_effects_free(effects);
    free(summaries);
    free(room);
    return status;
}

void hs_effects_view_get(const hs_effects *effects, hs_effects_view *view) {
    *view = effects->view;
}

void hs_effects_free(hs_effects *effects) {
    if (!effects)
        return;
    hs_arena_free(&effects->arena);
    free(effects);
}
