/* See mem.h. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *hs_calloc(size_t count, size_t size) {
    return calloc(count ? count : 1, size ? size : 1);
}

void *hs_alloc_aligned(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > (size_t)PTRDIFF_MAX - HS_ALIGN)
        return NULL;
    bytes = (bytes + HS_ALIGN - 1) / HS_ALIGN * HS_ALIGN;
    return aligned_alloc(HS_ALIGN, bytes ? bytes : HS_ALIGN);
}

#define HS_HUGE ((size_t)2 << 20) /* a huge page on most processors */

/* What a block takes: whole huge pages, unless they would be more than half empty. */
static size_t hs_pages_bytes(size_t bytes) {
    if (bytes < HS_HUGE / 2)
        return bytes ? bytes : 1;
    return (bytes + HS_HUGE - 1) / HS_HUGE * HS_HUGE;
}

void *hs_pages_alloc(size_t bytes) {
    if (bytes > (size_t)PTRDIFF_MAX - 2 * HS_HUGE)
        return NULL;
    size_t whole = hs_pages_bytes(bytes), more = whole < HS_HUGE ? 0 : HS_HUGE;
    uint8_t *pages =
        mmap(NULL, whole + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    if (more) { /* begin where a huge page does; what is mapped around it goes back */
        size_t before = (HS_HUGE - (uintptr_t)pages % HS_HUGE) % HS_HUGE;
        if (before)
            munmap(pages, before);
        pages += before;
        if (before < more)
            munmap(pages + whole, more - before);
    }
    madvise(pages, whole, MADV_HUGEPAGE);
    return pages;
}

void hs_pages_free(void *pages, size_t bytes) {
    if (pages)
        munmap(pages, hs_pages_bytes(bytes));
}

char *hs_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

char *hs_format(const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

bool hs_mul_i64(int64_t a, int64_t b, int64_t *out) {
    return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out);
}

/* Blocks form a list, newest first; each serves from `used` to `size`. */
struct hs_arena_block {
    struct hs_arena_block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

void *hs_arena_alloc(hs_arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX / 2)
        return NULL;
    bytes = (bytes + 15) / 16 * 16;
    struct hs_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < bytes) {
        size_t room = bytes > 4096 ? bytes : 4096;
        block = calloc(1, sizeof *block + room);
        if (!block)
            return NULL;
        block->size = room;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *result = block->data + block->used;
    block->used += bytes;
    return result;
}

char *hs_arena_strdup(hs_arena *arena, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = hs_arena_alloc(arena, size, 1);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void hs_arena_join(hs_arena *arena, hs_arena *from) {
    struct hs_arena_block **end = &arena->blocks;
    while (*end)
        end = &(*end)->next;
    *end = from->blocks;
    from->blocks = NULL;
}

void hs_arena_free(hs_arena *arena) {
    while (arena->blocks) {
        struct hs_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}
