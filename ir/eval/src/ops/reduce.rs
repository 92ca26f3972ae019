//! Ops that combine elements along an axis.

use octet_ir::ops::{Arg, Cumsum, Reduce, SegmentSum, TopkV2, Unique, UnsortedSegment};

use crate::kernel::{PrepareCx, Prepared};

pub(super) fn reduce(_op: &Reduce, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn arg(_op: &Arg, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn cumsum(_op: &Cumsum, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn topk_v2(_op: &TopkV2, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn unique(_op: &Unique, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn segment_sum(_op: &SegmentSum, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn unsorted_segment(_op: &UnsortedSegment, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
