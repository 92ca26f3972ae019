//! Removes a QUANTIZE that undoes the DEQUANTIZE or QUANTIZE before it, and merges the two into one QUANTIZE where that gives the same integers.
//!
//! Legal because both ways are computed for every integer that the source can hold (8 and 16 bits, per-tensor scales), in the kernels' own
//! arithmetic: a DEQUANTIZE to reals and a QUANTIZE of them, or two requantizations, against nothing or against one requantization. If a
//! single integer came out differently, the operations stay. A DEQUANTIZE of a QUANTIZE is never removed: it is where a model trained for
//! quantization rounds.
//!
//! ```ir
//! graph @main(%0: 1x4 !q<i8, 0.5:-3> loc("x")) {
//!   %1 = relu(%0) : 1x4 !q<i8, 0.5:-3> loc("a")
//!   %2 = dequantize(%1) : 1x4 f32 loc("b")
//!   %3 = quantize(%2) : 1x4 !q<i8, 0.5:-3> loc("c")
//!   %4 = abs(%3) : 1x4 !q<i8, 0.5:-3> loc("y")
//!   return %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4 !q<i8, 0.5:-3> loc("x")) {
//!   %1 = relu(%0) : 1x4 !q<i8, 0.5:-3> loc("c", "a")
//!   %2 = abs(%1) : 1x4 !q<i8, 0.5:-3> loc("y")
//!   return %2
//! }
//! ```
//! and, with another type at the end,
//! ```ir
//! graph @main(%0: 1x4 !q<i8, 0.5:-128> loc("x")) {
//!   %1 = dequantize(%0) : 1x4 f32 loc("a")
//!   %2 = quantize(%1) : 1x4 !q<u8, 0.5:0> loc("y")
//!   return %2
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x4 !q<i8, 0.5:-128> loc("x")) {
//!   %1 = quantize(%0) : 1x4 !q<u8, 0.5:0> loc("a", "y")
//!   return %1
//! }
//! ```

use octet_ir::arith::{Affine, Multiplier, quantize_saturating};
use octet_ir::ops::Quantize;
use octet_ir::{ElementType, Graph, Module, Op, OpId, Patch, Type};

use crate::rewrite::pattern::{Replacement, forward, operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(QuantizePair = "quantize_pair", quantize_pair);

/// Conversions between integers that the kernels of LiteRT and TFLite Micro both have.
const REQUANTIZATIONS: [(ElementType, ElementType); 6] = [
    (ElementType::I8, ElementType::I8),
    (ElementType::I8, ElementType::U8),
    (ElementType::U8, ElementType::I8),
    (ElementType::I8, ElementType::I16),
    (ElementType::I16, ElementType::I8),
    (ElementType::I16, ElementType::I16),
];

fn quantize_pair(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::Quantize(_) = operation.op() else { return Err(Refusal::NoMatch) };
    let value = operand(operation, 0)?;
    let (_, producer) = graph.producer(value).ok_or(Refusal::NoMatch)?;
    let source = operand(producer, 0)?;
    let (from, to) = (graph.ty(source), graph.ty(result(operation)?));
    if !matches!(producer.op(), Op::Dequantize(_) | Op::Quantize(_)) || !from.is_quantized() {
        return Err(Refusal::NoMatch);
    }
    let parameters = || Some((Integers::of(from)?, Integers::of(to)?));
    let Some((a, b)) = parameters() else {
        return Err(Refusal::check(format!("{from} and {to} are not 8- or 16-bit integers with one scale each")));
    };
    let pair = |q: i32| -> Option<i32> {
        if graph.ty(value).elem == ElementType::F32 {
            return Some(b.quantize(a.affine.dequantize(q)));
        }
        let middle = Integers::of(graph.ty(value))?;
        Some(b.requantize(&middle, middle.requantize(&a, q)))
    };
    if from == to && (a.low..=a.high).all(|q| pair(q) == Some(q)) {
        return forward(graph, root, source);
    }
    if !REQUANTIZATIONS.contains(&(from.elem, to.elem)) {
        return Err(Refusal::check(format!("no kernel requantizes {} to {}", from.elem, to.elem)));
    }
    if let Some(q) = (a.low..=a.high).find(|&q| pair(q) != Some(b.requantize(&a, q))) {
        return Err(Refusal::check(format!(
            "{q} becomes {} by way of {}, but {} by one QUANTIZE",
            pair(q).unwrap_or(q),
            graph.ty(value),
            b.requantize(&a, q)
        )));
    }
    let swallowed: &[_] = if graph.value(value).uses().len() == 1 { &[value] } else { &[] };
    Replacement::of(graph, root, swallowed)?.with(Quantize {}, vec![Some(source)])
}

/// Integers that stand for reals with one scale.
struct Integers {
    affine: Affine,
    low: i32,
    high: i32,
}

impl Integers {
    fn of(ty: &Type) -> Option<Self> {
        let (scale, zero_point) = ty.scale_zero_point()?;
        let (low, high) = ty.elem.integer_range()?;
        if !matches!(ty.elem, ElementType::I8 | ElementType::U8 | ElementType::I16) {
            return None;
        }
        let narrow = |v: i64| i32::try_from(v).ok();
        Some(Self { affine: Affine { scale, zero_point: narrow(zero_point)? }, low: narrow(low)?, high: narrow(high)? })
    }

    /// What QUANTIZE makes of a real.
    fn quantize(&self, real: f32) -> i32 {
        quantize_saturating(real, self.affine, self.low, self.high)
    }

    /// What QUANTIZE makes of another integer.
    fn requantize(&self, from: &Self, q: i32) -> i32 {
        let multiplier = Multiplier::from_real(f64::from(from.affine.scale) / f64::from(self.affine.scale));
        let scaled = multiplier.apply(q - from.affine.zero_point);
        scaled.saturating_add(self.affine.zero_point).clamp(self.low, self.high)
    }
}
