//! Computes NEG as MUL by -1.
//!
//! One rounding, where the kernel has none if both scales are the same: the result may be off by one level. Of -128, which the kernel leaves as it
//! is, it gives 127.
//!
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = relu(%0) : 1x8 !q<i8, 0.05> loc("positive")
//!   %2 = neg(%1) : 1x8 !q<i8, 0.05> loc("y")
//!   return %2
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = relu(%0) : 1x8 !q<i8, 0.05> loc("positive")
//!   %2 = const [-127] : !q<i8, 0.007874016>
//!   %3 = mul(%1, %2) : 1x8 !q<i8, 0.05> loc("y")
//!   return %3
//! }
//! ```

use octet_ir::ops::{Binary, BinaryKind, UnaryKind};
use octet_ir::{Graph, Module, OpId, Patch};

use super::build::{Chain, function_of_bytes};
use crate::rewrite::{Refusal, rewrite};

rewrite!(Negate = "negate", negate);

fn negate(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let (x, ty) = function_of_bytes(graph, root, UnaryKind::Neg)?;
    let mut chain = Chain::of(graph, root)?;
    let minus = chain.number(ty.elem, -1.0);
    chain.last(root, Binary::new(BinaryKind::Mul), &[x, minus])
}
