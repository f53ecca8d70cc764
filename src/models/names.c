/* See names.h. */
#include "models/names.h"

#include <stdio.h>
#include <string.h>

/* What diffusers writes now, and what it wrote before. Each pair replaces one
 * part of a dotted name; the parts of `now` stand between dots. */
static const struct {
    const char *now, *before;
} hs_renamed_parts[] = {
    {".to_q.", ".query."}, /* attention, before 0.12 */
    {".to_k.", ".key."},
    {".to_v.", ".value."},
    {".to_out.0.", ".proj_attn."},
    {".group_norm.", ".norm."},
    {".downsamplers.0.conv.", ".downsamplers.0.op."},
    {".downsamplers.0.conv.", ".downsamplers.0.Conv2d_0."},
    {".upsamplers.0.conv.", ".upsamplers.0.Conv2d_0."},
    {"time_proj.weight", "time_proj.W"}, /* Fourier frequencies */
};

#define HS_RENAMED_COUNT (sizeof hs_renamed_parts / sizeof *hs_renamed_parts)

/* Replace `from` in `name` by `to`; false if it does not occur or fit. */
static bool hs_names_replace(const char *name, const char *from, const char *to, char out[256]) {
    const char *at = strstr(name, from);
    if (!at)
        return false;
    int used = snprintf(out, 256, "%.*s%s%s", (int)(at - name), name, to, at + strlen(from));
    return used > 0 && used < 256;
}

const hs_tensor *hs_names_find(const hs_tensor_set *set, const char *name) {
    const hs_tensor *tensor = hs_tensor_set_find(set, name);
    char other[256];
    for (size_t i = 0; !tensor && i < HS_RENAMED_COUNT; i++)
        if (hs_names_replace(name, hs_renamed_parts[i].now, hs_renamed_parts[i].before, other))
            tensor = hs_tensor_set_find(set, other);
    return tensor;
}

bool hs_names_redundant(const hs_tensor_set *set, const char *name) {
    char other[256];
    for (size_t i = 0; i < HS_RENAMED_COUNT; i++)
        if (hs_names_replace(name, hs_renamed_parts[i].before, hs_renamed_parts[i].now, other) &&
            hs_tensor_set_find(set, other))
            return true;
    return false;
}
