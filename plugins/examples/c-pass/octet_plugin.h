/* The interface octet:plugin@0.1.0, world pass-plugin, for C compiled to wasm32.
 *
 * The records of plugin.wit as the canonical ABI lays them out, the compiler's functions, and an allocator that never frees: a plugin lives
 * for one call. Define `octet_describe` and `octet_run`; include this in one file. plugin.wit says what everything means. */
#ifndef OCTET_PLUGIN_H
#define OCTET_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t octet_op_id;
typedef uint32_t octet_value_id;
typedef uint32_t octet_graph; /* a borrowed handle */

typedef struct { const char *data; size_t length; } octet_string;
typedef struct { const uint32_t *data; size_t length; } octet_ids;
typedef struct { const uint64_t *data; size_t length; } octet_sizes;
typedef struct { const uint8_t *data; size_t length; } octet_bytes;
typedef struct { uint8_t some; uint32_t id; } octet_optional_id;
typedef struct { const octet_optional_id *data; size_t length; } octet_optional_ids;

enum octet_origin { OCTET_INPUT, OCTET_CONSTANT, OCTET_COMPUTED, OCTET_VARIABLE, OCTET_UNBOUND };

typedef struct {
    octet_string ty, element;
    struct { uint8_t some; octet_sizes sizes; } sizes;
    uint8_t origin;
    octet_optional_id producer;
    octet_ids readers;
    uint8_t is_output;
    struct { uint8_t some; octet_string text; } name;
} octet_value;

typedef struct {
    octet_string mnemonic, attributes;
    octet_optional_ids operands;
    octet_ids results;
} octet_operation;

enum octet_severity { OCTET_NOTE, OCTET_WARNING, OCTET_ERROR };

typedef struct {
    uint8_t severity;
    octet_string message;
    octet_optional_id op, value;
    struct { uint8_t some; octet_string text; } help;
} octet_diagnostic;

enum octet_setting_tag { OCTET_BOOLEAN, OCTET_INTEGER, OCTET_REAL, OCTET_TEXT, OCTET_OTHER };

typedef struct {
    octet_string name;
    uint8_t tag;
    union { uint8_t boolean; int64_t integer; float real; octet_string text; } value;
} octet_option;

enum octet_ref_tag { OCTET_OLD, OCTET_NEW };
typedef struct { uint8_t tag; uint32_t id; } octet_ref;
typedef struct { uint8_t some; octet_ref ref; } octet_optional_ref;

enum octet_type_tag { OCTET_SAME_AS, OCTET_TYPE_TEXT };
typedef struct {
    struct { uint8_t tag; union { octet_value_id same_as; octet_string text; } of; } ty;
    octet_ids stands_for;
} octet_new_value;

enum octet_edit_tag { OCTET_EDIT_CONSTANT, OCTET_EDIT_OP, OCTET_EDIT_REPLACE, OCTET_EDIT_SET_OPERAND, OCTET_EDIT_SET_OP, OCTET_EDIT_ERASE };
typedef struct {
    uint8_t tag;
    union {
        struct { octet_new_value value; octet_bytes bytes; } constant;
        struct {
            octet_op_id before;
            octet_string mnemonic, attributes;
            struct { const octet_optional_ref *data; size_t length; } operands;
            struct { const octet_new_value *data; size_t length; } results;
        } op;
        struct { octet_value_id old; octet_ref by; } replace;
        struct { octet_op_id op; uint32_t operand; octet_optional_ref value; } set_operand;
        struct { octet_op_id op; octet_string mnemonic, attributes; } set_op;
        octet_op_id erase;
    } edit;
} octet_edit;

typedef struct { octet_string name, version, summary; } octet_description;

/* Edits, or diagnostics when `failed`. */
typedef struct {
    uint8_t failed;
    union {
        struct { const octet_edit *data; size_t length; } edits;
        struct { const octet_diagnostic *data; size_t length; } diagnostics;
    } answer;
} octet_answer;

/* What a plugin defines. */
octet_description octet_describe(void);
octet_answer octet_run(octet_graph graph, const octet_option *options, size_t count);

/* What the compiler gives. An absent operation or value has `some` 0. */
#define OCTET_HOST(name) __attribute__((import_module("octet:plugin/host@0.1.0"), import_name(name)))
typedef struct { uint8_t some; octet_operation it; } octet_optional_operation;
typedef struct { uint8_t some; octet_value it; } octet_optional_value;
typedef struct { uint8_t some; octet_bytes it; } octet_optional_bytes;
OCTET_HOST("[method]graph.ops") void octet_graph_ops(octet_graph, octet_ids *out);
OCTET_HOST("[method]graph.op") void octet_graph_op(octet_graph, octet_op_id, octet_optional_operation *out);
OCTET_HOST("[method]graph.value") void octet_graph_value(octet_graph, octet_value_id, octet_optional_value *out);
OCTET_HOST("[method]graph.inputs") void octet_graph_inputs(octet_graph, octet_ids *out);
OCTET_HOST("[method]graph.outputs") void octet_graph_outputs(octet_graph, octet_ids *out);
OCTET_HOST("[method]graph.constant-bytes")
void octet_graph_constant_bytes(octet_graph, octet_value_id, uint64_t offset, uint32_t length, octet_optional_bytes *out);
typedef struct { uint8_t some; uint64_t it; } octet_optional_length;
OCTET_HOST("[method]graph.constant-length") void octet_graph_constant_length(octet_graph, octet_value_id, octet_optional_length *out);
OCTET_HOST("[method]graph.name") void octet_graph_name(octet_graph, octet_string *out);
OCTET_HOST("log") void octet_log(const char *text, size_t length);
OCTET_HOST("report")
void octet_host_report(uint32_t severity, const char *message, size_t length, uint32_t has_op, octet_op_id op, uint32_t has_value,
                       octet_value_id value, uint32_t has_help, const char *help, size_t help_length);
OCTET_HOST("[resource-drop]graph") void octet_graph_drop(octet_graph);

/* Tells the user something. Errors belong into the answer of octet_run. */
static inline void octet_report(octet_diagnostic d) {
    octet_host_report(d.severity, d.message.data, d.message.length, d.op.some, d.op.id, d.value.some, d.value.id, d.help.some, d.help.text.data,
                      d.help.text.length);
}

/* What the canonical ABI asks for. */
extern unsigned char __heap_base;
static size_t octet_heap;

__attribute__((export_name("cabi_realloc"))) void *octet_realloc(void *old, size_t old_size, size_t align, size_t size) {
    if (!octet_heap) octet_heap = (size_t)&__heap_base;
    size_t begin = (octet_heap + align - 1) / align * align, end = begin + size;
    size_t have = __builtin_wasm_memory_size(0) * 65536;
    if (end < begin || (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) / 65536) == (size_t)-1)) __builtin_trap();
    octet_heap = end;
    for (size_t i = 0; i < old_size && i < size; i++) ((char *)begin)[i] = ((char *)old)[i];
    return (void *)begin;
}

static inline void *octet_alloc(size_t size) { return octet_realloc(0, 0, 8, size); }

static inline bool octet_equal(octet_string a, const char *b) {
    size_t i = 0;
    for (; i < a.length; i++)
        if (!b[i] || a.data[i] != b[i]) return false;
    return !b[i];
}

#define OCTET_STRING(text) ((octet_string){text, sizeof(text) - 1})

static octet_description octet_described;
__attribute__((export_name("octet:plugin/pass@0.1.0#describe"))) octet_description *octet_export_describe(void) {
    octet_described = octet_describe();
    return &octet_described;
}

static octet_answer octet_answered;
__attribute__((export_name("octet:plugin/pass@0.1.0#run")))
octet_answer *octet_export_run(octet_graph graph, const octet_option *options, size_t count) {
    octet_answered = octet_run(graph, options, count);
    octet_graph_drop(graph);
    return &octet_answered;
}

/* Freestanding C may call these. */
void *memcpy(void *to, const void *from, size_t n) {
    for (size_t i = 0; i < n; i++) ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}
void *memset(void *to, int value, size_t n) {
    for (size_t i = 0; i < n; i++) ((volatile char *)to)[i] = (char)value;
    return to;
}

#endif
