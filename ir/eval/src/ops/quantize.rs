//! Ops that convert between reals and quantized integers.

use half::{bf16, f16};
use octet_ir::ElementType as E;
use octet_ir::ops::{Densify, Dequantize, FakeQuant, Quantize};

use crate::float::vector::map;
use crate::kernel::{PrepareCx, Prepared, kernel};

pub(super) fn quantize(_: &Quantize, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn dequantize(_: &Dequantize, cx: &PrepareCx<'_>) -> Prepared {
    let from = cx.ty(0)?;
    if cx.result(0)?.elem != E::F32 {
        return Err(cx.unsupported());
    }
    match from.elem {
        E::F16 => kernel(|io| {
            let x = io.input::<f16>(0);
            map(x, io.output::<f32>(0), f16::to_f32);
        }),
        E::BF16 => kernel(|io| {
            let x = io.input::<bf16>(0);
            map(x, io.output::<f32>(0), bf16::to_f32);
        }),
        _ => Err(cx.unsupported()),
    }
}

/// Rounds to the nearest of `2^bits` levels; the range is nudged so that zero is one of them.
pub(super) fn fake_quant(op: &FakeQuant, cx: &PrepareCx<'_>) -> Prepared {
    if cx.elem(0)? != E::F32 || !(1..=16).contains(&op.num_bits) {
        return Err(cx.unsupported());
    }
    let low = if op.narrow_range { 1.0f32 } else { 0.0 };
    let high = ((1u32 << op.num_bits) - 1) as f32;
    let scale = (op.max - op.min) / (high - low);
    if !(scale > 0.0 && scale.is_finite()) {
        return kernel(|io| io.output::<f32>(0).fill(0.0));
    }
    let zero = (low - op.min / scale).clamp(low, high);
    let zero = if zero <= low || zero >= high { zero } else { zero.round() };
    let (min, max) = ((low - zero) * scale, (high - zero) * scale);
    let inverse = 1.0 / scale;
    kernel(move |io| {
        let x = io.input::<f32>(0);
        map(x, io.output::<f32>(0), |x: f32| {
            let level = ((x.max(min).min(max) - min) * inverse + 0.5).floor();
            level * scale + min
        });
    })
}

/// The interpreter hands sparse constants over as dense ones, so nothing but a copy is left.
pub(super) fn densify(_: &Densify, cx: &PrepareCx<'_>) -> Prepared {
    super::shape::same_bytes(cx, 0)
}
