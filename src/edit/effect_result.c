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

/* Mean and standard deviation (NAN of one) of those of values [n] that are known. */
static void hs_effect_moments(const double *values, int n, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    int known = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(values[i])) {
            sum += values[i];
            known++;
        }
    *mean = known ? sum / known : NAN;
    for (int i = 0; i < n; i++)
        if (isfinite(values[i]))
            squares += (values[i] - *mean) * (values[i] - *mean);
    *deviation = known > 1 ? sqrt(squares / (known - 1)) : NAN;
}

/* ---------------------------------------------------------------- changes -- */

/* A row of the result: a row of the options, or random directions like those of a
 * group, whose samples are those that took one of them. */
typedef struct hs_effect_out {
    int row; /* of the options; of random directions: the group's first */
    int group;
    bool random;
} hs_effect_out;

static double hs_effect_change(const hs_effect_run *run, const hs_effect_out *out, int64_t sample,
                               int a) {
    const hs_effect_plan *plan = &run->plan;
    size_t at = (size_t)sample * (size_t)plan->attributes + (size_t)a;
    size_t size = (size_t)plan->samples * (size_t)plan->attributes;
    size_t line = (size_t)(out->random ? plan->rows : out->row);
    return (double)run->scores[line * size + at] -
           (double)run->scores[(size_t)(plan->lines - 1) * size + at];
}

/* The row of the options whose direction, or its random like, a sample took; -1: that
 * of another group. */
static int hs_effect_row_at(const hs_effect_run *run, const hs_effect_out *out, int64_t sample) {
    int row = out->random ? (int)(sample % run->plan.rows) : out->row;
    return run->options->rows[row].group == out->group ? row : -1;
}

/* Means of set `s`, by column: [attributes] each; NAN where no sample took part. */
static void hs_effect_set(const hs_effect_run *run, const hs_effect_out *out, int s, double *change,
                          double *absolute) {
    int n = run->options->n;
    for (int a = 0; a < run->plan.attributes; a++) {
        int counted = 0;
        change[a] = absolute[a] = 0;
        for (int i = 0; i < n; i++) {
            int64_t sample = (int64_t)s * n + i;
            if (hs_effect_row_at(run, out, sample) < 0)
                continue;
            double d = hs_effect_change(run, out, sample, a);
            change[a] += d;
            absolute[a] += fabs(d);
            counted++;
        }
        change[a] = counted ? change[a] / counted : NAN;
        absolute[a] = counted ? absolute[a] / counted : NAN;
    }
}

/* Mean change of the target and mean absolute change of all others over a set's
 * samples; samples without a target do not count, and NAN says that none did. */
static void hs_effect_on_off(const hs_effect_run *run, const hs_effect_out *out, int s, double *on,
                             double *off) {
    int n = run->options->n, counted = 0, others = run->plan.attributes - 1;
    *on = *off = 0;
    for (int i = 0; i < n; i++) {
        int64_t sample = (int64_t)s * n + i;
        int row = hs_effect_row_at(run, out, sample);
        int target = row < 0 ? -1 : run->plan.targets[row];
        counted += target >= 0;
        for (int a = 0; target >= 0 && a < run->plan.attributes; a++) {
            double d = hs_effect_change(run, out, sample, a);
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

/* Row `r` of the result. */
static void hs_effect_row_moments(const hs_effect_run *run, const hs_effect_out *out, int r,
                                  hs_effect_tables *t) {
    int A = run->plan.attributes, sets = run->options->sets;
    for (int s = 0; s < sets; s++)
        hs_effect_set(run, out, s, t->set_change + s * A, t->set_absolute + s * A);
    for (int a = 0; a < A; a++) {
        int at = r * A + a;
        for (int s = 0; s < sets; s++)
            t->values[s] = t->set_change[s * A + a];
        hs_effect_moments(t->values, sets, &t->change[at], &t->change_deviation[at]);
        for (int s = 0; s < sets; s++)
            t->values[s] = t->set_absolute[s * A + a];
        hs_effect_moments(t->values, sets, &t->absolute[at], &t->absolute_deviation[at]);
    }
}

/* Does the target of row `r` of the result change more than any other attribute? */
static bool hs_effect_is_strongest(const hs_effect_run *run, const hs_effect_tables *t, int target,
                                   int r) {
    int A = run->plan.attributes;
    for (int a = 0; a < A; a++)
        if (a != target && !(t->change[r * A + target] > t->absolute[r * A + a]))
            return false;
    return true;
}

/* on, off [sets]: scratch. */
static void hs_effect_summarise(const hs_effect_run *run, const hs_effect_tables *t,
                                const hs_effect_out *outs, int count, int group, double *on,
                                double *off, hs_effect_summary *sum) {
    int sets = run->options->sets;
    double none;
    *sum = (hs_effect_summary){.random_on = NAN, .random_off = NAN};
    memset(on, 0, (size_t)sets * sizeof *on);
    memset(off, 0, (size_t)sets * sizeof *off);
    for (int r = 0; r < count; r++) {
        int target = run->plan.targets[outs[r].row];
        if (outs[r].group != group || outs[r].random || target < 0)
            continue;
        sum->rows++;
        sum->strongest += hs_effect_is_strongest(run, t, target, r);
        for (int s = 0; s < sets; s++) {
            double set_on, set_off;
            hs_effect_on_off(run, &outs[r], s, &set_on, &set_off);
            on[s] += set_on;
            off[s] += set_off;
        }
    }
    for (int s = 0; s < sets; s++) {
        on[s] = sum->rows ? on[s] / sum->rows : NAN;
        off[s] = sum->rows ? off[s] / sum->rows : NAN;
    }
    hs_effect_moments(on, sets, &sum->on, &sum->on_deviation);
    hs_effect_moments(off, sets, &sum->off, &sum->off_deviation);
    sum->ratio = sum->on > 0 ? sum->off / sum->on : NAN;
    for (int r = 0; r < count; r++)
        if (outs[r].group == group && outs[r].random) {
            for (int s = 0; s < sets; s++)
                hs_effect_on_off(run, &outs[r], s, &on[s], &off[s]);
            hs_effect_moments(on, sets, &sum->random_on, &none);
            hs_effect_moments(off, sets, &sum->random_off, &none);
        }
}

/* --------------------------------------------------------------- handle -- */

static const char *hs_effect_name(const hs_effect_run *run, const hs_effect_out *out) {
    const hs_edit *edit = &run->options->rows[out->row].edit;
    return out->random ? "random directions" : hs_directions_name(edit->directions, edit->index);
}

/* The rows of the result: those of each group, then its random one. Returns how
 * many; `outs` has room for twice the rows. */
static int hs_effect_outs(const hs_effect_run *run, hs_effect_out *outs) {
    const hs_effect_row *rows = run->options->rows;
    int count = 0, first = 0, last = run->plan.rows - 1;
    for (int r = 0; r <= last; r++) {
        first = r && rows[r].group != rows[r - 1].group ? r : first;
        outs[count++] = (hs_effect_out){.row = r, .group = rows[r].group};
        if (run->options->random && (r == last || rows[r + 1].group != rows[r].group))
            outs[count++] = (hs_effect_out){.row = first, .group = rows[r].group, .random = true};
    }
    return count;
}

static hs_status hs_effect_copy(const hs_effect_run *run, const hs_effect_tables *t,
                                const hs_effect_out *outs, int out_count,
                                const hs_effect_summary *summaries, hs_effects *out,
                                hs_error *err) {
    const hs_effect_plan *plan = &run->plan;
    hs_arena *arena = &out->arena;
    size_t rows = (size_t)out_count, cells = rows * (size_t)plan->attributes;
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
    for (int r = 0; complete && r < out_count; r++) {
        const hs_effect_out *o = &outs[r];
        complete = (names[r] = hs_arena_strdup(arena, hs_effect_name(run, o))) != NULL;
        group[r] = o->group;
        target[r] = o->random ? -1 : plan->targets[o->row];
        random[r] = o->random;
        strength[r] = o->random ? NAN : run->strength[o->row];
        calibrated[r] = o->random ? NAN : run->reached[o->row];
    }
    if (!complete)
        return hs_fail_memory(err, 4 * cells * sizeof *tables);
    memcpy(tables, t->change, cells * sizeof *tables);
    memcpy(tables + cells, t->change_deviation, cells * sizeof *tables);
    memcpy(tables + 2 * cells, t->absolute, cells * sizeof *tables);
    memcpy(tables + 3 * cells, t->absolute_deviation, cells * sizeof *tables);
    memcpy(sums, summaries, (size_t)plan->groups * sizeof *sums);
    out->view = (hs_effects_view){.rows = out_count,
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
    size_t cells = 2 * (size_t)plan->rows * (size_t)plan->attributes; /* random rows included */
    size_t sets = (size_t)run->options->sets, own = sets * (size_t)plan->attributes;
    double *room = hs_calloc(4 * cells + 2 * own + 3 * sets, sizeof *room);
    hs_effect_out *outs = hs_calloc(2 * (size_t)plan->rows, sizeof *outs);
    hs_effect_summary *summaries = hs_calloc((size_t)plan->groups, sizeof *summaries);
    hs_effects *effects = hs_calloc(1, sizeof *effects);
    hs_status status = HS_OK;
    if (!room || !outs || !summaries || !effects) {
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
    int count = hs_effect_outs(run, outs);
    for (int r = 0; r < count; r++)
        hs_effect_row_moments(run, &outs[r], r, &t);
    for (int g = 0; g < plan->groups; g++)
        hs_effect_summarise(run, &t, outs, count, g, t.values + sets, t.values + 2 * sets,
                            &summaries[g]);
    HS_CHECK(hs_effect_copy(run, &t, outs, count, summaries, effects, err));
    *out = effects;
    effects = NULL;
cleanup:
    hs_effects_free(effects);
    free(summaries);
    free(outs);
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
