/* Any bytes as the index of a sharded checkpoint, and through the getters that
 * config readers use: shards never leave their folder. */
#include <stdlib.h>
#include <string.h>

#include "io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hs_fuzz_getters(const json_t *object) {
    const char *key, *text, *texts[4];
    json_t *value;
    hs_error err;
    int64_t number = 0, numbers[4];
    double real = 0, reals[4];
    bool flag;
    int count;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (hs_json_get_int(object, key, 0, -5, 5, &number, &err) == HS_OK &&
            (number < -5 || number > 5))
            abort();
        if (hs_json_get_double(object, key, 0, -5, 5, &real, &err) == HS_OK &&
            !(real >= -5 && real <= 5))
            abort();
        hs_json_get_bool(object, key, false, &flag, &err);
        hs_json_get_string(object, key, "", &text, &err);
        hs_json_get_ints(object, key, 0, 9, numbers, 4, &count, &err);
        hs_json_get_doubles(object, key, 0, 9, reals, 4, &count, &err);
        hs_json_get_strings(object, key, texts, 4, &count, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *object = NULL, *map = NULL, *value;
    const char *tensor;
    hs_error err;
    if (hs_json_parse_object("config.json", data, size, &object, &err) == HS_OK)
        hs_fuzz_getters(object);
    json_decref(object);
    if (hs_shards_parse("index.json", data, size, &map, &err) != HS_OK)
        return 0;
    json_object_foreach(map, tensor, value) {
        const char *name = json_string_value(value);
        if (!name || !*name || strchr(name, '/') || !strcmp(name, ".."))
            abort();
    }
    json_decref(map);
    return 0;
}
