//! Gives operations that a target does not take the form that it takes, after quantization.
//!
//! For target `tflm`, operations without a kernel there: GELU, RELU_0_TO_1 and TILE. For target `edgetpu`, everything here.
//! Sizes that may vary are fixed at their nominal ones, since such compilers plan for one size. Every rewrite is exact on integers
//! unless its page states an error; what has no such form stays, and is named by `octet check`. A model with a fixed batch is computed sample by sample
//! first, where all of its operations keep samples apart (option `batch = false` leaves that out). Options `only` and `except` choose rewrites.

mod absolute;
mod build;
mod depth_to_space;
mod elu;
mod fused_activation;
pub(crate) mod gelu;
mod hard_swish;
mod leaky_relu;
mod mean;
mod negate;
mod resize;
mod rows;
mod shapes;
mod split_v;
mod strided_slice;
mod tile;
mod unbatch;
mod unit_clamp;
mod unpack;

use octet_ir::{Diagnostic, Diagnostics, Module, Patch};
use octet_plugin::{Options, Pass, PassContext, register_pass};
use serde::Deserialize;

use crate::rewrite::{Rewrite, Selection, rewrite_module, select};

/// The rewrites of this pass in the order in which they are tried at an operation.
pub(crate) const REWRITES: &[&dyn Rewrite] = &[
    &fused_activation::FusedActivation,
    &elu::Elu,
    &gelu::Gelu,
    &hard_swish::HardSwish,
    &leaky_relu::LeakyReluAsPrelu,
    &absolute::Absolute,
    &negate::Negate,
    &unit_clamp::UnitClamp,
    &shapes::Shapes,
    &rows::Rows,
    &mean::Mean,
    &strided_slice::StridedSliceSteps,
    &split_v::SplitVParts,
    &unpack::UnpackParts,
    &resize::Resize,
    &tile::TileCopies,
    &depth_to_space::DepthToSpaceConv,
];

struct Legalize {
    rewrites: Vec<&'static dyn Rewrite>,
    sizes: bool,
    batch: bool,
}

/// Targets that this pass knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Target {
    /// An accelerator, with compilers that plan for one size and one sample.
    #[default]
    Edgetpu,
    /// TFLite Micro, which lacks some kernels.
    Tflm,
}

impl Target {
    /// The rewrites that the target needs; empty means all.
    fn rewrites(self) -> &'static [&'static str] {
        match self {
            Self::Edgetpu => &[],
            Self::Tflm => &["gelu", "tile", "unit_clamp"],
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LegalizeOptions {
    target: Target,
    batch: bool,
    only: Vec<String>,
    except: Vec<String>,
}

impl Default for LegalizeOptions {
    fn default() -> Self {
        Self { target: Target::default(), batch: true, only: Vec::new(), except: Vec::new() }
    }
}

impl Pass for Legalize {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        let fixed = self.sizes && fix_sizes(module, context.observer)?;
        let split = self.batch && unbatch::unbatch(module, context.observer)?;
        Ok(rewrite_module("legalize", module, &self.rewrites, context.observer)? | split | fixed)
    }
}

/// Fixes dynamic axes at their nominal sizes. Answers whether there were any.
fn fix_sizes(module: &mut Module, observer: &mut dyn octet_plugin::Observer) -> Result<bool, Diagnostics> {
    let mut changed = false;
    for id in module.graph_ids() {
        let graph = module.graph(id);
        let mut patch = Patch::at_start(graph);
        for (value, found) in graph.values().filter(|(_, v)| v.ty().shape.is_dynamic()) {
            patch.set_type(value, found.ty().clone().with_shape(found.ty().shape.to_static()));
        }
        if patch.is_empty() || !observer.may_patch("legalize", "sizes") {
            continue;
        }
        patch.apply(module, id).map_err(|e| Diagnostics::from(Diagnostic::error("PAS006", format!("sizes: {e}"))))?;
        changed = true;
    }
    Ok(changed)
}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    let LegalizeOptions { target, batch, only, except } = crate::pipeline::options("legalize", options)?;
    let one_size = target == Target::Edgetpu;
    // Whoever asks for one rewrite gets that alone.
    let batch = batch && only.is_empty() && one_size;
    let rewrites = select("legalize", REWRITES, &Selection { only, except })?;
    let needed = target.rewrites();
    let rewrites = rewrites.into_iter().filter(|r| needed.is_empty() || needed.contains(&r.name())).collect();
    Ok(Box::new(Legalize { rewrites, sizes: one_size, batch }))
}

register_pass!("legalize", "Gives operations that a target does not take the form that it takes.", create);
