/* See sides.h. */
#include "directions/sides.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HS_DEFAULT_TOP 100

/* A usable row while sides are chosen. */
typedef struct hs_ranked {
    double score;
    int row, stratum;
} hs_ranked;

hs_status hs_sides_column(const hs_labels_view *labels, const char *attribute, int *out,
                          hs_error *err) {
    for (int a = 0; a < labels->attributes; a++)
        if (!strcmp(labels->names[a], attribute)) {
            *out = a;
            return HS_OK;
        }
    return hs_fail(err, HS_ERROR_ARGUMENT, "there is no attribute '%.60s' among the %d known",
                   attribute, labels->attributes);
}

static double hs_score(const hs_labels_view *labels, int row, int column) {
    return labels->values[(size_t)row * (size_t)labels->attributes + (size_t)column];
}

static int hs_compare_ranked(const void *a, const void *b) {
    const hs_ranked *x = a, *y = b;
    int order = (x->score > y->score) - (x->score < y->score);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

/* Rows whose target, balanced and given scores are all known, by rising score. */
static hs_status hs_rank_rows(const hs_labels_view *labels, const hs_attribute_options *options,
                              hs_sides *sides, hs_ranked *ranked, hs_error *err) {
    int n = 0;
    HS_TRY(hs_sides_column(labels, options->attribute, &sides->target, err));
    for (int i = 0; i < labels->rows; i++)
        ranked[n++] = (hs_ranked){.score = hs_score(labels, i, sides->target), .row = i};
    for (int o = -1; o < options->balance_count + options->given_count; o++) {
        const char *name = o < 0 ? options->attribute
                           : o < options->balance_count
                               ? options->balance[o]
                               : options->given[o - options->balance_count];
        int column = 0, kept = 0;
        HS_TRY(hs_sides_column(labels, name, &column, err));
        if (o >= 0 && column == sides->target)
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "attribute '%.60s' cannot be held against itself", name);
        for (int i = 0; i < n; i++)
            if (isfinite(hs_score(labels, ranked[i].row, column)))
                ranked[kept++] = ranked[i];
        n = kept;
        if (!n)
            return hs_fail(err, HS_ERROR_ARGUMENT,
                           "attribute '%.60s': none of the %d samples has a score%s", name,
                           labels->rows, o < 0 ? "" : " for it and those before");
    }
    qsort(ranked, (size_t)n, sizeof *ranked, hs_compare_ranked);
    if (ranked[0].score == ranked[n - 1].score)
        return hs_fail(
            err, HS_ERROR_ARGUMENT,
            "attribute '%.60s': all %d samples have the score %g: there are no two sides",
            options->attribute, n, ranked[0].score);
    sides->usable_count = n;
    for (int i = 0; i < n; i++)
        sides->usable[i] = ranked[i].row;
    return HS_OK;
}

/* Samples fall into 2^balance_count strata, cut at the middle of each balanced
 * attribute's range; both sides will have equally many of each. */
static hs_status hs_find_strata(const hs_labels_view *labels, const hs_attribute_options *options,
                                int n, hs_ranked *ranked, hs_error *err) {
    if (options->balance_count > 8)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%d attributes to balance, expected at most 8",
                       options->balance_count);
    for (int b = 0; b < options->balance_count; b++) {
        int column = 0;
        HS_TRY(hs_sides_column(labels, options->balance[b], &column, err));
        double least = INFINITY, most = -INFINITY;
        for (int i = 0; i < n; i++) {
            double score = hs_score(labels, ranked[i].row, column);
            least = fmin(least, score);
            most = fmax(most, score);
        }
        for (int i = 0; i < n; i++)
            if (hs_score(labels, ranked[i].row, column) > least + (most - least) / 2)
                ranked[i].stratum |= 1 << b;
    }
    return HS_OK;
}

/* How many of each stratum of ranked [n] the m of a side take, in proportion:
 * room[s] is what it has for one side. The largest remainders round up. */
static int hs_share_out(int strata, const int *room, int m, int *take) {
    int total = 0, given = 0;
    for (int s = 0; s < strata; s++)
        total += room[s];
    for (int s = 0; s < strata; s++)
        given += take[s] = total ? (int)((int64_t)m * room[s] / total) : 0;
    while (given < m && given < total) {
        int best = -1;
        double most = -1;
        for (int s = 0; s < strata; s++) {
            double lacks = (double)m * room[s] / total - take[s];
            if (take[s] < room[s] && lacks > most) {
                most = lacks;
                best = s;
            }
        }
        if (best < 0)
            break;
        take[best]++;
        given++;
    }
    return given;
}

/* Pick from both ends of ranked [n], take[s] of stratum s a side; those of the
 * high side must be above `high`, those of the low side below `low`. */
static void hs_pick_sides(const hs_ranked *ranked, int n, const int *take, int strata, double low,
                          double high, hs_sides *sides) {
    int left[256];
    memcpy(left, take, (size_t)strata * sizeof *left);
    for (int i = n - 1; i >= 0; i--)
        if (ranked[i].score >= high && left[ranked[i].stratum] > 0) {
            left[ranked[i].stratum]--;
            sides->high[sides->high_count++] = ranked[i].row;
        }
    memcpy(left, take, (size_t)strata * sizeof *left);
    for (int i = 0; i < n; i++)
        if (ranked[i].score <= low && left[ranked[i].stratum] > 0) {
            left[ranked[i].stratum]--;
            sides->low[sides->low_count++] = ranked[i].row;
        }
}

static hs_status hs_choose_by_threshold(const hs_attribute_options *options,
                                        const hs_ranked *ranked, hs_sides *sides, hs_error *err) {
    int strata = 1 << options->balance_count, n = sides->usable_count;
    int high[256] = {0}, low[256] = {0}, take[256] = {0};
    int highs = 0, lows = 0;
    if (!(options->low < options->high))
        return hs_fail(err, HS_ERROR_ARGUMENT, "thresholds %g and %g: expected the lower one first",
                       options->low, options->high);
    for (int i = 0; i < n; i++) {
        high[ranked[i].stratum] += ranked[i].score >= options->high;
        low[ranked[i].stratum] += ranked[i].score <= options->low;
    }
    for (int s = 0; s < strata; s++) {
        highs += high[s];
        lows += low[s];
        take[s] = high[s] < low[s] ? high[s] : low[s];
        if (!options->balance_count) /* nothing to balance: all of both */
            take[s] = n;
    }
    hs_pick_sides(ranked, n, take, strata, options->low, options->high, sides);
    if (sides->high_count && sides->low_count)
        return HS_OK;
    if (highs && lows)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "attribute '%.60s': the two sides share no kind of sample to balance",
                       options->attribute);
    return hs_fail(
        err, HS_ERROR_ARGUMENT,
        "attribute '%.60s': %d samples score %g or less, %d score %g or more: both sides "
        "need one",
        options->attribute, lows, options->low, highs, options->high);
}

static hs_status hs_choose_by_rank(const hs_labels_view *labels,
                                   const hs_attribute_options *options, const hs_ranked *ranked,
                                   hs_sides *sides, hs_error *err) {
    int strata = 1 << options->balance_count, n = sides->usable_count;
    int m = options->top, room[256] = {0}, take[256] = {0};
    if (!m)
        m = n / 2 < HS_DEFAULT_TOP ? n / 2 : HS_DEFAULT_TOP;
    for (int i = 0; i < n; i++)
        room[ranked[i].stratum]++;
    int most = 0;
    for (int s = 0; s < strata; s++)
        most += room[s] /= 2;
    if (m < 1 || m > most)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "attribute '%.60s': %d a side, but %d samples with scores give at most %d",
                       options->attribute, m, n, most);
    hs_share_out(strata, room, m, take);
    hs_pick_sides(ranked, n, take, strata, INFINITY, -INFINITY, sides);
    double least = INFINITY, highest = -INFINITY;
    for (int i = 0; i < sides->high_count; i++)
        least = fmin(least, hs_score(labels, sides->high[i], sides->target));
    for (int i = 0; i < sides->low_count; i++)
        highest = fmax(highest, hs_score(labels, sides->low[i], sides->target));
    if (!(least > highest) && !options->balance_count)
        return hs_fail(
            err, HS_ERROR_ARGUMENT,
            "attribute '%.60s': the %d highest and the %d lowest scores meet at %g: take "
            "fewer a side",
            options->attribute, m, m, least);
    return HS_OK;
}

hs_status hs_sides_choose(const hs_labels_view *labels, const hs_attribute_options *options,
                          hs_sides *out, hs_error *err) {
    hs_status status;
    size_t n = (size_t)labels->rows + 1;
    hs_sides sides = {.high = hs_calloc(n, sizeof(int)),
                      .low = hs_calloc(n, sizeof(int)),
                      .usable = hs_calloc(n, sizeof(int))};
    hs_ranked *ranked = hs_calloc(n, sizeof *ranked);
    if (!sides.high || !sides.low || !sides.usable || !ranked) {
        status = hs_fail_memory(err, n * sizeof *ranked);
        goto cleanup;
    }
    HS_CHECK(hs_rank_rows(labels, options, &sides, ranked, err));
    HS_CHECK(hs_find_strata(labels, options, sides.usable_count, ranked, err));
    HS_CHECK(options->by_threshold ? hs_choose_by_threshold(options, ranked, &sides, err)
                                   : hs_choose_by_rank(labels, options, ranked, &sides, err));
    *out = sides;
    sides = (hs_sides){0};
cleanup:
    free(ranked);
    hs_sides_free(&sides);
    return status;
}

void hs_sides_free(hs_sides *sides) {
    free(sides->usable);
    free(sides->low);
    free(sides->high);
    *sides = (hs_sides){0};
}

double hs_sides_mean(const hs_labels_view *labels, const hs_sides *sides, bool high) {
    const int *rows = high ? sides->high : sides->low;
    int count = high ? sides->high_count : sides->low_count;
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += hs_score(labels, rows[i], sides->target);
    return sum / count;
}

bool hs_sides_is_held(int i, double share) {
    /* The (i+1)-th is held back where the count that should be has grown. */
    return floor((i + 1) * share + 1e-9) > floor(i * share + 1e-9);
}

/* ------------------------------------------------------------ regression -- */

/* x := a^-1 x for a symmetric positive definite a [n,n], which is overwritten;
 * false where it is not positive definite. */
static bool hs_solve_spd(int n, double *a, double *x) {
    for (int k = 0; k < n; k++) {
        if (!(a[k * n + k] > 0))
            return false;
        double pivot = sqrt(a[k * n + k]);
        for (int i = k; i < n; i++)
            a[i * n + k] /= pivot;
        for (int j = k + 1; j < n; j++)
            for (int i = j; i < n; i++)
                a[i * n + j] -= a[i * n + k] * a[j * n + k];
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i; j++)
            x[i] -= a[i * n + j] * x[j];
        x[i] /= a[i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int j = i + 1; j < n; j++)
            x[i] -= a[j * n + i] * x[j];
        x[i] /= a[i * n + i];
    }
    return true;
}

hs_status hs_regression_weights(const hs_labels_view *labels, const int *rows, int count,
                                const int *columns, int column_count, double *weights,
                                hs_error *err) {
    size_t a = (size_t)column_count;
    hs_status status = HS_OK;
    double *gram = hs_calloc(a * a, sizeof *gram), *mean = hs_calloc(a, sizeof *mean);
    double *w = hs_calloc(a, sizeof *w);
    if (!gram || !mean || !w) {
        status = hs_fail_memory(err, a * a * sizeof *gram);
        goto cleanup;
    }
    for (int i = 0; i < count; i++)
        for (int p = 0; p < column_count; p++)
            mean[p] += hs_score(labels, rows[i], columns[p]) / count;
    for (int i = 0; i < count; i++)
        for (int p = 0; p < column_count; p++)
            for (int q = 0; q < column_count; q++)
                gram[p * column_count + q] += (hs_score(labels, rows[i], columns[p]) - mean[p]) *
                                              (hs_score(labels, rows[i], columns[q]) - mean[q]);
    for (int p = 0; p < column_count; p++)
        gram[p * column_count + p] += 1e-3 * count;
    w[0] = 1;
    if (!hs_solve_spd(column_count, gram, w)) {
        status = hs_fail(err, HS_ERROR_NUMERIC,
                         "joint regression: the scores of %d samples on %d "
                         "attributes cannot be told apart",
                         count, column_count);
        goto cleanup;
    }
    for (int i = 0; i < count; i++) {
        weights[rows[i]] = 0;
        for (int p = 0; p < column_count; p++)
            weights[rows[i]] += w[p] * (hs_score(labels, rows[i], columns[p]) - mean[p]);
    }
cleanup:
    free(w);
    free(mean);
    free(gram);
    return status;
}
