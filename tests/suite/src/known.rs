//! What runtimes do otherwise than their own specification, or do not do at all: declared, each with the reason, so that tests tell how often it
//! was met instead of leaving cases out.

use octet_ir::{Module, Op};

use crate::batch::Runtime;

/// A runtime's refusal of an operation that its sources list.
struct Refusal {
    runtimes: &'static [Runtime],
    mnemonics: &'static [&'static str],
    /// Part of the runtime's own words.
    words: &'static str,
    reason: &'static str,
}

const REFUSALS: &[Refusal] = &[
    Refusal {
        runtimes: LITERT,
        mnemonics: &["sqrt", "rsqrt", "log"],
        words: "is only defined for",
        reason: "LiteRT refuses at run time the root of a negative number, for which the table of our kernel (TFLM's) has an entry",
    },
    Refusal {
        runtimes: LITERT,
        mnemonics: &["div"],
        words: "data[i] != zero_point",
        reason: "LiteRT refuses at run time to divide by an integer that stands for 0; our kernel gives what the arithmetic gives",
    },
    Refusal {
        runtimes: EVERY,
        mnemonics: &["floor_div", "floor_mod"],
        words: "Division by 0",
        reason: "the runtimes refuse to floor a float division by 0, which IEEE 754 defines",
    },
    Refusal { runtimes: LITERT, mnemonics: &["if", "while"], words: "invalid value for bool", reason: TWICE },
    Refusal {
        runtimes: TFLM,
        mnemonics: &["svdf"],
        words: "the runtime ended the process",
        reason: "TFLM's float SVDF reads a bias that is left out, and crashes",
    },
];

const LITERT: &[Runtime] = &[Runtime::LiteRtReference, Runtime::LiteRtBuiltin];
const TFLM: &[Runtime] = &[Runtime::Tflm];
const EVERY: &[Runtime] = &[Runtime::LiteRtReference, Runtime::LiteRtBuiltin, Runtime::Tflm];
const TWICE: &str =
    "LiteRT hands on the data of a called graph's outputs, so that of a tensor that is an output twice the first one gets nothing";

/// What is known of one result that differs.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Whether all data that went in are finite.
    pub finite: bool,
    /// The largest distance of two elements.
    pub gap: f64,
}

/// A result of a runtime that differs from ours for a reason.
struct Difference {
    runtimes: &'static [Runtime],
    mnemonics: &'static [&'static str],
    /// Whether the module of one operation is a case of it.
    when: fn(&Module, Found) -> bool,
    reason: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        runtimes: TFLM,
        mnemonics: &["space_to_batch_nd"],
        when: |module, _| has_zero_point(module),
        reason: "TFLM's SPACE_TO_BATCH_ND never sets the value that it pads with: memory that nobody wrote, and not the zero point",
    },
    Difference {
        runtimes: &[Runtime::LiteRtReference],
        mnemonics: &["local_response_normalization"],
        when: |_, _| true,
        reason: "LiteRT's reference LOCAL_RESPONSE_NORMALIZATION leaves out the last channel of its window; the optimized one does not",
    },
    Difference {
        runtimes: &[Runtime::LiteRtReference],
        mnemonics: &["sum"],
        when: |module, _| is_quantized(module),
        reason: "LiteRT's reference SUM of quantized integers is far from the sum of the reals; the optimized one is not",
    },
    Difference {
        runtimes: &[Runtime::LiteRtBuiltin],
        mnemonics: &["sum"],
        when: |module, found| is_quantized(module) && found.gap <= 1.0,
        reason: "LiteRT's optimized SUM of quantized integers rescales in single precision: at most one unit from fixed point",
    },
    Difference { runtimes: LITERT, mnemonics: &["if", "while"], when: |module, _| gives_twice(module), reason: TWICE },
    Difference {
        runtimes: LITERT,
        mnemonics: &["lstm", "unidirectional_sequence_lstm"],
        when: |module, _| is_quantized(module),
        reason: "LiteRT's integer LSTM computes its gates with polynomials, TFLM's (and ours) with tables",
    },
    Difference {
        runtimes: LITERT,
        mnemonics: &["bidirectional_sequence_lstm"],
        when: |module, _| one_input_gate(module),
        reason: "LiteRT's BIDIRECTIONAL_SEQUENCE_LSTM gives other numbers in every run where only one direction has an input gate",
    },
    Difference {
        runtimes: EVERY,
        mnemonics: &["quantize", "cast", "fake_quant"],
        when: |_, found| !found.finite,
        reason: "what integer a NaN or an infinity becomes is undefined in C++",
    },
];

fn has_zero_point(module: &Module) -> bool {
    let graph = module.main();
    graph.outputs().iter().any(|&v| graph.ty(v).scale_zero_point().is_some_and(|(_, zero_point)| zero_point != 0))
}

fn is_quantized(module: &Module) -> bool {
    let graph = module.main();
    graph.outputs().iter().any(|&v| graph.ty(v).is_quantized())
}

/// Whether one direction of a bidirectional LSTM has an input gate and the other has not.
fn one_input_gate(module: &Module) -> bool {
    let has = |operation: &octet_ir::Operation, index| operation.operand(index).is_some();
    module.main().ops().any(|(_, operation)| has(operation, 1) != has(operation, 18))
}

fn gives_twice(module: &Module) -> bool {
    module.graphs().skip(1).any(|(_, graph)| {
        let outputs = graph.outputs();
        outputs.iter().enumerate().any(|(i, v)| outputs[..i].contains(v))
    })
}

/// The operation that a module of one operation is about.
fn only(module: &Module) -> Option<&Op> {
    module.main().ops().next().map(|(_, operation)| operation.op())
}

/// Why a runtime refuses a module of one operation in these words, if the reason is known.
#[must_use]
pub fn refusal(runtime: Runtime, module: &Module, words: &str) -> Option<&'static str> {
    let mnemonic = only(module)?.mnemonic();
    let known = |r: &&Refusal| r.runtimes.contains(&runtime) && r.mnemonics.contains(&mnemonic) && words.contains(r.words);
    REFUSALS.iter().find(known).map(|r| r.reason)
}

/// Why a runtime's result of a module of one operation differs from ours, if the reason is known.
#[must_use]
pub fn difference(runtime: Runtime, module: &Module, found: Found) -> Option<&'static str> {
    let mnemonic = only(module)?.mnemonic();
    let known = |d: &&Difference| d.runtimes.contains(&runtime) && d.mnemonics.contains(&mnemonic) && (d.when)(module, found);
    DIFFERENCES.iter().find(known).map(|d| d.reason)
}
