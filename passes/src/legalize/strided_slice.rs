//! Computes a STRIDED_SLICE with steps, an ellipsis or a new axis as SLICE, MAX_POOL_2D of single elements, and RESHAPE.
//!
//! Exact: a maximum of one element is the element, and a pool whose window is 1 x 1 takes every n-th. Steps backwards stay.
//!
//! ```ir
//! graph @main(%0: 1x8x4x2 !q<i8, 0.05> loc("x")) {
//!   %1 = const [0, 1, 0, 0] : 4 i32
//!   %2 = const [1, 8, 4, 2] : 4 i32
//!   %3 = const [1, 3, 1, 1] : 4 i32
//!   %4 = strided_slice(%0, %1, %2, %3) : 1x3x4x2 !q<i8, 0.05> loc("y")
//!   return %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8x4x2 !q<i8, 0.05> loc("x")) {
//!   %1 = const [0, 1, 0, 0] : 4 i32
//!   %2 = const [1, 7, 4, 2] : 4 i32
//!   %3 = slice(%0, %1, %2) : 1x7x4x2 !q<i8, 0.05> loc("y")
//!   %4 = const [1, 1, 7, 8] : 4 i32
//!   %5 = reshape(%3, %4) : 1x1x7x8 !q<i8, 0.05> loc("y")
//!   %6 = max_pool_2d(%5) {padding = valid, stride = [1, 3]} : 1x1x3x8 !q<i8, 0.05> loc("y")
//!   %7 = const [1, 3, 4, 2] : 4 i32
//!   %8 = reshape(%6, %7) : 1x3x4x2 !q<i8, 0.05> loc("y")
//!   return %8
//! }
//! ```

use octet_ir::ops::{Padding, Pool2d, PoolKind};
use octet_ir::{Graph, Module, Op, OpId, Patch};

use super::build::{Chain, byte_scale, sizes};
use crate::rewrite::pattern::{ints, operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(StridedSliceSteps = "strided_slice", strided_slice);

fn strided_slice(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::StridedSlice(slice) = operation.op() else { return Err(Refusal::NoMatch) };
    let (x, ty) = (operand(operation, 0)?, graph.ty(result(operation)?));
    byte_scale(ty)?;
    let numbers = |index: usize| {
        let value = operand(operation, index)?;
        ints(module, graph, value).ok_or_else(|| Refusal::check("where it begins or ends is computed"))
    };
    let (begin, end, strides) = (numbers(1)?, numbers(2)?, numbers(3)?);
    let dims = sizes(graph.ty(x))?;
    let (ranges, _) = slice.ranges(&dims, &begin, &end, &strides).map_err(|_| Refusal::NoMatch)?;
    if strides.iter().all(|s| *s == 1) && slice.ellipsis_mask == 0 && slice.new_axis_mask == 0 {
        return Err(Refusal::NoMatch);
    }
    if ranges.iter().any(|r| r.count == 0) {
        return Err(Refusal::check("nothing is taken"));
    }
    let step = |step: i64, count: usize| match usize::try_from(step) {
        // An axis of which one element is taken has no steps.
        _ if count == 1 => Ok(1),
        Ok(step) if step > 0 => Ok(step),
        _ => Err(Refusal::check("it goes backwards")),
    };
    let steps: Vec<usize> = ranges.iter().map(|r| step(r.step, r.count)).collect::<Result<_, _>>()?;
    let mut chain = Chain::of(graph, root)?;
    let starts: Vec<usize> = ranges.iter().map(|r| r.start).collect();
    let mut dims: Vec<usize> = ranges.iter().zip(&steps).map(|(r, s)| (r.count - 1) * s + 1).collect();
    let mut at = graph.ty(x).clone().with_shape(dims.clone());
    let mut value = chain.slice(x, graph.ty(x), &starts, &dims)?;
    for (axis, (range, &step)) in ranges.iter().zip(&steps).enumerate().filter(|(_, (_, step))| **step > 1) {
        let outer = dims[..axis].iter().product::<usize>();
        let inner = dims[axis + 1..].iter().product::<usize>();
        let flat = [1, outer, dims[axis], inner];
        value = chain.reshape(value, &at, &flat)?;
        let pool = Pool2d { kind: PoolKind::Max, padding: Padding::Valid, stride: [1, step], ..Pool2d::default() };
        dims[axis] = range.count;
        at = at.with_shape([1, outer, range.count, inner]);
        value = chain.op(pool, &[value], at.clone());
    }
    chain.reshaped(root, value, &at)
}
