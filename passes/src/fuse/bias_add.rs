//! Adds a constant per channel to a layer's bias instead of adding it to every element of the result.
//!
//! Layers are CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, CONV_3D, CONV_3D_TRANSPOSE and FULLY_CONNECTED; the constant is added or subtracted,
//! and the sum's fused activation becomes the layer's.
//!
//! Legal because the bias is the last addend of every output element: `(x * w + b) + c = x * w + (b + c)`. The new bias is computed in
//! double precision and rounded once. Only for reals: a quantized layer rounds its sum before the constant is added, so folding
//! would change bits.
//!
//! ```ir
//! graph @main(%0: 1x8x8x3 f32 loc("image")) {
//!   %1 = const splat(0.5) : 2x3x3x3 f32 loc("w")
//!   %2 = const [1.0, 2.0] : 2 f32 loc("b")
//!   %3 = conv_2d(%0, %1, %2) {stride = [2, 2]} : 1x4x4x2 f32 range(-9.0, 9.0) loc("conv")
//!   %4 = const [0.25, -4.0] : 1x1x1x2 f32 loc("c")
//!   %5 = add(%3, %4) {activation = relu, pot_scale_int16 = false} : 1x4x4x2 f32 range(0.0, 5.0) loc("y")
//!   return %5
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8x8x3 f32 loc("image")) {
//!   %1 = const splat(0.5) : 2x3x3x3 f32 loc("w")
//!   %2 = const [1.25, -2.0] : 2 f32 loc("b", "c")
//!   %3 = conv_2d(%0, %1, %2) {stride = [2, 2], activation = relu} : 1x4x4x2 f32 range(0.0, 5.0) loc("conv", "y")
//!   return %3
//! }
//! ```

use octet_ir::ops::BinaryKind;
use octet_ir::{Constant, Graph, Loc, Module, OpId, Patch, Type};

use super::layer::{Layer, rounded};
use crate::rewrite::pattern::{Replacement, channel_vector, result, sole_producer, with_constant};
use crate::rewrite::{Refusal, rewrite};

rewrite!(BiasAdd = "bias_add", bias_add);

fn bias_add(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let sum = with_constant(graph, graph.op(root))?;
    let sign = match sum.op.kind {
        BinaryKind::Add => 1.0,
        BinaryKind::Sub if !sum.constant_first => -1.0,
        _ => return Err(Refusal::NoMatch),
    };
    let (producer, _) = graph.producer(sum.value).ok_or(Refusal::NoMatch)?;
    let layer = Layer::of(graph, producer)?;
    sole_producer(graph, sum.value)?;
    layer.check_float()?;
    layer.check_linear()?;
    let of = &graph.ty(sum.value).shape;
    if graph.ty(result(graph.op(root))?).shape.dims() != of.dims() {
        return Err(Refusal::check("adding the constant enlarges the tensor"));
    }
    let constant = channel_vector(module, graph, sum.constant, of, layer.channels)
        .ok_or_else(|| Refusal::check(format!("the constant is not one f32 for each of the {} output channels", layer.channels)))?;
    let bias = layer.bias_values(module)?;
    let bias = rounded(bias.iter().zip(&constant).map(|(b, c)| f64::from(*b) + sign * f64::from(*c)))?;

    let mut new = Replacement::of(graph, root, &[sum.value])?;
    let loc = layer.bias.map_or_else(Loc::unknown, |b| graph.value(b).loc().clone()).union(graph.value(sum.constant).loc());
    let bias = new.patch.constant(Constant::from_f32(&bias), Type::f32([layer.channels]), loc);
    let op = layer.operation.op().with_activation(sum.op.activation).ok_or(Refusal::NoMatch)?;
    new.with(op, layer.operands(layer.input, layer.filter, Some(bias)))
}
