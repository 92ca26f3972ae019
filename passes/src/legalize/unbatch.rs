//! Computes a model with a fixed batch sample by sample: a SPLIT of every input, the operations once for each sample, a CONCATENATION of every output.
//!
//! Accelerators take tensors of which the three innermost axes have a size over 1. Exact, since only models are split whose operations keep samples apart: each
//! operation must be one that does, and infer its own results again, with a batch of 1. Constants are shared.

use octet_ir::ops::{Concatenation, InferCx, Numbers, Split};
use octet_ir::verify::types::numbers;
use octet_ir::{Constant, Diagnostic, Diagnostics, Graph, Loc, Module, Op, Operation, Patch, Type, ValueDef, ValueId};
use octet_plugin::Observer;

use crate::rewrite::EXPLANATION;
use crate::rewrite::pattern::ints;

/// The largest batch that is split: the model grows with it.
const MOST: usize = 32;

/// Splits the batch of the main graph, if it has one. Answers whether it did; why it could not is reported as a note.
pub(super) fn unbatch(module: &mut Module, observer: &mut dyn Observer) -> Result<bool, Diagnostics> {
    let Some(batch) = batch(module.main()) else { return Ok(false) };
    match plan(module, batch) {
        Ok(patch) => {
            if !observer.may_patch("legalize", "unbatch") {
                return Ok(false);
            }
            let id = module.main_id();
            patch.apply(module, id).map_err(|e| Diagnostics::from(Diagnostic::error("PAS006", format!("unbatch: {e}"))))?;
            Ok(true)
        }
        Err(why) => {
            observer.report(Diagnostic::note(EXPLANATION, format!("unbatch: {why}")));
            Ok(false)
        }
    }
}

/// The outermost size that all inputs have, where it is over 1 and a tensor of four axes has it.
fn batch(graph: &Graph) -> Option<usize> {
    let sizes: Vec<usize> = graph.inputs().iter().map(|v| graph.ty(*v).shape.dims().first().copied()).collect::<Option<_>>()?;
    let (&first, others) = sizes.split_first()?;
    let wide = |ty: &Type| ty.shape.rank() > 3 && ty.shape.dims().first() == Some(&first);
    let any_wide = graph.values().any(|(_, v)| !matches!(v.def(), ValueDef::Constant(_)) && wide(v.ty()));
    (first > 1 && first <= MOST && others.iter().all(|n| *n == first) && any_wide).then_some(first)
}

/// A type with a batch of 1; an error if it has no batch of this size.
fn sample(ty: &Type, batch: usize) -> Result<Type, String> {
    if ty.shape.is_dynamic() || !ty.shape.is_ranked() || ty.shape.dims().first() != Some(&batch) {
        return Err(format!("a tensor of {ty} has no batch of {batch}"));
    }
    if ty.quant.as_ref().is_some_and(|q| q.axis().is_some()) {
        return Err("a computed tensor is quantized along an axis".into());
    }
    let mut dims = ty.shape.dims().to_vec();
    dims[0] = 1;
    Ok(ty.clone().with_shape(dims))
}

fn plan(module: &Module, batch: usize) -> Result<Patch, String> {
    let graph = module.main();
    let first = graph.ops().next().ok_or("there are no operations")?.0;
    let mut patch = Patch::before(graph, first);
    // For each value of the graph, its samples; none for constants.
    let mut samples: Vec<Vec<ValueId>> = vec![Vec::new(); graph.value_capacity()];
    let axis = |patch: &mut Patch| patch.constant(Constant::from_i32(&[0]), Type::i32(octet_ir::Shape::scalar()), Loc::unknown());
    for &input in graph.inputs() {
        let ty = sample(graph.ty(input), batch)?;
        let axis = axis(&mut patch);
        let results = vec![(ty, graph.value(input).loc().clone()); batch];
        samples[slot(input)] = patch.op(Split { num_splits: batch }, vec![Some(axis), Some(input)], results);
    }
    for (_, operation) in graph.ops() {
        keeps_apart(module, graph, operation, batch)?;
        let mut operands: Vec<Option<ValueId>> = operation.operands().to_vec();
        let shape_at = match operation.op() {
            Op::Reshape(_) => Some(1),
            Op::TransposeConv(_) => Some(0),
            _ => None,
        };
        if let Some(at) = shape_at {
            operands[at] = Some(one_sample_shape(module, graph, operation, at, batch, &mut patch)?);
        }
        let results: Vec<(Type, Loc)> = operation
            .results()
            .iter()
            .map(|v| Ok((sample(graph.ty(*v), batch)?, graph.value(*v).loc().clone())))
            .collect::<Result<_, String>>()?;
        infers(module, graph, operation, batch, shape_at, &results)?;
        for index in 0..batch {
            let operands = operands.iter().map(|o| o.map(|v| samples.get(slot(v)).and_then(|s| s.get(index)).copied().unwrap_or(v)));
            let made = patch.op(operation.op().clone(), operands.collect(), results.clone());
            for (old, new) in operation.results().iter().zip(made) {
                patch.set_range(new, graph.value(*old).range().cloned());
                samples[slot(*old)].push(new);
            }
        }
    }
    for &output in graph.outputs() {
        let parts = samples[slot(output)].iter().copied().map(Some).collect();
        if !matches!(graph.value(output).def(), ValueDef::Result { .. }) {
            return Err("an output is no result of an operation".into());
        }
        let whole = patch.op(
            Concatenation { axis: 0, ..Concatenation::default() },
            parts,
            vec![(graph.ty(output).clone(), graph.value(output).loc().clone())],
        );
        for new in whole {
            patch.replace(output, new);
        }
    }
    Ok(patch)
}

fn slot(value: ValueId) -> usize {
    octet_ir::EntityId::index(value)
}

/// A constant shape whose batch is 1 in place of `batch`.
fn one_sample_shape(
    module: &Module,
    graph: &Graph,
    operation: &Operation,
    at: usize,
    batch: usize,
    patch: &mut Patch,
) -> Result<ValueId, String> {
    let mut dims = operation.operand(at).and_then(|v| ints(module, graph, v)).ok_or("a shape is computed")?;
    match dims.first_mut() {
        Some(first) if usize::try_from(*first) == Ok(batch) || *first == -1 => *first = 1,
        _ => return Err("a RESHAPE mixes samples".into()),
    }
    let dims: Vec<i32> = dims.into_iter().map(|d| i32::try_from(d).map_err(|_| "a size is too large")).collect::<Result<_, _>>()?;
    Ok(patch.constant(Constant::from_i32(&dims), Type::i32([dims.len()]), Loc::unknown()))
}

/// That an operation computes each sample of its result from the same sample of its operands.
fn keeps_apart(module: &Module, graph: &Graph, operation: &Operation, batch: usize) -> Result<(), String> {
    let axes = |index: usize| operation.operand(index).and_then(|v| ints(module, graph, v));
    let inner = |index: usize| axes(index).is_some_and(|axes| axes.iter().all(|a| *a > 0));
    let constant = |v: &ValueId| matches!(graph.value(*v).def(), ValueDef::Constant(_));
    // A constant that has a batch of its own would have to be split too.
    let shared = |operation: &Operation| {
        let wide = |v: &ValueId| {
            let dims = graph.ty(*v).shape.dims();
            let rank = operation.results().first().map_or(0, |r| graph.ty(*r).shape.rank());
            dims.len() >= rank && dims.first() == Some(&batch)
        };
        !operation.operands().iter().flatten().any(|v| constant(v) && wide(v))
    };
    let apart = match operation.op() {
        Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_) | Op::TransposeConv(_) => {
            operation.operands().iter().enumerate().all(|(i, v)| v.is_none_or(|v| constant(&v) != (i == input_index(operation.op()))))
        }
        Op::Pool2d(_)
        | Op::Unary(_)
        | Op::LeakyRelu(_)
        | Op::Gelu(_)
        | Op::ResizeBilinear(_)
        | Op::ResizeNearestNeighbor(_)
        | Op::SpaceToDepth(_)
        | Op::DepthToSpace(_)
        | Op::Quantize(_)
        | Op::Dequantize(_)
        | Op::Reshape(_) => true,
        Op::Softmax(_) | Op::LogSoftmax(_) | Op::L2Normalization(_) => operation.operand(0).is_some_and(|v| graph.ty(v).shape.rank() > 1),
        Op::Binary(_) | Op::Prelu(_) => shared(operation),
        Op::Concatenation(op) => op.axis > 0 && shared(operation),
        Op::Reduce(_) => inner(1),
        Op::Pad(_) | Op::PadV2(_) | Op::MirrorPad(_) => axes(1).is_some_and(|p| p.starts_with(&[0, 0])),
        Op::Transpose(_) => axes(1).is_some_and(|p| p.first() == Some(&0)),
        _ => false,
    };
    if apart { Ok(()) } else { Err(format!("{} may mix samples", operation.op().mnemonic().to_uppercase())) }
}

/// The operand of a layer that is computed.
fn input_index(op: &Op) -> usize {
    if matches!(op, Op::TransposeConv(_)) { 2 } else { 0 }
}

/// That an operation gives these types for one sample.
fn infers(
    module: &Module,
    graph: &Graph,
    operation: &Operation,
    batch: usize,
    shape_at: Option<usize>,
    results: &[(Type, Loc)],
) -> Result<(), String> {
    let constant = |v: ValueId| matches!(graph.value(v).def(), ValueDef::Constant(_));
    let one = |v: &ValueId| if constant(*v) { Ok(graph.ty(*v).clone()) } else { sample(graph.ty(*v), batch) };
    let types: Vec<Option<Type>> = operation.operands().iter().map(|o| o.as_ref().map(one).transpose()).collect::<Result<_, _>>()?;
    let operands: Vec<Option<&Type>> = types.iter().map(Option::as_ref).collect();
    let declared: Vec<Type> = results.iter().map(|(ty, _)| ty.clone()).collect();
    let values = |index: usize| {
        let operand = operation.operand(index)?;
        let mut known = numbers(graph.ty(operand).elem, module.constant_of(graph, operand)?)?;
        if let (true, Numbers::Ints(list)) = (shape_at == Some(index), &mut known)
            && let Some(first) = list.first_mut()
        {
            *first = 1;
        }
        Some(known)
    };
    let agrees = match operation.op().infer(&InferCx::new(&operands, &declared, declared.len(), &values)) {
        Ok(inferred) => inferred.iter().zip(&declared).all(|((elem, shape), ty)| *elem == ty.elem && shape.dims() == ty.shape.dims()),
        Err(_) => false,
    };
    if agrees { Ok(()) } else { Err(format!("{} depends on the batch", operation.op().mnemonic().to_uppercase())) }
}
