//! Fusions: patterns of several operations that one operation computes.

mod activation;
mod bias_add;
mod input_offset;
mod input_scale;
pub(crate) mod layer;
mod output_scale;
mod pad;
mod sizes;
mod static_shape;

use octet_ir::{Diagnostic, Diagnostics, Module};
use octet_plugin::{Options, Pass, PassContext, register_pass};

use crate::rewrite::{Rewrite, Selection, rewrite_module, select};

/// The rewrites of this pass in the order in which they are tried at an operation.
pub(crate) const REWRITES: &[&dyn Rewrite] = &[
    &static_shape::StaticShape,
    &bias_add::BiasAdd,
    &output_scale::OutputScale,
    &activation::FuseActivation,
    &input_scale::InputScale,
    &input_offset::InputOffset,
    &pad::FusePad,
];

struct Fuse(Vec<&'static dyn Rewrite>);

impl Pass for Fuse {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        rewrite_module("fuse", module, &self.0, context.observer)
    }
}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    let selection: Selection = crate::pipeline::options("fuse", options)?;
    Ok(Box::new(Fuse(select("fuse", REWRITES, &selection)?)))
}

register_pass!(
    "fuse",
    "Fuses biases, scales, activations, padding and shape arithmetic into the operations that can do their work.",
    create
);
