/* See file.h. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define HS_MAX_LINKS 40                  /* as the kernel's own bound */
#define HS_WRITE_CHUNK ((size_t)1 << 30) /* write() takes at most 2 GiB at once */

static hs_status hs_file_kind_error(const char *path, mode_t mode, hs_error *err) {
    const char *kind = S_ISDIR(mode)    ? "a directory"
                       : S_ISFIFO(mode) ? "a pipe"
                       : S_ISCHR(mode)  ? "a character device"
                       : S_ISBLK(mode)  ? "a block device"
                                        : "not a regular file";
    return hs_fail(err, HS_ERROR_IO, "%s: expected a file, found %s", path, kind);
}

hs_status hs_file_map(const char *path, hs_file *out, hs_error *err) {
    hs_status status = HS_OK;
    struct stat info;
    /* O_NONBLOCK: a pipe without a writer must not hang us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return hs_fail(err, HS_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    hs_file file = {0};
    if (fstat(fd, &info) != 0) {
        status = hs_fail(err, HS_ERROR_IO, "%s: cannot stat: %s", path, strerror(errno));
        goto cleanup;
    }
    if (!S_ISREG(info.st_mode)) {
        status = hs_file_kind_error(path, info.st_mode, err);
        goto cleanup;
    }
    if (info.st_size > 0) {
        if ((uintmax_t)info.st_size > PTRDIFF_MAX) {
            status = hs_fail(err, HS_ERROR_IO, "%s: too large to map: %lld bytes", path,
                             (long long)info.st_size);
            goto cleanup;
        }
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            status = hs_fail(err, HS_ERROR_IO, "%s: cannot map: %s", path, strerror(errno));
            goto cleanup;
        }
        file = (hs_file){data, (size_t)info.st_size, true};
    }
    *out = file;
cleanup:
    close(fd);
    return status;
}

void hs_file_unmap(hs_file *file) {
    if (file->mapped)
        munmap((void *)(uintptr_t)file->data, file->size);
    *file = (hs_file){0};
}

void hs_file_release(const void *data, size_t size) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)data, last = first + size;
    first = (first + page - 1) / page * page; /* whole pages inside the range */
    last = last / page * page;
    if (last > first)
        madvise((void *)first, last - first, MADV_DONTNEED);
}

/* ------------------------------------------------------------- writing -- */

/* N of "/dev/fd/N", "/proc/self/fd/N", "/dev/stdout", "/dev/stderr"; or -1. */
static int hs_descriptor_of(const char *path) {
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (!strcmp(path, "/dev/stdout"))
        return STDOUT_FILENO;
    if (!strcmp(path, "/dev/stderr"))
        return STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t length = strlen(folders[i]);
        if (strncmp(path, folders[i], length) || !path[length])
            continue;
        char *end;
        errno = 0;
        long number = strtol(path + length, &end, 10);
        if (!*end && !errno && number >= 0 && number <= INT_MAX)
            return (int)number;
    }
    return -1;
}

/* The folder part of a path, as a fresh string: "." without one. */
static char *hs_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return hs_strdup(".");
    return hs_format("%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* Replace *path by what it links to, if it is a symbolic link. */
static hs_status hs_follow_link(char **path, bool *was_link, hs_error *err) {
    struct stat info;
    char target[PATH_MAX];
    *was_link = false;
    if (lstat(*path, &info) != 0 || !S_ISLNK(info.st_mode))
        return HS_OK; /* a missing file is made; other errors show on opening */
    ssize_t length = readlink(*path, target, sizeof target - 1);
    if (length < 0)
        return hs_fail(err, HS_ERROR_IO, "%s: cannot read the symbolic link: %s", *path,
                       strerror(errno));
    target[length] = '\0';
    char *folder = hs_folder_of(*path);
    char *next = NULL;
    if (folder)
        next = *target == '/' ? hs_strdup(target) : hs_format("%s/%s", folder, target);
    free(folder);
    if (!next)
        return hs_fail_memory(err, (size_t)length + strlen(*path));
    free(*path);
    *path = next;
    *was_link = true;
    return HS_OK;
}

/* A new file with a name that nobody has, beside file->path. */
static hs_status hs_atomic_create(hs_atomic *file, hs_error *err) {
    char *folder = hs_folder_of(file->path);
    if (!folder)
        return hs_fail_memory(err, strlen(file->path));
    for (int attempt = 0; attempt < 100; attempt++) {
        uint64_t number;
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
            continue;
        free(file->temporary);
        file->temporary = hs_format("%s/.hspace-%016llx.tmp", folder, (unsigned long long)number);
        if (!file->temporary)
            break;
        file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0 || errno != EEXIST)
            break;
    }
    free(folder);
    if (file->fd >= 0)
        return HS_OK;
    int reason = errno;
    bool no_memory = !file->temporary;
    free(file->temporary);
    file->temporary = NULL;
    if (no_memory)
        return hs_fail_memory(err, strlen(file->path));
    return hs_fail(err, HS_ERROR_IO, "%s: cannot write in its folder: %s", file->path,
                   strerror(reason));
}

/* Open what is at file->path directly, or a temporary file beside it. */
static hs_status hs_atomic_open_target(hs_atomic *file, hs_error *err) {
    struct stat info;
    size_t length = strlen(file->path);
    if (file->path[length - 1] == '/')
        return hs_fail(err, HS_ERROR_IO, "%s: expected a file name, found a directory", file->path);
    if (stat(file->path, &info) != 0) {
        if (errno != ENOENT)
            return hs_fail(err, HS_ERROR_IO, "%s: cannot write: %s", file->path, strerror(errno));
        return hs_atomic_create(file, err);
    }
    if (S_ISCHR(info.st_mode) || S_ISFIFO(info.st_mode)) {
        file->fd = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (file->fd < 0)
            return hs_fail(err, HS_ERROR_IO, "%s: cannot write: %s", file->path, strerror(errno));
        return HS_OK;
    }
    if (!S_ISREG(info.st_mode))
        return hs_file_kind_error(file->path, info.st_mode, err);
    /* rename() would replace a write-protected file without asking. */
    if (access(file->path, W_OK) != 0)
        return hs_fail(err, HS_ERROR_IO, "%s: cannot write: %s", file->path, strerror(errno));
    HS_TRY(hs_atomic_create(file, err));
    if (fchmod(file->fd, info.st_mode & 07777) != 0) {
        /* not the owner: the mode that the umask gives is as good */
    }
    return HS_OK;
}

hs_status hs_atomic_open(hs_atomic *file, const char *path, hs_error *err) {
    hs_status status = HS_OK;
    *file = (hs_atomic){.fd = -1};
    if (!*path)
        return hs_fail(err, HS_ERROR_ARGUMENT, "the output file's name is empty");
    if (!(file->path = hs_strdup(path)))
        return hs_fail_memory(err, strlen(path));
    for (int links = 0;; links++) {
        bool was_link;
        int descriptor = hs_descriptor_of(file->path);
        if (descriptor >= 0) {
            /* A copy shares the position: appending to a log appends. */
            file->fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
            if (file->fd < 0)
                status = hs_fail(err, HS_ERROR_IO, "%s: cannot write: %s", path, strerror(errno));
            break;
        }
        status = hs_follow_link(&file->path, &was_link, err);
        if (status == HS_OK && links > HS_MAX_LINKS)
            status = hs_fail(err, HS_ERROR_IO, "%s: too many symbolic links", path);
        if (status == HS_OK && was_link)
            continue;
        if (status == HS_OK)
            status = hs_atomic_open_target(file, err);
        break;
    }
    if (status != HS_OK)
        hs_atomic_abort(file);
    return status;
}

hs_status hs_atomic_write(hs_atomic *file, const void *data, size_t size, hs_error *err) {
    const uint8_t *bytes = data;
    while (size) {
        ssize_t done = write(file->fd, bytes, size < HS_WRITE_CHUNK ? size : HS_WRITE_CHUNK);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return hs_fail(err, HS_ERROR_IO, "%s: cannot write: %s", file->path,
                           strerror(done ? errno : ENOSPC));
        bytes += done;
        size -= (size_t)done;
    }
    return HS_OK;
}

/* Make the rename itself durable. Folders that cannot be synced (some network
 * file systems) are no error: the data are in place. */
static hs_status hs_sync_folder(const char *path, const char *folder, hs_error *err) {
    hs_status status = HS_OK;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return HS_OK;
    if (fsync(fd) != 0 && errno == EIO)
        status = hs_fail(err, HS_ERROR_IO, "%s: cannot sync its folder: %s", path, strerror(errno));
    close(fd);
    return status;
}

hs_status hs_atomic_commit(hs_atomic *file, hs_error *err) {
    hs_status status = HS_OK;
    /* Before the rename, after which nothing should be able to fail. */
    char *folder = hs_folder_of(file->path);
    if (!folder) {
        status = hs_fail_memory(err, strlen(file->path));
        goto cleanup;
    }
    /* Terminals and pipes cannot be synced (EINVAL, EROFS). */
    if (fsync(file->fd) != 0 && (file->temporary || (errno != EINVAL && errno != EROFS))) {
        status = hs_fail(err, HS_ERROR_IO, "%s: cannot sync: %s", file->path, strerror(errno));
        goto cleanup;
    }
    int closed = close(file->fd);
    file->fd = -1;
    if (closed != 0) {
        status = hs_fail(err, HS_ERROR_IO, "%s: cannot close: %s", file->path, strerror(errno));
        goto cleanup;
    }
    if (file->temporary) {
        if (rename(file->temporary, file->path) != 0) {
            status = hs_fail(err, HS_ERROR_IO, "%s: cannot rename the temporary file %s: %s",
                             file->path, file->temporary, strerror(errno));
            goto cleanup;
        }
        free(file->temporary);
        file->temporary = NULL;
        HS_CHECK(hs_sync_folder(file->path, folder, err));
    }
cleanup:
    free(folder);
    hs_atomic_abort(file);
    return status;
}

void hs_atomic_abort(hs_atomic *file) {
    if (file->fd >= 0)
        close(file->fd);
    if (file->temporary)
        unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    *file = (hs_atomic){.fd = -1};
}

hs_status hs_file_write(const char *path, const void *data, size_t size, hs_error *err) {
    hs_atomic file;
    HS_TRY(hs_atomic_open(&file, path, err));
    hs_status status = hs_atomic_write(&file, data, size, err);
    if (status == HS_OK)
        status = hs_atomic_commit(&file, err);
    hs_atomic_abort(&file);
    return status;
}
