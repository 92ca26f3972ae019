//! Splits an activation off an operation that cannot apply it: AVERAGE_POOL_2D, MAX_POOL_2D, CONCATENATION and TRANSPOSE_CONV.
//!
//! Exact: the result of the operation has the scale of the activation's, so that the activation only clamps, as the kernel would have done last.
//!
//! ```ir
//! graph @main(%0: 1x4x4x2 !q<i8, 0.05:-128> loc("x")) {
//!   %1 = max_pool_2d(%0) {filter = [2, 2], stride = [2, 2], activation = relu6} : 1x2x2x2 !q<i8, 0.05:-128> loc("pool")
//!   return %1
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4x4x2 !q<i8, 0.05:-128> loc("x")) {
//!   %1 = max_pool_2d(%0) {stride = [2, 2], filter = [2, 2]} : 1x2x2x2 !q<i8, 0.05:-128> loc("pool")
//!   %2 = relu6(%1) : 1x2x2x2 !q<i8, 0.05:-128> loc("pool")
//!   return %2
//! }
//! ```

use octet_ir::ops::{Activation, Unary, UnaryKind};
use octet_ir::{Graph, Module, Op, OpId, Patch};

use super::build::{Chain, byte_scale};
use crate::rewrite::pattern::result;
use crate::rewrite::{Refusal, rewrite};

rewrite!(FusedActivation = "fused_activation", fused_activation);

fn fused_activation(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    if !matches!(operation.op(), Op::Pool2d(_) | Op::Concatenation(_) | Op::TransposeConv(_)) {
        return Err(Refusal::NoMatch);
    }
    let kind = match operation.op().activation().ok_or(Refusal::NoMatch)? {
        Activation::None => return Err(Refusal::NoMatch),
        Activation::Relu => UnaryKind::Relu,
        Activation::Relu6 => UnaryKind::Relu6,
        Activation::ReluN1To1 => UnaryKind::ReluN1To1,
        other => return Err(Refusal::check(format!("{other:?} is no clamp"))),
    };
    let ty = graph.ty(result(operation)?).clone();
    byte_scale(&ty)?;
    let bare = operation.op().with_activation(Activation::None).ok_or(Refusal::NoMatch)?;
    let mut chain = Chain::of(graph, root)?;
    let loc = graph.value(result(operation)?).loc().clone();
    let inner = chain.patch.op(bare, operation.operands().to_vec(), vec![(ty, loc)]);
    chain.last(root, Unary::new(kind), &inner)
}
