//! Computes HARD_SWISH as `x * relu6(x + 3)`, then times 1/6: ADD with RELU6, MUL, MUL.
//!
//! The gate `relu6(x + 3)` is rounded to 256 levels from 0 to 6, the product to the levels of the result, whose scale it has six times; the last MUL only
//! renames levels and rounds nothing. The result is off by at most `|x| / 510` and half a level.
//!
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = hard_swish(%0) : 1x8 !q<i8, 0.03:-115> loc("y")
//!   return %1
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x8 !q<i8, 0.05> loc("x")) {
//!   %1 = const [127] : !q<i8, 0.023622047>
//!   %2 = add(%0, %1) {activation = relu6, pot_scale_int16 = false} : 1x8 !q<i8, 0.023529412:-128> loc("y")
//!   %3 = mul(%0, %2) : 1x8 !q<i8, 0.17999999:-115> loc("y")
//!   %4 = const [127] : !q<i8, 0.001312336>
//!   %5 = mul(%3, %4) : 1x8 !q<i8, 0.03:-115> loc("y")
//!   return %5
//! }
//! ```

use octet_ir::ops::{Activation, Binary, BinaryKind, UnaryKind};
use octet_ir::{ElementType, Graph, Module, OpId, Patch, Quantization};

use super::build::{Chain, byte_scale, function_of_bytes};
use crate::rewrite::{Refusal, rewrite};

rewrite!(HardSwish = "hard_swish", hard_swish);

fn hard_swish(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let (x, ty) = function_of_bytes(graph, root, UnaryKind::HardSwish)?;
    let (scale, zero_point) = byte_scale(&ty)?;
    let lowest = if ty.elem == ElementType::U8 { 0 } else { -128 };
    let mut chain = Chain::of(graph, root)?;
    let (three, sixth) = (chain.number(ty.elem, 3.0), chain.number(ty.elem, 1.0 / 6.0));
    let quantized = |q: Quantization| ty.clone().with_quant(Some(q.into()));
    let shifted = Binary { activation: Activation::Relu6, ..Binary::new(BinaryKind::Add) };
    let gate = chain.op(shifted, &[x, three], quantized(Quantization::new(6.0 / 255.0, lowest)));
    let product = chain.op(Binary::new(BinaryKind::Mul), &[x, gate], quantized(Quantization::new(6.0 * scale, zero_point)));
    chain.last(root, Binary::new(BinaryKind::Mul), &[product, sixth])
}
