//! Multiplies a layer's filter by a constant per input channel instead of multiplying every element of the input: the scale of a batch
//! normalization, or of a preprocessing step, that precedes the layer.
//!
//! A MUL or DIV by a constant before CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, CONV_3D, CONV_3D_TRANSPOSE or FULLY_CONNECTED.
//!
//! Legal because every product `x * w` becomes `(x * c) * w = x * (c * w)`, and the zeros of SAME padding stay zeros. The new filter is
//! computed in double precision and rounded once. Only for reals, and only when the scaled input has no other reader.
//!
//! ```ir
//! graph @main(%0: 1x4x4x2 f32 loc("x")) {
//!   %1 = const [0.5, 4.0] : 2 f32
//!   %2 = mul(%0, %1) : 1x4x4x2 f32 loc("scaled")
//!   %3 = const [1.0, 2.0, 3.0, 4.0] : 2x1x1x2 f32 loc("w")
//!   %4 = conv_2d(%2, %3) : 1x4x4x2 f32 loc("conv")
//!   return %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4x4x2 f32 loc("x")) {
//!   %1 = const [0.5, 8.0, 1.5, 16.0] : 2x1x1x2 f32 loc("w")
//!   %2 = conv_2d(%0, %1) : 1x4x4x2 f32 loc("scaled", "conv")
//!   return %2
//! }
//! ```

use octet_ir::ops::{Activation, BinaryKind};
use octet_ir::{Graph, Module, OpId, Patch};

use super::layer::{Layer, rounded};
use crate::rewrite::pattern::{Replacement, channel_vector, sole_producer, with_constant};
use crate::rewrite::{Refusal, rewrite};

rewrite!(InputScale = "input_scale", input_scale);

fn input_scale(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let layer = Layer::of(graph, root)?;
    let (_, producer) = graph.producer(layer.input).ok_or(Refusal::NoMatch)?;
    let product = with_constant(graph, producer)?;
    let apply: fn(f64, f64) -> f64 = match product.op.kind {
        BinaryKind::Mul => |w, c| w * c,
        BinaryKind::Div if !product.constant_first => |w, c| w / c,
        _ => return Err(Refusal::NoMatch),
    };
    sole_producer(graph, layer.input)?;
    if product.op.activation != Activation::None {
        return Err(Refusal::check(format!("the {} before the {} has a fused activation", product.op.kind.mnemonic(), layer.name())));
    }
    layer.check_float()?;
    let of = &graph.ty(product.value).shape;
    if graph.ty(layer.input).shape.dims() != of.dims() {
        return Err(Refusal::check("multiplying by the constant enlarges the tensor"));
    }
    let channels = layer.input_channels().ok_or_else(|| Refusal::check("rows of the weights do not hold whole input vectors"))?;
    let scale = channel_vector(module, graph, product.constant, of, channels)
        .ok_or_else(|| Refusal::check(format!("the constant is not one f32 for each of the {channels} input channels")))?;
    let at = |channel: usize| f64::from(scale.get(channel).copied().unwrap_or(1.0));
    let filter = layer.filter_values(module)?;
    let filter = rounded(filter.iter().enumerate().map(|(i, w)| apply(f64::from(*w), at(layer.input_channel(i)))))?;

    let mut new = Replacement::of(graph, root, &[layer.input])?;
    let filter = new.floats(&filter, graph.ty(layer.filter).shape.clone(), Some(layer.filter));
    new.with(layer.operation.op().clone(), layer.operands(product.value, filter, layer.bias))
}
