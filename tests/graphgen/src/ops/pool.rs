//! Pooling.

use octet_ir::ops::{Pool2d, PoolKind};

use super::{Family, activation, clamped, padding, window};
use crate::build::{Cx, Out};

pub(super) const FAMILIES: &[Family] = &[Family::new(&["average_pool_2d", "max_pool_2d", "l2_pool_2d"], pool)];

fn pool(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.image(kind);
    let dims = cx.dims(x);
    let padding = padding(cx);
    let (fh, sh, _) = window(cx, dims[1], padding, false);
    let (fw, sw, _) = window(cx, dims[2], padding, false);
    let activation = activation(cx);
    let range = clamped(cx.range(x), activation);
    let op = Pool2d { kind: PoolKind::from_mnemonic(mnemonic)?, padding, stride: [sh, sw], filter: [fh, fw], activation };
    let out = Out { range, ..cx.like(x) };
    cx.emit1(op, &[x], out).map(drop)
}
