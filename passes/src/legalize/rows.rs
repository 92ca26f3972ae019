//! Gives a FULLY_CONNECTED the form that old compilers take: one row, a bias, no kept axes; of several rows it makes a CONV_2D.
//!
//! Exact: a dense layer over rows is a convolution with filters of one tap over them, with the same sums and multipliers. A missing bias becomes zeros,
//! since the version of the operator without one is newer; kept axes become a RESHAPE.
//!
//! ```ir
//! graph @main(%0: 1x3x4 !q<i8, 0.05> loc("x")) {
//!   %1 = const [1, 2, 3, 4, 5, 6, 7, 8] : 2x4 !q<i8, 0.01> loc("w")
//!   %2 = fully_connected(%0, %1) {keep_num_dims = true} : 1x3x2 !q<i8, 0.1> loc("y")
//!   return %2
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x3x4 !q<i8, 0.05> loc("x")) {
//!   %1 = const [1, 1, 3, 4] : 4 i32
//!   %2 = reshape(%0, %1) : 1x1x3x4 !q<i8, 0.05> loc("y")
//!   %3 = const [1, 2, 3, 4, 5, 6, 7, 8] : 2x1x1x4 !q<i8, 0.01> loc("w")
//!   %4 = const [0, 0] : 2 !q<i32, 0.0005>
//!   %5 = conv_2d(%2, %3, %4) {padding = valid} : 1x1x3x2 !q<i8, 0.1> loc("y")
//!   %6 = const [1, 3, 2] : 3 i32
//!   %7 = reshape(%5, %6) : 1x3x2 !q<i8, 0.1> loc("y")
//!   return %7
//! }
//! ```

use octet_ir::ops::{Conv2d, FullyConnected, Padding, WeightsFormat};
use octet_ir::{Constant, ElementType, Graph, Loc, Module, Op, OpId, Operation, Patch, Quantization, Type, ValueId};

use super::build::{Chain, byte_scale, sizes};
use crate::rewrite::pattern::{operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(Rows = "rows", rows);

fn rows(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::FullyConnected(dense) = operation.op() else { return Err(Refusal::NoMatch) };
    let (x, weights, ty) = (operand(operation, 0)?, operand(operation, 1)?, graph.ty(result(operation)?));
    byte_scale(ty)?;
    byte_scale(graph.ty(x))?;
    let stored = module.constant_of(graph, weights).ok_or_else(|| Refusal::check("the weights are computed"))?;
    let &[units, depth] = graph.ty(weights).shape.dims() else { return Err(Refusal::NoMatch) };
    let rows = sizes(ty)?.iter().product::<usize>() / units.max(1);
    let plain = !dense.keep_num_dims && operation.operand(2).is_some();
    if dense.weights_format != WeightsFormat::Default || graph.ty(weights).elem != ty.elem || (rows == 1 && plain) {
        return Err(Refusal::NoMatch);
    }
    let mut chain = Chain::of(graph, root)?;
    if rows == 1 {
        let bias = bias(&mut chain, graph, operation, units)?;
        let flat = ty.clone().with_shape([1, units]);
        let dense = FullyConnected { keep_num_dims: false, ..dense.clone() };
        let y = chain.op(dense, &[x, weights, bias], flat.clone());
        return chain.reshaped(root, y, &flat);
    }
    let filter = graph.ty(weights).clone().with_shape([units, 1, 1, depth]);
    let filter = chain.patch.constant(stored.clone(), filter, graph.value(weights).loc().clone());
    let bias = bias(&mut chain, graph, operation, units)?;
    let input = chain.reshape(x, graph.ty(x), &[1, 1, rows, depth])?;
    let conv = Conv2d { padding: Padding::Valid, activation: dense.activation, ..Conv2d::default() };
    let out = ty.clone().with_shape([1, 1, rows, units]);
    let y = chain.op(conv, &[input, filter, bias], out.clone());
    chain.reshaped(root, y, &out)
}

/// The bias, or zeros in its place.
fn bias(chain: &mut Chain<'_>, graph: &Graph, operation: &Operation, units: usize) -> Result<ValueId, Refusal> {
    if let Some(bias) = operation.operand(2) {
        return Ok(bias);
    }
    let (x, weights) = (operand(operation, 0)?, operand(operation, 1)?);
    let (scale, _) = graph.ty(x).scale_zero_point().ok_or(Refusal::NoMatch)?;
    let scales: Vec<f32> = graph.ty(weights).quant.as_ref().ok_or(Refusal::NoMatch)?.scales().iter().map(|s| s * scale).collect();
    let quant = match scales.as_slice() {
        [one] => Quantization::new(*one, 0),
        _ => Quantization::per_axis(0, scales),
    };
    let ty = Type::quantized(ElementType::I32, [units], quant);
    Ok(chain.patch.constant(Constant::from_i32(&vec![0; units]), ty, Loc::unknown()))
}
