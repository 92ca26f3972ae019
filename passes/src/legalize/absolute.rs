//! Computes ABS as PRELU with a slope of -1.
//!
//! Each side is rounded once, as in the kernel that it replaces; a result may be off by one level where it lies half-way.
//!
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = abs(%0) : 1x8 !q<i8, 0.025:-128> loc("y")
//!   return %1
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = const [-127] : 1 !q<i8, 0.007874016>
//!   %2 = prelu(%0, %1) : 1x8 !q<i8, 0.025:-128> loc("y")
//!   return %2
//! }
//! ```

use octet_ir::ops::{Prelu, UnaryKind};
use octet_ir::{Graph, Module, OpId, Patch};

use super::build::{Chain, function_of_bytes};
use crate::rewrite::{Refusal, rewrite};

rewrite!(Absolute = "absolute", absolute);

fn absolute(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let (x, ty) = function_of_bytes(graph, root, UnaryKind::Abs)?;
    let mut chain = Chain::of(graph, root)?;
    let alpha = chain.slope(ty.elem, -1.0);
    chain.last(root, Prelu::default(), &[x, alpha])
}
