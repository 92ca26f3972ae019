//! Computes LEAKY_RELU as PRELU with one slope.
//!
//! The slope is one integer, 127 or -127, with a scale of its own. Each side is rounded once, as in the kernel that it replaces; the multiplier of the
//! negative side is a product of other factors, so that a result may be off by one level where it lies half-way.
//!
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = leaky_relu(%0) {alpha = 0.1} : 1x8 !q<i8, 0.03:-115> loc("y")
//!   return %1
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = const [127] : 1 !q<i8, 0.0007874016>
//!   %2 = prelu(%0, %1) : 1x8 !q<i8, 0.03:-115> loc("y")
//!   return %2
//! }
//! ```

use octet_ir::ops::Prelu;
use octet_ir::{Graph, Module, Op, OpId, Patch};

use super::build::{Chain, byte_scale};
use crate::rewrite::pattern::{operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(LeakyReluAsPrelu = "leaky_relu", leaky_relu);

fn leaky_relu(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::LeakyRelu(leaky) = operation.op() else { return Err(Refusal::NoMatch) };
    let x = operand(operation, 0)?;
    byte_scale(graph.ty(x))?;
    let elem = graph.ty(result(operation)?).elem;
    if !leaky.alpha.is_normal() || !(leaky.alpha / 127.0).is_normal() {
        return Err(Refusal::check(format!("a slope of {} is no scale", leaky.alpha)));
    }
    let mut chain = Chain::of(graph, root)?;
    let alpha = chain.slope(elem, leaky.alpha);
    chain.last(root, Prelu::default(), &[x, alpha])
}
