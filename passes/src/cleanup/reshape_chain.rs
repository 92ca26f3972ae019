//! Merges RESHAPE, SQUEEZE and EXPAND_DIMS that follow each other into one RESHAPE.
//!
//! Legal because none of them moves an element: only the last shape counts, for every type. A result with one dynamic axis is reshaped to
//! -1 there. A RESHAPE keeps the shape that it was given, constant or not.
//!
//! ```ir
//! graph @main(%0: 2x3x1x4 f32 loc("x")) {
//!   %1 = squeeze(%0) {dims = [2]} : 2x3x4 f32 loc("a")
//!   %2 = const [2, 12] : 2 i32
//!   %3 = reshape(%1, %2) : 2x12 f32 loc("b")
//!   %4 = const [0] : 1 i32
//!   %5 = expand_dims(%3, %4) : 1x2x12 f32 loc("y")
//!   return %5
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 2x3x1x4 f32 loc("x")) {
//!   %1 = const [1, 2, 12] : 3 i32
//!   %2 = reshape(%0, %1) : 1x2x12 f32 loc("a", "b", "y")
//!   return %2
//! }
//! ```

use octet_ir::ops::{Numbers, Reshape};
use octet_ir::{Graph, Module, Op, OpId, Patch, Shape};

use crate::rewrite::pattern::{Replacement, check_declared, operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(ReshapeChain = "reshape_chain", reshape_chain);

fn only_moves(op: &Op) -> bool {
    matches!(op, Op::Reshape(_) | Op::Squeeze(_) | Op::ExpandDims(_))
}

fn reshape_chain(module: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    if !only_moves(operation.op()) {
        return Err(Refusal::NoMatch);
    }
    let value = operand(operation, 0)?;
    let (_, producer) = graph.producer(value).filter(|(_, p)| only_moves(p.op())).ok_or(Refusal::NoMatch)?;
    let source = operand(producer, 0)?;
    // The first one stays where others read it; merging still shortens the way.
    let swallowed: &[_] = if graph.value(value).uses().len() == 1 { &[value] } else { &[] };
    let mut new = Replacement::of(graph, root, swallowed)?;
    if let Op::Reshape(op) = operation.op() {
        let mut operands = operation.operands().to_vec();
        if let Some(first) = operands.first_mut() {
            *first = Some(source);
        }
        return new.with(op.clone(), operands);
    }
    let wanted = entries(&graph.ty(result(operation)?).shape)
        .ok_or_else(|| Refusal::check("the result has several dynamic axes, which no constant shape describes"))?;
    let numbers = Numbers::Ints(wanted.iter().copied().map(i64::from).collect());
    check_declared(module, graph, operation, &|index| (index == 1 && operation.operand(1).is_none()).then(|| numbers.clone()))?;
    let shape = new.ints(&wanted);
    new.with(Reshape { new_shape: None }, vec![Some(source), Some(shape)])
}

/// The sizes of a shape, -1 for its dynamic axis.
fn entries(shape: &Shape) -> Option<Vec<i32>> {
    let dynamic = (0..shape.rank()).filter(|&axis| shape.dynamic(axis).is_some()).count();
    if !shape.is_ranked() || dynamic > 1 {
        return None;
    }
    let entry = |axis: usize| if shape.dynamic(axis).is_some() { Some(-1) } else { i32::try_from(*shape.dims().get(axis)?).ok() };
    (0..shape.rank()).map(entry).collect()
}
