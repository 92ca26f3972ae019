//! Conversions between reals and the integers that stand for them.

use octet_ir::ops::{Densify, Dequantize, FakeQuant, Quantize};
use octet_ir::{Constant, ElementType, Quantization, Sparsity, SparsityDim, Type};

use super::Family;
use crate::build::{Cx, Out};
use crate::kind::Kind;
use crate::profile::Runtime;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["quantize"], quantize),
    Family::new(&["dequantize"], dequantize),
    Family::new(&["fake_quant"], fake_quant),
    Family::new(&["densify"], densify),
];

/// From floats, or from integers of another scale.
fn quantize(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    // What can be converted into this kind.
    let sources: &[Kind] = match (kind, cx.runtime()) {
        (Kind::I8, Runtime::Tflm) => &[Kind::F32, Kind::I8, Kind::I16],
        (Kind::I8, _) => &[Kind::F32, Kind::I8, Kind::U8, Kind::I16],
        (Kind::U8, _) => &[Kind::F32, Kind::I8, Kind::U8],
        _ => &[Kind::F32, Kind::I8, Kind::I16],
    };
    let source = *cx.random().pick(sources);
    let x = cx.any(source);
    let (low, high) = cx.range(x);
    let out = match (source, kind) {
        // The border of a model: the same scale, shifted by 128.
        (Kind::U8, Kind::I8) | (Kind::I8, Kind::U8) if cx.chance(50) => {
            let (scale, zero_point) = cx.ty(x).scale_zero_point()?;
            let shift = if kind == Kind::I8 { -128 } else { 128 };
            Out { elem: kind.elem(), quant: Some(Quantization::new(scale, zero_point + shift)), range: (low, high) }
        }
        _ => cx.out(kind, low, high),
    };
    cx.emit1(Quantize {}, &[x], out).map(drop)
}

fn dequantize(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    if cx.profile().exotic && cx.chance(30) {
        // Half-precision constants are stored behind a DEQUANTIZE.
        let sizes = cx.sizes(2);
        let x = cx.filled(Type::new(ElementType::F16, sizes), 0.0, 0.0);
        return cx.emit1(Dequantize {}, &[x], Out::plain(ElementType::F32, -520.0, 520.0)).map(drop);
    }
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let (low, high) = cx.range(x);
    cx.emit1(Dequantize {}, &[x], Out::plain(ElementType::F32, low, high)).map(drop)
}

fn fake_quant(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    // A narrow range is for weights, which LiteRT does not compute.
    let narrow = cx.runtime() != Runtime::LiteRt;
    let r = cx.random();
    let op = FakeQuant {
        min: -r.float(0.0, 4.0),
        max: r.float(0.5, 4.0),
        num_bits: u32::try_from(*r.pick(&[8, 8, 4, 16])).ok()?,
        narrow_range: narrow && r.chance(30),
    };
    let out = Out::plain(kind.elem(), op.min - 0.1, op.max + 0.1);
    cx.emit1(op, &[x], out).map(drop)
}

/// A sparse constant and the operation that makes it dense: rows are dense, columns compressed.
fn densify(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let (rows, columns) = (cx.random().between(1, 6), cx.random().between(1, 6));
    let (mut segments, mut indices) = (vec![0], Vec::new());
    for _ in 0..rows {
        for column in 0..columns {
            if cx.chance(40) {
                indices.push(i32::try_from(column).ok()?);
            }
        }
        segments.push(i32::try_from(indices.len()).ok()?);
    }
    if indices.is_empty() {
        return None;
    }
    let quant = kind.quantization(-1.0, 1.0).map(Into::into);
    let ty = Type::new(kind.elem(), [rows, columns]).with_quant(quant);
    let stored = ty.clone().with_shape([indices.len()]);
    let constant: Constant = crate::inputs::random_constant(cx.random(), &stored, (-1.0, 1.0));
    let x = cx.constant(constant, ty);
    let csr = SparsityDim::Csr { segments, indices, segment_bits: 32, index_bits: *cx.random().pick(&[8, 16, 32]) };
    let dims = vec![SparsityDim::Dense { size: i32::try_from(rows).ok()? }, csr];
    let sparsity = Sparsity { traversal_order: vec![0, 1], block_map: Vec::new(), dims };
    cx.builder.set_sparsity(x, Some(sparsity.into()));
    let out = Out { range: (-1.0, 1.0), ..cx.like(x) };
    cx.emit1(Densify {}, &[x], out).map(drop)
}
