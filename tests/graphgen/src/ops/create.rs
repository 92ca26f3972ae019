//! Tensors made from few numbers.

use octet_ir::ops::{Fill, OneHot, RangeOp, SparseToDense, Where};
use octet_ir::{Constant, ElementType, Shape, Type};

use super::Family;
use crate::build::{Cx, Out};
use crate::kind::Kind;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["fill"], fill),
    Family::new(&["range"], range),
    Family::new(&["one_hot"], one_hot),
    Family::new(&["where"], where_true),
    Family::new(&["sparse_to_dense"], sparse_to_dense),
];

/// One number of a kind, to be an input or a constant.
fn number(cx: &mut Cx<'_, '_>, kind: Kind) -> octet_ir::ValueId {
    cx.fresh_of(kind, Vec::new(), None)
}

fn fill(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let rank = cx.random().between(1, 4);
    let sizes = cx.sizes(rank);
    let (dims, value) = (cx.vector(&sizes), number(cx, kind));
    let out = cx.like(value);
    cx.emit1(Fill {}, &[dims, value], out).map(drop)
}

fn range(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let start = i16::try_from(cx.random().integer(-8, 8)).ok()?;
    let step = i16::try_from(*cx.random().pick(&[1, 2, 3, -1, -2])).ok()?;
    let limit = start + step * i16::try_from(cx.random().between(1, 10)).ok()? - step.signum() * i16::from(cx.chance(30));
    let mut scalar = |v: i16| {
        let constant = match kind {
            Kind::I32 => Constant::from_i32(&[v.into()]),
            Kind::I64 => Constant::from_i64(&[v.into()]),
            // Halves are exact.
            _ => Constant::from_f32(&[f32::from(v) * 0.5]),
        };
        cx.constant(constant, Type::new(kind.elem(), Shape::scalar()))
    };
    let operands = [scalar(start), scalar(limit), scalar(step)];
    cx.emit1(RangeOp {}, &operands, Out::plain(kind.elem(), -50.0, 50.0)).map(drop)
}

fn one_hot(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let rank = cx.random().between(1, 3);
    let sizes = cx.sizes(rank);
    let depth = cx.random().between(1, 5);
    // Indices beyond the depth give no hot element.
    let indices = cx.indices(sizes, depth + 2);
    let depth = cx.scalar(i32::try_from(depth).ok()?);
    let on = number(cx, kind);
    let ty = cx.ty(on).clone();
    let off = cx.fresh(Type { shape: Shape::scalar(), ..ty }, -4.0, 4.0);
    let axis = if cx.chance(50) { -1 } else { i32::try_from(cx.random().below(rank + 1)).ok()? };
    let out = Out { range: (-100.0, 100.0), ..cx.like(on) };
    cx.emit1(OneHot { axis }, &[indices, depth, on, off], out).map(drop)
}

/// A constant condition, so that how many elements are true is known.
fn where_true(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let rank = cx.random().between(1, 3);
    let sizes = cx.sizes(rank);
    let condition: Vec<bool> = (0..sizes.iter().product()).map(|_| cx.chance(50)).collect();
    let count = condition.iter().filter(|&&c| c).count();
    if count == 0 || count * rank > cx.profile().max_elements {
        return None;
    }
    let constant = match kind {
        Kind::F32 => Constant::from_f32(&condition.iter().map(|&c| f32::from(u8::from(c))).collect::<Vec<_>>()),
        Kind::I32 => Constant::from_i32(&condition.iter().map(|&c| i32::from(c)).collect::<Vec<_>>()),
        Kind::I64 => Constant::from_i64(&condition.iter().map(|&c| i64::from(c)).collect::<Vec<_>>()),
        Kind::Bool => Constant::from_u8(&condition.iter().map(|&c| u8::from(c)).collect::<Vec<_>>()),
        Kind::I8 | Kind::U8 | Kind::I16 => return None,
    };
    let condition = cx.constant(constant, Type::new(kind.elem(), sizes));
    cx.emit_declared(Where {}, &[Some(condition)], vec![Type::new(ElementType::I64, [count, rank])]);
    Some(())
}

fn sparse_to_dense(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let rank = cx.random().between(1, 3);
    let sizes = cx.sizes(rank);
    let elements: usize = sizes.iter().product();
    // Distinct and in order, as the operation asks where it is told to look.
    let mut flat: Vec<usize> = (0..cx.random().between(1, 5)).map(|_| cx.random().below(elements)).collect();
    flat.sort_unstable();
    flat.dedup();
    let strides = Shape::new(sizes.clone()).strides();
    let mut indices = Vec::new();
    for index in &flat {
        for (stride, size) in strides.iter().zip(&sizes) {
            indices.push(i32::try_from(index / stride % size).ok()?);
        }
    }
    let indices = cx.constant(Constant::from_i32(&indices), Type::i32([flat.len(), rank]));
    let shape = cx.vector(&sizes);
    let default = number(cx, kind);
    let ty = Type { shape: Shape::new([flat.len()]), ..cx.ty(default).clone() };
    let values = cx.fresh(ty, -4.0, 4.0);
    let out = Out { range: (-100.0, 100.0), ..cx.like(values) };
    let op = SparseToDense { validate_indices: cx.chance(50) };
    cx.emit1(op, &[indices, shape, values, default], out).map(drop)
}
