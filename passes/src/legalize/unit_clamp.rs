//! Computes RELU_0_TO_1 as RELU and MINIMUM with 1.
//!
//! Exact: RELU rounds as the kernel does, and MINIMUM compares integers.
//!
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = relu_0_to_1(%0) : 1x8 !q<i8, 0.01:-128> loc("y")
//!   return %1
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = relu(%0) : 1x8 !q<i8, 0.01:-128> loc("y")
//!   %2 = const [-28] : !q<i8, 0.01:-128>
//!   %3 = minimum(%1, %2) : 1x8 !q<i8, 0.01:-128> loc("y")
//!   return %3
//! }
//! ```

use octet_ir::ops::{Binary, BinaryKind, Unary, UnaryKind};
use octet_ir::{Constant, ElementType, Graph, Loc, Module, Op, OpId, Patch, Shape};

use super::build::{Chain, byte_scale};
use crate::rewrite::pattern::{operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(UnitClamp = "unit_clamp", unit_clamp);

fn unit_clamp(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    if !matches!(operation.op(), Op::Unary(unary) if unary.kind == UnaryKind::Relu0To1) {
        return Err(Refusal::NoMatch);
    }
    let x = operand(operation, 0)?;
    let ty = graph.ty(result(operation)?);
    let (scale, zero_point) = byte_scale(ty)?;
    let range = if ty.elem == ElementType::U8 { (0.0, 255.0) } else { (-128.0, 127.0) };
    // As kernels quantize the bounds of an activation.
    let one = ((1.0 / scale).round() + zero_point as f32).clamp(range.0, range.1);
    let mut chain = Chain::of(graph, root)?;
    let one = if ty.elem == ElementType::U8 { Constant::from_u8(&[one as u8]) } else { Constant::from_i8(&[one as i8]) };
    let one = chain.patch.constant(one, ty.clone().with_shape(Shape::scalar()), Loc::unknown());
    let lower = chain.op(Unary::new(UnaryKind::Relu), &[x], ty.clone());
    chain.last(root, Binary::new(BinaryKind::Minimum), &[lower, one])
}
