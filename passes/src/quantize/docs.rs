//! The rule table as a page for people: `docs/quantization.md` is this text.

use std::fmt::Write as _;

use octet_ir::Op;

use crate::calibrate::METHODS;

use super::hybrid::hybrid_weights;
use super::params::Width;
use super::rules::{Kernels, Outcome, Role, Rule, Special, rule};

/// Every operation with default attributes, in the order of declaration.
pub(super) fn operations() -> impl Iterator<Item = Op> {
    Op::mnemonics().filter_map(|name| Op::from_attributes(name, Vec::new()).ok())
}

/// The page.
pub fn docs() -> String {
    let mut page = String::from(
        "# Quantization rules\n\n\
         <!-- Generated from passes/src/quantize/rules.rs: run `cargo xtask docs` after changing it there. -->\n\n\
         What `quantize` knows of each operation. *Activations* are int8, asymmetric, over [-128, 127], or int16 and symmetric in the 16x8 scheme;\n\
         *filters* are int8 over [-127, 127], symmetric, with a scale per output channel; a *bias* is int32 (int64 in 16x8) and has the product of\n\
         both scales. Operands and results that are *shared* have one scale and zero point among them: the union of their ranges, unless a kernel\n\
         or training prescribes it. A *fixed* result has the scale that its kernel prescribes.\n\n\
         Three rules go beyond an operation's own:\n\n\
         - An addend that nothing else reads takes the range of the sum too, unless that would more than double its own: it then has the sum's\n  \
           scale or one close to it, and the addition does not round it a second time. (Int8 only.)\n\
         - A fully connected layer of fewer than 8 inputs has one scale where rounding with it moves no output by more than two quanta: scales per\n  \
           unit would take more bytes than the filter.\n\
         - What SOFTMAX alone reads is ranged no deeper than SOFTMAX can see, nor are masks that are added to it, minus infinity included: the floor\n  \
           is the smallest maximum of a row, less ln(512 n) for rows of n (ln(65536 n) in 16x8). What is raised to it adds, all together,\n  \
           less than half a step to any result; `passes/src/calibrate/floor.rs` has the rule.\n\n\
         Dynamic-range leaves an operation in float where int8 would cost more bytes than it saves, and where its weights are fewer than 1024 and\n\
         less than a hundredth of the model's: the kernels round activations too, which costs accuracy.\n\n\
         LiteRT and TFLM stand for the runtimes whose kernels take the types; *decomposed* means that equal operations with kernels take its place.\n\
         The last column names the operands that the float kernels take in int8 (dynamic-range).\n\n",
    );
    page +=
        "## Choosing ranges\n\n`octet compile --ranges METHOD`, or `calibrate{method = \"METHOD\"}`:\n\n| method | range |\n|---|---|\n";
    for method in METHODS {
        let _ = writeln!(page, "| `{}` | {} |", method.name, method.summary);
    }
    page += "\nData are run through the main graph, with everything that it calls. A signature whose graph it does not call \
        gets no ranges: `CAL006` names\nit, its tensors stay in float, and int8-only refuses them. \
        `CAL007` warns of an input whose samples all hold one number.\n";
    page += "\n## Operations\n\n| operation | operands | results | int8 | int16x8 | dynamic-range |\n|---|---|---|---|---|---|\n";
    for op in operations() {
        let (int8, int16) = (rule(&op, Width::I8), rule(&op, Width::I16));
        let table = if int8.kernels == Kernels::NONE && int16.kernels != Kernels::NONE { int16 } else { int8 };
        if table.kernels == Kernels::NONE && table.special != Special::Decompose {
            continue;
        }
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            op.mnemonic().to_uppercase(),
            operands(&op, &table),
            results(&int8, &int16),
            kernels(&int8),
            kernels(&int16),
            hybrid(&op)
        );
    }
    let float: Vec<String> = operations()
        .filter(|op| [Width::I8, Width::I16].iter().all(|&w| rule(op, w).kernels == Kernels::NONE && rule(op, w).special == Special::None))
        .map(|op| match hybrid(&op) {
            empty if empty.is_empty() => op.mnemonic().to_uppercase(),
            operands => format!("{} (dynamic-range: {operands})", op.mnemonic().to_uppercase()),
        })
        .collect();
    let _ = writeln!(page, "\nNo runtime has an integer kernel for: {}.", float.join(", "));
    page
}

fn operands(op: &Op, rule: &Rule) -> String {
    let spec = op.operand_spec();
    let names: Vec<String> = spec.iter().enumerate().map(|(i, operand)| role(operand.name, rule.role(i))).collect();
    if rule.special == Special::Decompose { String::new() } else { names.join(", ") }
}

fn role(name: &str, role: Role) -> String {
    match role {
        Role::Activation => name.to_owned(),
        Role::Shared => format!("{name} *shared*"),
        Role::Weight { axis } => format!("{name} *filter, axis {axis}*"),
        Role::Bias { .. } => format!("{name} *bias*"),
        Role::Carried => format!("{name} *as passed*"),
        Role::Plain => format!("({name})"),
    }
}

fn results(int8: &Rule, int16: &Rule) -> String {
    let one = |outcome: Outcome| match outcome {
        Outcome::Free => "free".to_owned(),
        Outcome::Shared => "*shared*".to_owned(),
        Outcome::Fixed(p) => format!("*fixed* {} : {}", p.scale, p.zero_point),
        Outcome::Carried => "*as passed*".to_owned(),
        Outcome::Plain => "(plain)".to_owned(),
    };
    let side = |rule: &Rule| rule.results.iter().map(|o| one(*o)).collect::<Vec<_>>().join(", ");
    let known = |rule: &Rule| rule.kernels != Kernels::NONE;
    match (known(int8), known(int16)) {
        (true, true) if side(int8) != side(int16) => format!("{}; int16 {}", side(int8), side(int16)),
        (true, _) => side(int8),
        (false, true) => side(int16),
        (false, false) => String::new(),
    }
}

fn kernels(rule: &Rule) -> &'static str {
    match (rule.special, rule.kernels) {
        (Special::Decompose, _) => "decomposed",
        (_, Kernels { litert: true, tflm: true }) => "LiteRT, TFLM",
        (_, Kernels { litert: true, tflm: false }) => "LiteRT",
        (_, Kernels { litert: false, tflm: true }) => "TFLM",
        (_, Kernels { litert: false, tflm: false }) => "float",
    }
}

fn hybrid(op: &Op) -> String {
    let weights = hybrid_weights(op);
    let names = weights.iter().map(|w| op.operand_spec().get(w.operand).map_or_else(|| w.operand.to_string(), |o| o.name.to_owned()));
    names.collect::<Vec<_>>().join(", ")
}
