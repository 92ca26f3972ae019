//! Makes a SLICE and a RESHAPE of each part of an UNPACK.
//!
//! Exact.
//!
//! ```ir
//! graph @main(%0: 1x2x3 !q<i8, 0.05> loc("x")) {
//!   %1, %2 = unpack(%0) {num = 2, axis = 1} : 1x3 !q<i8, 0.05> loc("a"), 1x3 !q<i8, 0.05> loc("b")
//!   return %1, %2
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x2x3 !q<i8, 0.05> loc("x")) {
//!   %1 = const [0, 0, 0] : 3 i32
//!   %2 = const [1, 1, 3] : 3 i32
//!   %3 = slice(%0, %1, %2) : 1x1x3 !q<i8, 0.05> loc("a")
//!   %4 = const [1, 3] : 2 i32
//!   %5 = reshape(%3, %4) : 1x3 !q<i8, 0.05> loc("a")
//!   %6 = const [0, 1, 0] : 3 i32
//!   %7 = const [1, 1, 3] : 3 i32
//!   %8 = slice(%0, %6, %7) : 1x1x3 !q<i8, 0.05> loc("a")
//!   %9 = const [1, 3] : 2 i32
//!   %10 = reshape(%8, %9) : 1x3 !q<i8, 0.05> loc("b")
//!   return %5, %10
//! }
//! ```

use octet_ir::{Graph, Module, Op, OpId, Patch};

use super::build::{Chain, byte_scale, sizes};
use crate::rewrite::pattern::operand;
use crate::rewrite::{Refusal, rewrite};

rewrite!(UnpackParts = "unpack", unpack);

fn unpack(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::Unpack(unpack) = operation.op() else { return Err(Refusal::NoMatch) };
    let x = operand(operation, 0)?;
    byte_scale(graph.ty(x))?;
    let mut extent = sizes(graph.ty(x))?;
    let (axis, rank) = (i64::from(unpack.axis), extent.len());
    let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok().filter(|a| *a < rank).ok_or(Refusal::NoMatch)?;
    if extent.contains(&0) {
        return Err(Refusal::NoMatch);
    }
    extent[axis] = 1;
    let mut chain = Chain::of(graph, root)?;
    let mut begin = vec![0; rank];
    for (index, &part) in operation.results().iter().enumerate() {
        begin[axis] = index;
        let piece = chain.slice(x, graph.ty(x), &begin, &extent)?;
        let shape = chain.ints(&sizes(graph.ty(part))?)?;
        let piece = chain.op(octet_ir::ops::Reshape::default(), &[piece, shape], graph.ty(part).clone());
        chain.replace(part, piece);
    }
    Ok(chain.patch)
}
