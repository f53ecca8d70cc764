/*
 * Disentangling (paper, eq. 12): v - V (V^T V)^-1 V^T v, what is left of a
 * direction once the directions whose effect must go are projected out; over
 * the whole [T*c*h*w] vector, as in the paper, or step by step.
 *
 * V has a handful of columns, so all is done on its Gram matrix, of columns
 * scaled to norm 1, by a Cholesky factorisation with diagonal pivoting: a pivot
 * is the squared sine of the angle between a column and the span of those taken
 * before, so a column that adds nothing shows, and is left out. The Gram matrix
 * squares the condition; a second round of the projection repairs that.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/direction_file.h"

/* Columns within this sine of the span of the others count as lying in it:
 * float32 tensors hold directions to some 1e-7. */
#define HS_DEPENDENT_SINE 1e-5

/* A direction without a part of its own has nothing left: as above. */
#define HS_NOTHING_LEFT 1e-5

/* A column of V, or the direction itself: slices [S,d]; S = 1 stands for all. */
typedef struct hs_column {
    const float *x;
    int S;
} hs_column;

/* The projection of one range of steps. */
typedef struct hs_projection {
    int m;        /* columns */
    int rank;     /* of these, independent */
    int *order;   /* [m] columns as pivoting took them */
    double *L;    /* [m,m] lower factor, rows and columns in that order */
    double *norm; /* [m] of each column over these steps */
    double *y;    /* [m] right-hand side, then solution */
} hs_projection;

/* ------------------------------------------------------------- algebra -- */

static double hs_dot_steps(const hs_column *a, const hs_column *b, int first, int last, size_t d) {
    double sum = 0;
    for (int s = first; s <= last; s++) {
        const float *p = a->x + (a->S == 1 ? 0 : (size_t)s) * d;
        const float *q = b->x + (b->S == 1 ? 0 : (size_t)s) * d;
        for (size_t c = 0; c < d; c++)
            sum += (double)p[c] * (double)q[c];
    }
    return sum;
}

static void hs_swap_rows(hs_projection *p, double *gram, int a, int b) {
    int m = p->m, order = p->order[a];
    p->order[a] = p->order[b];
    p->order[b] = order;
    for (int j = 0; j < m; j++) {
        double x = gram[a * m + j];
        gram[a * m + j] = gram[b * m + j];
        gram[b * m + j] = x;
    }
    for (int i = 0; i < m; i++) {
        double x = gram[i * m + a];
        gram[i * m + a] = gram[i * m + b];
        gram[i * m + b] = x;
    }
}

/* Pivoted Cholesky of gram [m,m], of unit columns; it becomes L. */
static void hs_factor(hs_projection *p) {
    int m = p->m;
    double *a = p->L;
    for (p->rank = 0; p->rank < m; p->rank++) {
        int k = p->rank, best = k;
        for (int i = k + 1; i < m; i++)
            if (a[i * m + i] > a[best * m + best])
                best = i;
        if (!(a[best * m + best] > HS_DEPENDENT_SINE * HS_DEPENDENT_SINE))
            break;
        hs_swap_rows(p, a, k, best);
        double pivot = sqrt(a[k * m + k]);
        a[k * m + k] = pivot;
        for (int i = k + 1; i < m; i++)
            a[i * m + k] /= pivot;
        for (int j = k + 1; j < m; j++)
            for (int i = k + 1; i < m; i++)
                a[i * m + j] -= a[i * m + k] * a[j * m + k];
    }
}

/* y := (L L^T)^-1 y, on the first `rank` entries. */
static void hs_solve(const hs_projection *p) {
    int m = p->m, r = p->rank;
    for (int i = 0; i < r; i++) {
        for (int j = 0; j < i; j++)
            p->y[i] -= p->L[i * m + j] * p->y[j];
        p->y[i] /= p->L[i * m + i];
    }
    for (int i = r - 1; i >= 0; i--) {
        for (int j = i + 1; j < r; j++)
            p->y[i] -= p->L[j * m + i] * p->y[j];
        p->y[i] /= p->L[i * m + i];
    }
}

static void hs_projection_factor(hs_projection *p, const hs_column *columns, int first, int last,
                                 size_t d) {
    int m = p->m;
    for (int i = 0; i < m; i++) {
        p->order[i] = i;
        p->norm[i] = sqrt(hs_dot_steps(&columns[i], &columns[i], first, last, d));
    }
    for (int i = 0; i < m; i++)
        for (int j = 0; j <= i; j++) {
            double scale = p->norm[i] * p->norm[j];
            double x = hs_dot_steps(&columns[i], &columns[j], first, last, d);
            p->L[i * m + j] = p->L[j * m + i] = scale > 0 ? x / scale : 0;
        }
    hs_factor(p);
}

/* rest [S,d] -= V (V^T V)^-1 V^T rest, once; rest is in double. */
static void hs_projection_apply(const hs_projection *p, const hs_column *columns, int first,
                                int last, size_t d, double *rest) {
    for (int i = 0; i < p->rank; i++) {
        const hs_column *column = &columns[p->order[i]];
        p->y[i] = 0;
        for (int s = first; s <= last; s++) {
            const float *v = column->x + (column->S == 1 ? 0 : (size_t)s) * d;
            const double *r = rest + (size_t)s * d;
            for (size_t c = 0; c < d; c++)
                p->y[i] += (double)v[c] * r[c];
        }
        p->y[i] /= p->norm[p->order[i]];
    }
    hs_solve(p);
    for (int i = 0; i < p->rank; i++) {
        const hs_column *column = &columns[p->order[i]];
        double scale = p->y[i] / p->norm[p->order[i]];
        for (int s = first; s <= last; s++) {
            const float *v = column->x + (column->S == 1 ? 0 : (size_t)s) * d;
            double *r = rest + (size_t)s * d;
            for (size_t c = 0; c < d; c++)
                r[c] -= scale * (double)v[c];
        }
    }
}

/* -------------------------------------------------------------- checks -- */

static hs_status hs_check_nuisance(const hs_directions *of, const hs_direction_ref *from, int i,
                                   hs_error *err) {
    const hs_directions *v = from->directions;
    if (!v || from->index < 0 || from->index >= v->K)
        return hs_fail(err, HS_ERROR_ARGUMENT,
                       "direction %d to remove: expected an index below %d,"
                       " found %d",
                       i, v ? v->K : 0, from->index);
    const char *name = v->names[from->index];
    if (*of->model && *v->model && strcmp(of->model, v->model) != 0)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "direction '%.60s' to remove belongs to another model: fingerprint %s, "
                       "expected %s",
                       name, v->model, of->model);
    if (of->h_space != v->h_space)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "direction '%.60s' to remove belongs to h-space '%s', expected '%s'", name,
                       hs_h_space_name(v->h_space), hs_h_space_name(of->h_space));
    if (memcmp(of->h_shape, v->h_shape, sizeof of->h_shape) != 0)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "direction '%.60s' to remove is %d x %d x %d, expected %d x %d x %d", name,
                       v->h_shape[0], v->h_shape[1], v->h_shape[2], of->h_shape[0], of->h_shape[1],
                       of->h_shape[2]);
    return HS_OK;
}

/* Of two that have a slice a step, the steps must be the same. */
static hs_status hs_check_grid(const hs_directions *grid, const hs_direction_ref *from,
                               hs_error *err) {
    const hs_directions *v = from->directions;
    bool same = grid->T == v->T;
    for (int s = 0; same && grid->timesteps && v->timesteps && s < grid->T; s++)
        same = grid->timesteps[s] == v->timesteps[s];
    if (!same)
        return hs_fail(err, HS_ERROR_MISMATCH,
                       "direction '%.60s' to remove has another step grid (%d steps, expected %d "
                       "as in the others): find all with the same --steps",
                       v->names[from->index], v->T, grid->T);
    return HS_OK;
}

/* ---------------------------------------------------------------- work -- */

/* What one call works with. */
typedef struct hs_disentangling {
    const hs_directions *of;
    const hs_directions *grid; /* whose steps the result has: `of`, or the first with S > 1 */
    hs_column *columns;        /* [m] */
    int m, S;
    size_t d;
    bool per_step;
    hs_projection projection;
    double *rest;    /* [S,d] */
    int poor_ranges; /* ranges of steps whose columns are dependent */
    int poorest;     /* rank of the poorest */
} hs_disentangling;

/* Direction k with the columns projected out, into out [S,d]. */
static double hs_disentangle_one(hs_disentangling *w, int k, float *out) {
    const hs_directions *of = w->of;
    hs_column own = {.x = of->delta_h + (size_t)k * (size_t)of->S * w->d, .S = of->S};
    for (int s = 0; s < w->S; s++)
        for (size_t c = 0; c < w->d; c++)
            w->rest[(size_t)s * w->d + c] = (double)own.x[(own.S == 1 ? 0 : (size_t)s) * w->d + c];
    w->poor_ranges = 0;
    w->poorest = w->m;
    int ranges = w->per_step ? w->S : 1;
    for (int range = 0; range < ranges; range++) {
        int first = w->per_step ? range : 0, last = w->per_step ? range : w->S - 1;
        hs_projection_factor(&w->projection, w->columns, first, last, w->d);
        for (int round = 0; round < 2; round++)
            hs_projection_apply(&w->projection, w->columns, first, last, w->d, w->rest);
        if (w->projection.rank < w->m)
            w->poor_ranges++;
        if (w->projection.rank < w->poorest)
            w->poorest = w->projection.rank;
    }
    double before = hs_dot_steps(&own, &own, 0, w->S - 1, w->d), after = 0;
    for (size_t c = 0; c < (size_t)w->S * w->d; c++) {
        out[c] = (float)w->rest[c];
        after += w->rest[c] * w->rest[c];
    }
    return before > 0 ? sqrt(after / before) : 0;
}

static hs_status hs_disentangle_begin(hs_disentangling *w, const hs_direction_ref *from,
                                      hs_error *err) {
    size_t m = (size_t)w->m;
    w->d = (size_t)w->of->h_shape[0] * (size_t)w->of->h_shape[1] * (size_t)w->of->h_shape[2];
    w->columns = hs_calloc(m, sizeof *w->columns);
    w->projection = (hs_projection){.m = w->m,
                                    .order = hs_calloc(m, sizeof(int)),
                                    .L = hs_calloc(m * m, sizeof(double)),
                                    .norm = hs_calloc(m, sizeof(double)),
                                    .y = hs_calloc(m, sizeof(double))};
    if (!w->columns || !w->projection.order || !w->projection.L || !w->projection.norm ||
        !w->projection.y)
        return hs_fail_memory(err, m * m * sizeof(double));
    w->grid = w->of;
    for (int i = 0; i < w->m; i++) {
        const hs_directions *v = from[i].directions;
        HS_TRY(hs_check_nuisance(w->of, &from[i], i, err));
        w->columns[i] =
            (hs_column){.x = v->delta_h + (size_t)from[i].index * (size_t)v->S * w->d, .S = v->S};
        if (v->S > 1 && w->grid->S == 1)
            w->grid = v;
        if (v->S > 1)
            HS_TRY(hs_check_grid(w->grid, &from[i], err));
    }
    w->S = w->grid->S;
    w->rest = hs_calloc((size_t)w->S * w->d, sizeof(double));
    return w->rest ? HS_OK : hs_fail_memory(err, (size_t)w->S * w->d * sizeof(double));
}

static void hs_disentangle_end(hs_disentangling *w) {
    free(w->rest);
    free(w->projection.y);
    free(w->projection.norm);
    free(w->projection.L);
    free(w->projection.order);
    free(w->columns);
}

/* -------------------------------------------------------------- result -- */

static hs_status hs_clean_text(char **member, const char *text, hs_error *err) {
    char *copy = hs_strdup(text);
    if (!copy)
        return hs_fail_memory(err, strlen(text) + 1);
    free(*member);
    *member = copy;
    return HS_OK;
}

/* The result with room for delta_h, and all members that are not numbers. */
static hs_status hs_clean_new(const hs_disentangling *w, hs_directions **out, hs_error *err) {
    const hs_directions *of = w->of, *grid = w->grid;
    hs_status status = HS_OK;
    size_t T = (size_t)grid->T, floats = (size_t)of->K * (size_t)w->S * w->d;
    hs_directions *clean = hs_directions_new(of->K, w->S, grid->T, of->h_shape);
    if (!clean)
        return hs_fail_memory(err, (size_t)of->K * sizeof(char *));
    clean->N = of->N ? of->N : grid->N;
    clean->h_space = of->h_space;
    memcpy(clean->model, of->model, sizeof clean->model);
    clean->delta_h = hs_calloc(floats, sizeof(float));
    clean->timesteps = grid->timesteps ? hs_calloc(T, sizeof(int64_t)) : NULL;
    if (!clean->delta_h || (grid->timesteps && !clean->timesteps)) {
        status = hs_fail_memory(err, floats * sizeof(float));
        goto cleanup;
    }
    if (grid->timesteps)
        memcpy(clean->timesteps, grid->timesteps, T * sizeof(int64_t));
    HS_CHECK(hs_clean_text(&clean->unit, of->unit, err));
    HS_CHECK(hs_clean_text(&clean->method, "disentangle", err));
    for (int k = 0; k < of->K; k++)
        HS_CHECK(hs_clean_text(&clean->names[k], of->names[k], err));
    if (of->metadata)
        HS_CHECK(hs_clean_text(&clean->metadata, of->metadata, err));
    *out = clean;
    clean = NULL;
cleanup:
    hs_directions_free(clean);
    return status;
}

/* What was done, for the file: the method it was found by stays known. */
static hs_status hs_clean_describe(const hs_disentangling *w, const hs_direction_ref *from,
                                   const double *left, hs_directions *clean, hs_error *err) {
    json_t *names = json_array(), *shares = json_array();
    for (int i = 0; i < w->m; i++)
        json_array_append_new(names, json_string(from[i].directions->names[from[i].index]));
    for (int k = 0; k < clean->K; k++)
        json_array_append_new(shares, json_real(left[k]));
    json_t *options = json_pack("{s:b, s:o, s:s}", "per_step", w->per_step, "from", names,
                                "found_by", w->of->method);
    char *before = hs_directions_get_metadata(clean, "options");
    json_t *own = before ? json_loads(before, 0, NULL) : NULL;
    if (own)
        json_object_set_new(options, "found_with", own);
    free(before);
    hs_status status = hs_directions_put_json(clean, "options", options, 17, err);
    if (status != HS_OK) {
        json_decref(shares);
        return status;
    }
    HS_TRY(hs_directions_put_json(clean, "norm_left", shares, 17, err));
    return hs_directions_update_metadata(clean, err);
}

/* Of what could not be told apart, one line. */
static void hs_clean_notice(const hs_disentangling *w, const hs_monitor *monitor) {
    if (!w->poor_ranges)
        return;
    if (w->per_step)
        hs_notice(
            monitor,
            "the %d directions to remove are linearly dependent at %d of %d steps (rank %d at "
            "the least): those that add nothing were left out there",
            w->m, w->poor_ranges, w->S, w->poorest);
    else
        hs_notice(monitor,
                  "the %d directions to remove are linearly dependent (rank %d): those that add "
                  "nothing were left out",
                  w->m, w->poorest);
}

hs_status hs_directions_disentangle(const hs_directions *directions, const hs_direction_ref *from,
                                    int from_count, bool per_step, const hs_monitor *monitor,
                                    hs_directions **out, double *left, hs_error *err) {
    hs_status status;
    hs_directions *clean = NULL;
    double *shares = NULL;
    if (from_count < 1 || from_count > 1000)
        return hs_fail(err, HS_ERROR_ARGUMENT, "%d directions to remove, expected 1 to 1000",
                       from_count);
    for (int i = -1; i < from_count; i++)
        if ((i < 0 ? directions : from[i].directions)->space == HS_SPACE_NOISE)
            return hs_fail(err, HS_ERROR_UNSUPPORTED,
                           "direction '%.60s' is of noise (x_T and z): only directions of h are "
                           "disentangled",
                           i < 0 ? directions->names[0] : from[i].directions->names[from[i].index]);
    hs_disentangling w = {.of = directions, .m = from_count, .per_step = per_step};
    HS_CHECK(hs_disentangle_begin(&w, from, err));
    HS_CHECK(hs_clean_new(&w, &clean, err));
    if (!(shares = hs_calloc((size_t)directions->K, sizeof *shares))) {
        status = hs_fail_memory(err, (size_t)directions->K * sizeof *shares);
        goto cleanup;
    }
    for (int k = 0; k < directions->K; k++) {
        shares[k] = hs_disentangle_one(&w, k, clean->delta_h + (size_t)k * (size_t)w.S * w.d);
        if (!(shares[k] > HS_NOTHING_LEFT)) {
            status = hs_fail(err, HS_ERROR_NUMERIC,
                             "direction '%.60s' lies in the span of those to remove: nothing of it "
                             "would be left",
                             directions->names[k]);
            goto cleanup;
        }
    }
    hs_clean_notice(&w, monitor);
    HS_CHECK(hs_clean_describe(&w, from, shares, clean, err));
    if (left)
        memcpy(left, shares, (size_t)directions->K * sizeof *left);
    *out = clean;
    clean = NULL;
cleanup:
    free(shares);
    hs_directions_free(clean);
    hs_disentangle_end(&w);
    return status;
}
