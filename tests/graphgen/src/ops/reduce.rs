//! Operations that combine elements along an axis.

use octet_ir::ops::{Arg, ArgKind, Cumsum, Reduce, ReduceKind, SegmentSum, TopkV2, Unique, UnsortedSegment, UnsortedSegmentKind};
use octet_ir::{Constant, ElementType, Type, ValueId};

use super::Family;
use crate::build::{Cx, Out};
use crate::kind::Kind;
use crate::profile::Runtime;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["mean", "sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_any", "reduce_all"], reduce),
    Family::new(&["arg_max", "arg_min"], arg),
    Family::new(&["cumsum"], cumsum),
    Family::new(&["topk_v2"], topk),
    Family::new(&["unique"], unique),
    Family::new(&["segment_sum"], segment_sum),
    Family::new(&["unsorted_segment_sum", "unsorted_segment_prod", "unsorted_segment_max", "unsorted_segment_min"], unsorted_segment),
];

#[expect(clippy::cast_precision_loss, reason = "sizes of test tensors")]
fn reduce(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let function = ReduceKind::from_mnemonic(mnemonic)?;
    let kind = cx.kind(mnemonic)?;
    let narrow = (function == ReduceKind::Prod).then_some(if kind == Kind::F32 { (-2.0, 2.0) } else { (-4.0, 4.0) });
    let x = cx.any_within(kind, narrow);
    let (rank, dims) = (cx.rank(x), cx.dims(x));
    let mut axes: Vec<usize> = (0..rank).filter(|_| cx.chance(50)).collect();
    if axes.is_empty() {
        axes.push(rank - 1);
    }
    let count: usize = axes.iter().map(|&a| dims[a]).product();
    if function == ReduceKind::Prod && count > 12 {
        return None;
    }
    let listed: Vec<i32> = axes.iter().map(|&a| cx.axis(a, rank)).collect();
    let axes =
        if listed.len() == 1 && cx.chance(30) && cx.runtime() != Runtime::Tflm { cx.scalar(listed[0]) } else { cx.integers(&listed) };
    let (low, high) = cx.range(x);
    let bound = low.abs().max(high.abs());
    let product = bound.max(1.0).powi(i32::try_from(count.min(12)).unwrap_or(12));
    let out = match function {
        ReduceKind::Max | ReduceKind::Min | ReduceKind::Any | ReduceKind::All => cx.like(x),
        // The 16-bit sum keeps its scale.
        ReduceKind::Sum if kind == Kind::I16 => cx.like(x),
        ReduceKind::Mean => cx.out(kind, low, high),
        ReduceKind::Sum => cx.out(kind, low * count as f32, high * count as f32),
        ReduceKind::Prod => cx.out(kind, -product, product),
    };
    let keep_dims = cx.chance(50);
    cx.emit1(Reduce { kind: function, keep_dims }, &[x, axes], out).map(drop)
}

fn arg(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let function = ArgKind::from_mnemonic(mnemonic)?;
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let rank = cx.rank(x);
    let chosen = cx.random().below(rank);
    let chosen = cx.axis(chosen, rank);
    let axis = cx.scalar(chosen);
    let wide = cx.runtime() != Runtime::Tflm && cx.chance(40);
    let output_type = if wide { ElementType::I64 } else { ElementType::I32 };
    cx.emit1(Arg { kind: function, output_type }, &[x, axis], Out::plain(output_type, 0.0, 10.0)).map(drop)
}

#[expect(clippy::cast_precision_loss, reason = "sizes of test tensors")]
fn cumsum(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let rank = cx.rank(x);
    let chosen = cx.random().below(rank);
    let length = cx.dims(x)[chosen] as f32;
    let chosen = cx.axis(chosen, rank);
    let axis = cx.scalar(chosen);
    let (low, high) = cx.range(x);
    let out = cx.out(kind, low.min(0.0) * length, high.max(0.0) * length);
    let op = Cumsum { exclusive: cx.chance(50), reverse: cx.chance(50) };
    cx.emit1(op, &[x, axis], out).map(drop)
}

fn topk(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let length = *cx.dims(x).last()?;
    let k = cx.random().between(1, length);
    let k = cx.scalar(i32::try_from(k).ok()?);
    let values = cx.like(x);
    cx.emit(TopkV2 {}, &[Some(x), Some(k)], &[values, Out::plain(ElementType::I32, 0.0, 10.0)]).map(drop)
}

/// A constant vector, so that how many distinct elements there are is known.
fn unique(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let length = cx.random().between(1, 8);
    let values: Vec<i32> = (0..length).map(|_| i32::try_from(cx.random().below(5)).unwrap_or(0)).collect();
    let distinct = (0..5).filter(|v| values.contains(v)).count();
    let constant = match kind {
        Kind::F32 => Constant::from_f32(&values.iter().map(|&v| f32::from(i16::try_from(v).unwrap_or(0))).collect::<Vec<_>>()),
        Kind::I32 => Constant::from_i32(&values),
        Kind::I64 => Constant::from_i64(&values.iter().map(|&v| v.into()).collect::<Vec<_>>()),
        Kind::I8 | Kind::U8 | Kind::I16 | Kind::Bool => return None,
    };
    let x = cx.constant(constant, Type::new(kind.elem(), [length]));
    let idx_out_type = if cx.chance(30) { ElementType::I64 } else { ElementType::I32 };
    let types = vec![Type::new(kind.elem(), [distinct]), Type::new(idx_out_type, [length])];
    cx.emit_declared(Unique { idx_out_type }, &[Some(x)], types);
    Some(())
}

/// Constant ids of `count` rows.
fn segment_ids(cx: &mut Cx<'_, '_>, count: usize, sorted: bool, below: usize) -> (ValueId, usize) {
    let mut ids: Vec<usize> = (0..count).map(|_| cx.random().below(below)).collect();
    if sorted {
        ids.sort_unstable();
        // No gaps, as the operation asks.
        let mut next = 0;
        let mut last = ids.first().copied();
        for id in &mut ids {
            if Some(*id) != last {
                last = Some(*id);
                next += 1;
            }
            *id = next;
        }
    }
    let segments = ids.last().map_or(0, |l| l + 1);
    (cx.vector(&ids), segments)
}

#[expect(clippy::cast_precision_loss, reason = "sizes of test tensors")]
fn segment_sum(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let rows = cx.dims(x)[0];
    let (ids, _) = segment_ids(cx, rows, true, rows);
    let bound = cx.amplitude(x) * rows as f32;
    cx.emit1(SegmentSum {}, &[x, ids], Out::plain(kind.elem(), -bound, bound)).map(drop)
}

#[expect(clippy::cast_precision_loss, reason = "sizes of test tensors")]
fn unsorted_segment(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let function = UnsortedSegmentKind::from_mnemonic(mnemonic)?;
    let kind = cx.kind(mnemonic)?;
    let x = if function == UnsortedSegmentKind::Prod { cx.any_within(kind, Some((-4.0, 4.0))) } else { cx.any(kind) };
    let rows = cx.dims(x)[0];
    let count = cx.random().between(1, 4);
    let (ids, _) = segment_ids(cx, rows, false, count);
    let number = cx.scalar(i32::try_from(count).ok()?);
    let bound = match function {
        UnsortedSegmentKind::Prod => cx.amplitude(x).max(1.0).powi(i32::try_from(rows).ok()?),
        // Empty segments hold the type's extreme.
        UnsortedSegmentKind::Max | UnsortedSegmentKind::Min => 1e6,
        UnsortedSegmentKind::Sum => cx.amplitude(x) * rows as f32,
    };
    cx.emit1(UnsortedSegment { kind: function }, &[x, ids, number], Out::plain(kind.elem(), -bound, bound)).map(drop)
}
