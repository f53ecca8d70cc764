/* Run the program as a user does, and look at what it says. */
#ifndef HS_TESTS_CLI_PROGRAM_H
#define HS_TESTS_CLI_PROGRAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct hs_run {
    int status; /* exit status; 128 + signal if one killed it */
    char *out, *err;
} hs_run;

/* `arguments` are a shell's, with $H the program; they run in `folder`. Free
 * with hs_run_free. A run of more than a minute fails the test. */
hs_run hs_run_shell(const char *folder, const char *arguments);
void hs_run_free(hs_run *run);

/* Run and fail the test unless it exits with 0 and says nothing on stderr. */
void hs_run_ok(const char *folder, const char *arguments);
/* Run with --json in `arguments`: its object, checked for what every report
 * has. json_decref() it. */
json_t *hs_run_json(const char *folder, const char *arguments);

bool hs_exists(const char *folder, const char *name);
/* The bytes of a file, malloc'ed. */
char *hs_read_all(const char *folder, const char *name, size_t *size);

#endif
