//! Operations that change a shape, tell it, or broadcast to it.

use octet_ir::ops::{BroadcastArgs, BroadcastTo, ExpandDims, MatrixDiag, MatrixSetDiag, Op, Rank, Reshape, ShapeOf, Squeeze, Transpose};
use octet_ir::{Constant, ElementType, Shape, Type};

use super::Family;
use crate::build::{Cx, Out};
use crate::kind::Kind;
use crate::profile::Runtime;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["reshape"], reshape),
    Family::new(&["squeeze"], squeeze),
    Family::new(&["expand_dims"], expand_dims),
    Family::new(&["transpose"], transpose),
    Family::new(&["shape", "rank"], tell),
    Family::new(&["broadcast_to"], broadcast_to),
    Family::new(&["broadcast_args"], broadcast_args),
    Family::new(&["matrix_diag", "matrix_set_diag"], matrix),
];

/// `count` as a product of a few sizes.
fn factors(cx: &mut Cx<'_, '_>, mut count: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    for _ in 0..cx.random().between(0, 3) {
        let divisors: Vec<usize> = (1..=count.min(16)).filter(|d| count.is_multiple_of(*d)).collect();
        let size = *cx.random().pick(&divisors);
        sizes.push(size);
        count /= size;
    }
    sizes.push(count);
    sizes
}

fn reshape(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let count = cx.ty(x).shape.elements();
    let sizes = factors(cx, count);
    let mut wanted: Vec<i32> = sizes.iter().map(|&d| i32::try_from(d).unwrap_or(0)).collect();
    if cx.chance(40) {
        let hole = cx.random().below(wanted.len());
        wanted[hole] = -1;
    }
    let out = cx.like(x);
    let (operand, new_shape) = match cx.random().below(3) {
        0 => (Some(cx.integers(&wanted)), None),
        1 => (Some(cx.integers(&wanted)), Some(wanted)),
        _ => (None, Some(wanted)),
    };
    let operands: Vec<_> = std::iter::once(Some(x)).chain(operand.map(Some)).collect();
    cx.emit(Reshape { new_shape }, &operands, &[out]).map(drop)
}

fn squeeze(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.data(
        kind,
        None,
        |d| d.len() > 1 && d.contains(&1),
        |cx| {
            let mut sizes = cx.sizes(3);
            let axis = cx.random().below(3);
            sizes[axis] = 1;
            sizes
        },
    );
    let (dims, rank) = (cx.dims(x), cx.rank(x));
    let ones: Vec<usize> = (0..rank).filter(|&a| dims[a] == 1).collect();
    let mut dropped = Vec::new();
    for axis in ones {
        if cx.chance(60) {
            dropped.push(cx.axis(axis, rank));
        }
    }
    let out = cx.like(x);
    cx.emit1(Squeeze { dims: dropped }, &[x], out).map(drop)
}

fn expand_dims(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.data(kind, None, |d| d.len() < 4, |cx| cx.sizes(2));
    let rank = cx.rank(x) + 1;
    let axis = cx.random().below(rank);
    let axis = cx.axis(axis, rank);
    let axis = cx.scalar(axis);
    let out = cx.like(x);
    cx.emit1(ExpandDims {}, &[x, axis], out).map(drop)
}

fn transpose(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let mut permutation: Vec<usize> = (0..cx.rank(x)).collect();
    for last in (1..permutation.len()).rev() {
        let other = cx.random().below(last + 1);
        permutation.swap(last, other);
    }
    let permutation = cx.vector(&permutation);
    let out = cx.like(x);
    cx.emit1(Transpose {}, &[x, permutation], out).map(drop)
}

fn tell(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let wide = cx.runtime() != Runtime::Tflm && cx.chance(30);
    let elem = if wide && mnemonic == "shape" { ElementType::I64 } else { ElementType::I32 };
    let op: Op = if mnemonic == "shape" { ShapeOf { out_type: elem }.into() } else { Rank {}.into() };
    cx.emit1(op, &[x], Out::plain(elem, 0.0, 64.0)).map(drop)
}

fn broadcast_to(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.data(
        kind,
        None,
        |d| d.len() <= 4 && d.contains(&1),
        |cx| {
            let rank = cx.random().between(1, 4);
            let mut sizes = cx.sizes(rank);
            let axis = cx.random().below(rank);
            sizes[axis] = 1;
            sizes
        },
    );
    let mut sizes: Vec<usize> = cx.dims(x).iter().map(|&d| if d == 1 { cx.random().between(1, 4) } else { d }).collect();
    if sizes.len() < 4 && cx.chance(40) {
        sizes.insert(0, cx.random().between(1, 3));
    }
    let shape = cx.vector(&sizes);
    let out = cx.like(x);
    cx.emit1(BroadcastTo {}, &[x, shape], out).map(drop)
}

fn broadcast_args(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let rank = cx.random().between(1, 4);
    let sizes = cx.sizes(rank);
    let other: Vec<usize> = sizes.iter().map(|&d| if cx.chance(40) { 1 } else { d }).collect();
    let skip = cx.random().below(rank);
    let mut vector = |values: &[usize]| {
        let wide: Vec<i64> = values.iter().map(|&v| i64::try_from(v).unwrap_or(1)).collect();
        let narrow: Vec<i32> = values.iter().map(|&v| i32::try_from(v).unwrap_or(1)).collect();
        let constant = if kind == Kind::I64 { Constant::from_i64(&wide) } else { Constant::from_i32(&narrow) };
        cx.constant(constant, Type::new(kind.elem(), [values.len()]))
    };
    let (a, b) = (vector(&sizes), vector(&other[skip..]));
    cx.emit1(BroadcastArgs {}, &[a, b], Out::plain(kind.elem(), 0.0, 16.0)).map(drop)
}

fn matrix(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    if mnemonic == "matrix_diag" {
        let x = cx.data(kind, None, |d| (1..=3).contains(&d.len()), |cx| cx.sizes(2));
        let (low, high) = cx.range(x);
        let out = Out { range: (low.min(0.0), high.max(0.0)), ..cx.like(x) };
        return cx.emit1(MatrixDiag {}, &[x], out).map(drop);
    }
    let x = cx.data(kind, None, |d| (2..=4).contains(&d.len()), |cx| cx.sizes(3));
    let dims = cx.dims(x);
    let (outer, matrix) = dims.split_at(dims.len() - 2);
    let sizes: Vec<usize> = outer.iter().copied().chain([matrix[0].min(matrix[1])]).collect();
    let ty = cx.ty(x).clone().with_shape(Shape::new(sizes));
    let diagonal = cx.twin(&ty);
    let out = cx.like(x);
    cx.emit1(MatrixSetDiag {}, &[x, diagonal], out).map(drop)
}
