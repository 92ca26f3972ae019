//! Matrix products.

use octet_ir::ops::{BatchMatmul, EmbeddingLookup, FullyConnected};
use octet_ir::{ElementType, Type};

use super::weights::{Rules, bias, sum_range, weights};
use super::{Family, activation, clamped};
use crate::build::{Cx, Out};
use crate::kind::Kind;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["fully_connected"], fully_connected),
    Family::new(&["batch_matmul"], batch_matmul),
    Family::new(&["embedding_lookup"], embedding_lookup),
];

fn fully_connected(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.data(
        kind,
        None,
        |d| (2..=4).contains(&d.len()) && d.iter().product::<usize>() <= 256,
        |cx| {
            let rank = cx.random().between(2, 4);
            cx.sizes(rank)
        },
    );
    let dims = cx.dims(x);
    let keep_num_dims = cx.chance(30);
    // Without it, everything but the outermost axis may go into one row.
    let k = if keep_num_dims || cx.chance(40) { dims[dims.len() - 1] } else { dims[1..].iter().product() };
    let units = cx.random().between(1, 8);
    let rules = Rules { axis: Some(0), four_bits: true, blocks: true, hybrid: true };
    let w = weights(cx, kind, vec![units, k], rules);
    let b = bias(cx, x, &w, units, true);
    let activation = activation(cx);
    let (low, high) = clamped(sum_range(cx, x, &w, k), activation);
    let is_hybrid = kind == Kind::F32 && cx.ty(w.value).elem != ElementType::F32;
    let quantized_bias_type = (kind == Kind::I16 && cx.chance(50)).then_some(ElementType::I64);
    let asymmetric_quantize_inputs = is_hybrid && cx.chance(50);
    let op = FullyConnected { activation, keep_num_dims, asymmetric_quantize_inputs, quantized_bias_type, ..FullyConnected::default() };
    let out = cx.out(kind, low, high);
    cx.emit(op, &[Some(x), Some(w.value), b], &[out]).map(drop)
}

fn batch_matmul(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.data(
        kind,
        None,
        |d| (2..=4).contains(&d.len()),
        |cx| {
            let rank = cx.random().between(2, 4);
            cx.sizes(rank)
        },
    );
    let dims = cx.dims(x);
    let (batch, matrix) = dims.split_at(dims.len() - 2);
    let (adj_x, adj_y) = (cx.chance(30), cx.chance(30));
    let k = if adj_x { matrix[0] } else { matrix[1] };
    let n = cx.random().between(1, 5);
    // Leading axes broadcast: the right side may lack them, or have 1 in their place.
    let mut right: Vec<usize> = match cx.random().below(3) {
        0 => batch.to_vec(),
        1 => Vec::new(),
        _ => batch.iter().map(|&d| if cx.chance(50) { 1 } else { d }).collect(),
    };
    right.extend(if adj_y { [n, k] } else { [k, n] });
    let y = cx.data(kind, None, |d| *d == right, |_| right.clone());
    #[expect(clippy::cast_precision_loss, reason = "sizes of test tensors")]
    let bound = cx.amplitude(x) * cx.amplitude(y) * (k as f32).sqrt();
    let out = cx.out(kind, -bound, bound);
    let op = BatchMatmul { adj_x, adj_y, asymmetric_quantize_inputs: false };
    cx.emit1(op, &[x, y], out).map(drop)
}

fn embedding_lookup(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let (rows, width, count) = (cx.random().between(1, 8), cx.random().between(1, 8), cx.random().between(1, 5));
    let ids = cx.indices(vec![count], rows);
    // With float data the table may be of integers, which the kernel dequantizes.
    let (table, out) = if kind == Kind::F32 && cx.profile().hybrid && cx.chance(40) {
        let rules = Rules { axis: None, four_bits: false, blocks: true, hybrid: true };
        let table = weights(cx, kind, vec![rows, width], rules);
        (table.value, Out::plain(ElementType::F32, -1.0, 1.0))
    } else {
        let quant = kind.quantization(-1.0, 1.0).map(Into::into);
        let table = cx.filled(Type::new(kind.elem(), [rows, width]).with_quant(quant), -1.0, 1.0);
        (table, Out { range: (-1.0, 1.0), ..cx.like(table) })
    };
    cx.emit1(EmbeddingLookup {}, &[ids, table], out).map(drop)
}
