//! Computes GELU as `x * logistic(x * (a + b * x * x))`: MUL, MUL, ADD, MUL, LOGISTIC, MUL, on bytes and on floats.
//!
//! This is the tanh form, with `a` = sqrt(8 / pi) and `b` = 0.044715 a, which differs from the exact function by less than 0.0005. On bytes, what goes into
//! LOGISTIC saturates at 7 and has 256 levels, and so has the gate that comes out: the result is off by at most 1/256 of the largest `|x|`, half a level,
//! and those 0.0005; where the scales fit the range, by one level.
//!
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.03:-10> loc("x")) {
//!   %1 = gelu(%0) : 1x8 !q<i8, 0.02:-119> loc("y")
//!   return %1
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.03:-10> loc("x")) {
//!   %1 = const [127] : !q<i8, 0.00056184886>
//!   %2 = mul(%0, %1) : 1x8 !q<i8, 0.0021406442:-10> loc("y")
//!   %3 = mul(%0, %2) : 1x8 !q<i8, 0.002745098:-128> loc("y")
//!   %4 = const [127] : !q<i8, 0.012565111>
//!   %5 = add(%3, %4) {pot_scale_int16 = false} : 1x8 !q<i8, 0.009003015:-128> loc("y")
//!   %6 = mul(%0, %5) : 1x8 !q<i8, 0.05490196:-1> loc("y")
//!   %7 = logistic(%6) : 1x8 !q<i8, 0.00390625:-128> loc("y")
//!   %8 = mul(%0, %7) : 1x8 !q<i8, 0.02:-119> loc("y")
//!   return %8
//! }
//! ```

use octet_ir::ops::{Binary, BinaryKind};
use octet_ir::{ElementType, Graph, Module, Op, OpId, Patch};

use super::build::{Chain, interval, is_byte};
use crate::quantize::Bounds;
use crate::rewrite::pattern::{operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(Gelu = "gelu", gelu);

/// sqrt(8 / pi).
const LINEAR: f32 = 1.595_769;
/// 0.044715 times that.
const CUBIC: f32 = 0.071_354_81;
/// From here on LOGISTIC is within a level of 1.
const MOST: f32 = 7.0;
/// What the cubic part is where the argument of LOGISTIC reaches `MOST`, at x = 3.1.
const MOST_CUBIC: f32 = 0.7;

/// The patch that computes a GELU of floats or bytes with operations that every target has.
pub(crate) fn gelu(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    if !matches!(operation.op(), Op::Gelu(_)) {
        return Err(Refusal::NoMatch);
    }
    let x = operand(operation, 0)?;
    let (like, elem) = (graph.ty(x).clone(), graph.ty(result(operation)?).elem);
    if like.elem != elem || !(is_byte(elem) || elem == ElementType::F32) {
        return Err(Refusal::NoMatch);
    }
    let range = interval(graph, x);
    // How large each step gets, for numbers up to the largest.
    let most = range.map(Bounds::magnitude);
    let scaled = range.map(|b| Bounds { lo: b.lo * CUBIC, hi: b.hi * CUBIC });
    let square = most.map(|m| (CUBIC * m * m).min(MOST_CUBIC));
    let argument = most.zip(square).map(|(m, s)| (m * (LINEAR + s)).min(MOST));
    let mul = || Binary::new(BinaryKind::Mul);

    let mut chain = Chain::of_any_size(graph, root)?;
    let (cubic, linear) = (chain.number(elem, CUBIC), chain.number(elem, LINEAR));
    // Other names for the same levels: nothing is rounded.
    let scaled = chain.within(mul(), &[x, cubic], &like, scaled);
    let squared = chain.within(mul(), &[x, scaled], &like, square.map(|hi| Bounds { lo: 0.0, hi }));
    let slope = chain.within(Binary::new(BinaryKind::Add), &[squared, linear], &like, square.map(|s| Bounds { lo: 0.0, hi: LINEAR + s }));
    let argument = chain.within(mul(), &[x, slope], &like, argument.map(|m| Bounds { lo: -m, hi: m }));
    let gate = chain.logistic(argument, &like);
    chain.last(root, mul(), &[x, gate])
}
