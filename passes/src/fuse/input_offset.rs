//! Adds what a constant added to a layer's input contributes to the layer's bias: the shift of a batch normalization, or of a preprocessing
//! step, that precedes the layer.
//!
//! An ADD or SUB of a constant before FULLY_CONNECTED, or before CONV_2D, DEPTHWISE_CONV_2D or CONV_3D without zeros around the input.
//!
//! Legal because `(x + c) * w + b = x * w + (b + c * w)` where every output element sees every tap of the filter. With SAME padding
//! that adds zeros, elements at the border would see the constant where it was not added, so that is refused. The new bias is computed in
//! double precision and rounded once. Only for reals.
//!
//! ```ir
//! graph @main(%0: 2x2 f32 loc("x")) {
//!   %1 = const [-1.0] : 1 f32
//!   %2 = add(%0, %1) {pot_scale_int16 = false} : 2x2 f32 loc("shifted")
//!   %3 = const [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] : 3x2 f32 loc("w")
//!   %4 = const [0.5, 0.5, 0.5] : 3 f32 loc("b")
//!   %5 = fully_connected(%2, %3, %4) : 2x3 f32 loc("dense")
//!   return %5
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 2x2 f32 loc("x")) {
//!   %1 = const [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] : 3x2 f32 loc("w")
//!   %2 = const [-2.5, -6.5, -10.5] : 3 f32 loc("b")
//!   %3 = fully_connected(%0, %1, %2) : 2x3 f32 loc("shifted", "dense")
//!   return %3
//! }
//! ```

use octet_ir::ops::{Activation, BinaryKind};
use octet_ir::{Graph, Module, Op, OpId, Patch};

use super::layer::{Layer, rounded};
use crate::rewrite::pattern::{Replacement, channel_vector, floats, sole_producer, with_constant};
use crate::rewrite::{Refusal, rewrite};

rewrite!(InputOffset = "input_offset", input_offset);

fn input_offset(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let layer = Layer::of(graph, root)?;
    let (_, producer) = graph.producer(layer.input).ok_or(Refusal::NoMatch)?;
    let sum = with_constant(graph, producer)?;
    let sign = match sum.op.kind {
        BinaryKind::Add => 1.0,
        BinaryKind::Sub if !sum.constant_first => -1.0,
        _ => return Err(Refusal::NoMatch),
    };
    if matches!(layer.operation.op(), Op::TransposeConv(_) | Op::Conv3dTranspose(_)) {
        return Err(Refusal::check(format!("output elements of a {} do not all see every tap of the filter", layer.name())));
    }
    sole_producer(graph, layer.input)?;
    if sum.op.activation != Activation::None {
        return Err(Refusal::check(format!("the {} before the {} has a fused activation", sum.op.kind.mnemonic(), layer.name())));
    }
    layer.check_float()?;
    if layer.adds_zeros()? {
        return Err(Refusal::check("SAME padding adds zeros around the input, to which the constant is not added"));
    }
    let of = &graph.ty(sum.value).shape;
    if graph.ty(layer.input).shape.dims() != of.dims() {
        return Err(Refusal::check("adding the constant enlarges the tensor"));
    }
    let channels = layer.input_channels().ok_or_else(|| Refusal::check("rows of the weights do not hold whole input vectors"))?;
    let offset = channel_vector(module, graph, sum.constant, of, channels)
        .ok_or_else(|| Refusal::check(format!("the constant is not one f32 for each of the {channels} input channels")))?;
    // The filter stays as it is, so others may read it.
    let filter = floats(module, graph, layer.filter)
        .ok_or_else(|| Refusal::check(format!("the filter of the {} is not a dense f32 constant", layer.name())))?;
    let mut bias: Vec<f64> = layer.bias_values(module)?.into_iter().map(f64::from).collect();
    for (index, weight) in filter.iter().enumerate() {
        let c = offset.get(layer.input_channel(index)).copied().unwrap_or(0.0);
        if let Some(bias) = bias.get_mut(layer.output_channel(index)) {
            *bias += sign * f64::from(c) * f64::from(*weight);
        }
    }
    let bias = rounded(bias.into_iter())?;

    let mut new = Replacement::of(graph, root, &[layer.input])?;
    let bias = new.floats(&bias, [layer.channels], layer.bias);
    new.with(layer.operation.op().clone(), layer.operands(sum.value, layer.filter, Some(bias)))
}
