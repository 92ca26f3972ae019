/* The ABI of kernels, version 1 (docs/wasm-kernel-abi.md), for C compiled to wasm32.
 *
 * The records, an allocator that never frees (a kernel lives for one call), and the exports. Define `octet_describe`, `octet_infer` and `octet_run`; include
 * this in one file. */
#ifndef OCTET_KERNEL_H
#define OCTET_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum octet_element {
    OCTET_F32 = 0, OCTET_F16 = 1, OCTET_I32 = 2, OCTET_U8 = 3, OCTET_I64 = 4, OCTET_BOOL = 6, OCTET_I16 = 7,
    OCTET_I8 = 9, OCTET_F64 = 10, OCTET_U64 = 12, OCTET_U32 = 15, OCTET_U16 = 16, OCTET_I4 = 17, OCTET_BF16 = 18,
};

typedef struct {
    uint32_t present; /* 0: an optional operand that is left out */
    uint32_t element;
    uint32_t rank;
    uint32_t *sizes;
    void *data; /* NULL while types are inferred */
    uint32_t size; /* bytes */
    uint32_t scale_count; /* 0: not quantized, 1: per tensor, more: per index along `axis` */
    const float *scales;
    const int32_t *zero_points;
    uint32_t axis;
    uint32_t reserved[2];
} octet_tensor;

typedef struct {
    const octet_tensor *operands;
    uint32_t operand_count;
    octet_tensor *results;
    uint32_t result_count;
    const uint8_t *options;
    uint32_t options_size;
    uint32_t reserved[2];
} octet_call;

_Static_assert(sizeof(octet_tensor) == 48 && sizeof(octet_call) == 32, "the records are those of wasm32");

/* What a kernel defines. `octet_describe` gives three lines: the custom operation's name, version, one sentence. The others give NULL, or a message. */
const char *octet_describe(void);
const char *octet_infer(octet_call *call);
const char *octet_run(octet_call *call);

#define OCTET_EXPORT(name) __attribute__((export_name(name)))

OCTET_EXPORT("octet_kernel_abi_1") void octet_export_abi(void) {}
OCTET_EXPORT("octet_kernel_describe") const char *octet_export_describe(void) { return octet_describe(); }
OCTET_EXPORT("octet_kernel_infer") const char *octet_export_infer(octet_call *call) { return octet_infer(call); }
OCTET_EXPORT("octet_kernel_run") const char *octet_export_run(octet_call *call) { return octet_run(call); }

extern unsigned char __heap_base;
static size_t octet_heap;

/* Bytes aligned to 16; NULL when there are none. */
OCTET_EXPORT("octet_kernel_alloc") void *octet_alloc(size_t size) {
    if (!octet_heap) octet_heap = (size_t)&__heap_base;
    size_t begin = (octet_heap + 15) / 16 * 16, end = begin + size;
    size_t have = __builtin_wasm_memory_size(0) * 65536;
    if (end < begin || end > SIZE_MAX - 65535) return 0;
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) / 65536) == (size_t)-1) return 0;
    octet_heap = end;
    return (void *)begin;
}

/* Elements of a tensor. */
static inline size_t octet_elements(const octet_tensor *tensor) {
    size_t count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) count *= tensor->sizes[i];
    return count;
}

/* A result of the element type and sizes of an operand. */
static inline void octet_like(octet_tensor *result, const octet_tensor *operand) {
    result->element = operand->element;
    result->rank = operand->rank;
    for (uint32_t i = 0; i < operand->rank; i++) result->sizes[i] = operand->sizes[i];
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
