//! Constant folding: what can be computed once is computed by the compiler.
//!
//! The interpreter's own kernels compute, so folding changes no bit. An operation is folded when it is pure, all its operands are constants, and
//! the file does not grow: the result may take `max_growth` bytes (256 by default, about what an operation and its tensor take in a file)
//! more than the constants that go away. So FILL or BROADCAST_TO of weights stay as they are. `float16 = true` folds the DEQUANTIZE of half-precision
//! weights whatever it adds, for pipelines that quantize them anew.

mod constants;
mod shape_of;

use octet_ir::{Diagnostic, Diagnostics, Module};
use octet_plugin::{Options, Pass, PassContext, register_pass};

use crate::rewrite::{Rewrite, rewrite_module};
use constants::Constants;

/// The rewrites of this pass with default options.
pub(crate) const REWRITES: &[&dyn Rewrite] = &[&shape_of::FoldShape, &Constants::DEFAULT];

struct Fold(Constants);

impl Pass for Fold {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        rewrite_module("fold", module, &[&shape_of::FoldShape, &self.0], context.observer)
    }
}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    Ok(Box::new(Fold(crate::pipeline::options("fold", options)?)))
}

register_pass!("fold", "Computes operations on constants, where the file does not grow by it.", create);
