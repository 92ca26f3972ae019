/* Fuses log(softmax(x)), as exporters write it, into one log_softmax.
 *
 * Legal for f32 when nothing else reads the softmax and its beta is 1. With {keep_names = true} the result keeps the name of the softmax too. */
#include "octet_plugin.h"

octet_description octet_describe(void) {
    return (octet_description){
        .name = OCTET_STRING("fuse-log-softmax"),
        .version = OCTET_STRING("1.0.0"),
        .summary = OCTET_STRING("Fuses log(softmax(x)) into one LOG_SOFTMAX."),
    };
}

static octet_answer wrong_option(void) {
    octet_diagnostic *why = octet_alloc(sizeof *why);
    *why = (octet_diagnostic){.severity = OCTET_ERROR, .message = OCTET_STRING("the only option is keep_names, true or false")};
    return (octet_answer){.failed = 1, .answer.diagnostics = {why, 1}};
}

octet_answer octet_run(octet_graph graph, const octet_option *options, size_t count) {
    bool keep_names = false;
    for (size_t i = 0; i < count; i++) {
        if (!octet_equal(options[i].name, "keep_names") || options[i].tag != OCTET_BOOLEAN) return wrong_option();
        keep_names = options[i].value.boolean;
    }
    octet_ids ops;
    octet_graph_ops(graph, &ops);
    octet_edit *edits = octet_alloc(2 * ops.length * sizeof *edits);
    size_t edited = 0, made = 0;
    for (size_t i = 0; i < ops.length; i++) {
        octet_optional_operation log, softmax;
        octet_graph_op(graph, ops.data[i], &log);
        if (!log.some || !octet_equal(log.it.mnemonic, "log")) continue;
        octet_value_id between = log.it.operands.data[0].id, result = log.it.results.data[0];
        octet_optional_value value;
        octet_graph_value(graph, between, &value);
        if (!value.some || !octet_equal(value.it.element, "f32") || !value.it.producer.some || value.it.readers.length != 1 || value.it.is_output)
            continue;
        octet_graph_op(graph, value.it.producer.id, &softmax);
        /* beta is 1 when it is left out. */
        if (!octet_equal(softmax.it.mnemonic, "softmax") || softmax.it.attributes.length) continue;

        octet_optional_ref *operand = octet_alloc(sizeof *operand);
        *operand = (octet_optional_ref){1, {OCTET_OLD, softmax.it.operands.data[0].id}};
        uint32_t *names = octet_alloc(2 * sizeof *names);
        names[0] = between;
        names[1] = result;
        octet_new_value *fused = octet_alloc(sizeof *fused);
        *fused = (octet_new_value){.ty = {.tag = OCTET_SAME_AS, .of.same_as = result}, .stands_for = {keep_names ? names : names + 1, keep_names ? 2 : 1}};
        edits[edited++] = (octet_edit){
            .tag = OCTET_EDIT_OP,
            .edit.op = {.before = ops.data[i], .mnemonic = OCTET_STRING("log_softmax"), .operands = {operand, 1}, .results = {fused, 1}},
        };
        edits[edited++] = (octet_edit){.tag = OCTET_EDIT_REPLACE, .edit.replace = {.old = result, .by = {OCTET_NEW, made++}}};
    }
    return (octet_answer){.answer.edits = {edits, edited}};
}
