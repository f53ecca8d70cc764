/* Files: mapping, atomic replacement, and what happens when the disk is full,
 * the folder is not writable or a write is interrupted. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/blob.h"
#include "io/file.h"

typedef struct hs_test_folder {
    char *folder, *path; /* path: "out" in it, not there yet */
} hs_test_folder;

static int make(void **state) {
    hs_test_folder *f = calloc(1, sizeof *f);
    if (!f)
        return 1;
    f->folder = hs_test_make_folder();
    f->path = hs_test_path(f->folder, "out");
    *state = f;
    return 0;
}

static int destroy(void **state) {
    hs_test_folder *f = *state;
    hs_test_remove_folder(f->folder);
    free(f->folder);
    free(f->path);
    free(f);
    return 0;
}

static void assert_content(const char *path, const char *text) {
    hs_error err = {0};
    hs_file file;
    assert_ok(hs_file_map(path, &file, &err));
    assert_int_equal(file.size, strlen(text));
    if (file.size)
        assert_memory_equal(file.data, text, file.size);
    hs_file_unmap(&file);
}

/* Entries of a folder, to see that no temporary file is left. */
static int count_entries(const char *folder) {
    char *command = NULL;
    assert_true(asprintf(&command, "ls -A '%s' | wc -l", folder) > 0);
    FILE *pipe = popen(command, "r");
    int count = -1;
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%d", &count), 1);
    pclose(pipe);
    free(command);
    return count;
}

/* ------------------------------------------------------------- mapping -- */

static void map_refuses(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    hs_file file = {0};
    hs_test_refused(hs_file_map(f->path, &file, &err), &err, HS_ERROR_IO,
                    "out: cannot open: No such file");
    hs_test_refused(hs_file_map("", &file, &err), &err, HS_ERROR_IO, "cannot open");
    hs_test_refused(hs_file_map(f->folder, &file, &err), &err, HS_ERROR_IO,
                    "expected a file, found a directory");
    hs_test_refused(hs_file_map("/dev/zero", &file, &err), &err, HS_ERROR_IO,
                    "found a character device");
    assert_int_equal(mkfifo(f->path, 0600), 0); /* nobody writes: must not hang */
    hs_test_refused(hs_file_map(f->path, &file, &err), &err, HS_ERROR_IO, "found a pipe");
    assert_null(file.data);
}

static void map_empty_file(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    hs_file file;
    assert_ok(hs_file_write(f->path, "", 0, &err));
    assert_ok(hs_file_map(f->path, &file, &err));
    assert_int_equal(file.size, 0);
    hs_file_unmap(&file);
}

static void release_keeps_values(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    hs_file file;
    enum { SIZE = 100000 };
    uint8_t *data = malloc(SIZE);
    assert_non_null(data);
    for (int i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    assert_ok(hs_file_write(f->path, data, SIZE, &err));
    assert_ok(hs_file_map(f->path, &file, &err));
    assert_memory_equal(file.data, data, SIZE);
    hs_file_release(file.data, SIZE);
    hs_file_release(file.data + 1, 3); /* less than a page: nothing */
    assert_memory_equal(file.data, data, SIZE);
    hs_file_unmap(&file);
    free(data);
}

/* ------------------------------------------------------------- writing -- */

static void write_new_and_again(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    struct stat info;
    mode_t mask = umask(027);
    assert_ok(hs_file_write(f->path, "one", 3, &err));
    umask(mask);
    assert_content(f->path, "one");
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640); /* as the umask says */
    assert_int_equal(chmod(f->path, 0604), 0);
    assert_ok(hs_file_write(f->path, "two!", 4, &err));
    assert_content(f->path, "two!");
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0604); /* kept */
    assert_int_equal(count_entries(f->folder), 1);
}

static void write_refuses(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    hs_test_refused(hs_file_write("", "x", 1, &err), &err, HS_ERROR_ARGUMENT, "empty");
    hs_test_refused(hs_file_write(f->folder, "x", 1, &err), &err, HS_ERROR_IO,
                    "expected a file, found a directory");
    hs_test_refused(hs_file_write("/", "x", 1, &err), &err, HS_ERROR_IO, "directory");
    char *path = hs_test_path(f->folder, "none/");
    hs_test_refused(hs_file_write(path, "x", 1, &err), &err, HS_ERROR_IO,
                    "expected a file name, found a directory");
    free(path);
    path = hs_test_path(f->folder, "none/out");
    hs_test_refused(hs_file_write(path, "x", 1, &err), &err, HS_ERROR_IO,
                    "none/out: cannot write in its folder: No such file");
    free(path);
    hs_test_refused(hs_file_write("/proc/hspace-out", "x", 1, &err), &err, HS_ERROR_IO,
                    "/proc/hspace-out: cannot write in its folder");
    assert_int_equal(count_entries(f->folder), 0);
}

static void write_below_a_file(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    assert_ok(hs_file_write(f->path, "old", 3, &err));
    char *path = hs_test_path(f->path, "x");
    hs_test_refused(hs_file_write(path, "x", 1, &err), &err, HS_ERROR_IO, "Not a directory");
    free(path);
    assert_content(f->path, "old");
}

/* Nothing is protected from root, so root tries as somebody else. */
static void write_protected_file(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    int status;
    assert_ok(hs_file_write(f->path, "old", 3, &err));
    assert_int_equal(chmod(f->path, 0444), 0);
    assert_int_equal(chmod(f->folder, 0777), 0); /* the folder would let us rename */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        bool refused = hs_file_write(f->path, "x", 1, &err) == HS_ERROR_IO;
        _exit(refused && strstr(err.message, "out: cannot write: Permission denied") ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_content(f->path, "old");
}

static void write_through_links(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    struct stat info;
    char *first = hs_test_path(f->folder, "first"), *second = hs_test_path(f->folder, "second");
    assert_int_equal(symlink("second", first), 0);
    assert_int_equal(symlink(f->path, second), 0);
    assert_ok(hs_file_write(first, "new", 3, &err)); /* dangling: makes the target */
    assert_content(f->path, "new");
    assert_ok(hs_file_write(first, "newer", 5, &err));
    assert_content(f->path, "newer");
    assert_int_equal(lstat(first, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(unlink(second), 0);
    assert_int_equal(symlink("first", second), 0);
    hs_test_refused(hs_file_write(first, "x", 1, &err), &err, HS_ERROR_IO,
                    "first: too many symbolic links");
    free(first);
    free(second);
}

static void write_to_full_device(void **state) {
    hs_error err = {0};
    hs_test_refused(hs_file_write("/dev/full", "x", 1, &err), &err, HS_ERROR_IO,
                    "/dev/full: cannot write: No space left on device");
    assert_ok(hs_file_write("/dev/null", "x", 1, &err));
}

/* A full disk, played by a bound on the size of files. */
static void full_disk_keeps_old_file(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    struct rlimit old, small;
    static const char data[100000];
    assert_ok(hs_file_write(f->path, "old", 3, &err));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    small = (struct rlimit){4096, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    hs_status status = hs_file_write(f->path, data, sizeof data, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    hs_test_refused(status, &err, HS_ERROR_IO, "out: cannot write: File too large");
    assert_content(f->path, "old");
    assert_int_equal(count_entries(f->folder), 1);
}

static void abort_keeps_old_file(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    hs_atomic file;
    assert_ok(hs_file_write(f->path, "old", 3, &err));
    assert_ok(hs_atomic_open(&file, f->path, &err));
    assert_ok(hs_atomic_write(&file, "new", 3, &err));
    assert_int_equal(count_entries(f->folder), 2);
    hs_atomic_abort(&file);
    hs_atomic_abort(&file); /* harmless */
    assert_content(f->path, "old");
    assert_int_equal(count_entries(f->folder), 1);
}

/* The process dies in the middle. */
static void kill_keeps_old_file(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    int status;
    assert_ok(hs_file_write(f->path, "old", 3, &err));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        hs_atomic file;
        if (hs_atomic_open(&file, f->path, &err) == HS_OK)
            hs_atomic_write(&file, "new", 3, &err);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_content(f->path, "old");
}

static void commit_onto_a_folder(void **state) {
    const hs_test_folder *f = *state;
    hs_error err = {0};
    hs_atomic file;
    assert_ok(hs_atomic_open(&file, f->path, &err));
    assert_int_equal(mkdir(f->path, 0700), 0); /* came in between */
    hs_test_refused(hs_atomic_commit(&file, &err), &err, HS_ERROR_IO, "out: cannot rename");
    hs_atomic_abort(&file);
    assert_int_equal(count_entries(f->folder), 1);
}

/* ----------------------------------------------------- standard output -- */

/* Write to `name` in a child whose standard output is `fd` (-1: closed);
 * true when hspace says that it went well. */
static bool write_in_child(const char *name, int fd) {
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (fd < 0)
            close(STDOUT_FILENO);
        else
            dup2(fd, STDOUT_FILENO);
        _exit(hs_file_write(name, "text", 4, NULL) == HS_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 0;
}

static void write_to_standard_output(void **state) {
    const hs_test_folder *f = *state;
    int pipes[2];
    char text[8] = "";
    assert_int_equal(pipe(pipes), 0);
    assert_true(write_in_child("/dev/stdout", pipes[1]));
    assert_int_equal(read(pipes[0], text, sizeof text), 4);
    assert_memory_equal(text, "text", 4);
    close(pipes[0]);
    close(pipes[1]);
    assert_false(write_in_child("/dev/stdout", -1));
    int full = open("/dev/full", O_WRONLY);
    assert_false(write_in_child("/dev/stdout", full));
    close(full);
    /* A log keeps what is in it, by either name. */
    hs_test_write(f->path, "log:", 4);
    int log = open(f->path, O_WRONLY | O_APPEND);
    assert_true(write_in_child("/dev/stdout", log));
    assert_true(write_in_child("/proc/self/fd/1", log));
    close(log);
    assert_content(f->path, "log:texttext");
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(map_refuses),
        WITH_FOLDER(map_empty_file),
        WITH_FOLDER(release_keeps_values),
        WITH_FOLDER(write_new_and_again),
        WITH_FOLDER(write_refuses),
        WITH_FOLDER(write_below_a_file),
        WITH_FOLDER(write_protected_file),
        WITH_FOLDER(write_through_links),
        cmocka_unit_test(write_to_full_device),
        WITH_FOLDER(full_disk_keeps_old_file),
        WITH_FOLDER(abort_keeps_old_file),
        WITH_FOLDER(kill_keeps_old_file),
        WITH_FOLDER(commit_onto_a_folder),
        WITH_FOLDER(write_to_standard_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
