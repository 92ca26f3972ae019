//! Small helpers that several op files share.

use bytemuck::Pod;
use octet_ir::{Diagnostic, ElementType as E, Type};

use crate::data::index::OutOfBounds;
use crate::data::strided::StridedCopy;
use crate::kernel::{Io, PrepareCx, PrepareError, Prepared, kernel};

/// Bytes per element of operand `index`; refuses strings and types of less than a byte.
pub(super) fn width(cx: &PrepareCx<'_>, index: usize) -> Result<usize, PrepareError> {
    match cx.elem(index)?.bits() {
        Some(bits) if bits >= 8 => Ok(bits / 8),
        _ => Err(cx.unsupported()),
    }
}

/// A kernel that is one strided copy from operand `operand` to result 0.
pub(super) fn copy_kernel(operand: usize, copy: StridedCopy) -> Prepared {
    kernel(move |io| {
        let input = io.input(operand);
        copy.run(input, io.output(0));
    })
}

/// Refuses a bias (or another optional operand) that is not f32.
pub(super) fn float_if_there(cx: &PrepareCx<'_>, index: usize) -> Result<(), PrepareError> {
    match cx.optional(index) {
        Some(ty) if ty.elem != E::F32 => Err(cx.unsupported()),
        _ => Ok(()),
    }
}

/// Refuses an operand that is not one element of type `elem`.
pub(super) fn one_element(cx: &PrepareCx<'_>, index: usize, elem: E) -> Result<(), PrepareError> {
    let ty = cx.ty(index)?;
    if ty.elem == elem && ty.shape.elements() == 1 {
        return Ok(());
    }
    Err(cx.invalid(format!("operand {index} is {ty}, expected one {elem}")))
}

/// Writes integers to result `index`, which is i32 or i64.
pub(super) fn put_ints(io: &mut Io<'_>, index: usize, elem: E, values: impl IntoIterator<Item = i64>) {
    if elem == E::I64 {
        for (out, value) in io.output::<i64>(index).iter_mut().zip(values) {
            *out = value;
        }
    } else {
        for (out, value) in io.output::<i32>(index).iter_mut().zip(values) {
            *out = value as i32;
        }
    }
}

/// The diagnostic for an index that leaves its axis.
pub(super) fn out_of_bounds(error: OutOfBounds) -> Diagnostic {
    let OutOfBounds { index, size } = error;
    Diagnostic::error("EVL010", format!("index {index} is outside an axis of size {size}"))
}

/// The element type of an operand that [`read_ints`] reads.
pub(super) fn int_elem(cx: &PrepareCx<'_>, index: usize) -> Result<E, PrepareError> {
    match cx.elem(index)? {
        elem @ (E::I64 | E::I32 | E::I16 | E::I8 | E::U32 | E::U16 | E::U8) => Ok(elem),
        _ => Err(cx.unsupported()),
    }
}

/// An operand's integers, of a type that [`int_elem`] let through.
pub(super) fn read_ints(io: &Io<'_>, index: usize, elem: E) -> Vec<i64> {
    fn all<T: Pod + Into<i64>>(io: &Io<'_>, index: usize) -> Vec<i64> {
        io.input::<T>(index).iter().map(|&value| value.into()).collect()
    }
    match elem {
        E::I64 => all::<i64>(io, index),
        E::I32 => all::<i32>(io, index),
        E::I16 => all::<i16>(io, index),
        E::I8 => all::<i8>(io, index),
        E::U32 => all::<u32>(io, index),
        E::U16 => all::<u16>(io, index),
        E::U8 => all::<u8>(io, index),
        _ => Vec::new(),
    }
}

/// The bytes of an element that stands for zero: the zero point of quantized types.
pub(crate) fn zero_element(ty: &Type, width: usize) -> Vec<u8> {
    let zero = if ty.is_quantized() { ty.scale_zero_point().map_or(0, |(_, zero)| zero) } else { 0 };
    zero.to_le_bytes().into_iter().chain([0; 8]).take(width).collect()
}

/// Fills `target` with copies of one element.
pub(crate) fn fill(target: &mut [u8], element: &[u8]) {
    if let [byte] = element {
        target.fill(*byte);
    } else if let Some(first) = target.get_mut(..element.len()) {
        first.copy_from_slice(element);
        let mut done = element.len();
        while done > 0 && done < target.len() {
            let (from, to) = target.split_at_mut(done);
            let count = done.min(to.len());
            to[..count].copy_from_slice(&from[..count]);
            done += count;
        }
    }
}
