//! Values as lowerings want them: reals in single precision, and real numbers or plain integers instead of quantized ones.
//!
//! The runtimes of the edge compute half precision in single: conversions stand where a value of half precision is asked for, and nowhere
//! between two nodes. Operators that only move elements, or choose among them, take quantized values as the reals that they stand
//! for and give them back under the same scale. To every other operator of ONNX's own domain a quantized value is its integers.

use octet_ir::{Constant, ElementType, Quantization, Type, ValueId};

use crate::attributes::{Node, Refusal};
use crate::lower::{Inputs, Lower, Lowering, Outputs};
use crate::scope::Scope;

/// Operators that say themselves what becomes of types and scales, or have nested graphs whose nodes do.
const THEMSELVES: &[&str] =
    &["BitCast", "Cast", "CastLike", "DequantizeLinear", "Identity", "If", "Loop", "QuantizeLinear", "Scan", "Shape", "Size"];

/// Operators that move elements or choose the largest: the integers of the result are integers of the inputs.
const MOVES: &[&str] = &[
    "Compress",
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "GlobalMaxPool",
    "Max",
    "MaxPool",
    "Min",
    "Pad",
    "Reshape",
    "ReverseSequence",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

fn is_half(elem: ElementType) -> bool {
    matches!(elem, ElementType::F16 | ElementType::BF16)
}

/// Runs a lowering on inputs and outputs that suit it.
pub(crate) fn lower(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, lower: Lower) -> Outputs {
    let operator = node.proto.op_type.as_str();
    let is_own = matches!(node.proto.domain.as_str(), "" | "ai.onnx");
    if is_own && THEMSELVES.contains(&operator) {
        return lower(l, node, inputs);
    }
    if is_own && !operator.starts_with("QLinear") && inputs.iter().flatten().any(|&v| l.scope.ty(v).is_quantized()) {
        return integers(l, node, inputs, lower);
    }
    let first = inputs.iter().flatten().map(|&v| l.scope.elem(v)).find(|e| e.is_float());
    let inputs = singles(l.scope, inputs)?;
    let outputs = lower(l, node, &inputs)?;
    let Some(half) = first.filter(|&e| is_half(e)) else { return Ok(outputs) };
    outputs.into_iter().map(|v| if l.scope.elem(v) == ElementType::F32 { l.scope.in_precision(v, half) } else { Ok(v) }).collect()
}

/// The inputs, those of half precision in single.
fn singles(scope: &mut Scope<'_>, inputs: Inputs<'_>) -> Result<Vec<Option<ValueId>>, Refusal> {
    let mut single = |v: ValueId| if is_half(scope.elem(v)) { scope.in_precision(v, ElementType::F32) } else { Ok(v) };
    inputs.iter().map(|input| input.map(&mut single).transpose()).collect()
}

/// A lowering over quantized values.
fn integers(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, lower: Lower) -> Outputs {
    let operator = node.proto.op_type.as_str();
    let common = common(l.scope, inputs);
    let nearest = operator == "Resize" && node.text_or("mode", "nearest") == "nearest";
    let Some((elem, quant)) = common.filter(|_| MOVES.contains(&operator) || nearest) else {
        let plain = inputs.iter().map(|input| input.map(|v| plain(l.scope, v)).transpose()).collect::<Result<Vec<_>, _>>()?;
        return lower(l, node, &plain);
    };
    let mut reals = Vec::with_capacity(inputs.len());
    for &input in inputs {
        reals.push(match input {
            Some(v) if l.scope.ty(v).is_quantized() => Some(l.scope.dequantize(v)?),
            Some(v) if l.scope.elem(v) == elem => Some(meant(l.scope, v, &quant)?),
            other => other,
        });
    }
    // Without a value to fill with, the integer 0 stands in the padding.
    if operator == "Pad" && node.text_or("mode", "constant") == "constant" && reals.get(2).is_none_or(Option::is_none) {
        let fill = l.scope.f32(number(0, &quant));
        reals.resize(reals.len().max(3), None);
        reals[2] = Some(fill);
    }
    let outputs = lower(l, node, &reals)?;
    let back = |v: ValueId| if l.scope.elem(v) == ElementType::F32 { l.scope.quantize(v, elem, quant.clone()) } else { Ok(v) };
    outputs.into_iter().map(back).collect()
}

/// The type that all quantized inputs share, one scale for the whole tensor, if every other input of those integers is a constant.
fn common(scope: &Scope<'_>, inputs: Inputs<'_>) -> Option<(ElementType, Quantization)> {
    let mut quantized = inputs.iter().flatten().filter(|v| scope.ty(**v).is_quantized());
    let ty = scope.ty(*quantized.next()?);
    let quant = ty.quant.as_deref().filter(|q| q.axis().is_none() && q.scales().len() == 1)?;
    let fits = |v: &ValueId| {
        let other = scope.ty(*v);
        if other.is_quantized() {
            other.elem == ty.elem && other.quant == ty.quant
        } else {
            other.elem != ty.elem || scope.ints(*v).is_some()
        }
    };
    inputs.iter().flatten().all(fits).then(|| (ty.elem, quant.clone()))
}

/// The real number that an integer stands for.
#[expect(clippy::cast_precision_loss, reason = "differences of integers of 16 bits at most")]
fn number(integer: i64, quant: &Quantization) -> f32 {
    let zero_point = quant.zero_points().first().copied().unwrap_or(0);
    (integer - zero_point) as f32 * quant.scales().first().copied().unwrap_or(1.0)
}

/// The real numbers that constant integers stand for.
fn meant(scope: &mut Scope<'_>, value: ValueId, quant: &Quantization) -> Result<ValueId, Refusal> {
    let integers = scope.need_ints(value, "what stands beside quantized values")?;
    let reals: Vec<f32> = integers.into_iter().map(|i| number(i, quant)).collect();
    let dims = scope.dims(value).to_vec();
    Ok(scope.constant_value(Constant::from_f32(&reals), Type::f32(dims)))
}

/// The integers of a quantized value, without their scale.
fn plain(scope: &mut Scope<'_>, value: ValueId) -> Result<ValueId, Refusal> {
    if !scope.ty(value).is_quantized() {
        return Ok(value);
    }
    let elem = scope.elem(value);
    let wide = scope.cast(value, ElementType::I32)?;
    scope.cast(wide, elem)
}
