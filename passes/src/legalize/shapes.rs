//! Makes a RESHAPE of SQUEEZE and EXPAND_DIMS.
//!
//! Exact. SQUEEZE is taken for leading axes only, EXPAND_DIMS from runtime 13 on, RESHAPE always.
//!
//! ```ir
//! graph @main(%0: 1x4x1x2 !q<i8, 0.05> loc("x")) {
//!   %1 = squeeze(%0) {dims = [2]} : 1x4x2 !q<i8, 0.05> loc("y")
//!   return %1
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4x1x2 !q<i8, 0.05> loc("x")) {
//!   %1 = const [1, 4, 2] : 3 i32
//!   %2 = reshape(%0, %1) : 1x4x2 !q<i8, 0.05> loc("y")
//!   return %2
//! }
//! ```

use octet_ir::ops::Reshape;
use octet_ir::{Graph, Module, Op, OpId, Patch};

use super::build::{Chain, byte_scale, sizes};
use crate::rewrite::pattern::{operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(Shapes = "shapes", shapes);

fn shapes(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    if !matches!(operation.op(), Op::Squeeze(_) | Op::ExpandDims(_)) {
        return Err(Refusal::NoMatch);
    }
    let (x, ty) = (operand(operation, 0)?, graph.ty(result(operation)?));
    byte_scale(ty)?;
    let mut chain = Chain::of(graph, root)?;
    let shape = chain.ints(&sizes(ty)?)?;
    chain.last(root, Reshape::default(), &[x, shape])
}
