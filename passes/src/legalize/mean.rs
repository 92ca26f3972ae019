//! Computes a MEAN over the innermost axis as a CONV_2D, where the axis' size is no multiple of 4.
//!
//! Every weight is the same integer, so that the convolution is the sum times one over the size. It rounds once, as the kernel does; a result may be off by one
//! level where it lies half-way.
//!
//! ```ir
//! graph @main(%0: 1x4x3 !q<i8, 0.05> loc("x")) {
//!   %1 = const [2] : 1 i32
//!   %2 = mean(%0, %1) : 1x4 !q<i8, 0.05> loc("y")
//!   return %2
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4x3 !q<i8, 0.05> loc("x")) {
//!   %1 = const [1, 1, 4, 3] : 4 i32
//!   %2 = reshape(%0, %1) : 1x1x4x3 !q<i8, 0.05> loc("y")
//!   %3 = const [127, 127, 127] : 1x1x1x3 !q<i8, 0.002624672>
//!   %4 = const [0] : 1 !q<i32, 0.0001312336>
//!   %5 = conv_2d(%2, %3, %4) {padding = valid} : 1x1x4x1 !q<i8, 0.05> loc("y")
//!   %6 = const [1, 4] : 2 i32
//!   %7 = reshape(%5, %6) : 1x4 !q<i8, 0.05> loc("y")
//!   return %7
//! }
//! ```

use octet_ir::ops::{Conv2d, Padding, ReduceKind};
use octet_ir::{Constant, ElementType, Graph, Loc, Module, Op, OpId, Patch, Quantization, Type};

use super::build::{Chain, byte_scale, sizes};
use crate::rewrite::pattern::{ints, operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(Mean = "mean", mean);

fn mean(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    if !matches!(operation.op(), Op::Reduce(reduce) if reduce.kind == ReduceKind::Mean) {
        return Err(Refusal::NoMatch);
    }
    let (x, ty) = (operand(operation, 0)?, graph.ty(result(operation)?));
    let (scale, _) = byte_scale(graph.ty(x))?;
    byte_scale(ty)?;
    let axes = ints(module, graph, operand(operation, 1)?).ok_or_else(|| Refusal::check("the axes are computed"))?;
    let dims = sizes(graph.ty(x))?;
    let (&size, outer) = dims.split_last().ok_or(Refusal::NoMatch)?;
    let last = i64::try_from(outer.len()).map_err(|_| Refusal::NoMatch)?;
    if axes.is_empty() || axes.iter().any(|a| *a != last && *a != -1) || size.is_multiple_of(4) || size == 0 {
        return Err(Refusal::NoMatch);
    }
    let rows = outer.iter().product::<usize>();
    let weight = 1.0 / (127.0 * size as f32);
    let mut chain = Chain::of(graph, root)?;
    let filter = Type::quantized(ty.elem, [1, 1, 1, size], Quantization::new(weight, 0));
    let filter = chain.patch.constant(Constant::from_u8(&vec![127; size]), filter, Loc::unknown());
    let bias = Type::quantized(ElementType::I32, [1], Quantization::new(weight * scale, 0));
    let bias = chain.patch.constant(Constant::from_i32(&[0]), bias, Loc::unknown());
    let input = chain.reshape(x, graph.ty(x), &[1, 1, rows, size])?;
    let out = ty.clone().with_shape([1, 1, rows, 1]);
    let y = chain.op(Conv2d { padding: Padding::Valid, ..Conv2d::default() }, &[input, filter, bias], out.clone());
    chain.reshaped(root, y, &out)
}
