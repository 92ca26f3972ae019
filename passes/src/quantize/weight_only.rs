//! The modes that change constants only: dynamic-range and float16.
//!
//! *Dynamic-range*: weights in int8, symmetric, per axis where the float kernel takes that; activations stay float and the kernel quantizes
//! them when it runs. *float16*: constants in half precision, each behind a DEQUANTIZE.
//!
//! Both are done where they make the file smaller, and only there: quantization parameters and operators cost bytes too. What is left
//! alone is reported with the figures.

use std::collections::BTreeSet;

use half::f16;
use octet_ir::{
    Constant, Diagnostic, Diagnostics, ElementType, EntityId, Graph, GraphId, Loc, Module, Op, OpId, Operation, Patch, Type, Use, ValueDef,
    ValueId, ops,
};

use super::hybrid::{HybridWeight, hybrid_weights};
use super::options::Runtime;
use super::report::{OpReport, Report, Status, TensorReport, at_value};
use super::weights;

/// Bytes that quantization parameters take besides their vectors: a table, an offset in the tensor, alignment.
const PARAMETERS: usize = 36;
/// Bytes that a DEQUANTIZE and its result take: an operator with two vectors, a tensor, their offsets.
const DEQUANTIZE: usize = 80;

/// Weights of an operation that are too few to matter: fewer than this, as for the TFLite converter, ...
const FEW: usize = 1024;
/// ... and less than this part of all weights that could be quantized. The kernels round activations too, which such a layer pays for with
/// accuracy (depthwise filters most of all) and hardly a byte.
const HARDLY: usize = 100;

/// Quantizes weights to int8 where that saves bytes worth having.
pub(super) fn dynamic_range(
    module: &mut Module,
    runtime: Runtime,
    report: &mut Report,
    may: &mut dyn FnMut(&str) -> bool,
) -> Result<(), Diagnostics> {
    if runtime != Runtime::Litert {
        let message = "TFLite Micro has no kernels with int8 weights and float activations";
        return Err(Diagnostic::error("QNT007", message).with_help("use int8 or int8-only, or runtime = litert").into());
    }
    let readers = constant_users(module);
    let all = weight_count(module);
    for id in module.graph_ids() {
        // Patches replace weights: operations stay where they are.
        let positions = module.graph(id).op_positions();
        let mut known = Known { all, readers: &readers, positions: &positions, lengths: BTreeSet::new() };
        for op_id in module.graph(id).op_ids() {
            let patch = weights_of(module, id, op_id, &mut known, report);
            if let Some(patch) = patch {
                if !may(module.graph(id).op(op_id).op().mnemonic()) {
                    return Ok(());
                }
                apply(patch, module, id)?;
            }
        }
    }
    Ok(())
}

/// Forgets the scales that training found: activations stay float, and kernels that compare the scales of what goes in and comes out would refuse.
pub(super) fn plain_floats(module: &mut Module) -> Result<(), Diagnostics> {
    for id in module.graph_ids() {
        let graph = module.graph(id);
        let mut patch = Patch::at_end(graph);
        for (value, known) in graph.values().filter(|(_, v)| v.ty().elem.is_float() && v.ty().quant.is_some()) {
            patch.set_type(value, known.ty().clone().with_quant(None));
        }
        if !patch.is_empty() {
            apply(patch, module, id)?;
        }
    }
    Ok(())
}

/// What the decisions on an operation's weights need to know of the rest.
struct Known<'a> {
    /// Elements of all weights that could be quantized.
    all: usize,
    /// Values that hold each constant's bytes, by its id.
    readers: &'a [usize],
    /// Where each operation of the graph stands.
    positions: &'a [usize],
    /// Lengths of the vectors of zero points that are written already.
    lengths: BTreeSet<usize>,
}

/// How many values hold the bytes of each constant, by its id.
fn constant_users(module: &Module) -> Vec<usize> {
    let mut users = Vec::new();
    for (_, value) in module.graphs().flat_map(|(_, g)| g.values()) {
        if let ValueDef::Constant(bytes) = value.def() {
            if users.len() <= bytes.index() {
                users.resize(bytes.index() + 1, 0);
            }
            users[bytes.index()] += 1;
        }
    }
    users
}

/// Elements of all float weights that kernels take in int8.
fn weight_count(module: &Module) -> usize {
    let of_op = |graph: &Graph, op: &Operation| -> usize {
        let values = hybrid_weights(op.op()).into_iter().filter_map(|w| op.operand(w.operand));
        values
            .filter(|v| graph.ty(*v).elem == ElementType::F32 && module.constant_of(graph, *v).is_some())
            .map(|v| graph.ty(v).shape.elements())
            .sum()
    };
    module.graphs().flat_map(|(_, graph)| graph.ops().map(move |(_, op)| of_op(graph, op))).sum()
}

fn apply(patch: Patch, module: &mut Module, id: GraphId) -> Result<(), Diagnostics> {
    let refused = |e| Diagnostics::from(Diagnostic::error("QNT099", format!("quantization of a weight was refused: {e}")));
    patch.apply(module, id).map(drop).map_err(refused)
}

/// Quantizes all weights of an operation, or none: the kernels take no mixture.
fn weights_of(module: &Module, id: GraphId, op_id: OpId, known: &mut Known<'_>, report: &mut Report) -> Option<Patch> {
    let graph = module.graph(id);
    let op = graph.get_op(op_id)?;
    let index = known.positions.get(op_id.index()).copied().unwrap_or(op_id.index());
    let slots: Vec<(HybridWeight, ValueId)> =
        hybrid_weights(op.op()).into_iter().filter_map(|w| Some((w, op.operand(w.operand)?))).collect();
    let float = slots.iter().all(|(_, v)| graph.ty(*v).elem == ElementType::F32)
        && op.results().iter().all(|r| graph.ty(*r).elem == ElementType::F32);
    if slots.is_empty() || !float {
        report.ops.push(OpReport::new(graph, index, op, Status::Unchanged, None));
        return None;
    }
    match plan_weights(module, graph, op_id, &slots, known) {
        Ok(plan) => {
            report.ops.push(OpReport::new(graph, index, op, Status::Weights, None));
            Some(write_weights(graph, op_id, op, plan, &mut known.lengths, report))
        }
        Err(why) => {
            let message = format!("{} keeps its float weights: {why}", op.op().mnemonic().to_uppercase());
            let described = OpReport::new(graph, index, op, Status::Float, Some(why));
            report.notes.push(Diagnostic::note("QNT040", message).at(described.location()));
            report.ops.push(described);
            None
        }
    }
}

struct PlannedWeight {
    slot: HybridWeight,
    value: ValueId,
    values: Vec<f32>,
    scales: Vec<f32>,
}

/// Whether a BATCH_MATMUL has several axes of batches. LiteRT's kernel of quantized weights then takes the scales of the first batches for all.
fn has_batches_of_batches(graph: &Graph, op: &Operation) -> bool {
    let axes = |dims: &[usize]| dims.iter().rev().skip(2).filter(|d| **d != 1).count();
    matches!(op.op(), Op::BatchMatmul(_)) && op.results().iter().any(|r| axes(graph.ty(*r).shape.dims()) > 1)
}

/// Scales for an operation's weights, or why they are better left alone.
fn plan_weights(
    module: &Module,
    graph: &Graph,
    op_id: OpId,
    slots: &[(HybridWeight, ValueId)],
    known: &Known<'_>,
) -> Result<Vec<PlannedWeight>, String> {
    if graph.get_op(op_id).is_some_and(|op| has_batches_of_batches(graph, op)) {
        return Err("LiteRT computes nested batches with quantized weights wrongly".into());
    }
    let mut planned = Vec::with_capacity(slots.len());
    let (mut saved, mut cost) = (0usize, 0usize);
    for &(slot, value) in slots {
        let name = graph.value_name(value);
        let constant = module.constant_of(graph, value).ok_or_else(|| format!("weight '{name}' is no constant, or stored sparse"))?;
        let values = constant.to_f32();
        if values.is_empty() || !values.iter().all(|v| v.is_finite()) {
            return Err(format!("weight '{name}' holds NaN or infinity, or nothing"));
        }
        if let Some(other) = other_reader(known.readers, graph, op_id, slot.operand, value) {
            return Err(format!("weight '{name}' is read by {other} too, which needs it in float"));
        }
        let dims = graph.ty(value).shape.dims();
        let per_axis = weights::filter_scales(&values, dims, slot.axis);
        let per_tensor = weights::filter_scales(&values, dims, None);
        let price = |scales: &[f32]| {
            let zero_points = if known.lengths.contains(&scales.len()) { 0 } else { 8 * scales.len() + 8 };
            4 * scales.len() + PARAMETERS + zero_points
        };
        let gain = 3 * values.len();
        let scales = if gain > price(&per_axis) || !slot.takes_one_scale { per_axis } else { per_tensor };
        saved += gain;
        cost += price(&scales);
        planned.push(PlannedWeight { slot, value, values, scales });
    }
    let elements: usize = planned.iter().map(|p| p.values.len()).sum();
    if elements < FEW && elements < known.all / HARDLY {
        return Err(format!(
            "its {elements} weights are hardly any of the model's {}, and int8 would round its activations too",
            known.all
        ));
    }
    if saved <= cost {
        return Err(format!("int8 would save {saved} bytes on {elements} weights and cost {cost} for their quantization parameters"));
    }
    Ok(planned)
}

/// Another reader of a weight's bytes.
fn other_reader(readers: &[usize], graph: &Graph, op_id: OpId, operand: usize, value: ValueId) -> Option<String> {
    let own = Use::Operand { op: op_id, operand };
    let mut uses = graph.value(value).uses().iter().filter(|u| **u != own);
    if let Some(user) = uses.next() {
        return Some(match user {
            Use::Operand { op, .. } => graph.op(*op).op().mnemonic().to_uppercase(),
            Use::Output(_) => "an output".into(),
        });
    }
    let ValueDef::Constant(bytes) = graph.value(value).def() else { return None };
    // A constant that is newer than the count is one that a weight was replaced with.
    let shared = readers.get(bytes.index()).is_some_and(|count| *count > 1);
    shared.then(|| "another tensor of the same bytes".to_owned())
}

fn write_weights(
    graph: &Graph,
    op_id: OpId,
    op: &Operation,
    plan: Vec<PlannedWeight>,
    lengths: &mut BTreeSet<usize>,
    report: &mut Report,
) -> Patch {
    let mut patch = Patch::before(graph, op_id);
    let asymmetric = plan.iter().any(|p| p.slot.asymmetric_inputs);
    for PlannedWeight { slot, value, values, scales } in plan {
        lengths.insert(scales.len());
        // One scale that a kernel looks up per channel stays a per-axis one.
        let quant = match slot.axis {
            Some(axis) if !slot.takes_one_scale => octet_ir::Quantization::per_axis(axis, scales),
            axis => weights::symmetric(scales, axis.unwrap_or(0)),
        };
        report.tensors.push(TensorReport {
            graph: graph.name().to_owned(),
            tensor: graph.value_name(value),
            elem: ElementType::I8.to_string(),
            scales: quant.scales().to_vec(),
            zero_points: quant.zero_points().to_vec(),
            axis: quant.axis(),
            range: None,
            source: "range",
        });
        let (constant, ty) = weights::filter(&values, graph.ty(value), quant);
        let made = patch.constant(constant, ty, graph.value(value).loc().clone());
        patch.set_operand(op_id, slot.operand, Some(made));
    }
    if asymmetric && let Some(changed) = with_asymmetric_inputs(op.op()) {
        patch.set_op(op_id, changed);
    }
    patch
}

/// The converter's choice for kernels that leave one: activations are quantized asymmetrically.
fn with_asymmetric_inputs(op: &Op) -> Option<Op> {
    let mut op = op.clone();
    let flag = match &mut op {
        Op::FullyConnected(o) => &mut o.asymmetric_quantize_inputs,
        Op::BatchMatmul(o) => &mut o.asymmetric_quantize_inputs,
        Op::Svdf(o) => &mut o.asymmetric_quantize_inputs,
        Op::UnidirectionalSequenceLstm(o) => &mut o.asymmetric_quantize_inputs,
        Op::BidirectionalSequenceLstm(o) => &mut o.asymmetric_quantize_inputs,
        Op::Lstm(o) => &mut o.asymmetric_quantize_inputs,
        Op::Rnn(o) => &mut o.asymmetric_quantize_inputs,
        Op::UnidirectionalSequenceRnn(o) => &mut o.asymmetric_quantize_inputs,
        Op::BidirectionalSequenceRnn(o) => &mut o.asymmetric_quantize_inputs,
        _ => return None,
    };
    *flag = true;
    Some(op)
}

/// Stores constants in half precision where that saves bytes.
pub(super) fn float16(module: &mut Module, report: &mut Report, may: &mut dyn FnMut(&str) -> bool) -> Result<(), Diagnostics> {
    for id in module.graph_ids() {
        if !may("constants in half precision") {
            return Ok(());
        }
        let patch = halve(module, id, report);
        if !patch.is_empty() {
            apply(patch, module, id)?;
        }
        let graph = module.graph(id);
        report.ops.extend(graph.ops().enumerate().map(|(index, (_, op))| OpReport::new(graph, index, op, Status::Unchanged, None)));
    }
    Ok(())
}

fn halve(module: &Module, id: GraphId, report: &mut Report) -> Patch {
    let graph = module.graph(id);
    let mut patch = Patch::at_start(graph);
    let positions = graph.op_positions();
    for (value, info) in graph.values().filter(|(_, v)| v.ty().elem == ElementType::F32 && !v.uses().is_empty()) {
        let Some(constant) = module.constant_of(graph, value) else { continue };
        let values = constant.to_f32();
        let (saved, name) = (2 * values.len(), graph.value_name(value));
        let note = |message: String| Diagnostic::note("QNT041", message).at(at_value(graph, &positions, value));
        if info.is_output() {
            report.notes.push(note(format!("constant '{name}' stays float32: it is an output")));
            continue;
        }
        if saved <= DEQUANTIZE {
            report.notes.push(note(format!("constant '{name}' stays float32: float16 would save {saved} bytes and cost {DEQUANTIZE}")));
            continue;
        }
        let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
        if let Some((v, _)) = values.iter().zip(&halves).find(|(v, h)| v.is_finite() && h.is_infinite()) {
            let message = format!("constant '{name}' stays float32: {v} is beyond float16");
            report.notes.push(Diagnostic::warning("QNT042", message).at(at_value(graph, &positions, value)));
            continue;
        }
        let bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
        let shape = info.ty().shape.clone();
        let half = patch.constant(Constant::new(bytes), Type::new(ElementType::F16, shape.clone()), info.loc().clone());
        let real = patch.op1(ops::Dequantize::default(), &[half], Type::f32(shape), Loc::unknown());
        patch.allow_retyping();
        patch.replace(value, real);
        report.tensors.push(TensorReport {
            graph: graph.name().to_owned(),
            tensor: name,
            elem: ElementType::F16.to_string(),
            scales: Vec::new(),
            zero_points: Vec::new(),
            axis: None,
            range: None,
            source: "range",
        });
    }
    patch
}
