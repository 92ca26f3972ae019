//! Merges TRANSPOSEs that follow each other into one, or into none.
//!
//! Legal for every type: elements are moved, not computed, and the second permutation of the first one's axes is a permutation again.
//! Per-axis quantization is refused, because its axis moves along.
//!
//! ```ir
//! graph @main(%0: 2x3x4 f32 loc("x")) {
//!   %1 = const [2, 0, 1] : 3 i32
//!   %2 = transpose(%0, %1) : 4x2x3 f32 loc("a")
//!   %3 = const [0, 2, 1] : 3 i32
//!   %4 = transpose(%2, %3) : 4x3x2 f32 loc("y")
//!   return %4
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 2x3x4 f32 loc("x")) {
//!   %1 = const [2, 1, 0] : 3 i32
//!   %2 = transpose(%0, %1) : 4x3x2 f32 loc("a", "y")
//!   return %2
//! }
//! ```

use octet_ir::ops::Transpose;
use octet_ir::{Graph, Module, Op, OpId, Operation, Patch};

use crate::rewrite::pattern::{Replacement, forward, ints, operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(TransposeChain = "transpose_chain", transpose_chain);

fn permutation(module: &Module, graph: &Graph, operation: &Operation) -> Result<Vec<usize>, Refusal> {
    let Op::Transpose(_) = operation.op() else { return Err(Refusal::NoMatch) };
    let values = ints(module, graph, operand(operation, 1)?).ok_or_else(|| Refusal::check("the permutation is not constant"))?;
    let rank = i64::try_from(values.len()).map_err(|_| Refusal::NoMatch)?;
    let axis = |v: i64| usize::try_from(if v < 0 { v + rank } else { v }).map_err(|_| Refusal::NoMatch);
    values.into_iter().map(axis).collect()
}

fn transpose_chain(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::Transpose(_) = operation.op() else { return Err(Refusal::NoMatch) };
    let value = operand(operation, 0)?;
    let (_, producer) = graph.producer(value).filter(|(_, p)| matches!(p.op(), Op::Transpose(_))).ok_or(Refusal::NoMatch)?;
    let (first, second) = (permutation(module, graph, producer)?, permutation(module, graph, operation)?);
    let source = operand(producer, 0)?;
    let per_axis = |v| graph.ty(v).quant.as_ref().is_some_and(|q| q.per_tensor().is_none());
    if per_axis(source) || per_axis(value) || per_axis(result(operation)?) {
        return Err(Refusal::check("the tensor is quantized along an axis"));
    }
    let merged: Vec<usize> = second.iter().map(|&axis| first.get(axis).copied().ok_or(Refusal::NoMatch)).collect::<Result<_, _>>()?;
    if merged.iter().copied().eq(0..merged.len()) && graph.ty(source) == graph.ty(result(operation)?) {
        return forward(graph, root, source);
    }
    let entries: Vec<i32> = merged.iter().filter_map(|&axis| i32::try_from(axis).ok()).collect();
    let swallowed: &[_] = if graph.value(value).uses().len() == 1 { &[value] } else { &[] };
    let mut new = Replacement::of(graph, root, swallowed)?;
    let permutation = new.ints(&entries);
    new.with(Transpose {}, vec![Some(source), Some(permutation)])
}
