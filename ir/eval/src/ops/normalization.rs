//! Normalizations.

use octet_ir::ElementType as E;
use octet_ir::ops::{L2Normalization, LocalResponseNormalization, LogSoftmax, Softmax};

use crate::float::activation::activate;
use crate::float::normalize::{self, LocalResponse};
use crate::kernel::{PrepareCx, PrepareError, Prepared, kernel};

/// Size of the innermost axis.
fn depth(cx: &PrepareCx<'_>) -> Result<usize, PrepareError> {
    Ok(cx.shape(0)?.last().copied().unwrap_or(1))
}

pub(super) fn softmax(op: &Softmax, cx: &PrepareCx<'_>) -> Prepared {
    let (beta, depth) = (op.beta, depth(cx)?);
    match (cx.elem(0)?, cx.result(0)?.elem) {
        (E::F32, E::F32) => kernel(move |io| {
            let x = io.input(0);
            normalize::softmax(x, io.output(0), depth, beta);
        }),
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn log_softmax(_: &LogSoftmax, cx: &PrepareCx<'_>) -> Prepared {
    let depth = depth(cx)?;
    match cx.elem(0)? {
        E::F32 => kernel(move |io| {
            let x = io.input(0);
            normalize::log_softmax(x, io.output(0), depth);
        }),
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn l2_normalization(op: &L2Normalization, cx: &PrepareCx<'_>) -> Prepared {
    let (depth, activation) = (depth(cx)?, op.activation);
    match cx.elem(0)? {
        E::F32 => kernel(move |io| {
            let x = io.input(0);
            let y = io.output(0);
            normalize::l2_normalize(x, y, depth);
            activate(activation, y);
        }),
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn local_response_normalization(op: &LocalResponseNormalization, cx: &PrepareCx<'_>) -> Prepared {
    let depth = depth(cx)?;
    let radius = usize::try_from(op.radius).map_err(|_| cx.invalid("the radius is negative"))?;
    let norm = LocalResponse { radius, bias: op.bias, alpha: op.alpha, beta: op.beta };
    match cx.elem(0)? {
        E::F32 => kernel(move |io| {
            let x = io.input(0);
            norm.run(x, io.output(0), depth);
        }),
        _ => Err(cx.unsupported()),
    }
}
