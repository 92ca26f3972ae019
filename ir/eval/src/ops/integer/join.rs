//! CONCATENATION where scales differ.

use octet_ir::ElementType as E;
use octet_ir::ops::{Activation, Concatenation};

use super::{Answer, affine, kernel};
use crate::int::concat::{Part, concatenate};
use crate::kernel::PrepareCx;

/// Legacy `u8` operands are requantized, 16-bit ones copied as they are (TFLite Micro does not look at their scales). Everything else is
/// data movement.
pub(super) fn concatenation(op: &Concatenation, cx: &PrepareCx<'_>) -> Answer {
    let output = cx.result(0)?;
    let differs = (0..cx.operands.len()).any(|i| cx.optional(i).is_some_and(|ty| ty.scale_zero_point() != output.scale_zero_point()));
    if !differs || !output.is_quantized() || !matches!(output.elem, E::U8 | E::I16) || op.activation != Activation::None {
        return Ok(None);
    }
    let axis = cx.axis(op.axis.into(), output.shape.rank())?;
    let mut parts = Vec::new();
    for index in 0..cx.operands.len() {
        let ty = cx.ty(index)?;
        if ty.elem != output.elem || ty.shape.rank() != output.shape.rank() {
            return Err(cx.unsupported());
        }
        parts.push((ty.shape.dims()[axis..].iter().product::<usize>(), affine(cx, ty)?));
    }
    let affine = affine(cx, output)?;
    if output.elem == E::I16 {
        return kernel(move |io| {
            let parts: Vec<Part<'_, i16>> =
                parts.iter().enumerate().map(|(i, &(row, affine))| Part { data: io.input(i), row, affine }).collect();
            concatenate(&parts, io.output(0), affine)
        })
        .map(Some);
    }
    kernel(move |io| {
        let parts: Vec<Part<'_, u8>> =
            parts.iter().enumerate().map(|(i, &(row, affine))| Part { data: io.input(i), row, affine }).collect();
        concatenate(&parts, io.output(0), affine)
    })
    .map(Some)
}
