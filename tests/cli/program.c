/* See program.h. */
#include "program.h"

#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *hs_path(const char *folder, const char *name) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        fail_msg("out of memory");
    return path;
}

bool hs_exists(const char *folder, const char *name) {
    struct stat info;
    char *path = hs_path(folder, name);
    bool exists = stat(path, &info) == 0;
    free(path);
    return exists;
}

char *hs_read_all(const char *folder, const char *name, size_t *size) {
    char *path = hs_path(folder, name), *text = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s was not written", path);
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    text = malloc((size_t)length + 1);
    if (!text || fread(text, 1, (size_t)length, file) != (size_t)length)
        fail_msg("%s cannot be read", path);
    text[length] = '\0';
    fclose(file);
    free(path);
    if (size)
        *size = (size_t)length;
    return text;
}

hs_run hs_run_shell(const char *folder, const char *arguments) {
    char *command = NULL;
    if (asprintf(&command,
                 "cd '%s' && H='%s' && export HSPACE_MODEL=avatars32 && { timeout 60 %s ; } >.out "
                 "2>.err",
                 folder, HS_PROGRAM, arguments) < 0)
        fail_msg("out of memory");
    int status = system(command);
    free(command);
    hs_run run = {.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
    run.out = hs_read_all(folder, ".out", NULL);
    run.err = hs_read_all(folder, ".err", NULL);
    if (run.status == 124)
        fail_msg("%s: ran for a minute", arguments);
    return run;
}

void hs_run_free(hs_run *run) {
    free(run->out);
    free(run->err);
    *run = (hs_run){0};
}

void hs_run_ok(const char *folder, const char *arguments) {
    hs_run run = hs_run_shell(folder, arguments);
    if (run.status != 0 || *run.err)
        fail_msg("%s: exit status %d, stderr: %s", arguments, run.status, run.err);
    hs_run_free(&run);
}

json_t *hs_run_json(const char *folder, const char *arguments) {
    static const char *const figures[] = {"load_seconds", "seconds", "passes", "seconds_per_pass",
                                          "peak_bytes"};
    hs_run run = hs_run_shell(folder, arguments);
    if (run.status != 0 || *run.err)
        fail_msg("%s: exit status %d, stderr: %s", arguments, run.status, run.err);
    json_error_t error;
    json_t *report = json_loads(run.out, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(report))
        fail_msg("%s: not one JSON object: %s in: %s", arguments, error.text, run.out);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        if (!(json_number_value(json_object_get(report, figures[i])) > 0))
            fail_msg("%s: %s is not a number above 0 in: %s", arguments, figures[i], run.out);
    hs_run_free(&run);
    return report;
}
