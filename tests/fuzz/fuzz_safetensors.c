/* Any bytes as a safetensors file: what is accepted must be readable to its
 * last byte, and nothing may lie outside the file. */
#include <stdlib.h>

#include "io/tensor_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hs_tensor_set *set = NULL;
    hs_error err;
    if (hs_safetensors_parse("fuzz.safetensors", data, size, &set, &err) != HS_OK)
        return 0;
    unsigned sum = 0;
    int64_t total = 0;
    for (int i = 0; i < set->count; i++) {
        const uint8_t *bytes = set->tensors[i].data;
        int64_t count = hs_tensor_bytes(&set->tensors[i]);
        for (int64_t k = 0; k < count; k++)
            sum += bytes[k];
        total += count;
        if (hs_tensor_set_find(set, set->tensors[i].name) != &set->tensors[i])
            abort();
    }
    if (total < 0 || (uint64_t)total > size || sum == 1u << 31)
        abort();
    hs_tensor_set_free(set);
    return 0;
}
