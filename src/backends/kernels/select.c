/* Which table this CPU runs. */
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "backends/kernels/kernels.h"

extern const hs_kernels hs_kernels_generic;
#if defined(__x86_64__)
extern const hs_kernels hs_kernels_avx2;
extern const hs_kernels hs_kernels_avxvnni;
extern const hs_kernels hs_kernels_avx512;
extern const hs_kernels hs_kernels_avx512vnni;
extern const hs_kernels hs_kernels_avx512bf16;
extern const hs_kernels hs_kernels_amx;

static int hs_has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* VNNI for registers of 256 bits in the encoding of AVX: leaf 7.1, EAX, bit 4. */
static int hs_has_avxvnni(void) {
    unsigned a, b, c, d;
    return hs_has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

static int hs_has_avx512(void) {
    return hs_has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

/* Linux gives the matrix registers' 8 KB a thread only to a process that asks. */
static int hs_has_amx(void) {
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return hs_has_avx512() && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return 0;
#endif
}
#endif

/* The best first. Every CPU with bf16 alone has VNNI, too, which is faster (winograd_parts.h): the
 * table of the former is for tests of what "amx" does besides its matrices. */
const char *const hs_kernel_isas[HS_KERNEL_ISAS] = {"amx",     "avx512vnni", "avx512bf16", "avx512",
                                                    "avxvnni", "avx2",       "generic"};

const hs_kernels *hs_kernels_named(const char *isa) {
#if defined(__x86_64__)
    if (!strcmp(isa, "amx"))
        return hs_has_amx() ? &hs_kernels_amx : NULL;
    if (!strcmp(isa, "avx512bf16"))
        return hs_has_avx512() && __builtin_cpu_supports("avx512bf16") ? &hs_kernels_avx512bf16
                                                                       : NULL;
    if (!strcmp(isa, "avx512vnni"))
        return hs_has_avx512() && __builtin_cpu_supports("avx512vnni") ? &hs_kernels_avx512vnni
                                                                       : NULL;
    if (!strcmp(isa, "avx512"))
        return hs_has_avx512() ? &hs_kernels_avx512 : NULL;
    if (!strcmp(isa, "avxvnni"))
        return hs_has_avxvnni() ? &hs_kernels_avxvnni : NULL;
    if (!strcmp(isa, "avx2"))
        return hs_has_avx2() ? &hs_kernels_avx2 : NULL;
#endif
    return strcmp(isa, "generic") ? NULL : &hs_kernels_generic;
}

const hs_kernels *hs_kernels_get(void) {
    for (int i = 0; i < HS_KERNEL_ISAS; i++) {
        const hs_kernels *best = hs_kernels_named(hs_kernel_isas[i]);
        if (best)
            return best;
    }
    return &hs_kernels_generic;
}
