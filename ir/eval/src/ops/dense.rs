//! Matrix products.

use octet_ir::ops::{BatchMatmul, EmbeddingLookup, FullyConnected};

use crate::kernel::{PrepareCx, Prepared};

pub(super) fn fully_connected(_op: &FullyConnected, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn batch_matmul(_op: &BatchMatmul, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn embedding_lookup(_op: &EmbeddingLookup, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
