//! Does a large resize in steps of at most four.
//!
//! Exact. RESIZE_NEAREST_NEIGHBOR by whole factors repeats pixels, and repeating repeated pixels is the same; factors with a prime over 3 stay. From a
//! size of 1, every resize repeats the one pixel, RESIZE_BILINEAR too, whatever the size.
//!
//! ```ir
//! graph @main(%0: 1x1x1x2 !q<i8, 0.05> loc("x")) {
//!   %1 = const [9, 9] : 2 i32
//!   %2 = resize_bilinear(%0, %1) {align_corners = true} : 1x9x9x2 !q<i8, 0.05> loc("y")
//!   return %2
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x1x1x2 !q<i8, 0.05> loc("x")) {
//!   %1 = const [4, 4] : 2 i32
//!   %2 = resize_nearest_neighbor(%0, %1) : 1x4x4x2 !q<i8, 0.05> loc("y")
//!   %3 = const [9, 9] : 2 i32
//!   %4 = resize_nearest_neighbor(%2, %3) : 1x9x9x2 !q<i8, 0.05> loc("y")
//!   return %4
//! }
//! ```

use octet_ir::ops::ResizeNearestNeighbor;
use octet_ir::{Graph, Module, Op, OpId, Patch};

use super::build::{Chain, byte_scale, sizes};
use crate::rewrite::pattern::{operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(Resize = "resize", resize);

/// The largest growth in one step.
const MOST: usize = 4;

fn resize(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let repeats = match operation.op() {
        Op::ResizeNearestNeighbor(op) => !op.align_corners,
        Op::ResizeBilinear(_) => false,
        _ => return Err(Refusal::NoMatch),
    };
    let (x, ty) = (operand(operation, 0)?, graph.ty(result(operation)?));
    byte_scale(ty)?;
    let (&[n, h, w, c], &[_, to_h, to_w, _]) = (sizes(graph.ty(x))?.as_slice(), sizes(ty)?.as_slice()) else {
        return Err(Refusal::NoMatch);
    };
    if to_h <= MOST * h && to_w <= MOST * w {
        return Err(Refusal::NoMatch);
    }
    let constant = |from: usize, to: usize| from == 1 || to == from;
    if !(repeats || (constant(h, to_h) && constant(w, to_w))) {
        return Err(Refusal::check("interpolating in steps rounds otherwise"));
    }
    let (heights, widths) = (steps(h, to_h)?, steps(w, to_w)?);
    let mut chain = Chain::of(graph, root)?;
    let mut value = x;
    let count = heights.len().max(widths.len());
    for step in 0..count {
        let size = |list: &[usize], from: usize| list.get(step).or(list.last()).copied().unwrap_or(from);
        let (h, w) = (size(&heights, h), size(&widths, w));
        let to = chain.ints(&[h, w])?;
        if step + 1 == count {
            return chain.last(root, ResizeNearestNeighbor::default(), &[value, to]);
        }
        value = chain.op(ResizeNearestNeighbor::default(), &[value, to], graph.ty(x).clone().with_shape([n, h, w, c]));
    }
    Err(Refusal::NoEffect)
}

/// The sizes on the way.
fn steps(from: usize, to: usize) -> Result<Vec<usize>, Refusal> {
    let mut sizes = Vec::new();
    let mut at = from;
    if from == 1 {
        while at < to {
            at = (at * MOST).min(to);
            sizes.push(at);
        }
        return Ok(sizes);
    }
    if from == 0 || !to.is_multiple_of(from) {
        return Err(Refusal::check(format!("{to} is no multiple of {from}")));
    }
    while at < to {
        let factor = [4, 3, 2].into_iter().find(|f| (to / at).is_multiple_of(*f));
        at *= factor.ok_or_else(|| Refusal::check(format!("a factor of {} has no parts of at most 4", to / from)))?;
        sizes.push(at);
    }
    Ok(sizes)
}
