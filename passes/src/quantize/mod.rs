//! Quantization: annotate, solve, materialise.
//!
//! Ranges stand on values (written by `calibrate`, or pinned in the text form). `rules` says what each kernel wants, `solve` decides what
//! is computed in integers and which scales are shared, `materialise` changes types and constants in one patch per graph. The modes that
//! change constants only are in `weight_only`. What was done, and what was not and why, is a [`Report`].
//!
//! Nothing here runs a model: ranges that are missing are reported, never guessed.

mod adopt;
mod choose;
mod classes;
mod contract;
mod decompose;
mod docs;
mod hybrid;
mod limits;
mod materialise;
mod options;
mod params;
mod recurrent;
mod report;
mod rules;
mod solve;
mod weight_only;
mod weights;

use octet_ir::{Diagnostic, Diagnostics, Module};
use octet_plugin::{Options, Pass, PassContext};

pub use docs::docs;
pub use hybrid::{HybridWeight, hybrid_weights};
pub use options::{Io, Mode, QuantizeOptions, Runtime};
pub use params::{Bounds, Params, Width};
pub use report::{OpReport, Report, Status, TensorReport};
pub use rules::{Kernels, Outcome, Role, Rule, Special, rule};

use choose::Goal;
use materialise::materialise;
use solve::Solution;

octet_plugin::register_pass!("quantize", "Turns reals into integers by the ranges that stand on values, in one of five modes.", create);

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    Ok(Box::new(Quantize { options: QuantizeOptions::parse(options)? }))
}

/// The `quantize` pass.
struct Quantize {
    options: QuantizeOptions,
}

impl Pass for Quantize {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        let before = module.clone();
        let report = quantize(module, &self.options, &mut |what| context.observer.may_patch("quantize", what))?;
        for note in &report.notes {
            context.observer.report(note.clone());
        }
        if let Ok(data) = octet_ir::to_attr(&report) {
            context.observer.record(data);
        }
        Ok(*module != before)
    }
}

/// Quantizes a module. `may` is asked before each patch.
///
/// # Errors
/// In `int8-only`, one `QNT003` for every operation that cannot be int8, with its tensor and the reason. `QNT005` for inputs and outputs
/// that cannot have the type asked for.
pub fn quantize(module: &mut Module, options: &QuantizeOptions, may: &mut dyn FnMut(&str) -> bool) -> Result<Report, Diagnostics> {
    options.check()?;
    let mut report = Report::new(options.mode);
    if !matches!(options.mode, Mode::Int8 | Mode::Int8Only) {
        adopt::restore_clamps(module)?;
    }
    match options.mode {
        Mode::DynamicRange => {
            weight_only::dynamic_range(module, options.runtime, &mut report, may)?;
            weight_only::plain_floats(module)?;
        }
        Mode::Float16 => {
            weight_only::float16(module, &mut report, may)?;
            weight_only::plain_floats(module)?;
        }
        Mode::Int8 | Mode::Int8Only => report = integer(module, options, Width::I8, may)?,
        Mode::Int16x8 => report = integer(module, options, Width::I16, may)?,
    }
    report.notes.extend(contract::quantized_before(module, &report));
    Ok(report)
}

fn integer(module: &mut Module, options: &QuantizeOptions, width: Width, may: &mut dyn FnMut(&str) -> bool) -> Result<Report, Diagnostics> {
    adopt::weights_as_reals(module, width)?;
    decompose::decompose(module, width, options.runtime, may)?;
    // Ids and the distance between operations start afresh: the rewrite inserts many.
    module.compact();
    let goal = Goal { width, runtime: options.runtime, integer_io: options.io() != Io::Float32, strict: options.mode == Mode::Int8Only };
    let solution = Solution::new(module, goal);
    let mut report = Report::of(module, &solution, options.mode);
    if options.mode == Mode::Int8Only {
        contract::refused(&report)?;
    }
    for op in report.ops.iter().filter(|o| o.status == Status::Float) {
        let reason = op.reason.clone().unwrap_or_default();
        let message = format!("{} stays in float: {reason}", op.name);
        report.notes.push(Diagnostic::warning("QNT004", message).at(op.location()));
    }
    if !may("quantized types") {
        return Ok(report);
    }
    materialise(module, &solution, options.io(), &mut report)?;
    contract::interface(module, options)?;
    if options.mode == Mode::Int8Only {
        contract::only_int8(module)?;
    }
    Ok(report)
}
