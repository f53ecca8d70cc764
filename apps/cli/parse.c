/* See parse.h. */
#include "parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static bool cli_refuse(char why[CLI_WHY], const char *format,
                                                             ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(why, CLI_WHY, format, args);
    va_end(args);
    return false;
}

/* strtoll with its end, no leading blanks; ERANGE is told apart. */
static bool cli_read_int(const char *text, const char **end, int64_t *out) {
    if (!isdigit((unsigned char)*text) && *text != '-' && *text != '+')
        return false;
    errno = 0;
    char *stop;
    long long value = strtoll(text, &stop, 10);
    if (stop == text || errno == ERANGE)
        return false;
    *out = value;
    *end = stop;
    return true;
}

/* As strtod, but neither "inf", "nan" nor hexadecimal. */
static bool cli_read_number(const char *text, const char **end, double *out) {
    size_t length = strspn(text, "+-.0123456789eE");
    char *stop;
    errno = 0;
    double value = strtod(text, &stop);
    if (stop == text || (size_t)(stop - text) > length || !isfinite(value) ||
        isspace((unsigned char)*text))
        return false;
    *out = value;
    *end = stop;
    return true;
}

bool cli_parse_int(const char *text, int64_t min, int64_t max, int64_t *out, char why[CLI_WHY]) {
    int64_t value;
    const char *end;
    if (!cli_read_int(text, &end, &value) || *end || value < min || value > max)
        return cli_refuse(why, "'%.60s' is not a whole number from %lld to %lld", text,
                          (long long)min, (long long)max);
    *out = value;
    return true;
}

bool cli_parse_number(const char *text, double min, double max, double *out, char why[CLI_WHY]) {
    double value;
    const char *end;
    if (!cli_read_number(text, &end, &value) || *end || value < min || value > max)
        return cli_refuse(why, "'%.60s' is not a number from %g to %g", text, min, max);
    *out = value;
    return true;
}

/* One item of a seed list, "7" or "0-15". */
static bool cli_read_range(const char *text, const char **end, int64_t *first, int64_t *last) {
    if (!isdigit((unsigned char)*text) || !cli_read_int(text, end, first))
        return false;
    *last = *first;
    if (**end == '-')
        return isdigit((unsigned char)(*end)[1]) && cli_read_int(*end + 1, end, last);
    return true;
}

bool cli_parse_seeds(const char *text, int64_t **seeds, int *count, char why[CLI_WHY]) {
    int64_t *list = NULL;
    int n = 0;
    for (const char *p = text;; p++) {
        int64_t first, last;
        if (!cli_read_range(p, &p, &first, &last) || (*p && *p != ',')) {
            free(list);
            return cli_refuse(why, "'%.60s' is not a seed list such as 7, 1,4,9 or 0-15", text);
        }
        if (last < first || last - first >= CLI_MAX_SEEDS - n) {
            free(list);
            return last < first
                       ? cli_refuse(why, "the range %lld-%lld runs backwards", (long long)first,
                                    (long long)last)
                       : cli_refuse(why, "'%.60s' has more than %d seeds", text, CLI_MAX_SEEDS);
        }
        int64_t *longer = realloc(list, (size_t)(n + (last - first) + 1) * sizeof *list);
        if (!longer) {
            free(list);
            return cli_refuse(why, "out of memory");
        }
        list = longer;
        for (int64_t offset = 0; offset <= last - first; offset++)
            list[n++] = first + offset;
        if (!*p)
            break;
    }
    *seeds = list;
    *count = n;
    return true;
}

bool cli_parse_ints(const char *text, int64_t min, int64_t max, int limit, int64_t **values,
                    int *count, char why[CLI_WHY]) {
    int64_t *list = NULL;
    int n = 0;
    for (const char *p = text;; p++) {
        int64_t value = 0;
        int64_t *longer = n < limit ? realloc(list, (size_t)(n + 1) * sizeof *list) : NULL;
        if (longer)
            list = longer;
        if (!longer || !cli_read_int(p, &p, &value) || (*p && *p != ',') || value < min ||
            value > max) {
            free(list);
            return n >= limit
                       ? cli_refuse(why, "more than %d values", limit)
                       : cli_refuse(why, "'%.60s' is not a list of whole numbers from %lld to %lld",
                                    text, (long long)min, (long long)max);
        }
        list[n++] = value;
        if (!*p)
            break;
    }
    *values = list;
    *count = n;
    return true;
}

bool cli_parse_numbers(const char *text, double min, double max, int limit, double **values,
                       int *count, char why[CLI_WHY]) {
    double *list = NULL;
    int n = 0;
    for (const char *p = text;; p++) {
        double value = 0;
        double *longer = n < limit ? realloc(list, (size_t)(n + 1) * sizeof *list) : NULL;
        if (longer)
            list = longer;
        if (!longer || !cli_read_number(p, &p, &value) || (*p && *p != ',') || value < min ||
            value > max) {
            free(list);
            return n >= limit ? cli_refuse(why, "more than %d values", limit)
                              : cli_refuse(why, "'%.60s' is not a list of numbers from %g to %g",
                                           text, min, max);
        }
        list[n++] = value;
        if (!*p)
            break;
    }
    *values = list;
    *count = n;
    return true;
}

bool cli_parse_size(const char *text, int64_t *bytes, char why[CLI_WHY]) {
    double value;
    const char *end;
    bool ok = cli_read_number(text, &end, &value) && value > 0;
    if (ok && *end) {
        const char *letters = "KMGT";
        const char *letter = strchr(letters, toupper((unsigned char)*end));
        ok = letter != NULL;
        if (ok) {
            value = ldexp(value, 10 * (int)(letter - letters + 1));
            end++;
            end += *end == 'i';
            end += *end == 'B';
            ok = *end == '\0';
        }
    }
    if (!ok || value < 1 || value >= 0x1p62)
        return cli_refuse(why, "'%.60s' is not a size such as 800M or 2G", text);
    *bytes = (int64_t)value;
    return true;
}

bool cli_parse_window(const char *text, int *first, int *last, char why[CLI_WHY]) {
    int64_t from, to;
    const char *end;
    if (!cli_read_range(text, &end, &from, &to) || *end || from > to || to >= CLI_MAX_STEPS)
        return cli_refuse(why, "'%.60s' is not a range of steps I-J, 0 being the noisiest", text);
    *first = (int)from;
    *last = (int)to;
    return true;
}

/* "A..B:N" at `text`; the strengths go into spec. */
static bool cli_read_sweep(const char *text, cli_direction_spec *spec, char why[CLI_WHY]) {
    double from, to;
    int64_t count;
    const char *p;
    char number[CLI_WHY];
    /* strtod would take the first dot of "..": cut the number there. */
    const char *dots = strstr(text, "..");
    size_t length = (size_t)(dots - text);
    if (length >= sizeof number)
        return cli_refuse(why, "'%.60s' is not a sweep such as -3..3:7", text);
    memcpy(number, text, length);
    number[length] = '\0';
    if (!cli_read_number(number, &p, &from) || *p || !cli_read_number(dots + 2, &p, &to) ||
        *p != ':' || !cli_read_int(p + 1, &p, &count) || *p)
        return cli_refuse(why, "'%.60s' is not a sweep such as -3..3:7", text);
    if (count < 2 || count > CLI_MAX_SWEEP)
        return cli_refuse(why, "a sweep has 2 to %d strengths, not %lld", CLI_MAX_SWEEP,
                          (long long)count);
    if (fabs(from) > CLI_MAX_STRENGTH || fabs(to) > CLI_MAX_STRENGTH)
        return cli_refuse(why, "'%.60s': a strength lies between -%g and %g", text,
                          CLI_MAX_STRENGTH, CLI_MAX_STRENGTH);
    spec->strengths = calloc((size_t)count, sizeof *spec->strengths);
    if (!spec->strengths)
        return cli_refuse(why, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        /* Weighted ends: exact at both, and 0 in the middle of -a..a. */
        double w = (double)i / (double)(count - 1);
        spec->strengths[i] = i == count - 1 ? to : from * (1 - w) + to * w;
        if (fabs(spec->strengths[i]) < 1e-12 * fmax(fabs(from), fabs(to)))
            spec->strengths[i] = 0;
    }
    spec->count = (int)count;
    spec->sweep = true;
    return true;
}

static bool cli_read_strength(const char *text, cli_direction_spec *spec, char why[CLI_WHY]) {
    if (text && strstr(text, ".."))
        return cli_read_sweep(text, spec, why);
    double value = 1;
    if (text && !cli_parse_number(text, -CLI_MAX_STRENGTH, CLI_MAX_STRENGTH, &value, why))
        return false;
    spec->strengths = calloc(1, sizeof *spec->strengths);
    if (!spec->strengths)
        return cli_refuse(why, "out of memory");
    spec->strengths[0] = value;
    spec->count = 1;
    return true;
}

/* Where the strength begins: the last '=' whose tail cannot be part of a path
 * (a path's tail has a '/' or ends in the file's suffix). NULL if none. */
static const char *cli_find_strength(const char *text) {
    const char *equals = strrchr(text, '=');
    if (!equals || strchr(equals, '/') || strchr(equals, '#'))
        return NULL;
    size_t length = strlen(equals);
    const char *suffix = ".safetensors";
    if (length >= strlen(suffix) && !strcmp(equals + length - strlen(suffix), suffix))
        return NULL;
    return equals;
}

bool cli_parse_direction(const char *text, cli_direction_spec *out, char why[CLI_WHY]) {
    cli_direction_spec spec = {0};
    const char *equals = cli_find_strength(text);
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    const char *hash = memrchr(text, '#', length);
    if (hash && memchr(hash, '/', length - (size_t)(hash - text)))
        hash = NULL; /* a folder whose name has a # */
    size_t file_length = hash ? (size_t)(hash - text) : length;
    if (file_length == 0 || (hash && hash + 1 == text + length))
        return cli_refuse(why, "'%.100s' is not FILE, FILE#NAME or FILE#NAME=STRENGTH", text);

    bool ok = cli_read_strength(equals ? equals + 1 : NULL, &spec, why);
    if (ok) {
        spec.file = strndup(text, file_length);
        spec.name = hash ? strndup(hash + 1, length - file_length - 1) : NULL;
        if (!spec.file || (hash && !spec.name))
            ok = cli_refuse(why, "out of memory");
    }
    if (!ok) {
        cli_direction_spec_free(&spec);
        return false;
    }
    *out = spec;
    return true;
}

void cli_direction_spec_free(cli_direction_spec *spec) {
    free(spec->file);
    free(spec->name);
    free(spec->strengths);
    *spec = (cli_direction_spec){0};
}
