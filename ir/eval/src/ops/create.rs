//! Ops that make tensors.

use octet_ir::ops::{Fill, OneHot, RangeOp, SparseToDense, Where};

use crate::kernel::{PrepareCx, Prepared};

pub(super) fn fill(_op: &Fill, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn range(_op: &RangeOp, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn one_hot(_op: &OneHot, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn where_op(_op: &Where, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn sparse_to_dense(_op: &SparseToDense, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
