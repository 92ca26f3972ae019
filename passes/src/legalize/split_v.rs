//! Makes a SLICE of each part of a SPLIT_V.
//!
//! Exact.
//!
//! ```ir
//! graph @main(%0: 1x5 !q<i8, 0.05> loc("x")) {
//!   %1 = const [2, 3] : 2 i32
//!   %2 = const [1] : i32
//!   %3, %4 = split_v(%0, %1, %2) {num_splits = 2} : 1x2 !q<i8, 0.05> loc("a"), 1x3 !q<i8, 0.05> loc("b")
//!   return %3, %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x5 !q<i8, 0.05> loc("x")) {
//!   %1 = const [0, 0] : 2 i32
//!   %2 = const [1, 2] : 2 i32
//!   %3 = slice(%0, %1, %2) : 1x2 !q<i8, 0.05> loc("a")
//!   %4 = const [0, 2] : 2 i32
//!   %5 = const [1, 3] : 2 i32
//!   %6 = slice(%0, %4, %5) : 1x3 !q<i8, 0.05> loc("b")
//!   return %3, %6
//! }
//! ```

use octet_ir::{Graph, Module, Op, OpId, Patch};

use super::build::{Chain, byte_scale, sizes};
use crate::rewrite::pattern::{ints, operand};
use crate::rewrite::{Refusal, rewrite};

rewrite!(SplitVParts = "split_v", split_v);

fn split_v(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::SplitV(_) = operation.op() else { return Err(Refusal::NoMatch) };
    let x = operand(operation, 0)?;
    byte_scale(graph.ty(x))?;
    let axis = ints(module, graph, operand(operation, 2)?).ok_or_else(|| Refusal::check("the axis is computed"))?;
    let rank = sizes(graph.ty(x))?.len();
    let axis = axis.first().and_then(|a| usize::try_from(if *a < 0 { *a + rank as i64 } else { *a }).ok()).filter(|a| *a < rank);
    let axis = axis.ok_or(Refusal::NoMatch)?;
    let mut chain = Chain::of(graph, root)?;
    let mut begin = vec![0; rank];
    for &part in operation.results() {
        let size = sizes(graph.ty(part))?;
        if size.contains(&0) || size == sizes(graph.ty(x))? {
            return Err(Refusal::check("a part is empty or everything"));
        }
        let piece = chain.slice(x, graph.ty(x), &begin, &size)?;
        chain.replace(part, piece);
        begin[axis] += size[axis];
    }
    Ok(chain.patch)
}
