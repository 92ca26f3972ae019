//! Lets an operation apply the activation that follows it.
//!
//! RELU, RELU6 and RELU_N1_TO_1 after CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, CONV_3D, CONV_3D_TRANSPOSE, FULLY_CONNECTED, ADD, SUB, MUL, DIV,
//! AVERAGE_POOL_2D, MAX_POOL_2D and L2_POOL_2D. An activation that is fused already is combined with the new one where one activation does the
//! work of both. MINIMUM and MAXIMUM with a constant count as activations where they amount to one.
//!
//! Legal because these kernels clamp their result last. For quantized types both results must have the same scale and zero point:
//! then the separate kernel only clamps, to the same integers. With other parameters it would round a second time, so
//! that is refused. A real result without an annotation takes the activation's: training quantizes what the activation hands on.
//!
//! ```ir
//! graph @main(%0: 1x4x4x2 f32 loc("x")) {
//!   %1 = const [1.0, 2.0, 3.0, 4.0] : 2x1x1x2 f32 loc("w")
//!   %2 = conv_2d(%0, %1) : 1x4x4x2 f32 range(-9.0, 9.0) loc("conv")
//!   %3 = relu6(%2) : 1x4x4x2 f32 range(0.0, 6.0) loc("relu")
//!   return %3
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4x4x2 f32 loc("x")) {
//!   %1 = const [1.0, 2.0, 3.0, 4.0] : 2x1x1x2 f32 loc("w")
//!   %2 = conv_2d(%0, %1) {activation = relu6} : 1x4x4x2 f32 range(0.0, 6.0) loc("conv", "relu")
//!   return %2
//! }
//! ```

use octet_ir::ops::Activation;
use octet_ir::{ElementType, Graph, Module, Op, OpId, Patch};

use crate::clamp::{Clamp, after};
use crate::rewrite::pattern::{Replacement, result, sole_producer};
use crate::rewrite::{Refusal, rewrite};

rewrite!(FuseActivation = "activation", activation);

fn activation(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let (outer, value) = Clamp::of(module, graph, graph.op(root)).ok_or(Refusal::NoMatch)?;
    let (_, producer) = graph.producer(value).ok_or(Refusal::NoMatch)?;
    // Kernels of these two refuse an activation although the file format has a place for it.
    if matches!(producer.op(), Op::Concatenation(_) | Op::L2Normalization(_)) {
        return Err(Refusal::NoMatch);
    }
    let fused = producer.op().activation().ok_or(Refusal::NoMatch)?;
    if producer.results().len() != 1 {
        return Err(Refusal::NoMatch);
    }
    sole_producer(graph, value)?;
    let (inner, outer_type) = (graph.ty(value), graph.ty(result(graph.op(root))?));
    // A real value that nothing annotates holds the same reals whatever its reader's annotation says of the range.
    let unannotated = inner.elem == ElementType::F32 && inner.quant.is_none();
    if inner != outer_type && !(unannotated && *inner == outer_type.clone().with_quant(None)) {
        return Err(Refusal::check(format!("the activation changes the type from {inner} to {outer_type}, which rounds once more")));
    }
    let combined = Clamp::of_activation(fused).map(|inner| after(inner, outer)).and_then(Clamp::to_activation);
    let Some(combined) = combined.filter(|a| *a != Activation::None) else {
        return Err(Refusal::check(format!(
            "no fused activation does what {} after {} does",
            graph.op(root).op().mnemonic(),
            if fused == Activation::None { producer.op().mnemonic() } else { "the fused activation" }
        )));
    };
    let op = producer.op().with_activation(combined).ok_or(Refusal::NoMatch)?;
    Replacement::of(graph, root, &[value])?.with(op, producer.operands().to_vec())
}
