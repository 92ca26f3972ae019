//! Cleaning up: operations that do nothing, chains that one operation does, dead and repeated operations.

mod arithmetic_chain;
mod clamp_chain;
mod constant_channels;
mod cse;
mod dce;
mod identity;
mod neutral_element;
mod pad_value;
mod quantize_pair;
mod reshape_chain;
mod transpose_chain;
mod unit_transpose;

use octet_ir::{Diagnostic, Diagnostics, Module};
use octet_plugin::{Options, Pass, PassContext, register_pass};

use crate::rewrite::{Rewrite, Selection, rewrite_module, select};

/// The rewrites of `canonicalize` in the order in which they are tried at an operation.
pub(crate) const REWRITES: &[&dyn Rewrite] = &[
    &identity::Identity,
    &neutral_element::NeutralElement,
    &reshape_chain::ReshapeChain,
    &transpose_chain::TransposeChain,
    &unit_transpose::UnitTranspose,
    &clamp_chain::ClampChain,
    &arithmetic_chain::ArithmeticChain,
    &pad_value::PadValue,
    &quantize_pair::QuantizePair,
    &constant_channels::ConstantChannels,
];

struct Canonicalize(Vec<&'static dyn Rewrite>);

impl Pass for Canonicalize {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        rewrite_module("canonicalize", module, &self.0, context.observer)
    }
}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    let selection: Selection = crate::pipeline::options("canonicalize", options)?;
    Ok(Box::new(Canonicalize(select("canonicalize", REWRITES, &selection)?)))
}

register_pass!("canonicalize", "Removes operations that do nothing and merges chains that one operation can do.", create);
