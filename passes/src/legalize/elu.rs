//! Computes ELU as `relu(x) - 2 t r r` with `t = tanh(relu(-x / 2))` and `r = 1 / sqrt(1 + t)`: products, TANH, RSQRT, RELU and ADD.
//!
//! Below 0, `e^x - 1` is `-2 t / (1 + t)`. TANH has 128 levels from 0 to 1 and RSQRT 256, so that the result is off by at most 0.02 and half a level there, and
//! by half a level more above 0.
//!
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.03:-10> loc("x")) {
//!   %1 = elu(%0) : 1x8 !q<i8, 0.02:-79> loc("y")
//!   return %1
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.03:-10> loc("x")) {
//!   %1 = const [-127] : !q<i8, 0.003937008>
//!   %2 = mul(%0, %1) {activation = relu} : 1x8 !q<i8, 0.0069411765:-128> loc("y")
//!   %3 = tanh(%2) : 1x8 !q<i8, 0.0078125> loc("y")
//!   %4 = const [127] : !q<i8, 0.007874016>
//!   %5 = add(%3, %4) {pot_scale_int16 = false} : 1x8 !q<i8, 0.007621998:-128> loc("y")
//!   %6 = rsqrt(%5) : 1x8 !q<i8, 0.003921569:-128> loc("y")
//!   %7 = const [-127] : !q<i8, 0.015748031>
//!   %8 = mul(%3, %7) : 1x8 !q<i8, 0.0078125:127> loc("y")
//!   %9 = mul(%8, %6) : 1x8 !q<i8, 0.005308571:127> loc("y")
//!   %10 = mul(%9, %6) : 1x8 !q<i8, 0.0038077908:127> loc("y")
//!   %11 = relu(%0) : 1x8 !q<i8, 0.016117647:-128> loc("y")
//!   %12 = add(%11, %10) {pot_scale_int16 = false} : 1x8 !q<i8, 0.02:-79> loc("y")
//!   return %12
//! }
//! ```

use octet_ir::ops::{Activation, Binary, BinaryKind, Unary, UnaryKind};
use octet_ir::{Graph, Module, OpId, Patch};

use super::build::{Chain, function_of_bytes, interval};
use crate::quantize::Bounds;
use crate::rewrite::{Refusal, rewrite};

rewrite!(Elu = "elu", elu);

/// Where `e^x` no longer counts.
const LEAST: f32 = -8.0;

fn elu(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let (x, ty) = function_of_bytes(graph, root, UnaryKind::Elu)?;
    let like = graph.ty(x).clone();
    let Bounds { lo, hi } = interval(graph, x).ok_or(Refusal::NoMatch)?;
    let half = -lo.clamp(LEAST, 0.0) / 2.0;
    let most = half.tanh();
    let up_to = |hi: f32| Some(Bounds { lo: 0.0, hi });
    let down_to = |lo: f32| Some(Bounds { lo, hi: 0.0 });
    let (mul, add) = (|| Binary::new(BinaryKind::Mul), || Binary::new(BinaryKind::Add));

    let mut chain = Chain::of_any_size(graph, root)?;
    let [minus_half, one, minus_two] = [-0.5, 1.0, -2.0].map(|real| chain.number(ty.elem, real));
    let below = chain.within(Binary { activation: Activation::Relu, ..mul() }, &[x, minus_half], &like, up_to(half));
    let tanh = chain.tanh(below, &like);
    let sum = chain.within(add(), &[tanh, one], &like, up_to(1.0 + most));
    let root_of = chain.within(Unary::new(UnaryKind::Rsqrt), &[sum], &like, up_to(1.0));
    // Another name for the same levels: nothing is rounded.
    let twice = chain.within(mul(), &[tanh, minus_two], &like, Some(Bounds { lo: -255.0 / 128.0, hi: 0.0 }));
    let once = chain.within(mul(), &[twice, root_of], &like, down_to(-2.0 * most / (1.0 + most).sqrt()));
    let negative = chain.within(mul(), &[once, root_of], &like, down_to(-2.0 * most / (1.0 + most)));
    let positive = chain.within(Unary::new(UnaryKind::Relu), &[x], &like, up_to(hi.max(0.0)));
    chain.last(root, add(), &[positive, negative])
}
