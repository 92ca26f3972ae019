//! Pools.

use octet_ir::ops::Pool2d;

use crate::kernel::{PrepareCx, Prepared};

pub(super) fn pool_2d(_op: &Pool2d, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
