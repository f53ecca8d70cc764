/* Files: mapped for reading, and replaced whole when written. */
#ifndef HS_IO_FILE_H
#define HS_IO_FILE_H

#include "base/error.h"

typedef struct hs_file {
    const uint8_t *data; /* NULL for an empty file */
    size_t size;
    bool mapped; /* false: `data` belongs to somebody else */
} hs_file;

/* Map a regular file read-only. Missing, unreadable, a directory: HS_ERROR_IO. */
hs_status hs_file_map(const char *path, hs_file *out, hs_error *err);
void hs_file_unmap(hs_file *file);
/* Tell the kernel that these bytes of a mapped file will not be needed soon
 * again (weights that were converted), so that they do not count as resident.
 * Only for file mappings: heap memory would be lost (hs_tensor_set_release
 * knows the difference). */
void hs_file_release(const void *data, size_t size);

/*
 * Atomic replacement: everything is written to a temporary file beside `path`,
 * synced, and renamed over it by hs_atomic_commit; hs_atomic_abort (also after
 * a failed open, write or commit; harmless after a good commit) removes it. A
 * full disk is an error of write or commit. Symbolic links are followed, the
 * mode of a file that is replaced is kept. Standard output and error
 * ("/dev/stdout", "/dev/fd/N"), character devices and pipes are written
 * directly; a directory, a block device or a socket is refused.
 */
typedef struct hs_atomic {
    int fd;                 /* -1: nothing is open */
    char *path, *temporary; /* temporary NULL: written directly */
} hs_atomic;
hs_status hs_atomic_open(hs_atomic *file, const char *path, hs_error *err);
hs_status hs_atomic_write(hs_atomic *file, const void *data, size_t size, hs_error *err);
hs_status hs_atomic_commit(hs_atomic *file, hs_error *err);
void hs_atomic_abort(hs_atomic *file);

/* All of it in one call. */
hs_status hs_file_write(const char *path, const void *data, size_t size, hs_error *err);

#endif
