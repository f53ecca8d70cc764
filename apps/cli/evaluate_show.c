/* What `evaluate` writes of its result: CSV, JSON, a picture, a table on stdout. */
#include "evaluate.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool cli_ends(const char *path, const char *ending) {
    size_t length = strlen(path), tail = strlen(ending);
    return length > tail && !strcasecmp(path + length - tail, ending);
}

bool cli_evaluate_can_write(const char *path) {
    return cli_ends(path, ".csv") || cli_ends(path, ".json") || cli_is_picture(path);
}

static const char *cli_group_label(const cli_evaluation *work, int group) {
    return work->options->group_count ? work->options->groups[group] : "directions";
}

/* The value that a cell is about: towards the attribute on target, else absolute. */
static double cli_cell(const hs_effects_view *view, int r, int a, double *deviation) {
    int at = r * view->attributes + a;
    bool on = view->target[r] == a;
    if (deviation)
        *deviation = on ? view->change_deviation[at] : view->absolute_deviation[at];
    return on ? view->change[at] : view->absolute[at];
}

static const char *cli_target_name(const hs_effects_view *view, int r) {
    return view->target[r] < 0 ? NULL : view->attribute_names[view->target[r]];
}

/* ------------------------------------------------------------------- JSON -- */

static json_t *cli_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *cli_json_rows(const cli_evaluation *work) {
    const hs_effects_view *view = &work->view;
    json_t *rows = json_array();
    for (int r = 0; r < view->rows; r++) {
        const char *target = cli_target_name(view, r);
        json_t *row = json_object(), *cells = json_array();
        json_object_set_new(row, "group", json_string(cli_group_label(work, view->group[r])));
        json_object_set_new(row, "direction", json_string(view->names[r]));
        json_object_set_new(row, "target", target ? json_string(target) : json_null());
        json_object_set_new(row, "random", json_boolean(view->random[r]));
        json_object_set_new(row, "strength", cli_number(view->strength[r]));
        json_object_set_new(row, "calibrated", cli_number(view->calibrated[r]));
        for (int a = 0; a < view->attributes; a++) {
            int at = r * view->attributes + a;
            json_t *cell = json_object();
            json_object_set_new(cell, "attribute", json_string(view->attribute_names[a]));
            json_object_set_new(cell, "change", cli_number(view->change[at]));
            json_object_set_new(cell, "change_deviation", cli_number(view->change_deviation[at]));
            json_object_set_new(cell, "absolute", cli_number(view->absolute[at]));
            json_object_set_new(cell, "absolute_deviation",
                                cli_number(view->absolute_deviation[at]));
            json_array_append_new(cells, cell);
        }
        json_object_set_new(row, "effects", cells);
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *cli_json_summaries(const cli_evaluation *work) {
    json_t *list = json_array();
    for (int g = 0; g < work->view.groups; g++) {
        const hs_effect_summary *s = &work->view.summaries[g];
        json_t *json = json_object();
        json_object_set_new(json, "group", json_string(cli_group_label(work, g)));
        json_object_set_new(json, "directions", json_integer(s->rows));
        json_object_set_new(json, "target_strongest", json_integer(s->strongest));
        json_object_set_new(json, "on_target", cli_number(s->on));
        json_object_set_new(json, "on_target_deviation", cli_number(s->on_deviation));
        json_object_set_new(json, "off_target", cli_number(s->off));
        json_object_set_new(json, "off_target_deviation", cli_number(s->off_deviation));
        json_object_set_new(json, "off_over_on", cli_number(s->ratio));
        json_object_set_new(json, "random_on_target", cli_number(s->random_on));
        json_object_set_new(json, "random_off_target", cli_number(s->random_off));
        json_array_append_new(list, json);
    }
    return list;
}

static json_t *cli_evaluate_object(const cli_session *session, const cli_evaluation *work) {
    const hs_effect_options *effect = &work->options->effect;
    hs_classifier_info info;
    hs_classifier_get_info(work->classifier, &info);
    json_t *report = cli_report_new(session), *eta = json_array(), *attributes = json_array();
    json_t *classifier = json_string(info.name);
    int T = hs_sampler_steps(session->sampler);
    for (int i = 0; i < T; i++)
        json_array_append_new(eta, json_real(hs_sampler_eta(session->sampler)[i]));
    for (int a = 0; a < work->view.attributes; a++)
        json_array_append_new(attributes, json_string(work->view.attribute_names[a]));
    json_object_set_new(report, "classifier", classifier ? classifier : json_null());
    json_object_set_new(report, "steps", json_integer(T));
    json_object_set_new(report, "eta", eta);
    json_object_set_new(report, "n", json_integer(effect->n));
    json_object_set_new(report, "sets", json_integer(effect->sets));
    json_object_set_new(report, "first_seed", json_integer(effect->first_seed));
    json_object_set_new(report, "calibrate",
                        effect->calibrate > 0 ? json_real(effect->calibrate) : json_null());
    json_object_set_new(report, "planned_passes", json_integer(work->cost.passes));
    json_object_set_new(report, "planned_bytes",
                        json_integer(session->planned_bytes + work->cost.bytes));
    json_object_set_new(report, "attributes", attributes);
    json_object_set_new(report, "groups", cli_json_summaries(work));
    json_object_set_new(report, "rows", cli_json_rows(work));
    json_object_set_new(report, "output", json_string(work->options->common.output));
    if (work->options->figure)
        json_object_set_new(report, "figure", json_string(work->options->figure));
    return report;
}

/* -------------------------------------------------------------------- CSV -- */

/* A text cell, quoted where it must be. */
static void cli_csv_text(FILE *out, const char *text) {
    if (!strpbrk(text, ",\"\n\r")) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (const char *p = text; *p; p++) {
        if (*p == '"')
            putc('"', out);
        putc(*p, out);
    }
    putc('"', out);
}

static void cli_csv_number(FILE *out, double value) {
    if (isfinite(value)) /* an empty cell: there is none */
        fprintf(out, ",%.6g", value);
    else
        putc(',', out);
}

static void cli_write_csv(FILE *out, const cli_evaluation *work) {
    const hs_effects_view *view = &work->view;
    fputs("group,direction,target,strength,attribute,on_target,change,change_deviation,absolute,"
          "absolute_deviation\n",
          out);
    for (int r = 0; r < view->rows; r++)
        for (int a = 0; a < view->attributes; a++) {
            int at = r * view->attributes + a;
            const char *target = cli_target_name(view, r);
            cli_csv_text(out, cli_group_label(work, view->group[r]));
            putc(',', out);
            cli_csv_text(out, view->names[r]);
            putc(',', out);
            cli_csv_text(out, target ? target : "");
            cli_csv_number(out, view->strength[r]);
            putc(',', out);
            cli_csv_text(out, view->attribute_names[a]);
            fprintf(out, ",%d", view->target[r] == a);
            cli_csv_number(out, view->change[at]);
            cli_csv_number(out, view->change_deviation[at]);
            cli_csv_number(out, view->absolute[at]);
            cli_csv_number(out, view->absolute_deviation[at]);
            putc('\n', out);
        }
}

/* Text to a temporary file beside `path`, synced and renamed over it. */
static hs_status cli_write_text(const char *path, const char *text, size_t size, hs_error *err) {
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.%ld.tmp", path, (long)getpid()) < 0)
        return cli_fail_memory(err);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool done = file && fwrite(text, 1, size, file) == size && fflush(file) == 0 && fsync(fd) == 0;
    int reason = errno;
    if (file && fclose(file) != 0 && done) {
        done = false;
        reason = errno;
    }
    if (done && rename(temporary, path) != 0) {
        done = false;
        reason = errno;
    }
    if (!done && fd >= 0)
        unlink(temporary);
    free(temporary);
    return done ? HS_OK
                : cli_fail(err, HS_ERROR_IO, "%s: cannot be written: %s", path, strerror(reason));
}

static hs_status cli_save_table(const cli_session *session, const cli_evaluation *work,
                                const char *path, hs_error *err) {
    char *text = NULL;
    size_t size = 0;
    hs_status status;
    if (cli_ends(path, ".csv")) {
        FILE *out = open_memstream(&text, &size);
        if (out)
            cli_write_csv(out, work);
        if (!out || fclose(out) != 0)
            size = 0;
    } else {
        json_t *object = cli_evaluate_object(session, work);
        text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        size = text ? strlen(text) : 0;
        json_decref(object);
    }
    status = size ? cli_write_text(path, text, size, err) : cli_fail_memory(err);
    free(text);
    return status;
}

/* ---------------------------------------------------------------- picture -- */

/* The first row of group g, and how many it has. */
static int cli_group_rows(const hs_effects_view *view, int g, int *first) {
    int count = 0;
    for (int r = view->rows - 1; r >= 0; r--)
        if (view->group[r] == g) {
            *first = r;
            count++;
        }
    return count;
}

/* Row by row the same targets, as before and after have: groups side by side. */
static bool cli_groups_match(const hs_effects_view *view) {
    int first = 0, own = 0, count = cli_group_rows(view, 0, &first);
    for (int g = 1; g < view->groups; g++) {
        if (cli_group_rows(view, g, &own) != count)
            return false;
        for (int r = 0; r < count; r++)
            if (view->target[own + r] != view->target[first + r] ||
                view->random[own + r] != view->random[first + r])
                return false;
    }
    return true;
}

/* What a picture is made of. */
typedef struct cli_effect_figure {
    int rows, columns, blocks; /* blocks of view->attributes columns */
    double *values, *deviations;
    bool *marks;
    char **row_labels, **column_labels, **block_labels;
    int *block_columns;
} cli_effect_figure;

static char *cli_row_label(const cli_evaluation *work, int r, bool whole) {
    const hs_effects_view *view = &work->view;
    const char *target = cli_target_name(view, r), *group = cli_group_label(work, view->group[r]);
    char *label = NULL, strength[32] = "";
    bool several = !whole && view->groups > 1;
    if (!view->random[r] && !(whole && view->groups > 1))
        snprintf(strength, sizeof strength, " \xC3\x97 %.3g", view->strength[r]);
    if (asprintf(&label, "%s%s%s%s", several ? group : "", several ? ": " : "",
                 target ? target : view->names[r], strength) < 0)
        return NULL;
    return label;
}

static char *cli_block_label(const cli_evaluation *work, int g) {
    const hs_effect_summary *s = &work->view.summaries[g];
    char *label = NULL;
    int length = s->rows && isfinite(s->ratio)
                     ? asprintf(&label, "%s: off/on %.3f, strongest %d of %d",
                                cli_group_label(work, g), s->ratio, s->strongest, s->rows)
                     : asprintf(&label, "%s", cli_group_label(work, g));
    return length < 0 ? NULL : label;
}

static void cli_figure_cells(const cli_evaluation *work, bool match, cli_effect_figure *f) {
    const hs_effects_view *view = &work->view;
    for (int r = 0; r < view->rows; r++) {
        int first = 0;
        cli_group_rows(view, view->group[r], &first);
        for (int a = 0; a < view->attributes; a++) {
            int row = match ? r - first : r;
            int column = (match ? view->group[r] : 0) * view->attributes + a;
            int at = row * f->columns + column;
            double deviation;
            f->values[at] = cli_cell(view, r, a, &deviation);
            f->deviations[at] = isfinite(deviation) ? deviation : 0;
            f->marks[at] = view->target[r] == a;
        }
    }
}

static hs_status cli_figure_fill(const cli_evaluation *work, cli_effect_figure *f, hs_error *err) {
    const hs_effects_view *view = &work->view;
    bool match = cli_groups_match(view);
    int first = 0;
    f->blocks = match ? view->groups : 1;
    f->rows = match ? cli_group_rows(view, 0, &first) : view->rows;
    f->columns = f->blocks * view->attributes;
    size_t cells = (size_t)f->rows * (size_t)f->columns;
    f->values = calloc(cells, sizeof *f->values);
    f->deviations = calloc(cells, sizeof *f->deviations);
    f->marks = calloc(cells, sizeof *f->marks);
    f->row_labels = cli_new_strings(f->rows);
    f->column_labels = cli_new_strings(f->columns);
    f->block_labels = cli_new_strings(f->blocks);
    f->block_columns = calloc((size_t)f->blocks, sizeof *f->block_columns);
    if (!f->values || !f->deviations || !f->marks || !f->row_labels || !f->column_labels ||
        !f->block_labels || !f->block_columns)
        return cli_fail_memory(err);
    bool complete = true;
    for (int r = 0; r < f->rows; r++)
        complete = complete && (f->row_labels[r] = cli_row_label(work, r, match));
    for (int c = 0; c < f->columns; c++)
        complete =
            complete && (f->column_labels[c] = strdup(view->attribute_names[c % view->attributes]));
    for (int b = 0; b < f->blocks; b++) {
        f->block_columns[b] = view->attributes;
        complete =
            complete && (f->block_labels[b] = match ? cli_block_label(work, b) : strdup("effect"));
    }
    cli_figure_cells(work, match, f);
    return complete ? HS_OK : cli_fail_memory(err);
}

static hs_status cli_save_matrix(const cli_evaluation *work, const char *path, hs_error *err) {
    cli_effect_figure f = {0};
    hs_classifier_info info;
    hs_classifier_get_info(work->classifier, &info);
    const char *slash = strrchr(info.name, '/');
    char title[300];
    snprintf(title, sizeof title,
             "Change of the scores of %.100s: towards the attribute on target (framed), absolute "
             "elsewhere",
             slash && slash[1] ? slash + 1 : info.name);
    hs_status status = cli_figure_fill(work, &f, err);
    if (status == HS_OK) {
        hs_matrix matrix = {.rows = f.rows,
                            .columns = f.columns,
                            .values = f.values,
                            .deviations = work->view.sets > 1 ? f.deviations : NULL,
                            .marks = f.marks,
                            .title = title,
                            .row_title = "direction",
                            .row_labels = (const char *const *)f.row_labels,
                            .column_labels = (const char *const *)f.column_labels,
                            .group_count = f.blocks,
                            .group_columns = f.block_columns,
                            .group_labels = (const char *const *)f.block_labels,
                            .absolute = true};
        status = hs_matrix_save(&matrix, path, err);
    }
    cli_free_strings(f.block_labels, f.blocks);
    cli_free_strings(f.column_labels, f.columns);
    cli_free_strings(f.row_labels, f.rows);
    free(f.block_columns);
    free(f.marks);
    free(f.deviations);
    free(f.values);
    return status;
}

hs_status cli_evaluate_save(const cli_session *session, const cli_evaluation *work, hs_error *err) {
    const char *output = work->options->common.output;
    hs_status status = cli_is_picture(output) ? cli_save_matrix(work, output, err)
                                              : cli_save_table(session, work, output, err);
    if (status == HS_OK && work->options->figure)
        status = cli_save_matrix(work, work->options->figure, err);
    return status;
}

/* ------------------------------------------------------------------- text -- */

static void cli_print_row(const hs_effects_view *view, int r) {
    const char *target = cli_target_name(view, r);
    char name[64];
    if (view->random[r] || !isfinite(view->strength[r]))
        snprintf(name, sizeof name, "%.40s", view->names[r]);
    else
        snprintf(name, sizeof name, "%.40s x %.3g", target ? target : view->names[r],
                 view->strength[r]);
    printf("%-28s", name);
    for (int a = 0; a < view->attributes; a++) {
        double deviation, value = cli_cell(view, r, a, &deviation);
        char cell[40];
        if (isfinite(deviation))
            snprintf(cell, sizeof cell, "%s%.3f+-%.3f", view->target[r] == a ? "*" : "", value,
                     deviation);
        else
            snprintf(cell, sizeof cell, "%s%.3f", view->target[r] == a ? "*" : "", value);
        printf(" %14s", cell);
    }
    putchar('\n');
}

static void cli_print_summary(const hs_effect_summary *s) {
    if (!s->rows)
        return;
    printf("on target %.3f, off target %.3f", s->on, s->off);
    if (isfinite(s->ratio))
        printf(", off/on %.3f", s->ratio);
    printf("; target strongest in %d of %d", s->strongest, s->rows);
    if (isfinite(s->random_off))
        printf("; random directions %.3f on, %.3f off", s->random_on, s->random_off);
    putchar('\n');
}

void cli_evaluate_print(const cli_session *session, const cli_evaluation *work) {
    const hs_effects_view *view = &work->view;
    const cli_evaluate_options *options = work->options;
    if (options->common.json) {
        cli_report_print(cli_evaluate_object(session, work));
        return;
    }
    if (options->common.quiet)
        return;
    for (int r = 0; r < view->rows; r++) {
        if (!r || view->group[r] != view->group[r - 1]) {
            printf("%s%-28s", r ? "\n" : "", cli_group_label(work, view->group[r]));
            for (int a = 0; a < view->attributes; a++)
                printf(" %14.14s", view->attribute_names[a]);
            putchar('\n');
        }
        cli_print_row(view, r);
        if (r == view->rows - 1 || view->group[r + 1] != view->group[r])
            cli_print_summary(&view->summaries[view->group[r]]);
    }
    char taken[32];
    cli_format_seconds(cli_seconds_since_start(), taken);
    printf("%d directions on %d x %d samples in %s: %s%s%s\n", options->effect.row_count,
           view->sets, view->n, taken, options->common.output, options->figure ? " " : "",
           options->figure ? options->figure : "");
}
