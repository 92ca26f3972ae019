/* The custom operation AcmeSquaredRelu: min(max(x, 0)^2, limit), for f32, and for i8 with one scale.
 *
 * Its options are empty, or the limit as one f32. */
#include "octet_kernel.h"

const char *octet_describe(void) {
    return "AcmeSquaredRelu\n"
           "1.0.0\n"
           "The square of what is above zero, up to a limit.";
}

const char *octet_infer(octet_call *call) {
    if (call->operand_count != 1 || !call->operands[0].present) return "AcmeSquaredRelu has one operand";
    if (call->options_size != 0 && call->options_size != 4) return "the options are one f32, the limit, or nothing";
    const octet_tensor *x = &call->operands[0];
    if (x->element != OCTET_F32 && (x->element != OCTET_I8 || x->scale_count != 1)) return "x must be f32, or i8 with one scale";
    if (x->rank > 8) return "x has more than 8 axes";
    call->result_count = 1;
    octet_like(&call->results[0], x);
    return 0;
}

static float squared_relu(float x, float limit) {
    if (!(x > 0)) return 0;
    return x * x < limit ? x * x : limit;
}

const char *octet_run(octet_call *call) {
    const octet_tensor *x = &call->operands[0];
    octet_tensor *y = &call->results[0];
    float limit = __builtin_inff();
    if (call->options_size == 4) limit = *(const float *)call->options;
    size_t count = octet_elements(x);
    if (x->element == OCTET_F32) {
        const float *from = x->data;
        float *to = y->data;
        for (size_t i = 0; i < count; i++) to[i] = squared_relu(from[i], limit);
        return 0;
    }
    if (y->scale_count != 1) return "the result must have one scale";
    const int8_t *from = x->data;
    int8_t *to = y->data;
    for (size_t i = 0; i < count; i++) {
        float real = squared_relu((float)(from[i] - x->zero_points[0]) * x->scales[0], limit);
        float stored = __builtin_rintf(real / y->scales[0]) + (float)y->zero_points[0];
        to[i] = stored < -128 ? -128 : stored > 127 ? 127 : (int8_t)stored;
    }
    return 0;
}
