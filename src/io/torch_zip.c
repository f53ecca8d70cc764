/*
 * The zip archive that torch.save has written since PyTorch 1.6: members
 * <name>/data.pkl (the state dict), <name>/data/<key> (one storage each) and
 * <name>/byteorder, all stored without compression, so that storages can be
 * used where they lie. Own reader of the zip directory (PKWARE's APPNOTE,
 * sections 4.3 and 4.5.3): nothing in it is believed before it has been held
 * against the file's size, and no two members may share a byte. Checksums are
 * not verified: that would read all weights.
 */
#include <stdlib.h>
#include <string.h>

#include "io/torch.h"

#define HS_ZIP_END 22 /* bytes of the fixed parts of each record */
#define HS_ZIP_END64 56
#define HS_ZIP_LOCATOR64 20
#define HS_ZIP_ENTRY 46
#define HS_ZIP_LOCAL 30

typedef struct hs_zip_member {
    const char *name; /* in the directory, not terminated */
    size_t name_size;
    uint64_t header; /* offset of the local header */
    uint64_t size;
    const uint8_t *data;
    uint64_t end; /* offset one past the data */
} hs_zip_member;

typedef struct hs_zip {
    const char *path;
    const uint8_t *bytes;
    size_t size;
    uint64_t directory, directory_size, count; /* of the central directory */
    hs_zip_member *members;                    /* sorted by name once read */
    hs_error *err;
} hs_zip;

static uint64_t hs_little(const uint8_t *bytes, int width) {
    uint64_t value = 0;
    for (int i = width - 1; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static bool hs_is_record(const uint8_t *bytes, char a, char b) {
    return bytes[0] == 'P' && bytes[1] == 'K' && bytes[2] == (uint8_t)a && bytes[3] == (uint8_t)b;
}

static hs_status hs_zip_damaged(const hs_zip *zip, const char *what) {
    return hs_fail(zip->err, HS_ERROR_FORMAT, "%s: damaged zip archive: %s", zip->path, what);
}

static hs_status hs_member_fail(const hs_zip *zip, const hs_zip_member *member, hs_status code,
                                const char *what) {
    return hs_fail(zip->err, code, "%s: zip member %.*s %s", zip->path,
                   member->name_size < 200 ? (int)member->name_size : 200, member->name, what);
}

/* ---------------------------------------------------------- the directory -- */

/* The zip64 end record whose locator lies before the end record at `end`. Its
 * numbers replace those of the end record, which must agree or be all ones. */
static hs_status hs_read_end64(hs_zip *zip, size_t end) {
    const uint8_t *old = zip->bytes + end, *locator = old - HS_ZIP_LOCATOR64;
    uint64_t at = hs_little(locator + 8, 8);
    if (at > end - HS_ZIP_LOCATOR64 || end - HS_ZIP_LOCATOR64 - at < HS_ZIP_END64 ||
        !hs_is_record(zip->bytes + at, 6, 6))
        return hs_zip_damaged(zip, "its zip64 end record is not where it should be");
    const uint8_t *record = zip->bytes + at;
    if (hs_little(record + 16, 4) || hs_little(record + 20, 4))
        return hs_zip_damaged(zip, "it spans several disks");
    zip->count = hs_little(record + 32, 8);
    zip->directory_size = hs_little(record + 40, 8);
    zip->directory = hs_little(record + 48, 8);
    uint64_t count = hs_little(old + 10, 2), size = hs_little(old + 12, 4);
    uint64_t offset = hs_little(old + 16, 4);
    if ((count != 0xffff && count != zip->count) ||
        (size != 0xffffffff && size != zip->directory_size) ||
        (offset != 0xffffffff && offset != zip->directory))
        return hs_zip_damaged(zip, "its two end records disagree");
    if (zip->directory > at || zip->directory_size > at - zip->directory)
        return hs_zip_damaged(zip, "its directory lies outside the file");
    return HS_OK;
}

static hs_status hs_read_end(hs_zip *zip) {
    if (zip->size < HS_ZIP_END)
        return hs_zip_damaged(zip, "it is shorter than an empty one");
    size_t end = zip->size - HS_ZIP_END, comment = 0;
    while (!hs_is_record(zip->bytes + end, 5, 6) ||
           hs_little(zip->bytes + end + 20, 2) != comment) {
        if (end == 0 || comment == 0xffff)
            return hs_zip_damaged(zip, "it has no end record (truncated?)");
        end--;
        comment++;
    }
    const uint8_t *record = zip->bytes + end;
    if (end >= HS_ZIP_LOCATOR64 && hs_is_record(record - HS_ZIP_LOCATOR64, 6, 7))
        return hs_read_end64(zip, end);
    if (hs_little(record + 4, 2) || hs_little(record + 6, 2))
        return hs_zip_damaged(zip, "it spans several disks");
    zip->count = hs_little(record + 10, 2);
    zip->directory_size = hs_little(record + 12, 4);
    zip->directory = hs_little(record + 16, 4);
    if (zip->directory > end || zip->directory_size > end - zip->directory)
        return hs_zip_damaged(zip, "its directory lies outside the file");
    return HS_OK;
}

/* The 64-bit values of a member whose 32-bit ones are all ones, in the fixed
 * order of the extra field: size, compressed size, offset. */
static hs_status hs_read_extra64(const hs_zip *zip, const uint8_t *extra, size_t left,
                                 hs_zip_member *member, uint64_t *compressed) {
    uint64_t *const wide[] = {&member->size, compressed, &member->header};
    while (left >= 4) {
        size_t kind = hs_little(extra, 2), size = hs_little(extra + 2, 2);
        extra += 4;
        left -= 4;
        if (size > left)
            break;
        for (size_t i = 0; kind == 1 && i < 3; i++) {
            if (*wide[i] != 0xffffffff)
                continue;
            if (size < 8)
                return hs_member_fail(zip, member, HS_ERROR_FORMAT, "lacks a zip64 value");
            *wide[i] = hs_little(extra, 8);
            extra += 8;
            size -= 8;
            left -= 8;
        }
        if (kind == 1)
            return HS_OK;
        extra += size;
        left -= size;
    }
    return HS_OK;
}

/* Where the data of a member begin: the local header has a name and padding of
 * its own length. */
static hs_status hs_locate_member(const hs_zip *zip, hs_zip_member *member) {
    uint64_t limit = zip->directory; /* members lie before the directory */
    if (member->header > limit || limit - member->header < HS_ZIP_LOCAL)
        return hs_member_fail(zip, member, HS_ERROR_FORMAT, "begins outside the file");
    const uint8_t *local = zip->bytes + member->header;
    uint64_t name = hs_little(local + 26, 2), extra = hs_little(local + 28, 2);
    uint64_t left = limit - member->header - HS_ZIP_LOCAL;
    if (!hs_is_record(local, 3, 4) || name != member->name_size || name + extra > left ||
        memcmp(local + HS_ZIP_LOCAL, member->name, member->name_size) != 0)
        return hs_member_fail(zip, member, HS_ERROR_FORMAT, "has no header of its own");
    left -= name + extra;
    if (member->size > left)
        return hs_member_fail(zip, member, HS_ERROR_FORMAT, "reaches beyond the members' part");
    member->data = local + HS_ZIP_LOCAL + name + extra;
    member->end = (uint64_t)(member->data - zip->bytes) + member->size;
    return HS_OK;
}

/* One entry of the directory, of `left` bytes; *used is its length. */
static hs_status hs_read_entry(const hs_zip *zip, const uint8_t *entry, uint64_t left,
                               hs_zip_member *member, uint64_t *used) {
    if (left < HS_ZIP_ENTRY || !hs_is_record(entry, 1, 2))
        return hs_zip_damaged(zip, "its directory has fewer entries than it says");
    uint64_t flags = hs_little(entry + 8, 2), method = hs_little(entry + 10, 2);
    uint64_t name = hs_little(entry + 28, 2), extra = hs_little(entry + 30, 2);
    uint64_t compressed = hs_little(entry + 20, 4);
    *used = HS_ZIP_ENTRY + name + extra + hs_little(entry + 32, 2);
    if (*used > left)
        return hs_zip_damaged(zip, "an entry reaches beyond its directory");
    member->name = (const char *)entry + HS_ZIP_ENTRY;
    member->name_size = name;
    member->size = hs_little(entry + 24, 4);
    member->header = hs_little(entry + 42, 4);
    HS_TRY(hs_read_extra64(zip, entry + HS_ZIP_ENTRY + name, extra, member, &compressed));
    if (flags & 1)
        return hs_member_fail(zip, member, HS_ERROR_UNSUPPORTED, "is encrypted");
    if (method != 0)
        return hs_member_fail(zip, member, HS_ERROR_UNSUPPORTED,
                              "is compressed, expected stored (torch.save never compresses)");
    if (compressed != member->size)
        return hs_member_fail(zip, member, HS_ERROR_FORMAT, "is stored, but has two sizes");
    return hs_locate_member(zip, member);
}

static int hs_compare_places(const void *a, const void *b) {
    uint64_t x = ((const hs_zip_member *)a)->header, y = ((const hs_zip_member *)b)->header;
    return (x > y) - (x < y);
}

static int hs_compare_members(const void *a, const void *b) {
    const hs_zip_member *x = a, *y = b;
    size_t size = x->name_size < y->name_size ? x->name_size : y->name_size;
    int order = memcmp(x->name, y->name, size);
    return order ? order : (x->name_size > y->name_size) - (x->name_size < y->name_size);
}

/* Neither the bytes nor the names of two members are the same. */
static hs_status hs_check_members(const hs_zip *zip) {
    hs_zip_member *members = zip->members;
    qsort(members, zip->count, sizeof *members, hs_compare_places);
    for (uint64_t i = 1; i < zip->count; i++)
        if (members[i].header < members[i - 1].end)
            return hs_member_fail(zip, &members[i], HS_ERROR_FORMAT, "overlaps another member");
    qsort(members, zip->count, sizeof *members, hs_compare_members);
    for (uint64_t i = 1; i < zip->count; i++)
        if (hs_compare_members(&members[i - 1], &members[i]) == 0)
            return hs_member_fail(zip, &members[i], HS_ERROR_FORMAT, "is there twice");
    return HS_OK;
}

static hs_status hs_zip_read(hs_zip *zip) {
    HS_TRY(hs_read_end(zip));
    if (zip->count == 0 || zip->count > zip->directory_size / HS_ZIP_ENTRY)
        return hs_zip_damaged(zip, "its directory is too small for its number of members");
    zip->members = hs_calloc(zip->count, sizeof *zip->members);
    if (!zip->members)
        return hs_fail_memory(zip->err, zip->count * sizeof *zip->members);
    uint64_t at = 0, used = 0;
    for (uint64_t i = 0; i < zip->count; i++, at += used)
        HS_TRY(hs_read_entry(zip, zip->bytes + zip->directory + at, zip->directory_size - at,
                             &zip->members[i], &used));
    if (at != zip->directory_size)
        return hs_zip_damaged(zip, "its directory has more entries than it says");
    return hs_check_members(zip);
}

/* --------------------------------------------------------- the checkpoint -- */

static const hs_zip_member *hs_zip_find(const hs_zip *zip, const char *name, size_t size) {
    hs_zip_member key = {.name = name, .name_size = size};
    return bsearch(&key, zip->members, zip->count, sizeof key, hs_compare_members);
}

/* <name>/data.pkl, directly in the archive's folder. */
static const hs_zip_member *hs_find_pickle(const hs_zip *zip) {
    static const char tail[] = "/data.pkl";
    size_t tail_size = sizeof tail - 1;
    for (uint64_t i = 0; i < zip->count; i++) {
        const hs_zip_member *member = &zip->members[i];
        if (member->name_size <= tail_size)
            continue;
        size_t folder = member->name_size - tail_size;
        if (!memcmp(member->name + folder, tail, tail_size) && !memchr(member->name, '/', folder))
            return member;
    }
    return NULL;
}

static hs_status hs_check_byte_order(const hs_zip *zip, const char *folder) {
    char *name = hs_format("%s/byteorder", folder);
    if (!name)
        return hs_fail_memory(zip->err, strlen(folder));
    const hs_zip_member *order = hs_zip_find(zip, name, strlen(name));
    free(name);
    if (!order || (order->size == 6 && !memcmp(order->data, "little", 6)))
        return HS_OK;
    return hs_member_fail(zip, order, HS_ERROR_UNSUPPORTED,
                          "does not say \"little\": big-endian data are not supported");
}

static hs_status hs_find_storage(const hs_zip *zip, const char *folder,
                                 hs_pickle_storage *storage) {
    char *name = hs_format("%s/data/%s", folder, storage->key);
    if (!name)
        return hs_fail_memory(zip->err, strlen(folder) + strlen(storage->key));
    const hs_zip_member *member = hs_zip_find(zip, name, strlen(name));
    free(name);
    if (!member)
        return hs_fail(zip->err, HS_ERROR_FORMAT,
                       "%s: storage %s: a tensor needs it, but the archive does not have it",
                       zip->path, storage->key);
    uint64_t bytes = (uint64_t)storage->count * hs_dtype_size(storage->dtype);
    if (bytes != member->size)
        return hs_fail(
            zip->err, HS_ERROR_FORMAT,
            "%s: storage %s: expected %lld elements of %s (%llu bytes), found %llu bytes",
            zip->path, storage->key, (long long)storage->count, hs_dtype_name(storage->dtype),
            (unsigned long long)bytes, (unsigned long long)member->size);
    storage->data = member->data;
    return HS_OK;
}

static hs_status hs_load_zip(hs_torch *file, const hs_zip *zip) {
    const hs_zip_member *member = hs_find_pickle(zip);
    if (!member)
        return hs_fail(zip->err, HS_ERROR_FORMAT,
                       "%s: expected a torch.save file, found a zip archive without data.pkl",
                       zip->path);
    char *folder = hs_format("%.*s", (int)(member->name_size - strlen("/data.pkl")), member->name);
    if (!folder)
        return hs_fail_memory(zip->err, member->name_size);
    hs_status status = HS_OK;
    HS_CHECK(hs_check_byte_order(zip, folder));
    HS_CHECK(hs_pickle_read(zip->path, member->data, member->size, &file->pickle, zip->err));
    for (hs_pickle_storage *storage = file->pickle.storages; storage; storage = storage->next)
        HS_CHECK(hs_find_storage(zip, folder, storage));
cleanup:
    free(folder);
    return status;
}

hs_status hs_torch_read_zip(hs_torch *file, hs_error *err) {
    hs_zip zip = {.path = file->path, .bytes = file->data, .size = file->size, .err = err};
    hs_status status = hs_zip_read(&zip);
    if (status == HS_OK)
        status = hs_load_zip(file, &zip);
    free(zip.members);
    return status;
}
