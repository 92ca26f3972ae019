//! What SOFTMAX can see of its operand, and of the masks that are added to it.
//!
//! A value far below the largest one of its row comes out of SOFTMAX as 0, however far below it is: masks use that, with minus infinity or
//! huge negative numbers, and a range that reaches down to them leaves no steps for anything else. So a value that is read by SOFTMAX alone
//! has a *floor*: the smallest maximum of a row that was seen, less `ln(2^(bits + 1) * n)`, where `n` is the length of a row and
//! `bits` is how fine SOFTMAX's result is. What is below and is raised to the floor adds, all together, less than half a step to any
//! result. A row whose maximum is below [`MASKED`] is masked throughout, has no result worth keeping, and does not count.
//!
//! Floors go up the wires: through operations that only move elements; to an addend, lowered by the largest value of the other
//! one (what is below gives a sum below the sum's floor, so that nothing changes); to both sides of a selection; to a factor
//! of positive constants; to the constant that a mask of zeros and ones is multiplied by, where one step of the mask reaches the
//! product's floor (what is between has no integer). A value has a floor when all that reads it gives it one: the lowest.

use octet_ir::ops::{Activation, BinaryKind};
use octet_ir::{EntityId, Graph, Module, Op, OpId, Operation, Use, ValueId};

use super::statistics::Extremes;

/// A score below this is a mask: the largest negative number that exporters add so that half precision holds it, with some slack.
pub(super) const MASKED: f32 = -5e3;

/// Values of one graph that may have a floor, by index.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// Whether the value reaches nothing but SOFTMAX: it may hold minus infinity.
    pub(super) masked: Vec<bool>,
    /// Whether a SOFTMAX reads the value itself: rows count.
    pub(super) rows: Vec<bool>,
}

impl Sight {
    /// Looks at a graph's readers.
    pub(super) fn new(module: &Module, graph: &Graph) -> Self {
        let mut sight = Self { masked: vec![false; graph.value_capacity()], rows: vec![false; graph.value_capacity()] };
        let ops: Vec<OpId> = graph.op_ids();
        // Against execution order: what reads a value was looked at before.
        for &id in ops.iter().rev() {
            let op = graph.op(id);
            for &value in op.operands().iter().flatten() {
                let info = graph.value(value);
                let only = |r: ValueId| sight.masked.get(r.index()).copied().unwrap_or(false);
                let seen = |(user, index): (OpId, usize)| {
                    let reader = graph.op(user);
                    match way(module, graph, reader, index) {
                        Some(Way::Rows(_)) => true,
                        Some(_) => reader.results().first().is_some_and(|&r| only(r)),
                        None => false,
                    }
                };
                let all = !info.uses().is_empty() && info.uses().iter().all(|u| reader(u).is_some_and(seen));
                let rows = info.uses().iter().filter_map(reader).any(|(user, _)| matches!(graph.op(user).op(), Op::Softmax(_)));
                sight.masked[value.index()] = all;
                sight.rows[value.index()] = all && rows;
            }
        }
        sight
    }
}

/// How a floor comes from an operation's result to one of its operands.
enum Way {
    /// The operand is SOFTMAX's own, which multiplies it by this.
    Rows(f32),
    /// Unchanged: the operation moves or selects elements.
    Moved,
    /// Lowered by the other addend's largest value.
    Addend(ValueId),
    /// Raised by the smallest value of what is subtracted.
    Minuend(ValueId),
    /// Divided by factors between these, both positive.
    Factor(f32, f32),
    /// So low that one step of the other factor, which is not negative, switches to the result's floor.
    Switch(ValueId),
}

/// The operation and operand of a use; `None` for an output of the graph.
pub(super) fn reader(r#use: &Use) -> Option<(OpId, usize)> {
    match *r#use {
        Use::Operand { op, operand } => Some((op, operand)),
        Use::Output(_) => None,
    }
}

fn way(module: &Module, graph: &Graph, op: &Operation, index: usize) -> Option<Way> {
    match op.op() {
        Op::Softmax(s) => (s.beta > 0.0).then_some(Way::Rows(s.beta)),
        Op::Reshape(_)
        | Op::Squeeze(_)
        | Op::ExpandDims(_)
        | Op::Transpose(_)
        | Op::BroadcastTo(_)
        | Op::Slice(_)
        | Op::StridedSlice(_)
        | Op::Tile(_)
            if index == 0 =>
        {
            Some(Way::Moved)
        }
        Op::Concatenation(c) if c.activation == Activation::None => Some(Way::Moved),
        Op::Select(_) if index > 0 => Some(Way::Moved),
        Op::Binary(b) if b.activation == Activation::None => {
            let other = op.operand(1 - index.min(1))?;
            match b.kind {
                BinaryKind::Add => Some(Way::Addend(other)),
                BinaryKind::Sub if index == 0 => Some(Way::Minuend(other)),
                BinaryKind::Mul if module.constant_of(graph, op.operand(index)?).is_some() => Some(Way::Switch(other)),
                BinaryKind::Mul => {
                    let factors = module.constant_of(graph, other)?.to_f32();
                    let (lo, hi) = factors.iter().fold((f32::INFINITY, 0f32), |(lo, hi), &f| (lo.min(f), hi.max(f)));
                    (lo > 0.0 && hi.is_finite()).then_some(Way::Factor(lo, hi))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The floor of every value of a graph that has one. `bits` is how fine SOFTMAX's results will be.
pub(super) fn floors(module: &Module, graph: &Graph, sight: &Sight, extremes: &[Extremes], bits: u32) -> Vec<Option<f32>> {
    let mut floors: Vec<Option<f32>> = vec![None; graph.value_capacity()];
    let ops = graph.op_ids();
    for &id in ops.iter().rev() {
        for &value in graph.op(id).operands().iter().flatten() {
            if !sight.masked[value.index()] {
                continue;
            }
            let through = |user: OpId, index: usize| -> Option<f32> {
                let reader = graph.op(user);
                let result = || floors[reader.results().first()?.index()];
                let floor = match way(module, graph, reader, index)? {
                    Way::Rows(beta) => {
                        let n = graph.ty(value).shape.dims().last().copied().unwrap_or(1).max(1);
                        #[expect(clippy::cast_precision_loss, reason = "the length of a row")]
                        let reach = ((n as f32).ln() + (bits + 1) as f32 * std::f32::consts::LN_2).ceil();
                        extremes.get(value.index())?.row()? - reach / beta
                    }
                    Way::Moved => result()?,
                    Way::Addend(other) => result()? - extremes.get(other.index())?.largest()?,
                    Way::Minuend(other) => result()? + extremes.get(other.index())?.bounds()?.lo,
                    Way::Switch(other) => {
                        let mask = extremes.get(other.index())?.bounds().filter(|b| b.lo >= 0.0 && b.hi > 0.0)?;
                        #[expect(clippy::cast_precision_loss, reason = "a number of steps")]
                        let steps = ((1u32 << bits) - 1) as f32;
                        result().filter(|f| *f < 0.0)? * steps / mask.hi
                    }
                    Way::Factor(lo, hi) => result().map(|f| if f < 0.0 { f / lo } else { f / hi })?,
                };
                floor.is_finite().then_some(floor)
            };
            let all: Option<Vec<f32>> =
                graph.value(value).uses().iter().map(|u| reader(u).and_then(|(op, index)| through(op, index))).collect();
            floors[value.index()] = all.and_then(|f| f.into_iter().reduce(f32::min));
        }
    }
    floors
}
