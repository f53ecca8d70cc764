/*
 * Loaded before the C library into a program under test (LD_PRELOAD): ends it as
 * kill -9 does at the HS_KILL_AT-th call that changes a file, a write being done
 * by half. Standard output and error do not count. The monotonic clock runs
 * HS_CLOCK times as fast, so that what is due once a minute is due in a run of a
 * second. Only what hspace and SQLite call is here.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* POSIX wants this to work; ISO C has no conversion for it. */
#define NEXT(function, name) (*(void **)&(function) = dlsym(RTLD_NEXT, name))

static atomic_long calls;

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

/* Whether this call is the one; the caller does half of it and calls end(). */
static int is_last(void) {
    long at = number("HS_KILL_AT");
    return at && atomic_fetch_add(&calls, 1) + 1 == at;
}

static void end(void) {
    kill(getpid(), SIGKILL);
    pause();
}

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t (*next)(int, const void *, size_t);
    NEXT(next, "write");
    if (fd > STDERR_FILENO && is_last()) {
        if (next(fd, data, size / 2) >= 0)
            end();
        end();
    }
    return next(fd, data, size);
}

static ssize_t write_at(const char *name, int fd, const void *data, size_t size, off_t offset) {
    ssize_t (*next)(int, const void *, size_t, off_t);
    NEXT(next, name);
    if (is_last()) {
        if (next(fd, data, size / 2, offset) >= 0)
            end();
        end();
    }
    return next(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return write_at("pwrite", fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
    return write_at("pwrite64", fd, data, size, offset);
}

static int on_descriptor(const char *name, int fd) {
    int (*next)(int);
    NEXT(next, name);
    if (is_last())
        end();
    return next(fd);
}

int fsync(int fd) {
    return on_descriptor("fsync", fd);
}

int fdatasync(int fd) {
    return on_descriptor("fdatasync", fd);
}

static int cut(const char *name, int fd, off_t size) {
    int (*next)(int, off_t);
    NEXT(next, name);
    if (is_last())
        end();
    return next(fd, size);
}

int ftruncate(int fd, off_t size) {
    return cut("ftruncate", fd, size);
}

int ftruncate64(int fd, off_t size) {
    return cut("ftruncate64", fd, size);
}

int unlink(const char *path) {
    int (*next)(const char *);
    NEXT(next, "unlink");
    if (is_last())
        end();
    return next(path);
}

static int on_paths(const char *name, const char *from, const char *to) {
    int (*next)(const char *, const char *);
    NEXT(next, name);
    if (is_last())
        end();
    return next(from, to);
}

int rename(const char *from, const char *to) {
    return on_paths("rename", from, to);
}

int link(const char *from, const char *to) {
    return on_paths("link", from, to);
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    int (*next)(clockid_t, struct timespec *);
    NEXT(next, "clock_gettime");
    int result = next(clock, out);
    long rate = number("HS_CLOCK");
    if (result == 0 && rate > 1 && clock == CLOCK_MONOTONIC) {
        long long nanoseconds = (out->tv_sec % 1000000 * 1000000000LL + out->tv_nsec) * rate;
        out->tv_sec = (time_t)(nanoseconds / 1000000000);
        out->tv_nsec = (long)(nanoseconds % 1000000000);
    }
    return result;
}
