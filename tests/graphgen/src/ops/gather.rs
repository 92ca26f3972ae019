//! Gathering and scattering by index.

use octet_ir::ops::{Gather, GatherNd, ScatterNd};
use octet_ir::{Constant, Type};

use super::Family;
use crate::build::{Cx, Out};

pub(super) const FAMILIES: &[Family] =
    &[Family::new(&["gather"], gather), Family::new(&["gather_nd"], gather_nd), Family::new(&["scatter_nd"], scatter_nd)];

fn gather(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let (rank, dims) = (cx.rank(x), cx.dims(x));
    let axis = cx.random().below(rank);
    let batch = if cx.chance(20) { cx.random().below(axis + 1) } else { 0 };
    let mut sizes = dims[..batch].to_vec();
    for _ in 0..cx.random().between(usize::from(batch == 0), 2) {
        sizes.push(cx.random().between(1, 4));
    }
    if rank + sizes.len() > 6 {
        return None;
    }
    let indices = cx.indices(sizes, dims[axis]);
    let op = Gather { axis: cx.axis(axis, rank), batch_dims: i32::try_from(batch).ok()? };
    let out = cx.like(x);
    cx.emit1(op, &[x, indices], out).map(drop)
}

fn gather_nd(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let dims = cx.dims(x);
    let (depth, count) = (cx.random().between(1, dims.len()), cx.random().between(1, 5));
    // Every entry of an index vector has an axis of its own; the smallest bounds them all where data may feed them.
    let below = dims[..depth].iter().copied().min()?;
    let indices = cx.indices(vec![count, depth], below);
    let out = cx.like(x);
    cx.emit1(GatherNd {}, &[x, indices], out).map(drop)
}

fn scatter_nd(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let rank = cx.random().between(1, 3);
    let sizes = cx.sizes(rank);
    let (depth, count) = (cx.random().between(1, rank), cx.random().between(1, 4));
    let mut indices = Vec::new();
    for _ in 0..count {
        for &size in &sizes[..depth] {
            indices.push(i32::try_from(cx.random().below(size)).ok()?);
        }
    }
    let indices = cx.constant(Constant::from_i32(&indices), Type::i32([count, depth]));
    let wanted: Vec<usize> = std::iter::once(count).chain(sizes[depth..].iter().copied()).collect();
    let updates = cx.data(kind, None, |d| *d == wanted, |_| wanted.clone());
    let shape = cx.vector(&sizes);
    let (low, high) = cx.range(updates);
    // Equal indices add up.
    #[expect(clippy::cast_precision_loss, reason = "a few updates")]
    let times = count as f32;
    let out = Out { range: (low.min(0.0) * times, high.max(0.0) * times), ..cx.like(updates) };
    cx.emit1(ScatterNd {}, &[indices, updates, shape], out).map(drop)
}
