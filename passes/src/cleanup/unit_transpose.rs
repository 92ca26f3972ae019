//! Makes a RESHAPE of a TRANSPOSE that moves only axes of size 1: no element changes its place in memory.
//!
//! Images of one channel and single steps of a sequence come this way. Legal where the axes of other sizes keep their order; an axis
//! whose size may change counts as one of them, and there may be one such axis, which the shape leaves open. Per-axis quantization is
//! refused, because its axis moves along.
//!
//! ```ir
//! graph @main(%0: 1x1x3x4 f32 loc("x")) {
//!   %1 = const [0, 2, 3, 1] : 4 i32
//!   %2 = transpose(%0, %1) : 1x3x4x1 f32 loc("y")
//!   return %2
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x1x3x4 f32 loc("x")) {
//!   %1 = const [1, 3, 4, 1] : 4 i32
//!   %2 = reshape(%0, %1) : 1x3x4x1 f32 loc("y")
//!   return %2
//! }
//! ```

use octet_ir::ops::Reshape;
use octet_ir::{Graph, Module, Op, OpId, Patch};

use crate::rewrite::pattern::{Replacement, ints, operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(UnitTranspose = "unit_transpose", unit_transpose);

fn unit_transpose(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::Transpose(_) = operation.op() else { return Err(Refusal::NoMatch) };
    let (source, moved) = (operand(operation, 0)?, result(operation)?);
    let axes = ints(module, graph, operand(operation, 1)?).ok_or_else(|| Refusal::check("the permutation is not constant"))?;
    let shape = &graph.ty(source).shape;
    let rank = i64::try_from(axes.len()).map_err(|_| Refusal::NoMatch)?;
    let axes: Vec<usize> = axes
        .into_iter()
        .map(|a| usize::try_from(if a < 0 { a + rank } else { a }).map_err(|_| Refusal::NoMatch))
        .collect::<Result<_, _>>()?;
    let is_unit = |axis: usize| shape.dims().get(axis) == Some(&1) && shape.dynamic(axis).is_none();
    let others: Vec<usize> = axes.iter().copied().filter(|&a| !is_unit(a)).collect();
    if axes.len() != shape.rank() || !others.is_sorted() {
        return Err(Refusal::NoMatch);
    }
    if graph.ty(source).quant.as_ref().is_some_and(|q| q.per_tensor().is_none()) {
        return Err(Refusal::check("the tensor is quantized along an axis"));
    }
    if others.iter().filter(|&&a| shape.dynamic(a).is_some()).count() > 1 {
        return Err(Refusal::check("several sizes are known only when the model runs"));
    }
    let size = |&axis: &usize| match shape.dynamic(axis) {
        Some(_) => Ok(-1),
        None => i32::try_from(shape.dims()[axis]).map_err(|_| Refusal::NoMatch),
    };
    let sizes: Vec<i32> = axes.iter().map(size).collect::<Result<_, _>>()?;
    if sizes.contains(&0) || graph.ty(moved).shape.rank() != axes.len() {
        return Err(Refusal::NoMatch);
    }
    let mut new = Replacement::of(graph, root, &[])?;
    let sizes = new.ints(&sizes);
    new.with(Reshape { new_shape: None }, vec![Some(source), Some(sizes)])
}
