/* Allocation: every size is overflow-checked, every result must be checked. */
#ifndef HS_BASE_MEM_H
#define HS_BASE_MEM_H

#include "base/error.h"

#define HS_ALIGN 64 /* a cache line, and a vector register of AVX-512 */

/* count * size zeroed bytes, NULL on overflow or failure; free() it. */
void *hs_calloc(size_t count, size_t size);
/* count * size bytes aligned to HS_ALIGN, not cleared; free() it. */
void *hs_alloc_aligned(size_t count, size_t size);
/* Large blocks, zeroed, in huge pages where the kernel grants them: fresh small
 * pages cost more than what is written to them, and with them what is strided over lies in
 * more of them than the processor remembers. `bytes` is what was asked for. */
void *hs_pages_alloc(size_t bytes); /* NULL: no memory */
void hs_pages_free(void *pages, size_t bytes);
/* As strdup and a printf into a fresh string; NULL on failure; free() it. */
char *hs_strdup(const char *text);
char *hs_format(const char *format, ...) HS_PRINTF(1, 2);

/* a * b into *out; false on overflow or a negative operand. */
bool hs_mul_i64(int64_t a, int64_t b, int64_t *out);

/*
 * A growing region whose allocations all end together: the strings and small
 * tables of one handle. hs_arena_alloc returns zeroed, 16-byte aligned memory
 * or NULL; hs_arena_free ends all.
 */
typedef struct hs_arena {
    struct hs_arena_block *blocks;
} hs_arena;
void *hs_arena_alloc(hs_arena *arena, size_t count, size_t size);
char *hs_arena_strdup(hs_arena *arena, const char *text);
/* Move all of `from` into `arena`; `from` is empty after that. */
void hs_arena_join(hs_arena *arena, hs_arena *from);
void hs_arena_free(hs_arena *arena);

#endif
