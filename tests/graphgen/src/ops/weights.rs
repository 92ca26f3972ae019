//! Weights and biases, quantized by the rules of the kind of data that they meet.

use octet_ir::{ElementType, Granularity, Quantization, Type, ValueId};

use crate::build::Cx;
use crate::kind::Kind;
use crate::profile::Runtime;

/// Weights, and what the bias beside them needs to know.
pub(super) struct Weights {
    pub(super) value: ValueId,
    /// One for all output channels, or one each.
    pub(super) scales: Vec<f32>,
    /// Largest real.
    pub(super) amplitude: f32,
}

/// What weights an operation takes.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// The axis that may have a scale per index.
    pub(super) axis: Option<usize>,
    /// Whether four-bit weights are taken with int8 data.
    pub(super) four_bits: bool,
    /// Whether blocks of the innermost axis may share a scale.
    pub(super) blocks: bool,
    /// Whether int8 weights are taken with float data.
    pub(super) hybrid: bool,
}

/// Constant weights of these sizes for data of this kind.
pub(super) fn weights(cx: &mut Cx<'_, '_>, kind: Kind, dims: Vec<usize>, rules: Rules) -> Weights {
    let amplitude = cx.random().float(0.1, 1.0);
    let hybrid = kind == Kind::F32 && rules.hybrid && cx.profile().hybrid && cx.chance(30);
    match kind {
        Kind::F32 if !hybrid => {
            let value = cx.filled(Type::f32(dims), -amplitude, amplitude);
            Weights { value, scales: vec![1.0], amplitude }
        }
        Kind::U8 => {
            let quant = kind.quantization(-amplitude, amplitude * 0.8);
            let scale = quant.as_ref().map_or(1.0, |q| q.scales()[0]);
            let value = cx.filled(Type::quantized(ElementType::U8, dims, quant.unwrap_or_else(|| Quantization::new(1.0, 0))), 0.0, 0.0);
            Weights { value, scales: vec![scale], amplitude }
        }
        Kind::F32 | Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 | Kind::Bool => {
            let narrow = rules.four_bits && kind == Kind::I8 && cx.chance(20);
            let elem = if narrow { ElementType::I4 } else { ElementType::I8 };
            let step = amplitude / if narrow { 7.0 } else { 127.0 };
            let innermost = dims.last().copied().unwrap_or(1);
            let blocks: Vec<usize> = [8, 4, 2].into_iter().filter(|b| innermost % b == 0).collect();
            if rules.blocks && cx.profile().exotic && !blocks.is_empty() && cx.chance(20) {
                let block = *cx.random().pick(&blocks);
                let count = dims.iter().product::<usize>() / block;
                let scales = spread(cx, step, count);
                let quant = Quantization::with_granularity(Granularity::Blockwise { block }, scales, Vec::new());
                let ty = Type::new(elem, dims).with_quant(quant.map(Into::into));
                return Weights { value: cx.filled(ty, 0.0, 0.0), scales: vec![step], amplitude };
            }
            let (quant, scales) = match rules.axis {
                // TFLM's FULLY_CONNECTED, the operation that takes blocks, has one scale for four-bit weights.
                Some(axis) if !(narrow && rules.blocks && cx.runtime() == Runtime::Tflm) && cx.chance(70) => {
                    let scales = spread(cx, step, dims[axis]);
                    (Quantization::per_axis(axis, scales.clone()), scales)
                }
                _ => (Quantization::new(step, 0), vec![step]),
            };
            let value = cx.filled(Type::quantized(elem, dims, quant), 0.0, 0.0);
            Weights { value, scales, amplitude }
        }
    }
}

/// Scales around a step.
fn spread(cx: &mut Cx<'_, '_>, step: f32, count: usize) -> Vec<f32> {
    (0..count).map(|_| step * cx.random().float(0.25, 1.0)).collect()
}

/// A bias for `count` channels, or none. Its scale is the product of the data's and the weights'.
pub(super) fn bias(cx: &mut Cx<'_, '_>, data: ValueId, weights: &Weights, count: usize, may_lack: bool) -> Option<ValueId> {
    if may_lack && cx.chance(25) {
        return None;
    }
    let amplitude = cx.amplitude(data);
    let ty = match (Kind::of(cx.ty(data)), cx.ty(data).scale_zero_point()) {
        (Some(kind), Some((scale, _))) => {
            // A bias of 64 bits is what 16-bit kernels took first; of 32 bits only where the operation can say so.
            let elem = if kind == Kind::I16 { ElementType::I64 } else { ElementType::I32 };
            let scales: Vec<f32> = weights.scales.iter().map(|s| s * scale).collect();
            let quant = if scales.len() == 1 { Quantization::new(scales[0], 0) } else { Quantization::per_axis(0, scales) };
            Type::quantized(elem, [count], quant)
        }
        _ => Type::f32([count]),
    };
    Some(cx.filled(ty, -amplitude, amplitude))
}

/// The reals that a sum of `terms` products of data and weights takes, nearly always.
pub(super) fn sum_range(cx: &Cx<'_, '_>, data: ValueId, weights: &Weights, terms: usize) -> (f32, f32) {
    #[expect(clippy::cast_precision_loss, reason = "sizes of test tensors")]
    let spread = (terms as f32).sqrt();
    let bound = cx.amplitude(data) * (weights.amplitude * spread + 1.0);
    (-bound, bound)
}
