//! Ops that compute each element from the same element of the operands.

use octet_ir::ops::{Binary, Bitcast, Cast, Compare, Gelu, LeakyRelu, Prelu, Select, Unary};

use crate::kernel::{PrepareCx, Prepared};

pub(super) fn unary(_op: &Unary, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn binary(_op: &Binary, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn compare(_op: &Compare, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn gelu(_op: &Gelu, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn leaky_relu(_op: &LeakyRelu, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn prelu(_op: &Prelu, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn select(_op: &Select, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn cast(_op: &Cast, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn bitcast(_op: &Bitcast, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
