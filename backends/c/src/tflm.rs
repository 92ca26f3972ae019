//! For TFLite Micro: a `.tflite` file that it can run, with our memory plan in it, and the same as a C array with what its users otherwise guess.
//!
//! The plan travels as `OfflineMemoryAllocation` metadata, which unmodified TFLite Micro follows. Nothing lies over anything else there: its
//! kernels are not ours.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use octet_ir::{Diagnostic, Diagnostics, ElementType, Metadata, Module, Op};
use octet_loops::plan::{PlanOptions, TensorPlan, plan_tensors};
use octet_plugin::Artifact;

use crate::arena::{self, Machine, Release};
use crate::model::identifier;

/// The name of the metadata entry that TFLite Micro's allocator reads.
const METADATA: &str = "OfflineMemoryAllocation";

/// A model for TFLite Micro.
pub(crate) struct Micro {
    /// The file.
    pub(crate) file: Vec<u8>,
    /// Where tensors lie; none for models of several graphs, which the metadata cannot describe.
    pub(crate) plan: Option<TensorPlan>,
    /// The arena of each kind of machine, where it is known.
    arenas: Option<Arenas>,
    module: Module,
}

/// The least arenas. Where releases of TFLite Micro differ: the largest.
struct Arenas {
    arm: usize,
    /// Arm's with the sources of August 2026.
    arm_before: usize,
    other: usize,
    host: usize,
    package: usize,
}

impl Arenas {
    fn of(module: &Module, plan: &TensorPlan) -> Option<Self> {
        let least = |machine| {
            let [august, october] = [Release::August, Release::October].map(|release| arena::least(module, plan, machine, release));
            Some((august?, october?))
        };
        let most = |machine| least(machine).map(|(august, october)| august.max(october));
        Some(Self {
            arm: most(Machine::Arm32)?,
            arm_before: least(Machine::Arm32)?.0,
            other: most(Machine::Other32)?,
            host: most(Machine::Host64)?,
            package: least(Machine::Package)?.1,
        })
    }
}

/// Checks a module against TFLite Micro's kernels, plans it and writes the file.
///
/// # Errors
/// Everything that TFLite Micro cannot run, operation by operation.
pub(crate) fn micro(module: &Module) -> Result<Micro, Diagnostics> {
    let profile = octet_targets::profile("tflm")?;
    let mut module = module.clone();
    crate::legalise::legalise(&mut module)?;
    let refused = Diagnostics(profile.check(&module));
    if refused.has_errors() {
        return Err(refused);
    }
    module.compact();
    module.metadata.retain(|m| m.name != METADATA);
    let plan = (module.graphs().count() == 1).then(|| plan_tensors(module.main(), &PlanOptions::default()));
    if let Some(plan) = &plan {
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let mut words = vec![1, 0, number(plan.offsets.len())];
        words.extend(plan.offsets.iter().map(|o| o.map_or(-1, number)));
        let bytes: Vec<u8> = words.into_iter().flat_map(i32::to_le_bytes).collect();
        module.metadata.push(Metadata { name: METADATA.into(), bytes: bytes.into() });
    }
    let file = octet_backend_tflite::write(&module, &octet_backend_tflite::WriteOptions::default())?.into_bytes().to_vec();
    let arenas = plan.as_ref().and_then(|plan| Arenas::of(&module, plan));
    Ok(Micro { file, plan, arenas, module })
}

/// An upper bound of what TFLite Micro keeps for tensors, operations and their parameters, for models whose arena is not known to the byte.
fn persistent(module: &Module) -> usize {
    let mut bytes = 4096;
    for (_, graph) in module.graphs() {
        bytes += 64 * graph.values().count() + 320 * graph.op_count() + 256 * (graph.inputs().len() + graph.outputs().len());
        for (_, operation) in graph.ops() {
            // Multipliers and shifts per output channel.
            let channels = match operation.op() {
                Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::TransposeConv(_) | Op::FullyConnected(_) => {
                    operation.operand(1).and_then(|w| graph.ty(w).quant.as_ref()).map_or(0, |q| q.scales().len())
                }
                _ => 0,
            };
            bytes += 8 * channels + 32;
        }
    }
    bytes
}

/// The files of target `c-array`.
pub(crate) fn array(module: &Module, name: &str, notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
    let micro = micro(module)?;
    let message = match &micro.arenas {
        Some(Arenas { arm, host, .. }) => {
            format!("TFLite Micro needs an arena of {arm} bytes on Arm and of {host} where pointers have 64 bits")
        }
        None => "the arena size is a bound: not all of these operations say what they need".into(),
    };
    notes.push(Diagnostic::note("CGN004", message));
    let name = identifier(name);
    let file = |path: String, text: String| Artifact { path: Some(path), bytes: text.into_bytes() };
    Ok(vec![
        file(format!("{name}_data.h"), header(&micro, &name)),
        file(format!("{name}_data.c"), data(&micro, &name)),
        file(format!("{name}_resolver.h"), resolver(&micro.module, &name)),
        Artifact { path: Some(format!("{name}.tflite")), bytes: micro.file },
    ])
}

fn header(micro: &Micro, name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let tensors = micro.plan.as_ref().map_or(0, |p| p.size);
    let mut text = format!("/* Made by Octet. */\n#ifndef {upper}_DATA_H\n#define {upper}_DATA_H\n\n#include <stdint.h>\n\n");
    text.push_str("#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    let _ = writeln!(
        text,
        "/* The model, aligned as TFLite Micro wants it. */\n#define {name}_data_size {}\nextern const uint8_t {name}_data[{name}_data_size];\n",
        micro.file.len()
    );
    if let Some(plan) = &micro.plan {
        let _ = writeln!(
            text,
            "/* Bytes of all tensors by the plan in the model's {METADATA} entry; no plan of this order is below {}. */",
            plan.lower_bound
        );
        let _ = writeln!(text, "#define {upper}_TENSOR_BYTES {tensors}\n");
        text.push_str(&arena_size(micro, &upper, tensors));
    }
    text.push_str("#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    text
}

/// The arena's size, for the machine that the header is compiled for.
fn arena_size(micro: &Micro, upper: &str, tensors: usize) -> String {
    let Some(Arenas { arm, arm_before, other, host, package }) = &micro.arenas else {
        let size = tensors + persistent(&micro.module);
        return format!(
            "/* Tensors and a bound of what TFLite Micro keeps besides: not all of these operations say what they need.\n   \
             The bound is reckoned, not measured. */\n\
             #define {upper}_ARENA_SIZE {size}\n\n"
        );
    };
    format!(
        "/* The least bytes of an arena, aligned to 16, in which TFLite Micro with its reference kernels starts and runs, computed by its allocator's\n   \
         rules: on Arm, on other machines with pointers of 32 bits, and of 64. Sources of October 2026 keep up to 16 bytes more for each\n   \
         FULLY_CONNECTED than those of August, which is why there is a figure for these; it was held against running networks, the others were not.\n   \
         Optimized kernels may ask for scratch memory besides. */\n\
         #define {upper}_ARENA_SIZE_ARM {arm}\n#define {upper}_ARENA_SIZE_ARM_2026_08 {arm_before}\n\
         #define {upper}_ARENA_SIZE_32 {other}\n#define {upper}_ARENA_SIZE_64 {host}\n\
         /* The same in the Python package tflite-micro of October 2026, whose allocator takes notes. */\n\
         #define {upper}_ARENA_SIZE_PYTHON {package}\n\
         #if UINTPTR_MAX > 0xffffffffu\n#define {upper}_ARENA_SIZE {upper}_ARENA_SIZE_64\n#elif defined(__arm__)\n\
         #define {upper}_ARENA_SIZE {upper}_ARENA_SIZE_ARM\n#else\n#define {upper}_ARENA_SIZE {upper}_ARENA_SIZE_32\n#endif\n\n"
    )
}

fn data(micro: &Micro, name: &str) -> String {
    let mut text =
        format!("/* Made by Octet. */\n#include \"{name}_data.h\"\n\n#if defined(__GNUC__)\n__attribute__((aligned(16)))\n#endif\n");
    let _ = writeln!(text, "const uint8_t {name}_data[{name}_data_size] = {{");
    for line in micro.file.chunks(20) {
        let line: Vec<String> = line.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "    {},", line.join(", "));
    }
    text.push_str("};\n");
    text
}

/// The registration of exactly the operations that the model has.
fn resolver(module: &Module, name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let mut lines = BTreeSet::new();
    for (_, graph) in module.graphs() {
        let mut kinds: std::collections::BTreeMap<String, bool> = std::collections::BTreeMap::new();
        for (_, operation) in graph.ops() {
            let int8 = operation
                .results()
                .iter()
                .chain(operation.operands().iter().flatten().take(1))
                .all(|&v| graph.ty(v).elem == ElementType::I8);
            let all = kinds.entry(operation.op().mnemonic().to_owned()).or_insert(true);
            *all &= int8;
            if let Op::Custom(custom) = operation.op() {
                lines.insert(format!("    // the custom operation {}: AddCustom with its registration", custom.name.replace('\n', " ")));
            }
        }
        for (mnemonic, int8) in kinds.into_iter().filter(|(m, _)| m != "custom") {
            let registration = if int8 && INT8.contains(&mnemonic.as_str()) {
                format!("tflite::Register_{}_INT8()", mnemonic.to_uppercase())
            } else {
                String::new()
            };
            lines.insert(format!("    TF_LITE_ENSURE_STATUS(resolver.Add{}({registration}));", method(&mnemonic)));
        }
    }
    let count = lines.iter().filter(|l| l.contains("ENSURE")).count().max(1);
    let lines: Vec<String> = lines.into_iter().collect();
    format!(
        "// Made by Octet: the operations of {name}, and no others.\n#ifndef {upper}_RESOLVER_H\n#define {upper}_RESOLVER_H\n\n\
         #include \"tensorflow/lite/micro/micro_mutable_op_resolver.h\"\n\nusing {name}_resolver = tflite::MicroMutableOpResolver<{count}>;\n\n\
         inline TfLiteStatus {name}_add_ops({name}_resolver& resolver) {{\n{}\n    return kTfLiteOk;\n}}\n\n#endif\n",
        lines.join("\n")
    )
}

/// Operations whose registration for int8 alone links less code.
const INT8: [&str; 16] = [
    "add",
    "average_pool_2d",
    "batch_matmul",
    "conv_2d",
    "depthwise_conv_2d",
    "fully_connected",
    "max_pool_2d",
    "maximum",
    "minimum",
    "mul",
    "pad",
    "softmax",
    "svdf",
    "transpose",
    "transpose_conv",
    "unidirectional_sequence_lstm",
];

/// `conv_2d` -> `Conv2D`, as the resolver's methods are named.
fn method(mnemonic: &str) -> String {
    let part = |part: &str| match part {
        "2d" => "2D".to_owned(),
        "3d" => "3D".to_owned(),
        "matmul" => "MatMul".to_owned(),
        "lstm" => "LSTM".to_owned(),
        other => other[..1].to_uppercase() + &other[1..],
    };
    mnemonic.split('_').filter(|p| !p.is_empty()).map(part).collect()
}
