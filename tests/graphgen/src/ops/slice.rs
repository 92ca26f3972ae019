//! Operations that take parts of a tensor, reverse or repeat it.

use octet_ir::Type;
use octet_ir::ops::{DynamicUpdateSlice, ReverseSequence, ReverseV2, Slice, Split, SplitV, StridedSlice, Tile};

use super::Family;
use crate::build::Cx;
use crate::profile::Runtime;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["slice"], slice),
    Family::new(&["strided_slice"], strided_slice),
    Family::new(&["split"], split),
    Family::new(&["split_v"], split_v),
    Family::new(&["dynamic_update_slice"], update),
    Family::new(&["reverse_v2"], reverse),
    Family::new(&["reverse_sequence"], reverse_sequence),
    Family::new(&["tile"], tile),
];

fn slice(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let (mut begin, mut size) = (Vec::new(), Vec::new());
    for dim in cx.dims(x) {
        let first = cx.random().below(dim);
        begin.push(first);
        size.push(if cx.chance(30) { -1 } else { i32::try_from(cx.random().between(1, dim - first)).ok()? });
    }
    let (begin, size) = (cx.vector(&begin), cx.integers(&size));
    let out = cx.like(x);
    cx.emit1(Slice {}, &[x, begin, size], out).map(drop)
}

fn strided_slice(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let dims = cx.dims(x);
    let mut op = StridedSlice::default();
    let (mut begin, mut end, mut strides) = (Vec::new(), Vec::new(), Vec::new());
    let rich = cx.runtime() != Runtime::Tflm;
    // TFLM reads an index for every axis, there or not.
    let entries = if !rich || cx.chance(80) { dims.len() } else { cx.random().between(1, dims.len()) };
    // Where entries are fewer than axes, the missing ones may stand in the middle.
    let ellipsis = (rich && entries < dims.len() && cx.chance(50)).then(|| cx.random().below(entries + 1));
    let mut axis = 0;
    for entry in 0..entries {
        if ellipsis == Some(entry) {
            op.ellipsis_mask = 1 << begin.len();
            [&mut begin, &mut end].into_iter().for_each(|v| v.push(0));
            strides.push(1);
            axis += dims.len() - entries;
        }
        if rich && dims.len() < 4 && cx.chance(8) {
            op.new_axis_mask |= 1 << begin.len();
            [&mut begin, &mut end].into_iter().for_each(|v| v.push(0));
            strides.push(1);
        }
        let bit = 1 << begin.len();
        let size = i64::try_from(dims[axis]).ok()?;
        axis += 1;
        let first = cx.random().integer(0, size - 1);
        let step = cx.random().integer(1, 2);
        let stop = cx.random().integer(first + 1, size);
        if cx.chance(15) {
            op.shrink_axis_mask |= bit;
            begin.push(first);
            end.push(first + 1);
            strides.push(1);
            continue;
        }
        let backward = rich && cx.chance(20);
        op.begin_mask |= if cx.chance(20) { bit } else { 0 };
        op.end_mask |= if cx.chance(20) { bit } else { 0 };
        let (mut from, mut to, step) = if backward { (stop - 1, first - 1, -step) } else { (first, stop, step) };
        if backward && to < 0 {
            // Before the first element there is no index to name.
            op.end_mask |= bit;
            to = 0;
        }
        // From the end, sometimes.
        from -= if cx.chance(20) { size } else { 0 };
        to -= if to < size && cx.chance(20) { size } else { 0 };
        begin.push(from);
        end.push(to);
        strides.push(step);
    }
    let narrow = |v: &[i64]| v.iter().map(|&v| i32::try_from(v).unwrap_or(0)).collect::<Vec<_>>();
    let [begin, end, strides] = [&begin, &end, &strides].map(|v| narrow(v));
    let operands = [x, cx.integers(&begin), cx.integers(&end), cx.integers(&strides)];
    let out = cx.like(x);
    cx.emit1(op, &operands, out).map(drop)
}

fn split(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let (rank, dims) = (cx.rank(x), cx.dims(x));
    let chosen = cx.random().below(rank);
    let parts: Vec<usize> = (1..=dims[chosen].min(4)).filter(|p| dims[chosen].is_multiple_of(*p)).collect();
    let num_splits = *parts.last()?;
    let axis = cx.axis(chosen, rank);
    let axis = cx.scalar(axis);
    let outs = vec![cx.like(x); num_splits];
    cx.emit(Split { num_splits }, &[Some(axis), Some(x)], &outs).map(drop)
}

fn split_v(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let (rank, dims) = (cx.rank(x), cx.dims(x));
    let chosen = cx.random().below(rank);
    let (mut sizes, mut left) = (Vec::new(), dims[chosen]);
    while left > 0 && sizes.len() < 3 {
        let size = cx.random().between(1, left);
        sizes.push(size);
        left -= size;
    }
    if left > 0 {
        sizes.push(left);
    }
    let mut listed: Vec<i32> = sizes.iter().map(|&s| i32::try_from(s).unwrap_or(1)).collect();
    if cx.chance(30) {
        let hole = cx.random().below(listed.len());
        listed[hole] = -1;
    }
    let axis = cx.axis(chosen, rank);
    let (sizes, axis) = (cx.integers(&listed), cx.scalar(axis));
    let outs = vec![cx.like(x); listed.len()];
    cx.emit(SplitV { num_splits: listed.len() }, &[Some(x), Some(sizes), Some(axis)], &outs).map(drop)
}

fn update(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let dims = cx.dims(x);
    let sizes: Vec<usize> = dims.iter().map(|&d| cx.random().between(1, d)).collect();
    let ty = cx.ty(x).clone().with_shape(sizes);
    let part = cx.twin(&ty);
    // Starts are clamped, so they may lie anywhere.
    let start = cx.fresh(Type::i32([dims.len()]), -2.0, 8.0);
    let (a, b) = (cx.range(x), cx.range(part));
    let out = crate::build::Out { range: (a.0.min(b.0), a.1.max(b.1)), ..cx.like(x) };
    cx.emit1(DynamicUpdateSlice {}, &[x, part, start], out).map(drop)
}

fn reverse(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let rank = cx.rank(x);
    // Neighbouring axes, which is what kernels take.
    let first = cx.random().below(rank);
    let count = if cx.runtime() == Runtime::Tflm { 1 } else { cx.random().between(1, rank - first) };
    let axes: Vec<usize> = (first..first + count).collect();
    let axes = cx.vector(&axes);
    let out = cx.like(x);
    cx.emit1(ReverseV2 {}, &[x, axes], out).map(drop)
}

fn reverse_sequence(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.data(kind, None, |d| (2..=4).contains(&d.len()), |cx| cx.sizes(3));
    let (rank, dims) = (cx.rank(x), cx.dims(x));
    let seq = cx.random().below(rank);
    let batch = (seq + 1 + cx.random().below(rank - 1)) % rank;
    let lengths = cx.indices(vec![dims[batch]], dims[seq] + 1);
    let op = ReverseSequence { seq_dim: i32::try_from(seq).ok()?, batch_dim: i32::try_from(batch).ok()? };
    let out = cx.like(x);
    cx.emit1(op, &[x, lengths], out).map(drop)
}

fn tile(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let multiples: Vec<usize> = (0..cx.rank(x)).map(|_| *cx.random().pick(&[1, 1, 2, 3])).collect();
    let multiples = cx.vector(&multiples);
    let out = cx.like(x);
    cx.emit1(Tile {}, &[x, multiples], out).map(drop)
}
