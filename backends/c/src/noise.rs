//! How far an order of additions can move what a model computes: the model with a little noise in front of everything that rounds reals.
//!
//! Where reals stay reals, another order moves the last bits and no more. Behind QUANTIZE, FLOOR, a comparison or their like a last bit can decide between
//! two steps, and layers behind that carry the step on.

use octet_ir::ops::{Binary, BinaryKind, UnaryKind};
use octet_ir::{Constant, ElementType, Graph, GraphId, Loc, Module, Op, OpId, Patch, Type, ValueDef, ValueId};

/// Relative noise: some tens of what the order of additions does, since sums that nearly cancel feel it more.
const NOISE: f32 = 1.0 / (1 << 17) as f32;

/// Whether an operation is a step function of reals.
fn rounds(op: &Op) -> bool {
    match op {
        Op::Quantize(_) | Op::Cast(_) | Op::Compare(_) | Op::Arg(_) => true,
        Op::Unary(op) => matches!(op.kind, UnaryKind::Ceil | UnaryKind::Floor | UnaryKind::Round | UnaryKind::Sign),
        Op::Binary(op) => matches!(op.kind, BinaryKind::FloorDiv | BinaryKind::FloorMod),
        _ => false,
    }
}

/// Whether a value of reals depends on how its operation computes, rather than being an input, exact, or moved from such a one.
fn computed(graph: &Graph, id: ValueId, main: bool) -> bool {
    let ValueDef::Result { op, .. } = graph.value(id).def() else { return !main && matches!(graph.value(id).def(), ValueDef::Input(_)) };
    let operation = graph.op(op);
    match operation.op() {
        Op::Dequantize(_) => false,
        Op::Reshape(_) | Op::Squeeze(_) | Op::ExpandDims(_) | Op::Transpose(_) => {
            operation.operand(0).is_some_and(|first| computed(graph, first, main))
        }
        _ => true,
    }
}

/// Pseudo-random numbers in [-1, 1).
fn next(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    let [_, _, _, _, low, high, ..] = state.to_le_bytes();
    f32::from(i16::from_le_bytes([low, high])) / 32768.0
}

/// The module with noise; `None` where it rounds no computed reals.
pub(crate) fn noisy(module: &Module, state: &mut u64) -> Option<Module> {
    let mut noisy = module.clone();
    let mut any = false;
    for id in module.graph_ids() {
        let graph = module.graph(id);
        let main = id == GraphId::MAIN;
        let mut targets: Vec<(OpId, usize, ValueId)> = Vec::new();
        for (op, operation) in graph.ops().filter(|(_, operation)| rounds(operation.op())) {
            let reals = operation.operands().iter().enumerate().filter_map(|(index, value)| Some((op, index, (*value)?)));
            targets.extend(reals.filter(|t| graph.ty(t.2).elem == ElementType::F32 && computed(graph, t.2, main)));
        }
        let mut patch = Patch::at_start(graph);
        for &(op, index, value) in &targets {
            let ty = graph.ty(value);
            let axis: Vec<usize> = ty.shape.dims().last().copied().into_iter().collect();
            let factors: Vec<f32> = (0..axis.iter().product()).map(|_| 1.0 + NOISE * next(state)).collect();
            let factors = patch.constant(Constant::from_f32(&factors), Type::new(ElementType::F32, axis.as_slice()), Loc::default());
            patch.move_before(op);
            let product = patch.op1(Binary::new(BinaryKind::Mul), &[value, factors], ty.clone(), Loc::default());
            patch.set_operand(op, index, Some(product));
        }
        any |= !targets.is_empty();
        patch.apply(&mut noisy, id).ok()?;
    }
    any.then_some(noisy)
}
