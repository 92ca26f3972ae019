//! Turns a PADV2 with zeros into a PAD.
//!
//! Legal because PAD pads with zero, or with the zero point of a quantized tensor: for reals and plain integers the value must be 0, for a
//! quantized tensor the zero point, in the tensor's own type.
//!
//! ```ir
//! graph @main(%0: 1x2 !q<i8, 0.5:3> loc("x")) {
//!   %1 = const [0, 0, 1, 1] : 2x2 i32
//!   %2 = const [3] : !q<i8, 0.5:3>
//!   %3 = pad_v2(%0, %1, %2) : 1x4 !q<i8, 0.5:3> loc("y")
//!   return %3
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x2 !q<i8, 0.5:3> loc("x")) {
//!   %1 = const [0, 0, 1, 1] : 2x2 i32
//!   %2 = pad(%0, %1) : 1x4 !q<i8, 0.5:3> loc("y")
//!   return %2
//! }
//! ```

use octet_ir::ops::Pad;
use octet_ir::{Graph, Module, Op, OpId, Patch};

use crate::rewrite::pattern::{Replacement, ints, operand, result, splat};
use crate::rewrite::{Refusal, rewrite};

rewrite!(PadValue = "pad_value", pad_value);

fn pad_value(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::PadV2(_) = operation.op() else { return Err(Refusal::NoMatch) };
    let (input, paddings, value) = (operand(operation, 0)?, operand(operation, 1)?, operand(operation, 2)?);
    let (from, to) = (graph.ty(input), graph.ty(result(operation)?));
    let zero = match (&from.quant, from.scale_zero_point()) {
        (None, _) => 0,
        (Some(_), Some((_, zero_point))) => zero_point,
        (Some(_), None) => return Err(Refusal::check("the tensor is quantized along an axis")),
    };
    if from.quant != to.quant || (from.quant.is_some() && graph.ty(value).quant != from.quant) {
        return Err(Refusal::check("value, input and result are quantized differently"));
    }
    let is_zero = match splat(module, graph, value) {
        Some(number) => number == 0.0,
        None => ints(module, graph, value).is_some_and(|v| v.iter().all(|&v| v == zero)),
    };
    if !is_zero {
        return Err(Refusal::NoMatch);
    }
    Replacement::of(graph, root, &[])?.with(Pad {}, vec![Some(input), Some(paddings)])
}
