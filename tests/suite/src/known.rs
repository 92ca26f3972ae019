//! What runtimes do otherwise than their own specification, or do not do at all: declared, each with the reason, so that tests tell how often it
//! was met instead of leaving cases out.

use octet_ir::ops::UnaryKind;
use octet_ir::{ElementType, Graph, Module, Op, Operation, ValueId};

use crate::batch::Runtime;

/// A runtime's refusal of an operation that its sources list.
struct Refusal {
    runtimes: &'static [Runtime],
    mnemonics: &'static [&'static str],
    /// Part of the runtime's own words.
    words: &'static str,
    /// Whether the module of one operation is a case of it.
    when: fn(&Module) -> bool,
    reason: &'static str,
}

const REFUSALS: &[Refusal] = &[
    Refusal {
        runtimes: LITERT,
        mnemonics: &["sqrt", "rsqrt", "log"],
        words: "is only defined for",
        when: |_| true,
        reason: "LiteRT refuses at run time the root of a negative number, for which the table of our kernel (TFLM's) has an entry",
    },
    Refusal {
        runtimes: LITERT,
        mnemonics: &["div"],
        words: "data[i] != zero_point",
        when: |_| true,
        reason: "LiteRT refuses at run time to divide by an integer that stands for 0; our kernel gives what the arithmetic gives",
    },
    Refusal {
        runtimes: EVERY,
        mnemonics: &["floor_div", "floor_mod"],
        words: "Division by 0",
        when: |_| true,
        reason: "the runtimes refuse to floor a float division by 0, which IEEE 754 defines",
    },
    Refusal { runtimes: LITERT, mnemonics: &["if", "while"], words: "invalid value for bool", when: |_| true, reason: TWICE },
    Refusal {
        runtimes: TFLM,
        mnemonics: &["svdf"],
        words: "the runtime ended the process",
        when: |_| true,
        reason: "TFLM's float SVDF reads a bias that is left out, and crashes",
    },
    Refusal {
        runtimes: LITERT,
        mnemonics: &["depthwise_conv_2d"],
        words: "the runtime ended the process",
        when: |module| module.graphs().any(|(_, graph)| graph.ops().any(|(_, o)| is_unbiased(graph, o))),
        reason: "LiteRT's DEPTHWISE_CONV_2D of a uint8 or 4-bit filter reads a bias that is left out, and crashes",
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
    /// Whether all data that went in are finite, and none the largest number, which stands for an infinity in empty reductions.
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
        mnemonics: &["if", "while"],
        when: |module, _| gives_shape(module),
        reason: "LiteRT writes a shape while it prepares: of one that a called graph gives, the caller sees nothing",
    },
    Difference {
        runtimes: &[Runtime::LiteRtReference],
        mnemonics: &["if", "while", "call"],
        when: |module, _| calls_response_normalization(module),
        reason: "LiteRT's reference LOCAL_RESPONSE_NORMALIZATION stands in a called graph",
    },
    Difference {
        runtimes: LITERT,
        mnemonics: &["softmax"],
        when: |module, found| is_quantized(module) && found.gap <= 1.0,
        reason: "LiteRT makes the table of its 16-bit SOFTMAX in double precision, TFLM (and we) in single precision: at most one unit",
    },
    Difference {
        runtimes: LITERT,
        mnemonics: &["reduce_prod"],
        when: |module, _| is_quantized(module) && module.main().inputs().is_empty(),
        reason: "LiteRT multiplies quantized constants up before it knows their scales",
    },
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
        runtimes: LITERT,
        mnemonics: &["if", "while"],
        when: |module, _| has_wide_exp(module),
        reason: "the table of a 16-bit EXP of large numbers has infinities, and what integer they become is undefined in C++",
    },
    Difference {
        runtimes: &[Runtime::LiteRtBuiltin],
        mnemonics: &["quantize"],
        when: |module, found| is_quantized(module) && found.gap <= 1.0,
        reason: "LiteRT's optimized QUANTIZE rounds ties to even, its reference away from zero: at most one unit",
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

/// Whether an operation is a depthwise convolution of a uint8 or 4-bit filter without a bias.
fn is_unbiased(graph: &Graph, operation: &Operation) -> bool {
    let elem = operation.operand(1).map(|v| graph.ty(v).elem);
    matches!(operation.op(), Op::DepthwiseConv2d(_))
        && matches!(elem, Some(ElementType::I4 | ElementType::U8))
        && operation.operand(2).is_none()
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

/// Whether a called graph gives what SHAPE or RANK computes from it.
fn gives_shape(module: &Module) -> bool {
    let early = |op: &Op| matches!(op, Op::ShapeOf(_) | Op::Rank(_));
    module.graphs().skip(1).any(|(_, graph)| graph.outputs().iter().any(|v| graph.producer(*v).is_some_and(|(_, o)| early(o.op()))))
}

fn calls_response_normalization(module: &Module) -> bool {
    module.graphs().skip(1).any(|(_, graph)| graph.ops().any(|(_, o)| matches!(o.op(), Op::LocalResponseNormalization(_))))
}

/// Whether a called graph computes EXP on 16 bits from numbers whose exponential no float holds.
fn has_wide_exp(module: &Module) -> bool {
    const LARGEST: f32 = 88.0;
    let wide = |graph: &Graph, v: ValueId| {
        graph.ty(v).elem == ElementType::I16 && graph.ty(v).scale_zero_point().is_some_and(|(s, _)| s * 32767.0 > LARGEST)
    };
    let is_wide = |graph: &Graph, o: &Operation| {
        matches!(o.op(), Op::Unary(u) if u.kind == UnaryKind::Exp) && o.operand(0).is_some_and(|v| wide(graph, v))
    };
    module.graphs().skip(1).any(|(_, graph)| graph.ops().any(|(_, o)| is_wide(graph, o)))
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
    // What a called graph refuses, the caller refuses.
    let met = |r: &Refusal| module.graphs().any(|(_, graph)| graph.ops().any(|(_, o)| r.mnemonics.contains(&o.op().mnemonic())));
    let known = |r: &&Refusal| r.runtimes.contains(&runtime) && met(r) && words.contains(r.words) && (r.when)(module);
    REFUSALS.iter().find(known).map(|r| r.reason)
}

/// Why a runtime's result of a module of one operation differs from ours, if the reason is known.
#[must_use]
pub fn difference(runtime: Runtime, module: &Module, found: Found) -> Option<&'static str> {
    let mnemonic = only(module)?.mnemonic();
    let known = |d: &&Difference| d.runtimes.contains(&runtime) && d.mnemonics.contains(&mnemonic) && (d.when)(module, found);
    DIFFERENCES.iter().find(known).map(|d| d.reason)
}
