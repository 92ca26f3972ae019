//! NonMaxSuppression: the best box of every batch and class at once, one a turn of a WHILE.
//!
//! TFLite's own NON_MAX_SUPPRESSION takes one batch and one class, and pads its result. Here a turn finds the best score that is left in
//! each row of `[batch, class, box]`, notes its box, and takes out of that row what overlaps it. The loop ends when nothing is left
//! or enough is chosen; WHERE lists what was chosen in ONNX's order.

use octet_ir::ops::{self, ArgKind, BinaryKind, CompareKind, ReduceKind};
use octet_ir::{ElementType, EntityId, GraphId, Loc, Shape, Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input, optional};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("NonMaxSuppression", non_max_suppression)];

/// Places in the state of the loop.
const TURN: usize = 0;
const MOST: usize = 1;
const OVERLAP: usize = 2;
const SCORES: usize = 3;
const CHOSEN: usize = 4;
/// Top, left, bottom, right and area of the boxes, `[batch, box]` each.
const EDGES: usize = 5;

fn non_max_suppression(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (boxes, scores) = (input(inputs, 0)?, input(inputs, 1)?);
    let (&[batches, count, 4], &[score_batches, classes, score_count]) = (scope.dims(boxes), scope.dims(scores)) else {
        return Err("boxes of [batch, box, 4] and scores of [batch, class, box] are needed".into());
    };
    if batches != score_batches || count != score_count {
        return Err(format!("{score_batches} x {score_count} scores do not fit {batches} x {count} boxes"));
    }
    let (turns, most) = turns(scope, optional(inputs, 2), count)?;
    if turns == 0 || batches == 0 || classes == 0 {
        return Ok(vec![scope.constant_value(octet_ir::Constant::from_i64(&[]), Type::new(ElementType::I64, [0, 3]))]);
    }
    let overlap = match optional(inputs, 3) {
        Some(threshold) => scope.reshape(threshold, &[])?,
        None => scope.f32(0.0),
    };
    let never = scope.f32(f32::NEG_INFINITY);
    let mut left = scores;
    if let Some(threshold) = optional(inputs, 4) {
        let threshold = scope.reshape(threshold, &[])?;
        let is_good = scope.compare(CompareKind::Greater, scores, threshold)?;
        left = scope.select(is_good, scores, never)?;
    }
    let none = scope.i32_tensor(&vec![-1; batches * classes * turns], &[batches, classes, turns]);
    let first = scope.i32(0);
    let mut state = vec![first, most, overlap, left, none];
    state.extend(edges(scope, boxes, node.flag("center_point_box"))?);
    let types: Vec<Type> = state.iter().map(|&v| scope.ty(v).clone()).collect();
    let cond_graph = goes_on(scope, &types)?.index();
    let body_graph = turn(scope, &types, [batches, classes, count, turns])?.index();
    let operands: Vec<Option<ValueId>> = state.into_iter().map(Some).collect();
    let results = scope.op_typed(ops::While { cond_graph, body_graph }, &operands, types)?;
    Ok(vec![list(scope, *results.get(CHOSEN).ok_or("the loop gives too little")?)?])
}

/// How many turns there may be, as a size and as a scalar.
fn turns(scope: &mut Scope<'_>, most: Option<ValueId>, count: usize) -> Result<(usize, ValueId), Refusal> {
    let Some(most) = most else { return Ok((0, scope.i32(0))) };
    if let Some(known) = scope.ints(most) {
        let known = known.first().copied().unwrap_or(0).max(0);
        let turns = usize::try_from(known).map_or(count, |known| known.min(count));
        return Ok((turns, scope.i32(small(turns)?)));
    }
    let most = scope.reshape(most, &[])?;
    let limit = scope.scalar(0.0, scope.elem(most))?;
    let most = scope.binary(BinaryKind::Maximum, most, limit)?;
    let most = scope.cast(most, ElementType::I32)?;
    let all = scope.i32(small(count)?);
    Ok((count, scope.binary(BinaryKind::Minimum, most, all)?))
}

/// Top, left, bottom, right and area of boxes `[batch, box, 4]`, whichever corners the file gives.
fn edges(scope: &mut Scope<'_>, boxes: ValueId, centred: bool) -> Result<Vec<ValueId>, Refusal> {
    let dims = scope.dims(boxes)[..2].to_vec();
    let column = |scope: &mut Scope<'_>, index: usize| -> Result<ValueId, Refusal> {
        let one = scope.slice(boxes, 2, index, 1)?;
        scope.reshape(one, &dims)
    };
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for axis in 0..2 {
        if centred {
            // Centre and size, x before y.
            let (centre, size) = (column(scope, 1 - axis)?, column(scope, 3 - axis)?);
            let half = scope.times(size, 0.5)?;
            low.push(scope.binary(BinaryKind::Sub, centre, half)?);
            high.push(scope.binary(BinaryKind::Add, centre, half)?);
        } else {
            let (a, b) = (column(scope, axis)?, column(scope, 2 + axis)?);
            low.push(scope.binary(BinaryKind::Minimum, a, b)?);
            high.push(scope.binary(BinaryKind::Maximum, a, b)?);
        }
    }
    let height = scope.binary(BinaryKind::Sub, high[0], low[0])?;
    let width = scope.binary(BinaryKind::Sub, high[1], low[1])?;
    let area = scope.binary(BinaryKind::Mul, height, width)?;
    Ok(vec![low[0], low[1], high[0], high[1], area])
}

/// A graph of its own with these inputs.
fn graph(
    scope: &mut Scope<'_>,
    name: &str,
    types: &[Type],
    build: impl FnOnce(&mut Scope<'_>, &[ValueId]) -> Result<Vec<ValueId>, Refusal>,
) -> Result<GraphId, Refusal> {
    let origin = scope.origin.clone();
    let mut inner = Scope::new(scope.builder.child(format!("{origin}/{name}")));
    inner.origin = origin;
    let inputs: Vec<ValueId> = types.iter().map(|ty| inner.builder.input(ty.clone(), Loc::unknown())).collect();
    let outputs = build(&mut inner, &inputs);
    for &output in outputs.iter().flatten() {
        inner.builder.output(output);
    }
    let id = inner.builder.finish();
    outputs.map(|_| id)
}

/// Whether there are turns left, and scores.
fn goes_on(scope: &mut Scope<'_>, types: &[Type]) -> Result<GraphId, Refusal> {
    graph(scope, "goes_on", types, |scope, state| {
        let has_turns = scope.compare(CompareKind::Less, state[TURN], state[MOST])?;
        let best = scope.reduce(ReduceKind::Max, state[SCORES], &[0, 1, 2], false)?;
        let never = scope.f32(f32::NEG_INFINITY);
        let has_scores = scope.compare(CompareKind::Greater, best, never)?;
        Ok(vec![scope.binary(BinaryKind::LogicalAnd, has_turns, has_scores)?])
    })
}

/// One turn.
fn turn(scope: &mut Scope<'_>, types: &[Type], [batches, classes, count, turns]: [usize; 4]) -> Result<GraphId, Refusal> {
    graph(scope, "turn", types, |scope, state| {
        let (never, none, one) = (scope.f32(f32::NEG_INFINITY), scope.i32(-1), scope.i32(1));
        let innermost = scope.i32(2);
        let arg = ops::Arg { kind: ArgKind::Max, output_type: ElementType::I32 };
        let best = scope.op1(arg, &[state[SCORES], innermost])?;
        let score = scope.reduce(ReduceKind::Max, state[SCORES], &[2], true)?;
        let found = scope.compare(CompareKind::Greater, score, never)?;
        // Note it.
        let best_last = scope.reshape(best, &[batches, classes, 1])?;
        let noted = scope.select(found, best_last, none)?;
        let places: Vec<i32> = (0..turns).map(small).collect::<Result<_, _>>()?;
        let places = scope.i32_tensor(&places, &[1, 1, turns]);
        let here = scope.compare(CompareKind::Equal, places, state[TURN])?;
        let chosen = scope.select(here, noted, state[CHOSEN])?;
        // Take out what overlaps it, and itself.
        let (mut own, mut all) = (Vec::new(), Vec::new());
        for &edge in &state[EDGES..] {
            let picked = scope.op1(ops::Gather { axis: 1, batch_dims: 1 }, &[edge, best])?;
            own.push(scope.reshape(picked, &[batches, classes, 1])?);
            all.push(scope.reshape(edge, &[batches, 1, count])?);
        }
        let mut sides = Vec::new();
        for axis in 0..2 {
            let low = scope.binary(BinaryKind::Maximum, own[axis], all[axis])?;
            let high = scope.binary(BinaryKind::Minimum, own[axis + 2], all[axis + 2])?;
            let side = scope.binary(BinaryKind::Sub, high, low)?;
            let zero = scope.f32(0.0);
            sides.push(scope.binary(BinaryKind::Maximum, side, zero)?);
        }
        let shared = scope.binary(BinaryKind::Mul, sides[0], sides[1])?;
        let both = scope.binary(BinaryKind::Add, own[4], all[4])?;
        let union = scope.binary(BinaryKind::Sub, both, shared)?;
        let ratio = scope.binary(BinaryKind::Div, shared, union)?;
        let overlaps = scope.compare(CompareKind::Greater, ratio, state[OVERLAP])?;
        let indices: Vec<i32> = (0..count).map(small).collect::<Result<_, _>>()?;
        let indices = scope.i32_tensor(&indices, &[1, 1, count]);
        let itself = scope.compare(CompareKind::Equal, indices, best_last)?;
        let gone = scope.binary(BinaryKind::LogicalOr, overlaps, itself)?;
        let scores = scope.select(gone, never, state[SCORES])?;
        let next = scope.binary(BinaryKind::Add, state[TURN], one)?;
        Ok([&[next, state[MOST], state[OVERLAP], scores, chosen], &state[EDGES..]].concat())
    })
}

/// `[batch, class, box]` of every choice that is no -1, in row-major order of `[batch, class, turn]`.
fn list(scope: &mut Scope<'_>, chosen: ValueId) -> Result<ValueId, Refusal> {
    let zero = scope.i32(0);
    let is_box = scope.compare(CompareKind::GreaterEqual, chosen, zero)?;
    let ty = Type::new(ElementType::I64, Shape::new([1, 3]).with_dynamic(0, "selected"));
    let places = scope.op_typed(ops::Where {}, &[Some(is_box)], vec![ty])?[0];
    let places = scope.cast(places, ElementType::I32)?;
    let indices = scope.op1(ops::GatherNd {}, &[chosen, places])?;
    let last = scope.i32(1);
    let indices = scope.op1(ops::ExpandDims {}, &[indices, last])?;
    let rows = scope.slice(places, 1, 0, 2)?;
    let listed = scope.concat(&[rows, indices], 1)?;
    scope.cast(listed, ElementType::I64)
}
