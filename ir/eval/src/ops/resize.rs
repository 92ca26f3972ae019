//! Resizing of images.

use octet_ir::ops::{ResizeBilinear, ResizeNearestNeighbor};

use crate::kernel::{PrepareCx, Prepared};

pub(super) fn resize_bilinear(_op: &ResizeBilinear, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn resize_nearest_neighbor(_op: &ResizeNearestNeighbor, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
