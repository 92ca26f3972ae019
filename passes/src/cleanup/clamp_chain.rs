//! Turns clamps into the activation that does the same: RELU, RELU6, RELU_N1_TO_1 and RELU_0_TO_1 of each other, and MAXIMUM and MINIMUM with a
//! constant that amount to one of them.
//!
//! Legal because clamping to one interval and then to another clamps to one interval. MAXIMUM and MINIMUM count for reals and a
//! constant that is the same everywhere. Quantized activations must not change the type on the way: then all of them clamp the same
//! integers. (What a NaN becomes differs between these kernels, and between runtimes.)
//!
//! ```ir
//! graph @main(%0: 1x4 f32 loc("x")) {
//!   %1 = const [6.0] : 1 f32
//!   %2 = minimum(%0, %1) : 1x4 f32 loc("a")
//!   %3 = const [0.0] : f32
//!   %4 = maximum(%2, %3) : 1x4 f32 loc("y")
//!   return %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4 f32 loc("x")) {
//!   %1 = relu6(%0) : 1x4 f32 loc("a", "y")
//!   return %1
//! }
//! ```

use octet_ir::{Graph, Module, Op, OpId, Patch};

use crate::clamp::{Clamp, after};
use crate::rewrite::pattern::{Replacement, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(ClampChain = "clamp_chain", clamp_chain);

fn clamp_chain(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let (outer, value) = Clamp::of(module, graph, graph.op(root)).ok_or(Refusal::NoMatch)?;
    if let Some((_, producer)) = graph.producer(value)
        && let Some((inner, source)) = Clamp::of(module, graph, producer)
        && let Some(merged) = after(inner, outer).to_unary()
    {
        let to = graph.ty(result(graph.op(root))?);
        if graph.ty(source) != to || graph.ty(value) != to {
            return Err(Refusal::check("an activation changes the type, which rounds"));
        }
        let swallowed: &[_] = if graph.value(value).uses().len() == 1 { &[value] } else { &[] };
        return Replacement::of(graph, root, swallowed)?.with(merged, vec![Some(source)]);
    }
    let Op::Binary(_) = graph.op(root).op() else { return Err(Refusal::NoMatch) };
    let unary = outer.to_unary().ok_or(Refusal::NoMatch)?;
    Replacement::of(graph, root, &[])?.with(unary, vec![Some(value)])
}
