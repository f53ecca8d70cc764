/* Which directions `attribute` finds: one for each attribute and --given. */
#include "attribute.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `text` at the end of a list, unless it is there. */
static hs_status cli_add_once(char ***list, int *count, const char *text, hs_error *err) {
    for (int i = 0; i < *count; i++)
        if (!strcmp((*list)[i], text))
            return HS_OK;
    char **longer = realloc(*list, ((size_t)*count + 1) * sizeof *longer);
    if (!longer)
        return cli_fail_memory(err);
    *list = longer;
    longer[*count] = strdup(text);
    return longer[(*count)++] ? HS_OK : cli_fail_memory(err);
}

/* The others that direction k is regressed on: all of `names`, or those of a list
 * with commas; never its own attribute. */
static hs_status cli_plan_given(cli_attribution *work, int k, const char *given,
                                const char *const *names, int count, hs_error *err) {
    hs_attribute_options *each = &work->each[k];
    hs_status status = HS_OK;
    char **list = NULL;
    int n = 0;
    if (!strcmp(given, "all"))
        for (int i = 0; i < count && status == HS_OK; i++)
            status = cli_add_once(&list, &n, names[i], err);
    else if (strcmp(given, "none") != 0)
        cli_split_names("--given", given, &list, &n);
    for (int i = 0; i < n && status == HS_OK; i++)
        if (strcmp(list[i], each->attribute) != 0)
            status = cli_add_once(&work->given[k], &each->given_count, list[i], err);
    each->given = (const char *const *)work->given[k];
    cli_free_strings(list, n);
    if (status == HS_OK && !each->given_count && strcmp(given, "none") != 0)
        status =
            cli_fail(err, HS_ERROR_ARGUMENT, "--given %.100s: there is no attribute beside '%.60s'",
                     given, each->attribute);
    return status;
}

/* Several --given: names tell them apart, "Smiling@all". */
static hs_status cli_plan_name(cli_attribution *work, int k, const char *given, hs_error *err) {
    if (work->options->given_count < 2)
        return HS_OK;
    if (asprintf(&work->names[k], "%s@%s", work->each[k].attribute, given) < 0) {
        work->names[k] = NULL;
        return cli_fail_memory(err);
    }
    for (char *p = work->names[k]; *p; p++)
        *p = *p == ',' ? '+' : *p;
    work->each[k].name = work->names[k];
    return HS_OK;
}

/* The columns that are needed, each once. */
static hs_status cli_plan_columns(cli_attribution *work, hs_error *err) {
    hs_status status = HS_OK;
    for (int k = 0; k < work->each_count; k++) {
        const hs_attribute_options *each = &work->each[k];
        status = cli_add_once(&work->columns, &work->column_count, each->attribute, err);
        for (int i = 0; i < each->balance_count && status == HS_OK; i++)
            status = cli_add_once(&work->columns, &work->column_count, each->balance[i], err);
        for (int i = 0; i < each->given_count && status == HS_OK; i++)
            status = cli_add_once(&work->columns, &work->column_count, each->given[i], err);
        if (status != HS_OK)
            break;
    }
    return status;
}

hs_status cli_attribute_plan(cli_attribution *work, const char *const *names, int count,
                             hs_error *err) {
    const cli_attribute_options *options = work->options;
    int kinds = options->given_count ? options->given_count : 1;
    size_t room = (size_t)kinds * (size_t)options->attribute_count;
    work->each = calloc(room, sizeof *work->each);
    work->given = calloc(room, sizeof *work->given);
    work->names = calloc(room, sizeof *work->names);
    work->reports = calloc(room, sizeof *work->reports);
    if (!work->each || !work->given || !work->names || !work->reports)
        return cli_fail_memory(err);
    for (int g = 0; g < kinds; g++)
        for (int a = 0; a < options->attribute_count; a++) {
            const char *given = options->given_count ? options->given[g] : "none";
            int k = work->each_count++;
            work->each[k] = options->wanted;
            work->each[k].attribute = options->attributes[a];
            work->each[k].balance = (const char *const *)options->balance;
            hs_status status = cli_plan_given(work, k, given, names, count, err);
            if (status == HS_OK)
                status = cli_plan_name(work, k, given, err);
            if (status != HS_OK)
                return status;
        }
    return cli_plan_columns(work, err);
}

void cli_attribute_plan_free(cli_attribution *work) {
    for (int k = 0; k < work->each_count; k++)
        cli_free_strings(work->given[k], work->each[k].given_count);
    cli_free_strings(work->names, work->each_count);
    cli_free_strings(work->columns, work->column_count);
    free(work->given);
    free(work->each);
    free(work->reports);
}

hs_status cli_split_images(cli_attribution *work, hs_error *err) {
    hs_labels_view view;
    hs_labels_view_get(work->labels, &view);
    for (int k = 0; k < work->each_count; k++) {
        hs_attribute_options *each = &work->each[k];
        double least = INFINITY, most = -INFINITY;
        int column = hs_labels_find(work->labels, each->attribute);
        if (column < 0 || each->top || each->by_threshold)
            continue; /* hs_attribute_many names a missing one */
        for (int i = 0; i < view.rows; i++) {
            double value = view.values[(size_t)i * (size_t)view.attributes + (size_t)column];
            if (isfinite(value)) {
                least = fmin(least, value);
                most = fmax(most, value);
            }
        }
        if (least > most)
            return cli_fail(err, HS_ERROR_ARGUMENT,
                            "%s: attribute '%.60s': no image that can be used has a score",
                            work->options->labels, each->attribute);
        if (least == most)
            return cli_fail(err, HS_ERROR_ARGUMENT,
                            "%s: attribute '%.60s': all labelled images have the same score, %g: "
                            "there are no two sides",
                            work->options->labels, each->attribute, least);
        each->by_threshold = true;
        each->low = least + (most - least) * (0.5 - 1e-9);
        each->high = least + (most - least) * (0.5 + 1e-9);
    }
    return HS_OK;
}
