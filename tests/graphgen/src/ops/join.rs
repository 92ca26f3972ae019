//! Operations that put tensors together or take them apart along one axis.

use octet_ir::ValueId;
use octet_ir::ops::{Activation, Concatenation, Pack, Unpack};

use super::Family;
use crate::build::{Cx, Out};

pub(super) const FAMILIES: &[Family] =
    &[Family::new(&["concatenation"], concatenation), Family::new(&["pack"], pack), Family::new(&["unpack"], unpack)];

/// The reals that any of the values may hold.
fn union(cx: &Cx<'_, '_>, values: &[ValueId]) -> (f32, f32) {
    let ranges = values.iter().map(|&v| cx.range(v));
    ranges.fold((f32::MAX, f32::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)))
}

fn concatenation(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let (rank, dims) = (cx.rank(x), cx.dims(x));
    let axis = cx.random().below(rank);
    let mut parts = vec![x];
    for _ in 0..cx.random().between(1, 3) {
        let mut sizes = dims.clone();
        sizes[axis] = cx.random().between(1, 3);
        let ty = cx.ty(x).clone().with_shape(sizes);
        parts.push(cx.twin(&ty));
    }
    let out = Out { range: union(cx, &parts), ..cx.like(x) };
    let axis = cx.axis(axis, rank);
    cx.emit1(Concatenation { axis, activation: Activation::None }, &parts, out).map(drop)
}

fn pack(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.data(kind, None, |d| d.len() < 4, |cx| cx.sizes(2));
    let ty = cx.ty(x).clone();
    let mut parts = vec![x];
    for _ in 0..cx.random().below(3) {
        parts.push(cx.twin(&ty));
    }
    let rank = cx.rank(x) + 1;
    let axis = cx.random().below(rank);
    let axis = cx.axis(axis, rank);
    let out = Out { range: union(cx, &parts), ..cx.like(x) };
    cx.emit1(Pack { values_count: parts.len(), axis }, &parts, out).map(drop)
}

fn unpack(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.data(
        kind,
        None,
        |d| !d.is_empty() && d.len() <= 4 && d.iter().any(|&d| d <= 4),
        |cx| {
            let mut sizes = cx.sizes(3);
            sizes[1] = cx.random().between(1, 4);
            sizes
        },
    );
    let (rank, dims) = (cx.rank(x), cx.dims(x));
    let short: Vec<usize> = (0..rank).filter(|&a| dims[a] <= 4).collect();
    let axis = *cx.random().pick(&short);
    let outs = vec![cx.like(x); dims[axis]];
    let num = dims[axis];
    let axis = cx.axis(axis, rank);
    cx.emit(Unpack { num, axis }, &[Some(x)], &outs).map(drop)
}
