/* A model.json and the bytes of its shards: the input up to its first NUL is
 * the JSON, the rest is cut in two, "a" and "b". */
#include "io/tfjs_model.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static hs_status hs_open_half(void *ctx, const char *name, hs_file *out, hs_error *err) {
    const hs_file *rest = ctx;
    size_t half = rest->size / 2;
    if (!strcmp(name, "a"))
        *out = (hs_file){.data = rest->data, .size = half};
    else if (!strcmp(name, "b"))
        *out = (hs_file){.data = rest->data + half, .size = rest->size - half};
    else
        return HS_ERROR_IO;
    return HS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t json = nul ? (size_t)(nul - data) : size;
    hs_file rest = {.data = data + json, .size = size - json};
    hs_tensor_set *set;
    hs_error err;
    volatile uint8_t sink = 0;
    if (hs_tfjs_parse("fuzz", data, json, hs_open_half, &rest, &set, &err) != HS_OK)
        return 0;
    for (int i = 0; i < set->count; i++) {
        const uint8_t *bytes = set->tensors[i].data;
        for (int64_t k = 0; k < hs_tensor_bytes(&set->tensors[i]); k++)
            sink ^= bytes[k];
    }
    (void)sink;
    hs_tensor_set_free(set);
    return 0;
}
