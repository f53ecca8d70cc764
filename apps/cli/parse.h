/*
 * From the text of a command line to numbers: pure functions without state,
 * without output and without files. Each returns true, or false with one
 * sentence in `why` (its caller puts the option's name before it) and the
 * output untouched.
 */
#ifndef HSPACE_CLI_PARSE_H
#define HSPACE_CLI_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_WHY 300
#define CLI_MAX_SEEDS 100000 /* items of a seed list */
#define CLI_MAX_STEPS 100000 /* more than any model's training timesteps */
#define CLI_MAX_SWEEP 1000   /* strengths of one sweep */
#define CLI_MAX_STRENGTH 1e6 /* in units: far beyond any sane image */

/* A decimal integer in min..max, nothing before or after it. */
bool cli_parse_int(const char *text, int64_t min, int64_t max, int64_t *out, char why[CLI_WHY]);

/* A finite decimal number in min..max. */
bool cli_parse_number(const char *text, double min, double max, double *out, char why[CLI_WHY]);

/* "7", "1,4,9", "0-15", "0-3,8": *seeds is malloc'ed; at most CLI_MAX_SEEDS. */
bool cli_parse_seeds(const char *text, int64_t **seeds, int *count, char why[CLI_WHY]);

/* Comma-separated integers in min..max, at most `limit`; malloc'ed. */
bool cli_parse_ints(const char *text, int64_t min, int64_t max, int limit, int64_t **values,
                    int *count, char why[CLI_WHY]);

/* Comma-separated numbers in min..max, at most `limit` of them; malloc'ed. */
bool cli_parse_numbers(const char *text, double min, double max, int limit, double **values,
                       int *count, char why[CLI_WHY]);

/* Bytes: "512M", "1.5G", "100000" (suffixes K, M, G, T are powers of 1024). */
bool cli_parse_size(const char *text, int64_t *bytes, char why[CLI_WHY]);

/* "I-J" with 0 <= I <= J, or "I" for one step. */
bool cli_parse_window(const char *text, int *first, int *last, char why[CLI_WHY]);

/* -d FILE[#NAME|#INDEX][=STRENGTH|=A..B:N] */
typedef struct cli_direction_spec {
    char *file;
    char *name;        /* after the #, or NULL: the file's first direction */
    double *strengths; /* [count]; 1 for a plain strength */
    int count;
    bool sweep; /* written as A..B:N */
} cli_direction_spec;

bool cli_parse_direction(const char *text, cli_direction_spec *out, char why[CLI_WHY]);
void cli_direction_spec_free(cli_direction_spec *spec);

#endif
