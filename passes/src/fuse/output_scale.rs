//! Multiplies a layer's filter and bias by a constant per channel instead of multiplying every element of the result: the scale of a batch
//! normalization that follows the layer.
//!
//! A MUL or DIV by a constant per output channel after CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, CONV_3D, CONV_3D_TRANSPOSE or
//! FULLY_CONNECTED; its fused activation becomes the layer's.
//!
//! Legal because a layer is linear in each output channel: `(x * w + b) * c = x * (w * c) + b * c`. Products and quotients are
//! computed in double precision and rounded once. The filter must have no other reader, or the file would grow by a copy. Only for
//! reals: the integers of a quantized layer are rounded before they are multiplied.
//!
//! ```ir
//! graph @main(%0: 1x4x4x2 f32 loc("x")) {
//!   %1 = const [1.0, 2.0, 3.0, 4.0] : 1x1x1x4 f32 loc("w")
//!   %2 = depthwise_conv_2d(%0, %1) {depth_multiplier = 2} : 1x4x4x4 f32 loc("conv")
//!   %3 = const [2.0, -1.0, 0.5, 0.0] : 4 f32 loc("gamma")
//!   %4 = mul(%2, %3) : 1x4x4x4 f32 loc("bn")
//!   return %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4x4x2 f32 loc("x")) {
//!   %1 = const [2.0, -2.0, 1.5, 0.0] : 1x1x1x4 f32 loc("w")
//!   %2 = depthwise_conv_2d(%0, %1) {depth_multiplier = 2} : 1x4x4x4 f32 loc("conv", "bn")
//!   return %2
//! }
//! ```

use octet_ir::ops::BinaryKind;
use octet_ir::{Graph, Module, OpId, Patch};

use super::layer::{Layer, rounded};
use crate::rewrite::pattern::{Replacement, channel_vector, result, sole_producer, with_constant};
use crate::rewrite::{Refusal, rewrite};

rewrite!(OutputScale = "output_scale", output_scale);

fn output_scale(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let product = with_constant(graph, graph.op(root))?;
    let apply: fn(f64, f64) -> f64 = match product.op.kind {
        BinaryKind::Mul => |w, c| w * c,
        BinaryKind::Div if !product.constant_first => |w, c| w / c,
        _ => return Err(Refusal::NoMatch),
    };
    let (producer, _) = graph.producer(product.value).ok_or(Refusal::NoMatch)?;
    let layer = Layer::of(graph, producer)?;
    sole_producer(graph, product.value)?;
    layer.check_float()?;
    layer.check_linear()?;
    let of = &graph.ty(product.value).shape;
    if graph.ty(result(graph.op(root))?).shape.dims() != of.dims() {
        return Err(Refusal::check("multiplying by the constant enlarges the tensor"));
    }
    let scale = channel_vector(module, graph, product.constant, of, layer.channels)
        .ok_or_else(|| Refusal::check(format!("the constant is not one f32 for each of the {} output channels", layer.channels)))?;
    let at = |channel: usize| f64::from(scale.get(channel).copied().unwrap_or(1.0));
    let filter = layer.filter_values(module)?;
    let filter = rounded(filter.iter().enumerate().map(|(i, w)| apply(f64::from(*w), at(layer.output_channel(i)))))?;
    let bias = match layer.bias {
        Some(_) => Some(rounded(layer.bias_values(module)?.iter().enumerate().map(|(i, b)| apply(f64::from(*b), at(i))))?),
        None => None,
    };

    let mut new = Replacement::of(graph, root, &[product.value])?;
    let filter = new.floats(&filter, graph.ty(layer.filter).shape.clone(), Some(layer.filter));
    let bias = bias.map(|b| new.floats(&b, [layer.channels], layer.bias));
    let op = layer.operation.op().with_activation(product.op.activation).ok_or(Refusal::NoMatch)?;
    new.with(op, layer.operands(layer.input, filter, bias))
}
