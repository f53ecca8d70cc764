/* The pickle reader alone, with all values walked. */
#include "io/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything a value claims to have must be readable; values may be cycles. */
static size_t hs_touch(const hs_pickle_value *value, int depth) {
    size_t sum = (size_t)hs_pickle_kind_name(value->kind)[0];
    if (value->kind == HS_PICKLE_STRING || value->kind == HS_PICKLE_BYTES)
        for (size_t i = 0; i < value->text.size; i++)
            sum += value->text.bytes[i];
    if (value->kind == HS_PICKLE_TENSOR)
        sum += (size_t)value->tensor->storage->key[0] + (size_t)value->tensor->rank;
    if (value->kind == HS_PICKLE_TUPLE || value->kind == HS_PICKLE_LIST ||
        value->kind == HS_PICKLE_DICT)
        for (size_t i = 0; i < value->list.count && depth < 3 && i < 100; i++)
            sum += hs_touch(value->list.items[i], depth + 1);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hs_pickle pickle;
    hs_error err;
    volatile size_t sink = 0;
    if (hs_pickle_read("fuzz", data, size, &pickle, &err) == HS_OK) {
        sink += hs_touch(pickle.root, 0);
        (void)sink;
        hs_pickle_get(pickle.root, "state_dict");
        hs_pickle_free(&pickle);
    }
    return 0;
}
