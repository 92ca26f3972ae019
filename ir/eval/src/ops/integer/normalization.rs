//! SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION on integers.

use octet_ir::ElementType as E;
use octet_ir::ops::Softmax;

use super::{by_storage, kernel, operand, prepared, result};
use crate::int::norm::l2_normalize;
use crate::int::softmax::{LogSoftmax8, Softmax8, Softmax16};
use crate::kernel::{PrepareCx, PrepareError, Prepared};

/// The innermost size.
fn depth(cx: &PrepareCx<'_>) -> Result<usize, PrepareError> {
    cx.shape(0)?.last().copied().ok_or_else(|| cx.invalid("a scalar has no rows"))
}

pub(super) fn softmax(op: &Softmax, cx: &PrepareCx<'_>) -> Prepared {
    let depth = depth(cx)?;
    let input = operand(cx, 0)?;
    let output = result(cx)?;
    let near = |scale: f32| (output.scale - scale).abs() <= 0.001 * scale;
    let fits = match (cx.elem(0)?, cx.result(0)?.elem) {
        (E::I8, E::I8) => near(1.0 / 256.0) && output.zero_point == -128,
        (E::U8, E::U8) => near(1.0 / 256.0) && output.zero_point == 0,
        (E::I8, E::I16) => near(1.0 / 65536.0) && output.zero_point == -32768,
        (E::I16, E::I16) => near(1.0 / 32768.0) && output.zero_point == 0,
        _ => return Err(cx.unsupported()),
    };
    if !fits {
        return Err(cx.invalid(format!("SOFTMAX has a fixed output scale, not {}:{}", output.scale, output.zero_point)));
    }
    if cx.elem(0)? == E::I16 {
        let softmax = Softmax16::prepare(input, op.beta);
        return kernel(move |io| softmax.run(depth, io.input(0), io.output(0)));
    }
    let softmax = prepared(cx, Softmax8::prepare(input, op.beta))?;
    match (cx.elem(0)?, cx.result(0)?.elem) {
        (E::U8, _) => kernel(move |io| softmax.run::<u8, u8>(depth, io.input(0), io.output(0))),
        (_, E::I16) => kernel(move |io| softmax.run::<i8, i16>(depth, io.input(0), io.output(0))),
        _ => kernel(move |io| softmax.run::<i8, i8>(depth, io.input(0), io.output(0))),
    }
}

pub(super) fn log_softmax(cx: &PrepareCx<'_>) -> Prepared {
    let depth = depth(cx)?;
    let elem = cx.elem(0)?;
    let output = result(cx)?;
    let zero = if elem == E::U8 { 255 } else { 127 };
    if cx.result(0)?.elem != elem || elem == E::I16 {
        return Err(cx.unsupported());
    }
    if output.scale != 16.0 / 256.0 || output.zero_point != zero {
        return Err(cx.invalid(format!("LOG_SOFTMAX has a fixed output scale, not {}:{}", output.scale, output.zero_point)));
    }
    let softmax = prepared(cx, LogSoftmax8::prepare(operand(cx, 0)?))?;
    by_storage!(cx, elem, T => kernel(move |io| softmax.run::<T>(depth, io.input(0), io.output(0))))
}

pub(super) fn l2_normalization(cx: &PrepareCx<'_>) -> Prepared {
    let depth = depth(cx)?;
    let elem = cx.elem(0)?;
    let zero = operand(cx, 0)?.zero_point;
    if cx.result(0)?.elem != elem || elem == E::I16 {
        return Err(cx.unsupported());
    }
    by_storage!(cx, elem, T => kernel(move |io| l2_normalize::<T>(zero, depth, io.input(0), io.output(0))))
}
