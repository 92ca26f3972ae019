//! Removes arithmetic with a constant that changes nothing: `x + 0`, `x - 0`, `x * 1`, `x / 1`.
//!
//! Legal for reals (up to the sign of a zero) and plain integers when there is no fused activation and the constant does not enlarge the
//! tensor. Quantized arithmetic is left alone: it rescales.
//!
//! ```ir
//! graph @main(%0: 2x3 f32 loc("x")) {
//!   %1 = tanh(%0) : 2x3 f32 loc("a")
//!   %2 = const [0.0, 0.0, 0.0] : 3 f32
//!   %3 = add(%1, %2) {pot_scale_int16 = false} : 2x3 f32 loc("b")
//!   %4 = const [1.0] : 1 f32
//!   %5 = mul(%4, %3) : 2x3 f32 loc("y")
//!   return %5
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 2x3 f32 loc("x")) {
//!   %1 = tanh(%0) : 2x3 f32 loc("b", "a", "y")
//!   return %1
//! }
//! ```

use octet_ir::ops::{Activation, BinaryKind};
use octet_ir::{Graph, Module, OpId, Patch};

use crate::rewrite::pattern::{forward, ints, result, splat, with_constant};
use crate::rewrite::{Refusal, rewrite};

rewrite!(NeutralElement = "neutral_element", neutral_element);

fn neutral_element(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let with = with_constant(graph, graph.op(root))?;
    let neutral = match with.op.kind {
        BinaryKind::Add => 0,
        BinaryKind::Mul => 1,
        BinaryKind::Sub if !with.constant_first => 0,
        BinaryKind::Div if !with.constant_first => 1,
        _ => return Err(Refusal::NoMatch),
    };
    let ty = graph.ty(with.value);
    if with.op.activation != Activation::None || ty.quant.is_some() || ty != graph.ty(result(graph.op(root))?) {
        return Err(Refusal::NoMatch);
    }
    let is_neutral = match splat(module, graph, with.constant) {
        #[expect(clippy::cast_precision_loss, reason = "0 and 1 are exact")]
        Some(number) => number == neutral as f32,
        None => ints(module, graph, with.constant).is_some_and(|all| all.iter().all(|&v| v == neutral)),
    };
    if is_neutral { forward(graph, root, with.value) } else { Err(Refusal::NoMatch) }
}
