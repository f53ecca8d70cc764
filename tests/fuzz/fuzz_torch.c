/* torch.save files of both kinds, with every byte of every tensor read. */
#include "io/tensor_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hs_tensor_set *set;
    hs_error err;
    volatile uint8_t sink = 0;
    if (hs_torch_parse("fuzz", data, size, &set, &err) != HS_OK)
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
