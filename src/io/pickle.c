/*
 * The stack machine of pickle (protocols 2 to 5, as Python's pickletools
 * documents them), without the instructions that a state dict never needs.
 * What a GLOBAL, a REDUCE and a persistent id mean is in pickle_torch.c.
 */
#include "io/pickle_torch.h"

#include <stdlib.h>
#include <string.h>

typedef hs_pickle_value hs_value;

typedef struct hs_machine {
    const char *path;
    const uint8_t *data;
    size_t size, at; /* `at`: the next byte */
    size_t start;    /* of the current instruction */
    size_t instructions;
    hs_pickle *pickle;
    hs_value **stack;
    size_t count, capacity;
    size_t marks[HS_PICKLE_MAX_DEPTH]; /* heights of the stack at each MARK */
    int depth;
    hs_value **memo;
    size_t memo_count, memo_capacity;
    hs_error *err;
} hs_machine;

/* The instructions; the others are refused by number. */
enum {
    HS_OP_MARK = '(',
    HS_OP_STOP = '.',
    HS_OP_POP = '0',
    HS_OP_POP_MARK = '1',
    HS_OP_DUP = '2',
    HS_OP_NONE = 'N',
    HS_OP_NEWTRUE = 0x88,
    HS_OP_NEWFALSE = 0x89,
    HS_OP_BININT = 'J',
    HS_OP_BININT1 = 'K',
    HS_OP_BININT2 = 'M',
    HS_OP_LONG1 = 0x8a,
    HS_OP_LONG4 = 0x8b,
    HS_OP_BINFLOAT = 'G',
    HS_OP_SHORT_BINSTRING = 'U',
    HS_OP_BINSTRING = 'T',
    HS_OP_BINUNICODE = 'X',
    HS_OP_SHORT_BINUNICODE = 0x8c,
    HS_OP_BINUNICODE8 = 0x8d,
    HS_OP_BINBYTES = 'B',
    HS_OP_SHORT_BINBYTES = 'C',
    HS_OP_BINBYTES8 = 0x8e,
    HS_OP_BYTEARRAY8 = 0x96,
    HS_OP_EMPTY_TUPLE = ')',
    HS_OP_TUPLE = 't',
    HS_OP_TUPLE1 = 0x85,
    HS_OP_TUPLE2 = 0x86,
    HS_OP_TUPLE3 = 0x87,
    HS_OP_EMPTY_LIST = ']',
    HS_OP_LIST = 'l',
    HS_OP_APPEND = 'a',
    HS_OP_APPENDS = 'e',
    HS_OP_EMPTY_DICT = '}',
    HS_OP_DICT = 'd',
    HS_OP_SETITEM = 's',
    HS_OP_SETITEMS = 'u',
    HS_OP_BINPUT = 'q',
    HS_OP_LONG_BINPUT = 'r',
    HS_OP_MEMOIZE = 0x94,
    HS_OP_BINGET = 'h',
    HS_OP_LONG_BINGET = 'j',
    HS_OP_GLOBAL = 'c',
    HS_OP_STACK_GLOBAL = 0x93,
    HS_OP_REDUCE = 'R',
    HS_OP_BUILD = 'b',
    HS_OP_BINPERSID = 'Q',
    HS_OP_PROTO = 0x80,
    HS_OP_FRAME = 0x95
};

const char *hs_pickle_kind_name(hs_pickle_kind kind) {
    static const char *const names[] = {"None",   "bool",    "int",   "int",  "float",
                                        "string", "bytes",   "tuple", "list", "dict",
                                        "global", "storage", "tensor"};
    return names[kind];
}

bool hs_pickle_is_text(const hs_pickle_value *value, const char *text) {
    size_t size = strlen(text);
    return value->kind == HS_PICKLE_STRING && value->text.size == size &&
           memcmp(value->text.bytes, text, size) == 0;
}

hs_pickle_value *hs_pickle_get(const hs_pickle_value *dict, const char *key) {
    if (dict->kind != HS_PICKLE_DICT)
        return NULL;
    for (size_t i = dict->list.count; i >= 2; i -= 2)
        if (hs_pickle_is_text(dict->list.items[i - 2], key))
            return dict->list.items[i - 1];
    return NULL;
}

hs_pickle_value *hs_pickle_new(hs_pickle *pickle, hs_pickle_kind kind) {
    hs_pickle_value *value = hs_arena_alloc(&pickle->arena, 1, sizeof *value);
    if (value)
        value->kind = kind;
    return value;
}

hs_status hs_pickle_extend(const char *path, hs_pickle *pickle, hs_pickle_value *list,
                           hs_pickle_value *const *items, size_t count, hs_error *err) {
    size_t needed = list->list.count + count;
    pickle->items += count; /* grows fast where one shared list is copied again and again */
    if (pickle->items > HS_PICKLE_MAX_INSTRUCTIONS)
        return hs_fail(err, HS_ERROR_FORMAT,
                       "%s: pickle of more than %zu items: too long for a checkpoint", path,
                       HS_PICKLE_MAX_INSTRUCTIONS);
    if (needed > list->list.capacity) {
        size_t capacity = list->list.capacity * 2 > needed ? list->list.capacity * 2 : needed;
        hs_pickle_value **grown = hs_arena_alloc(&pickle->arena, capacity, sizeof *grown);
        if (!grown)
            return hs_fail_memory(err, capacity * sizeof *grown);
        if (list->list.count)
            memcpy(grown, list->list.items, list->list.count * sizeof *grown);
        list->list.items = grown;
        list->list.capacity = capacity;
    }
    if (count)
        memcpy(list->list.items + list->list.count, items, count * sizeof *items);
    list->list.count = needed;
    return HS_OK;
}

static hs_status hs_damaged(hs_machine *m, const char *what) {
    return hs_fail(m->err, HS_ERROR_FORMAT, "%s: damaged pickle, byte %zu: %s", m->path, m->start,
                   what);
}

/* ------------------------------------------------------------- operands -- */

/* The next `size` bytes of the pickle. */
static hs_status hs_take(hs_machine *m, uint64_t size, const uint8_t **out) {
    if (size > m->size - m->at)
        return hs_damaged(m, "it ends inside an instruction");
    *out = m->data + m->at;
    m->at += (size_t)size;
    return HS_OK;
}

/* An unsigned little-endian number of `width` bytes, at most 8. */
static hs_status hs_take_number(hs_machine *m, int width, uint64_t *out) {
    const uint8_t *bytes = NULL;
    HS_TRY(hs_take(m, (uint64_t)width, &bytes));
    *out = 0;
    for (int i = 0; i < width; i++)
        *out |= (uint64_t)bytes[i] << (8 * i);
    return HS_OK;
}

/* Bytes up to a newline, which is skipped. */
static hs_status hs_take_line(hs_machine *m, hs_value *out) {
    const uint8_t *begin = m->data + m->at, *end = memchr(begin, '\n', m->size - m->at);
    if (!end)
        return hs_damaged(m, "it ends inside a name");
    out->kind = HS_PICKLE_STRING;
    out->text.bytes = begin;
    out->text.size = (size_t)(end - begin);
    m->at += out->text.size + 1;
    return HS_OK;
}

/* ---------------------------------------------------------------- stack -- */

static hs_status hs_push(hs_machine *m, hs_value *value) {
    if (!value)
        return hs_fail_memory(m->err, sizeof *value);
    if (m->count == m->capacity) {
        size_t capacity = 2 * m->capacity;
        hs_value **grown = realloc(m->stack, capacity * sizeof *grown);
        if (!grown)
            return hs_fail_memory(m->err, capacity * sizeof *grown);
        m->stack = grown;
        m->capacity = capacity;
    }
    m->stack[m->count++] = value;
    return HS_OK;
}

/* How many values lie above the last MARK. */
static size_t hs_above_mark(const hs_machine *m) {
    return m->count - (m->depth ? m->marks[m->depth - 1] : 0);
}

static hs_status hs_pop(hs_machine *m, hs_value **out) {
    if (hs_above_mark(m) == 0)
        return hs_damaged(m, "it takes a value from an empty stack");
    *out = m->stack[--m->count];
    return HS_OK;
}

/* The top of the stack, which stays. */
static hs_status hs_top(hs_machine *m, hs_value **out) {
    HS_TRY(hs_pop(m, out));
    m->count++;
    return HS_OK;
}

/* Take off all values above the last MARK, and the MARK; they stay readable at
 * *items until the next push. */
static hs_status hs_pop_mark(hs_machine *m, hs_value ***items) {
    if (m->depth == 0)
        return hs_damaged(m, "it closes a container that is not open");
    m->count = m->marks[--m->depth];
    *items = m->stack + m->count;
    return HS_OK;
}

static hs_status hs_push_int(hs_machine *m, hs_pickle_kind kind, int64_t integer) {
    hs_value *value = hs_pickle_new(m->pickle, kind);
    if (value)
        value->integer = integer;
    return hs_push(m, value);
}

/* ------------------------------------------------------------ one family -- */

/* LONG1, LONG4: two's complement of any length. */
static hs_status hs_op_long(hs_machine *m, int width) {
    uint64_t size = 0;
    const uint8_t *bytes = NULL;
    HS_TRY(hs_take_number(m, width, &size));
    HS_TRY(hs_take(m, size, &bytes));
    if (size > 8)
        return hs_push_int(m, HS_PICKLE_BIG_INT, 0);
    uint64_t number = size && bytes[size - 1] & 0x80 ? ~UINT64_C(0) : 0;
    for (size_t i = (size_t)size; i-- > 0;)
        number = number << 8 | bytes[i];
    return hs_push_int(m, HS_PICKLE_INT, (int64_t)number);
}

static hs_status hs_op_float(hs_machine *m) { /* big-endian */
    const uint8_t *bytes = NULL;
    HS_TRY(hs_take(m, 8, &bytes));
    uint64_t word = 0;
    for (int i = 0; i < 8; i++)
        word = word << 8 | bytes[i];
    hs_value *value = hs_pickle_new(m->pickle, HS_PICKLE_FLOAT);
    if (value)
        memcpy(&value->number, &word, 8);
    return hs_push(m, value);
}

static hs_status hs_op_text(hs_machine *m, hs_pickle_kind kind, int width) {
    uint64_t size = 0;
    const uint8_t *bytes = NULL;
    HS_TRY(hs_take_number(m, width, &size));
    HS_TRY(hs_take(m, size, &bytes));
    hs_value *value = hs_pickle_new(m->pickle, kind);
    if (value) {
        value->text.bytes = bytes;
        value->text.size = (size_t)size;
    }
    return hs_push(m, value);
}

/* Add `count` items to a container; DICT takes them in pairs. */
static hs_status hs_fill(hs_machine *m, hs_value *list, hs_value *const *items, size_t count) {
    if (list->kind == HS_PICKLE_DICT && count % 2)
        return hs_damaged(m, "a dict has a key without a value");
    return hs_pickle_extend(m->path, m->pickle, list, items, count, m->err);
}

/* A new container of everything above the MARK. */
static hs_status hs_op_collect(hs_machine *m, hs_pickle_kind kind) {
    hs_value **items = NULL;
    size_t end = m->count;
    HS_TRY(hs_pop_mark(m, &items));
    hs_value *list = hs_pickle_new(m->pickle, kind);
    if (!list)
        return hs_fail_memory(m->err, sizeof *list);
    HS_TRY(hs_fill(m, list, items, end - m->count));
    return hs_push(m, list);
}

/* A tuple of the last `count` values. */
static hs_status hs_op_tuple(hs_machine *m, size_t count) {
    if (hs_above_mark(m) < count)
        return hs_damaged(m, "it takes a value from an empty stack");
    hs_value *tuple = hs_pickle_new(m->pickle, HS_PICKLE_TUPLE);
    if (!tuple)
        return hs_fail_memory(m->err, sizeof *tuple);
    m->count -= count;
    HS_TRY(hs_fill(m, tuple, m->stack + m->count, count));
    return hs_push(m, tuple);
}

/* APPEND(S), SETITEM(S): into the container below; count 0: from the MARK. */
static hs_status hs_op_add(hs_machine *m, hs_pickle_kind kind, size_t count) {
    hs_value **items = NULL, *list = NULL;
    size_t end = m->count;
    if (count == 0) {
        HS_TRY(hs_pop_mark(m, &items));
    } else if (hs_above_mark(m) < count) {
        return hs_damaged(m, "it takes a value from an empty stack");
    } else {
        m->count -= count;
        items = m->stack + m->count;
    }
    size_t added = end - m->count;
    HS_TRY(hs_top(m, &list));
    if (list->kind != kind)
        return hs_damaged(m, kind == HS_PICKLE_DICT ? "it sets items of what is not a dict"
                                                    : "it appends to what is not a list");
    return hs_fill(m, list, items, added);
}

/* The memo. Picklers number it from 0 on, so a number beyond that of the
 * instructions read so far is not theirs, and would cost memory. */
static hs_status hs_op_put(hs_machine *m, uint64_t index) {
    hs_value *value = NULL;
    HS_TRY(hs_top(m, &value));
    if (index > m->instructions)
        return hs_damaged(m, "the memo skips numbers");
    if (index >= m->memo_capacity) {
        size_t capacity = 2 * (size_t)index + 256;
        hs_value **grown = realloc(m->memo, capacity * sizeof *grown);
        if (!grown)
            return hs_fail_memory(m->err, capacity * sizeof *grown);
        memset(grown + m->memo_capacity, 0, (capacity - m->memo_capacity) * sizeof *grown);
        m->memo = grown;
        m->memo_capacity = capacity;
    }
    if (!m->memo[index])
        m->memo_count++;
    m->memo[index] = value;
    return HS_OK;
}

static hs_status hs_op_get(hs_machine *m, int width) {
    uint64_t index = 0;
    HS_TRY(hs_take_number(m, width, &index));
    if (index >= m->memo_capacity || !m->memo[index])
        return hs_damaged(m, "it recalls a value that it never stored");
    return hs_push(m, m->memo[index]);
}

/* ------------------------------------------------- names and their calls -- */

static hs_status hs_push_global(hs_machine *m, const hs_value *module, const hs_value *name) {
    int64_t row = 0;
    HS_TRY(hs_pickle_find_global(m->path, module, name, &row, m->err));
    return hs_push_int(m, HS_PICKLE_GLOBAL, row);
}

static hs_status hs_op_global(hs_machine *m) {
    hs_value module, name;
    HS_TRY(hs_take_line(m, &module));
    HS_TRY(hs_take_line(m, &name));
    return hs_push_global(m, &module, &name);
}

static hs_status hs_op_stack_global(hs_machine *m) {
    hs_value *module = NULL, *name = NULL;
    HS_TRY(hs_pop(m, &name));
    HS_TRY(hs_pop(m, &module));
    if (module->kind != HS_PICKLE_STRING || name->kind != HS_PICKLE_STRING)
        return hs_damaged(m, "a global's name is not a string");
    return hs_push_global(m, module, name);
}

static hs_status hs_op_reduce(hs_machine *m) {
    hs_value *args = NULL, *function = NULL, *result = NULL;
    HS_TRY(hs_pop(m, &args));
    HS_TRY(hs_pop(m, &function));
    if (function->kind != HS_PICKLE_GLOBAL || args->kind != HS_PICKLE_TUPLE)
        return hs_damaged(m, "it calls what is not a known global, or not with a tuple");
    HS_TRY(hs_pickle_reduce(m->path, m->pickle, function->integer, args, &result, m->err));
    return hs_push(m, result);
}

/* The state of an OrderedDict (a module's _metadata): of no use here. */
static hs_status hs_op_build(hs_machine *m) {
    hs_value *state, *object = NULL;
    HS_TRY(hs_pop(m, &state));
    HS_TRY(hs_top(m, &object));
    if (object->kind != HS_PICKLE_DICT)
        return hs_damaged(m, "it sets the state of what is not an OrderedDict");
    return HS_OK;
}

static hs_status hs_op_persistent(hs_machine *m) {
    hs_value *id = NULL, *result = NULL;
    HS_TRY(hs_pop(m, &id));
    HS_TRY(hs_pickle_persistent(m->path, m->pickle, id, &result, m->err));
    return hs_push(m, result);
}

/* -------------------------------------------------------------- dispatch -- */

static hs_status hs_op_mark(hs_machine *m) {
    if (m->depth == HS_PICKLE_MAX_DEPTH)
        return hs_fail(m->err, HS_ERROR_FORMAT,
                       "%s: pickle nested more than %d containers deep at byte %zu", m->path,
                       HS_PICKLE_MAX_DEPTH, m->start);
    m->marks[m->depth++] = m->count;
    return HS_OK;
}

static hs_status hs_op_constant(hs_machine *m, int op) {
    uint64_t number = 0;
    switch (op) {
    case HS_OP_NEWTRUE: return hs_push_int(m, HS_PICKLE_BOOL, 1);
    case HS_OP_NEWFALSE: return hs_push_int(m, HS_PICKLE_BOOL, 0);
    case HS_OP_BININT:
        HS_TRY(hs_take_number(m, 4, &number));
        return hs_push_int(m, HS_PICKLE_INT, (int32_t)(uint32_t)number);
    case HS_OP_BININT1:
        HS_TRY(hs_take_number(m, 1, &number));
        return hs_push_int(m, HS_PICKLE_INT, (int64_t)number);
    case HS_OP_BININT2:
        HS_TRY(hs_take_number(m, 2, &number));
        return hs_push_int(m, HS_PICKLE_INT, (int64_t)number);
    default: return hs_push_int(m, HS_PICKLE_NONE, 0);
    }
}

static hs_status hs_op_memo(hs_machine *m, int op) {
    uint64_t index = m->memo_count;
    if (op != HS_OP_MEMOIZE)
        HS_TRY(hs_take_number(m, op == HS_OP_BINPUT ? 1 : 4, &index));
    return hs_op_put(m, index);
}

static hs_status hs_op_pop(hs_machine *m, int op) {
    hs_value *value = NULL, **items;
    if (op == HS_OP_POP)
        return hs_pop(m, &value);
    if (op == HS_OP_POP_MARK)
        return hs_pop_mark(m, &items);
    HS_TRY(hs_top(m, &value));
    return hs_push(m, value);
}

static hs_status hs_refuse_instruction(hs_machine *m, int op) {
    return hs_fail(m->err, HS_ERROR_UNSUPPORTED,
                   "%s: pickle instruction 0x%02x at byte %zu is not one that a state dict needs",
                   m->path, (unsigned)op, m->start);
}

static hs_status hs_step(hs_machine *m, int op) {
    switch (op) {
    case HS_OP_MARK: return hs_op_mark(m);
    case HS_OP_POP:
    case HS_OP_POP_MARK:
    case HS_OP_DUP: return hs_op_pop(m, op);
    case HS_OP_NONE:
    case HS_OP_NEWTRUE:
    case HS_OP_NEWFALSE:
    case HS_OP_BININT:
    case HS_OP_BININT1:
    case HS_OP_BININT2: return hs_op_constant(m, op);
    case HS_OP_LONG1: return hs_op_long(m, 1);
    case HS_OP_LONG4: return hs_op_long(m, 4);
    case HS_OP_BINFLOAT: return hs_op_float(m);
    case HS_OP_SHORT_BINSTRING:
    case HS_OP_SHORT_BINUNICODE: return hs_op_text(m, HS_PICKLE_STRING, 1);
    case HS_OP_BINSTRING:
    case HS_OP_BINUNICODE: return hs_op_text(m, HS_PICKLE_STRING, 4);
    case HS_OP_BINUNICODE8: return hs_op_text(m, HS_PICKLE_STRING, 8);
    case HS_OP_SHORT_BINBYTES: return hs_op_text(m, HS_PICKLE_BYTES, 1);
    case HS_OP_BINBYTES: return hs_op_text(m, HS_PICKLE_BYTES, 4);
    case HS_OP_BINBYTES8:
    case HS_OP_BYTEARRAY8: return hs_op_text(m, HS_PICKLE_BYTES, 8);
    case HS_OP_EMPTY_TUPLE: return hs_op_tuple(m, 0);
    case HS_OP_TUPLE1: return hs_op_tuple(m, 1);
    case HS_OP_TUPLE2: return hs_op_tuple(m, 2);
    case HS_OP_TUPLE3: return hs_op_tuple(m, 3);
    case HS_OP_TUPLE: return hs_op_collect(m, HS_PICKLE_TUPLE);
    case HS_OP_LIST: return hs_op_collect(m, HS_PICKLE_LIST);
    case HS_OP_DICT: return hs_op_collect(m, HS_PICKLE_DICT);
    case HS_OP_EMPTY_LIST: return hs_push(m, hs_pickle_new(m->pickle, HS_PICKLE_LIST));
    case HS_OP_EMPTY_DICT: return hs_push(m, hs_pickle_new(m->pickle, HS_PICKLE_DICT));
    case HS_OP_APPEND: return hs_op_add(m, HS_PICKLE_LIST, 1);
    case HS_OP_APPENDS: return hs_op_add(m, HS_PICKLE_LIST, 0);
    case HS_OP_SETITEM: return hs_op_add(m, HS_PICKLE_DICT, 2);
    case HS_OP_SETITEMS: return hs_op_add(m, HS_PICKLE_DICT, 0);
    case HS_OP_BINPUT:
    case HS_OP_LONG_BINPUT:
    case HS_OP_MEMOIZE: return hs_op_memo(m, op);
    case HS_OP_BINGET: return hs_op_get(m, 1);
    case HS_OP_LONG_BINGET: return hs_op_get(m, 4);
    case HS_OP_GLOBAL: return hs_op_global(m);
    case HS_OP_STACK_GLOBAL: return hs_op_stack_global(m);
    case HS_OP_REDUCE: return hs_op_reduce(m);
    case HS_OP_BUILD: return hs_op_build(m);
    case HS_OP_BINPERSID: return hs_op_persistent(m);
    }
    return hs_refuse_instruction(m, op);
}

/* The PROTO that begins the pickle. */
static hs_status hs_begin(hs_machine *m) {
    uint64_t op = 0, protocol = 0;
    HS_TRY(hs_take_number(m, 1, &op));
    if (op != HS_OP_PROTO)
        return hs_damaged(m, "it does not begin with a protocol number");
    HS_TRY(hs_take_number(m, 1, &protocol));
    if (protocol < 2 || protocol > 5)
        return hs_fail(m->err, HS_ERROR_UNSUPPORTED, "%s: pickle protocol %d, expected 2 to 5",
                       m->path, (int)protocol);
    return HS_OK;
}

static hs_status hs_run(hs_machine *m) {
    HS_TRY(hs_begin(m));
    for (;;) {
        uint64_t op = 0, frame;
        m->start = m->at;
        HS_TRY(hs_take_number(m, 1, &op));
        if (++m->instructions > HS_PICKLE_MAX_INSTRUCTIONS)
            return hs_fail(m->err, HS_ERROR_FORMAT,
                           "%s: pickle of more than %zu instructions: too long for a checkpoint",
                           m->path, HS_PICKLE_MAX_INSTRUCTIONS);
        if (op == HS_OP_FRAME) { /* a hint for buffering, of no use here */
            HS_TRY(hs_take_number(m, 8, &frame));
            continue;
        }
        if (op == HS_OP_STOP)
            break;
        HS_TRY(hs_step(m, (int)op));
    }
    if (m->count != 1 || m->depth)
        return hs_damaged(m, "it ends with other than one value");
    m->pickle->root = m->stack[0];
    m->pickle->size = m->at;
    return HS_OK;
}

hs_status hs_pickle_read(const char *path, const void *data, size_t size, hs_pickle *out,
                         hs_error *err) {
    *out = (hs_pickle){0};
    hs_machine machine = {.path = path, .data = data, .size = size, .pickle = out, .err = err};
    machine.capacity = 256;
    machine.stack = hs_calloc(machine.capacity, sizeof *machine.stack);
    hs_status status =
        machine.stack ? hs_run(&machine) : hs_fail_memory(err, machine.capacity * sizeof(void *));
    free(machine.stack);
    free(machine.memo);
    if (status != HS_OK)
        hs_pickle_free(out);
    return status;
}

void hs_pickle_free(hs_pickle *pickle) {
    hs_arena_free(&pickle->arena);
    *pickle = (hs_pickle){0};
}
