//! Products with weights of a few bits in blocks, as ONNX Runtime's weight-only quantization writes them.
//!
//! The weights become the reals that the integers stand for, once, at import.

use octet_ir::ValueId;
use octet_ir::ops;

use super::{Inputs, Lowering, Outputs, Table, input, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("MatMulNBits", matmul)];

/// Weights that are written out at most.
const LARGEST: usize = 1 << 28;

/// Integers of `bits` bits, the lowest bits of a byte first; every row of `count` begins with a new byte.
fn unpacked(bytes: &[u8], bits: usize, count: usize) -> Vec<u8> {
    let (per_byte, mask) = (8 / bits, u8::MAX >> (8 - bits));
    let row = count.div_ceil(per_byte).max(1);
    let entry = |row: &[u8], k: usize| row.get(k / per_byte).map_or(0, |b| b >> (k % per_byte * bits) & mask);
    bytes.chunks(row).flat_map(|r| (0..count).map(move |k| entry(r, k))).collect()
}

/// The zero point of each block of each row.
fn zero_points(scope: &Scope<'_>, given: Option<ValueId>, bits: usize, rows: usize, blocks: usize) -> Result<Vec<f32>, Refusal> {
    let Some(given) = given else {
        return Ok(vec![f32::from(1u8 << (bits - 1)); rows * blocks]);
    };
    if let Some(reals) = scope.floats(given) {
        return Ok(reals);
    }
    let packed = scope.constant(given).ok_or("the zero points must be constant")?;
    Ok(unpacked(packed.bytes(), bits, blocks).into_iter().map(f32::from).collect())
}

/// `x` times the transpose of weights `[N, K]`, whose rows are cut into blocks with a scale and a zero point each.
fn matmul(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let size = |name: &str, default: i64| usize::try_from(node.int_or(name, default)).ok().filter(|&s| s > 0);
    let (Some(depth), Some(rows), Some(block)) = (size("K", 0), size("N", 0), size("block_size", 32)) else {
        return Err("K, N and block_size must be positive".into());
    };
    let bits = size("bits", 4).filter(|b| [2, 4, 8].contains(b)).ok_or("weights have 2, 4 or 8 bits")?;
    if optional(inputs, 4).is_some_and(|order| scope.dims(order) != [0]) {
        return Err("columns in another order (g_idx) are not supported".into());
    }
    let blocks = depth.div_ceil(block);
    if rows.checked_mul(blocks).and_then(|n| n.checked_mul(block)).is_none_or(|n| n > LARGEST) {
        return Err("the weights are too large".into());
    }
    let packed = scope.constant(input(inputs, 1)?).ok_or("the weights must be constant")?;
    let integers = unpacked(packed.bytes(), bits, block);
    let scales = scope.floats(input(inputs, 2)?).ok_or("the scales must be constant")?;
    let zero_points = zero_points(scope, optional(inputs, 3), bits, rows, blocks)?;
    if integers.len() != rows * blocks * block || scales.len() != rows * blocks || zero_points.len() != rows * blocks {
        return Err(format!("weights, scales or zero points are not those of {rows} rows of {blocks} blocks"));
    }
    let parameters = scales.iter().zip(&zero_points);
    let reals = integers.chunks(block).zip(parameters).flat_map(|(b, (s, z))| b.iter().map(move |&q| (f32::from(q) - z) * s));
    let whole: Vec<f32> = reals.collect();
    // The last block of a row may reach beyond it.
    let weights: Vec<f32> = whole.chunks(blocks * block).flat_map(|row| row.iter().take(depth).copied()).collect();
    let weights = scope.f32_tensor(&weights, &[rows, depth]);
    let op = ops::FullyConnected { keep_num_dims: scope.rank(x) != 2, ..ops::FullyConnected::default() };
    scope.op(op, &[Some(x), Some(weights), optional(inputs, 5)])
}
