//! Multiply-accumulate operations of one run, from shapes. Dynamic sizes count as their nominal ones.

use octet_ir::{Graph, Op, Operation};

/// Multiply-accumulates of an operation; 0 for operations that multiply no matrices.
pub(crate) fn macs(graph: &Graph, operation: &Operation) -> u64 {
    let dims = |operand: usize| operation.operand(operand).and_then(|v| graph.get_value(v)).map_or(&[][..], |v| v.ty().shape.dims());
    let result = operation.results().first().and_then(|v| graph.get_value(*v)).map_or(&[][..], |v| v.ty().shape.dims());
    let product = |dims: &[usize]| dims.iter().fold(1u64, |n, &d| n.saturating_mul(u64::try_from(d).unwrap_or(u64::MAX)));
    // Elements of a tensor, those of an index along its outermost or innermost axes.
    let inner = |operand: usize| product(dims(operand).get(1..).unwrap_or_default());
    let last = |dims: &[usize]| product(dims.last().map(std::slice::from_ref).unwrap_or_default());
    match operation.op() {
        // Each result element reads one filter: [Kh, Kw, Ci].
        Op::Conv2d(_) => product(result).saturating_mul(inner(1)),
        Op::DepthwiseConv2d(_) => product(result).saturating_mul(product(dims(1).get(1..3).unwrap_or_default())),
        // Each input element is spread over [Co, Kh, Kw].
        Op::TransposeConv(_) => product(dims(2)).saturating_mul(product(dims(1).get(..3).unwrap_or_default())),
        // Filters are [Kd, Kh, Kw, Ci, Co] and [Kd, Kh, Kw, Co, Ci].
        Op::Conv3d(_) => product(result).saturating_mul(product(dims(1).get(..4).unwrap_or_default())),
        Op::Conv3dTranspose(_) => product(dims(2)).saturating_mul(product(dims(1).get(..4).unwrap_or_default())),
        // Weights are [units, depth]; each result element reads a row.
        Op::FullyConnected(_) => product(result).saturating_mul(last(dims(1))),
        Op::BatchMatmul(op) => {
            let a = dims(0);
            let shared = if op.adj_x { a.len().checked_sub(2).and_then(|i| a.get(i)).copied() } else { a.last().copied() };
            product(result).saturating_mul(u64::try_from(shared.unwrap_or(1)).unwrap_or(u64::MAX))
        }
        // Features [units, depth] and the time filter [units, memory].
        Op::Svdf(_) => {
            let batch = product(dims(0).get(..1).unwrap_or_default());
            batch.saturating_mul(product(dims(1)).saturating_add(product(dims(2))))
        }
        // Every step multiplies every weight matrix once.
        Op::UnidirectionalSequenceLstm(_)
        | Op::BidirectionalSequenceLstm(_)
        | Op::Lstm(_)
        | Op::Rnn(_)
        | Op::UnidirectionalSequenceRnn(_)
        | Op::BidirectionalSequenceRnn(_) => {
            let input = dims(0);
            let steps = product(input.split_last().map_or(&[][..], |(_, outer)| outer));
            let weights = operation.operands().iter().flatten().filter_map(|v| graph.get_value(*v));
            let matrices = weights.filter(|v| matches!(v.def(), octet_ir::ValueDef::Constant(_)) && v.ty().shape.rank() == 2);
            steps.saturating_mul(matrices.map(|v| product(v.ty().shape.dims())).fold(0, u64::saturating_add))
        }
        _ => 0,
    }
}
