/* The pickle reader: what it reads, and that it refuses the rest. */
#include <stdlib.h>
#include <string.h>

#include "io/pickle.h"
#include "support.h"

/* Read from memory of exactly that size, so that a sanitizer sees a byte too
 * many; pickles' strings point into it: *memory is to be freed last. */
static hs_status read_pickle(const void *text, size_t size, hs_pickle *out, void **memory,
                             hs_error *err) {
    *memory = malloc(size ? size : 1);
    assert_non_null(*memory);
    if (size)
        memcpy(*memory, text, size);
    return hs_pickle_read("x.bin", *memory, size, out, err);
}

#define P2 "\x80\x02"
#define PICKLE(text) (P2 text), sizeof(P2 text) - 1

static void refuse(const void *text, size_t size, hs_status code, const char *cause) {
    hs_pickle pickle;
    hs_error err;
    void *memory;
    assert_int_equal(read_pickle(text, size, &pickle, &memory, &err), code);
    if (!strstr(err.message, "x.bin") || !strstr(err.message, cause) || strchr(err.message, '\n'))
        fail_msg("expected one line that names x.bin and \"%s\", found: %s", cause, err.message);
    assert_null(pickle.root);
    assert_null(pickle.arena.blocks);
    free(memory);
}

static void test_values(void **state) {
    static const char text[] = P2 "(K\xff"            /* 255 */
                                  "M\x01\x02"         /* 513 */
                                  "J\xfe\xff\xff\xff" /* -2 */
                                  "\x8a\x00"          /* 0 in no bytes */
                                  "\x8a\x02\x00\x80"  /* -32768 */
                                  "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
                                  "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00"
                                  "\x8b\x01\x00\x00\x00\x07"
                                  "G\xbf\xf8\x00\x00\x00\x00\x00\x00" /* -1.5 */
                                  "\x88\x89N"
                                  "X\x02\x00\x00\x00hi"
                                  "U\x02yo"
                                  "C\x01z"
                                  "t.and more";
    hs_pickle pickle;
    hs_error err;
    void *memory;
    assert_ok(read_pickle(text, sizeof text - 1, &pickle, &memory, &err));
    assert_int_equal(pickle.size, sizeof text - 1 - strlen("and more"));
    assert_int_equal(pickle.root->kind, HS_PICKLE_TUPLE);
    assert_int_equal(pickle.root->list.count, 15);
    hs_pickle_value **items = pickle.root->list.items;
    static const int64_t integers[] = {255, 513, -2, 0, -32768, INT64_MAX};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(items[i]->kind, HS_PICKLE_INT);
        assert_true(items[i]->integer == integers[i]);
    }
    assert_int_equal(items[6]->kind, HS_PICKLE_BIG_INT);
    assert_int_equal(items[7]->integer, 7);
    assert_true(items[8]->kind == HS_PICKLE_FLOAT && items[8]->number == -1.5);
    assert_true(items[9]->kind == HS_PICKLE_BOOL && items[9]->integer == 1);
    assert_true(items[10]->kind == HS_PICKLE_BOOL && items[10]->integer == 0);
    assert_int_equal(items[11]->kind, HS_PICKLE_NONE);
    assert_true(hs_pickle_is_text(items[12], "hi"));
    assert_true(hs_pickle_is_text(items[13], "yo"));
    assert_true(items[14]->kind == HS_PICKLE_BYTES && items[14]->text.size == 1);
    hs_pickle_free(&pickle);
    free(memory);
}

/* A dict in itself, by the memo; the last of a repeated key; BUILD ignored. */
static void test_dicts(void **state) {
    static const char text[] = P2 "ccollections\nOrderedDict\n)Rq\x00(U\x01"
                                  "aK\x01U\x01"
                                  "bK\x02U\x01"
                                  "aK\x03U\x02meh\x00u}U\x09_metadataK\x01sb.";
    hs_pickle pickle;
    hs_error err;
    void *memory;
    assert_ok(read_pickle(text, sizeof text - 1, &pickle, &memory, &err));
    assert_int_equal(pickle.root->kind, HS_PICKLE_DICT);
    assert_int_equal(hs_pickle_get(pickle.root, "a")->integer, 3);
    assert_int_equal(hs_pickle_get(pickle.root, "b")->integer, 2);
    assert_ptr_equal(hs_pickle_get(pickle.root, "me"), pickle.root);
    assert_null(hs_pickle_get(pickle.root, "_metadata"));
    assert_null(hs_pickle_get(hs_pickle_get(pickle.root, "a"), "a"));
    hs_pickle_free(&pickle);
    free(memory);
}

static void test_refuses_code(void **state) {
    static const struct {
        const char *text;
        const char *name;
    } hostile[] = {
        {"cos\nsystem\nU\x02ls\x85R.", "refuses to load os.system"},
        {"cposix\nsystem\n.", "refuses to load posix.system"},
        {"cbuiltins\neval\nU\x01x\x85R.", "refuses to load builtins.eval"},
        {"c__builtin__\ngetattr\n.", "refuses to load __builtin__.getattr"},
        {"U\x02osU\x06system\x93.", "refuses to load os.system"},
        {"U\x0atorch.load\x94U\x04"
         "eval\x93.",
         "refuses to load torch.load.eval"},
        {"ctorch._utils\n_rebuild_tensor_v3\n.", "refuses to load torch._utils._rebuild_tensor_v3"},
        {"ctorch\nFloatStorage\n)R.", "refuses to call torch.FloatStorage"},
        {"cos\nsys\ttem\x07\n.", "refuses to load os.sys?tem?"},
        {"(U\x02lsios\nsystem\n.", "instruction 0x69"},
        {"(cos\nsystem\nU\x02lso.", "refuses to load os.system"},
        {"ccollections\nOrderedDict\n)\x81.", "instruction 0x81"},
        {"Pname\n.", "instruction 0x50"},
        {"\x82\x01.", "instruction 0x82"},
        {"I12\n.", "instruction 0x49"},
        {"\xff.", "instruction 0xff"},
        {"U\x07storageQ.", "persistent id"},
        {"(U\x06moduleNNNNtQ.", "persistent id"},
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        char text[200] = P2;
        size_t size = strlen(hostile[i].text);
        assert_true(size < sizeof text - 2);
        memcpy(text + 2, hostile[i].text, size);
        refuse(text, size + 2, HS_ERROR_UNSUPPORTED, hostile[i].name);
    }
    refuse("\x80\x01N.", 4, HS_ERROR_UNSUPPORTED, "protocol 1");
    refuse("\x80\x06N.", 4, HS_ERROR_UNSUPPORTED, "protocol 6");
}

static void test_refuses_damage(void **state) {
    refuse("", 0, HS_ERROR_FORMAT, "ends inside");
    refuse("(lp0\n.", 6, HS_ERROR_FORMAT, "protocol number");
    refuse(PICKLE("."), HS_ERROR_FORMAT, "other than one value");
    refuse(PICKLE("NN."), HS_ERROR_FORMAT, "other than one value");
    refuse(PICKLE("N(."), HS_ERROR_FORMAT, "other than one value");
    refuse(PICKLE("0."), HS_ERROR_FORMAT, "empty stack");
    refuse(PICKLE("N(0."), HS_ERROR_FORMAT, "empty stack");
    refuse(PICKLE("N\x86."), HS_ERROR_FORMAT, "empty stack");
    refuse(PICKLE("(N(t\x87."), HS_ERROR_FORMAT, "empty stack");
    refuse(PICKLE("Nt."), HS_ERROR_FORMAT, "not open");
    refuse(PICKLE("(NNNd."), HS_ERROR_FORMAT, "key without a value");
    refuse(PICKLE("}(NNNu."), HS_ERROR_FORMAT, "key without a value");
    refuse(PICKLE("NNNs."), HS_ERROR_FORMAT, "not a dict");
    refuse(PICKLE("NNa."), HS_ERROR_FORMAT, "not a list");
    refuse(PICKLE("(Nu."), HS_ERROR_FORMAT, "empty stack");
    refuse(PICKLE("NNb."), HS_ERROR_FORMAT, "not an OrderedDict");
    refuse(PICKLE("N)R."), HS_ERROR_FORMAT, "not a known global");
    refuse(PICKLE("ccollections\nOrderedDict\nNR."), HS_ERROR_FORMAT, "not with a tuple");
    refuse(PICKLE("ccollections\nOrderedDict\nN\x85R."), HS_ERROR_FORMAT, "not a list");
    refuse(PICKLE("ccollections\nOrderedDict\n]Na\x85R."), HS_ERROR_FORMAT, "not pairs");
    refuse(PICKLE("NN\x93."), HS_ERROR_FORMAT, "not a string");
    refuse(PICKLE("h\x07."), HS_ERROR_FORMAT, "never stored");
    refuse(PICKLE("Nr\xff\xff\xff\xff."), HS_ERROR_FORMAT, "memo skips");
    refuse(PICKLE("X\xff\xff\xff\xff"
                  "abc."),
           HS_ERROR_FORMAT, "ends inside");
    refuse(PICKLE("\x8e\xff\xff\xff\xff\xff\xff\xff\xff"
                  "abc."),
           HS_ERROR_FORMAT, "ends inside");
    refuse(PICKLE("\x8b\xff\xff\xff\xff"
                  "abc."),
           HS_ERROR_FORMAT, "ends inside");
    refuse(PICKLE("cos"), HS_ERROR_FORMAT, "inside a name");
    refuse(PICKLE("ctorch\nSize\nN\x85R."), HS_ERROR_FORMAT, "not a tuple");
    refuse(PICKLE("ctorch._utils\n_rebuild_parameter\nN\x85R."), HS_ERROR_FORMAT, "not a tensor");
    refuse(PICKLE("ctorch._utils\n_rebuild_tensor_v2\n)R."), HS_ERROR_FORMAT, "storage, offset");
}

#define STORAGE(count)                                                                             \
    "(U\x07storagectorch\nFloatStorage\nU\x01"                                                     \
    "0U\x03"                                                                                       \
    "cpu" count "tQ"
#define TENSOR(count, offset, size, stride)                                                        \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(count) offset size stride "t\x52."

static void test_tensors(void **state) {
    hs_pickle pickle;
    hs_error err;
    void *memory;
    assert_ok(read_pickle(PICKLE(TENSOR("K\x06", "K\x02", "K\x02K\x03\x86", "K\x03K\x01\x86")),
                          &pickle, &memory, &err));
    assert_int_equal(pickle.root->kind, HS_PICKLE_TENSOR);
    const hs_pickle_tensor *tensor = pickle.root->tensor;
    assert_ptr_equal(tensor->storage, pickle.storages);
    assert_null(tensor->storage->next);
    assert_string_equal(tensor->storage->key, "0");
    assert_int_equal(tensor->storage->dtype, HS_F32);
    assert_int_equal(tensor->storage->count, 6);
    assert_int_equal(tensor->offset, 2);
    assert_int_equal(tensor->rank, 2);
    assert_int_equal(tensor->dim[1], 3);
    assert_int_equal(tensor->stride[0], 3);
    hs_pickle_free(&pickle);
    free(memory);

    refuse(PICKLE(TENSOR("J\xff\xff\xff\xff", "K\x00", ")", ")")), HS_ERROR_FORMAT,
           "a storage of -1 elements");
    refuse(PICKLE(TENSOR("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "K\x00", ")", ")")),
           HS_ERROR_FORMAT, "a storage of 9223372036854775807 elements");
    refuse(PICKLE(TENSOR("K\x06", "J\xff\xff\xff\xff", ")", ")")), HS_ERROR_FORMAT,
           "negative storage offset");
    refuse(PICKLE(TENSOR("K\x06", "K\x00", "J\xff\xff\xff\xff\x85", "K\x01\x85")), HS_ERROR_FORMAT,
           "not a whole number >= 0");
    refuse(PICKLE(TENSOR("K\x06", "K\x00", "K\x01\x85", "J\xff\xff\xff\xff\x85")), HS_ERROR_FORMAT,
           "not a whole number >= 0");
    refuse(PICKLE(TENSOR("K\x06", "K\x00", "K\x01\x85", ")")), HS_ERROR_FORMAT, "different rank");
    refuse(PICKLE(TENSOR("K\x06", "K\x00", "(NNNNNNNNNt", "(NNNNNNNNNt")), HS_ERROR_UNSUPPORTED,
           "9 dimensions");
    refuse(PICKLE(TENSOR("N", "K\x00", ")", ")")), HS_ERROR_FORMAT, "names a storage by");
}

/* Every prefix of a good pickle is refused. */
static void test_truncated(void **state) {
    static const char text[] = P2 TENSOR("K\x06", "K\x02", "K\x02K\x03\x86", "K\x03K\x01\x86");
    for (size_t size = 0; size + 1 < sizeof text - 1; size++)
        refuse(text, size, HS_ERROR_FORMAT, "");
}

/* `head`, then `unit` until the pickle is about `size` bytes, then `tail`. */
static char *repeat(const char *head, const char *unit, const char *tail, size_t size,
                    size_t *out_size) {
    size_t step = strlen(unit), at = strlen(head);
    char *text = malloc(size + at + step + strlen(tail) + 1);
    assert_non_null(text);
    memcpy(text, head, at);
    for (; at < size; at += step)
        memcpy(text + at, unit, step);
    memcpy(text + at, tail, strlen(tail));
    *out_size = at + strlen(tail);
    return text;
}

static void test_bombs(void **state) {
    hs_pickle pickle;
    hs_error err;
    void *memory;
    size_t size;
    char *text = repeat(P2, "(", ".", 1000, &size);
    refuse(text, size, HS_ERROR_FORMAT, "nested more than 256");
    free(text);
    /* Twice itself 2^17 times over, shared: linear in the pickle's size. */
    text = repeat(P2 "N", "2\x86", ".", (size_t)1 << 18, &size);
    assert_ok(read_pickle(text, size, &pickle, &memory, &err));
    assert_int_equal(pickle.root->kind, HS_PICKLE_TUPLE);
    hs_pickle_free(&pickle);
    free(memory);
    free(text);
    text = repeat(P2, "N0", "N.", (size_t)9 << 20, &size);
    refuse(text, size, HS_ERROR_FORMAT, "more than 4194304 instructions");
    free(text);
    /* One list of a thousand pairs, made into a dict ever again. */
    char *list = repeat(P2 "]q\x01(", "NN\x86", "eccollections\nOrderedDict\nq\x02", 3000, &size);
    list[size] = 0;
    text = repeat(list, "h\x02h\x01\x85R0", "N.", (size_t)1 << 18, &size);
    refuse(text, size, HS_ERROR_FORMAT, "more than 4194304 items");
    free(list);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_dicts),
        cmocka_unit_test(test_refuses_code), cmocka_unit_test(test_refuses_damage),
        cmocka_unit_test(test_tensors),      cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
