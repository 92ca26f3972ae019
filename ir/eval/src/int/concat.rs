//! CONCATENATION of quantized tensors.
//!
//! `i8` and `i16` kernels copy (scales are equal by contract). Legacy `u8` requantizes inputs whose scale differs from the
//! output's, in single precision (`reference/concatenation.h`, `ConcatenationWithScaling`).

use super::{Affine, Quantized, Result, ensure};

/// One input: its values, how many of them form one row (everything from the concatenation axis inwards), and its scale.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a, T> {
    /// Values, dense.
    pub data: &'a [T],
    /// Elements from the concatenation axis inwards.
    pub row: usize,
    /// Scale and zero point.
    pub affine: Affine,
}

/// Joins the rows of all parts, requantizing `u8` parts whose scale differs.
pub fn concatenate<T: Quantized>(parts: &[Part<'_, T>], output: &mut [T], affine: Affine) -> Result<()> {
    let total: usize = parts.iter().map(|p| p.row).sum();
    if output.is_empty() {
        return Ok(());
    }
    ensure(total > 0 && output.len().is_multiple_of(total), || format!("{} outputs are not rows of {total}", output.len()))?;
    let rows = output.len() / total;
    ensure(parts.iter().all(|p| p.data.len() == rows * p.row), || "the inputs differ in their outer axes".into())?;
    for (i, mut out) in output.chunks_mut(total).enumerate() {
        for part in parts {
            let (head, rest) = out.split_at_mut(part.row);
            out = rest;
            let data = &part.data[i * part.row..(i + 1) * part.row];
            if T::MIN < 0 || part.affine == affine {
                head.copy_from_slice(data);
                continue;
            }
            let scale = part.affine.scale * (1.0 / affine.scale);
            let bias = -part.affine.zero_point as f32 * scale;
            for (o, &x) in head.iter_mut().zip(data) {
                let value = (x.get() as f32 * scale + bias).round() as i32;
                *o = T::saturate(value.saturating_add(affine.zero_point));
            }
        }
    }
    Ok(())
}
