//! Normalizations.

use octet_ir::ops::{L2Normalization, LocalResponseNormalization, LogSoftmax, Softmax};

use crate::kernel::{PrepareCx, Prepared};

pub(super) fn softmax(_op: &Softmax, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn log_softmax(_op: &LogSoftmax, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn l2_normalization(_op: &L2Normalization, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn local_response_normalization(_op: &LocalResponseNormalization, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
