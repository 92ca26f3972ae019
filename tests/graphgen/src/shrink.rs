//! Making failing modules small, and taking modules apart.
//!
//! Everything here is one operation, [`Cut`]: a module with some of the main graph's operations, whose missing operands become inputs or
//! constants. Shrinking tries ever smaller cuts and keeps what still fails.

use std::collections::{BTreeMap, BTreeSet};

use octet_ir::ops::{InferError, Op};
use octet_ir::verify::{types, verify};
use octet_ir::{Constant, EntityId, Graph, GraphBuilder, GraphId, Module, OpId, Operation, Patch, Type, ValueDef, ValueId, text};

use crate::build::{FLOAT_RANGE, INTEGER_RANGE};
use crate::inputs::random_constant;
use crate::random::Random;

/// Rounds of shrinking at most; each one makes the module smaller, so few are ever needed.
const MOST_ROUNDS: usize = 8;

/// The smallest module found that still fails, where `fails` answers whether one does. What `fails` sees is always valid.
pub fn shrink(module: &Module, fails: &mut dyn FnMut(&Module) -> bool) -> Module {
    let mut best = module.clone();
    let mut attempt = |best: &mut Module, candidate: Option<Module>| {
        let better = candidate.filter(|c| verify(c).is_ok() && fails(c));
        let found = better.is_some();
        if let Some(better) = better {
            *best = better;
        }
        found
    };
    for _ in 0..MOST_ROUNDS {
        let before = weight(&best);
        let bare = Cut::all(&best).apply(&best);
        attempt(&mut best, Some(bare));
        fewer_outputs(&mut best, &mut attempt);
        fewer_ops(&mut best, &mut attempt);
        simpler_data(&mut best, &mut attempt);
        smaller_shapes(&mut best, &mut attempt);
        if weight(&best) >= before {
            break;
        }
    }
    best
}

type Attempt<'a> = dyn FnMut(&mut Module, Option<Module>) -> bool + 'a;

/// What shrinking makes less of: operations, outputs, elements.
fn weight(module: &Module) -> (usize, usize, usize, usize) {
    let graphs: Vec<&Graph> = module.graphs().map(|(_, g)| g).collect();
    let elements = graphs.iter().flat_map(|g| g.values()).map(|(_, v)| v.ty().shape.elements()).fold(0usize, usize::saturating_add);
    let inputs = module.main().inputs().len();
    (graphs.iter().map(|g| g.op_count()).sum(), graphs.iter().map(|g| g.outputs().len()).sum(), inputs, elements)
}

fn fewer_outputs(best: &mut Module, attempt: &mut Attempt<'_>) {
    let mut size = best.main().outputs().len() / 2;
    while size > 0 {
        let mut start = 0;
        while start < best.main().outputs().len() && best.main().outputs().len() > size {
            let outputs = best.main().outputs();
            let kept: Vec<ValueId> =
                outputs.iter().enumerate().filter(|(i, _)| !(start..start + size).contains(i)).map(|(_, v)| *v).collect();
            let candidate = Cut { outputs: kept, ..Cut::all(best) }.apply(best);
            if !attempt(best, Some(candidate)) {
                start += size;
            }
        }
        size /= 2;
    }
}

fn fewer_ops(best: &mut Module, attempt: &mut Attempt<'_>) {
    let mut size = best.main().op_count();
    while size > 0 {
        let mut start = 0;
        while start < best.main().op_count() {
            let dropped: BTreeSet<OpId> = best.main().op_ids().into_iter().skip(start).take(size).collect();
            let mut found = false;
            for stub in [Stub::Input, Stub::Constant] {
                let cut = Cut { dropped: dropped.clone(), stub, ..Cut::all(best) };
                let candidate = cut.apply(best);
                if candidate.main().op_count() < best.main().op_count() && attempt(best, Some(candidate)) {
                    found = true;
                    break;
                }
            }
            if !found {
                start += size;
            }
        }
        size /= 2;
    }
    // What is before an operation may matter less than its results: let outputs move up to an operation's results.
    for op in best.main().op_ids() {
        if best.main().get_op(op).is_some() && best.main().op_count() > 1 {
            let candidate = isolate(best, GraphId::MAIN, op);
            if attempt(best, Some(candidate)) {
                return;
            }
        }
    }
}

/// Constants of zeros.
fn simpler_data(best: &mut Module, attempt: &mut Attempt<'_>) {
    let constants: Vec<ValueId> = best
        .main()
        .values()
        .filter(|(_, v)| matches!(v.def(), ValueDef::Constant(_)) && v.ty().elem.is_float())
        .map(|(id, _)| id)
        .collect();
    for value in constants {
        let Some(length) = best.main().get_value(value).and_then(|v| v.ty().byte_len()) else { continue };
        let zeros = Constant::new(vec![0; length]);
        if best.constant_of(best.main(), value) == Some(&zeros) {
            continue;
        }
        let mut candidate = best.clone();
        let mut patch = Patch::at_end(candidate.main());
        patch.set_constant(value, zeros);
        let patched = patch.apply(&mut candidate, GraphId::MAIN).is_ok();
        attempt(best, patched.then_some(candidate));
    }
}

/// Inputs with sizes of one, or half as large, as far as everything behind them still fits.
fn smaller_shapes(best: &mut Module, attempt: &mut Attempt<'_>) {
    for input in 0..best.main().inputs().len() {
        let rank = best.main().ty(best.main().inputs()[input]).shape.rank();
        for axis in 0..rank {
            loop {
                let size = best.main().ty(best.main().inputs()[input]).shape.dims()[axis];
                let smaller = [1, size / 2, size.saturating_sub(1)].into_iter().filter(|&s| s > 0 && s < size);
                let candidates: Vec<Option<Module>> = smaller.map(|s| resized(best, input, axis, s)).collect();
                if !candidates.into_iter().any(|c| attempt(best, c)) {
                    break;
                }
            }
        }
    }
}

/// The module with another size of one input, inferred through; `None` where an operation does not take it.
fn resized(module: &Module, input: usize, axis: usize, size: usize) -> Option<Module> {
    if module.graphs().count() > 1 {
        return None;
    }
    let mut result = module.clone();
    let value = module.main().inputs()[input];
    let ty = module.main().ty(value);
    let mut dims = ty.shape.dims().to_vec();
    dims[axis] = size;
    let mut patch = Patch::at_end(result.main());
    patch.set_type(value, ty.clone().with_shape(dims));
    patch.apply(&mut result, GraphId::MAIN).ok()?;
    for op in module.main().op_ids() {
        let graph = result.main();
        let operation = graph.op(op);
        let inferred = match types::infer_operation(&result, graph, operation) {
            Ok(inferred) => inferred,
            Err(InferError::Unknown) => continue,
            Err(InferError::Invalid(_)) => return None,
        };
        let mut patch = Patch::at_end(graph);
        for (&value, (_, shape)) in operation.results().iter().zip(inferred) {
            patch.set_type(value, graph.ty(value).clone().with_shape(shape));
        }
        patch.apply(&mut result, GraphId::MAIN).ok()?;
    }
    Some(result)
}

/// The values of `graph` that the inputs of [`isolate`]'s module stand for, in order: what the operation reads, each once, inputs of the graph
/// first; neither constants nor variables.
pub fn isolated_inputs(graph: &Graph, op: OpId) -> Vec<ValueId> {
    let read: BTreeSet<ValueId> = graph.op(op).operands().iter().flatten().copied().collect();
    let mut inputs: Vec<ValueId> = graph.inputs().iter().copied().filter(|v| read.contains(v)).collect();
    for &value in graph.op(op).operands().iter().flatten() {
        if matches!(graph.value(value).def(), ValueDef::Result { .. }) && !inputs.contains(&value) {
            inputs.push(value);
        }
    }
    inputs
}

/// A module of one operation: its results are the outputs, and what it reads is an input unless it is a constant or a variable.
pub fn isolate(module: &Module, graph: GraphId, op: OpId) -> Module {
    extract(module, graph, &BTreeSet::from([op]))
}

/// A module of some operations of a graph. Outputs are their results that have storage; what they read from elsewhere is an input.
pub fn extract(module: &Module, graph: GraphId, ops: &BTreeSet<OpId>) -> Module {
    let source = module.graph(graph);
    let dropped = source.op_ids().into_iter().filter(|op| !ops.contains(op)).collect();
    let results = ops.iter().filter_map(|&op| source.get_op(op)).flat_map(|o| o.results().iter().copied());
    let outputs = results.filter(|&v| source.ty(v).byte_len().is_some()).collect();
    Cut { graph, dropped, outputs, stub: Stub::Input, roots: ops.iter().copied().collect() }.apply(module)
}

/// A failing case in words: where it comes from, why it fails, and the graph itself.
pub fn report(seed: u64, profile: &str, why: &str, shrunk: &Module) -> String {
    let printed = text::print(shrunk);
    let mut told = format!("seed {seed} of profile {profile}: {why}\nshrunk to:\n{}", printed.text);
    if !printed.blobs.is_empty() {
        let hex: String = printed.blobs.iter().take(4096).map(|b| format!("{b:02x}")).collect();
        told += &format!("blobs ({} bytes): {hex}\n", printed.blobs.len());
    }
    told
}

/// What stands in for the result of an operation that is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stub {
    Input,
    Constant,
}

/// Which part of a module to keep. Signatures, metadata and graphs that nothing calls any more are left out.
struct Cut {
    /// The graph that becomes the main one.
    graph: GraphId,
    /// Operations that go, unless what they give has no storage (handles of variables).
    dropped: BTreeSet<OpId>,
    outputs: Vec<ValueId>,
    stub: Stub,
    /// Operations that stay even if no output needs them.
    roots: Vec<OpId>,
}

impl Cut {
    fn all(module: &Module) -> Self {
        Self {
            graph: GraphId::MAIN,
            dropped: BTreeSet::new(),
            outputs: module.main().outputs().to_vec(),
            stub: Stub::Input,
            roots: Vec::new(),
        }
    }

    fn apply(&self, module: &Module) -> Module {
        let source = module.graph(self.graph);
        let kept = self.kept(source);
        // Called graphs are numbered in the order in which they are met.
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        let mut queue: Vec<usize> = kept.iter().flat_map(|&op| source.op(op).op().graphs()).collect();
        let mut called = Vec::new();
        while let Some(graph) = queue.pop() {
            if let (false, Some(callee)) = (numbers.contains_key(&graph), module.get_graph(GraphId::from_index(graph))) {
                numbers.insert(graph, numbers.len() + 1);
                called.push(graph);
                queue.extend(callee.ops().flat_map(|(_, o)| o.op().graphs()));
            }
        }
        let mut result = Module::new();
        copy(module, source, &kept, &self.outputs, self.stub, &numbers, &mut result);
        for graph in called {
            let callee = module.graph(GraphId::from_index(graph));
            let all = callee.op_ids().into_iter().collect();
            copy(module, callee, &all, callee.outputs(), Stub::Input, &numbers, &mut result);
        }
        result
    }

    /// Operations that the outputs need, and those with effects.
    fn kept(&self, graph: &Graph) -> BTreeSet<OpId> {
        let has_no_storage = |o: &Operation| o.results().iter().any(|&v| graph.ty(v).byte_len().is_none());
        let stays = |op: OpId| !self.dropped.contains(&op) || has_no_storage(graph.op(op));
        let mut needed: Vec<OpId> = self.outputs.iter().filter_map(|&v| graph.producer(v)).map(|(op, _)| op).collect();
        needed.extend(self.roots.iter().filter(|&&op| graph.get_op(op).is_some()));
        needed.extend(graph.ops().filter(|(op, o)| o.op().has_side_effects() && !self.dropped.contains(op)).map(|(op, _)| op));
        let mut kept = BTreeSet::new();
        while let Some(op) = needed.pop() {
            if stays(op) && kept.insert(op) {
                needed.extend(graph.op(op).operands().iter().flatten().filter_map(|&v| graph.producer(v)).map(|(op, _)| op));
            }
        }
        kept
    }
}

/// Copies the kept operations of a graph and whatever they name; callers number graphs anew.
fn copy(
    module: &Module,
    graph: &Graph,
    kept: &BTreeSet<OpId>,
    outputs: &[ValueId],
    stub: Stub,
    numbers: &BTreeMap<usize, usize>,
    result: &mut Module,
) {
    let is_main = result.graphs().next().is_none();
    let mut builder = GraphBuilder::new(result, if is_main { "main" } else { graph.name() });
    let mut copies: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    let needed: BTreeSet<ValueId> =
        (kept.iter().flat_map(|&op| graph.op(op).operands().iter().flatten().copied())).chain(outputs.iter().copied()).collect();
    // Inputs keep their order; those of the main graph that nothing reads go. A called graph keeps its signature.
    for &input in graph.inputs() {
        if !is_main || needed.contains(&input) {
            let copy = declare(&mut builder, graph, input);
            builder.bind_input(copy);
            copies.insert(input, copy);
        }
    }
    for (op, operation) in graph.ops().filter(|(op, _)| kept.contains(op)) {
        let operands: Vec<Option<ValueId>> = (operation.operands().iter())
            .map(|v| v.map(|v| *copies.entry(v).or_insert_with(|| leaf(&mut builder, module, graph, v, stub))))
            .collect();
        let mut declared = |values: &[ValueId]| -> Vec<ValueId> {
            values
                .iter()
                .map(|&v| {
                    let copy = declare(&mut builder, graph, v);
                    copies.insert(v, copy);
                    copy
                })
                .collect()
        };
        let (results, inner) = (declared(operation.results()), declared(operation.intermediates()));
        let bound = builder.bind_op(renumbered(operation.op(), numbers), operands, results, inner);
        debug_assert!(bound.is_some(), "{op} is copied once");
    }
    for &output in outputs {
        let copy = *copies.entry(output).or_insert_with(|| leaf(&mut builder, module, graph, output, stub));
        builder.output(copy);
    }
    builder.finish();
}

fn declare(builder: &mut GraphBuilder<'_>, graph: &Graph, value: ValueId) -> ValueId {
    let known = graph.value(value);
    let copy = builder.declare(known.ty().clone(), known.loc().clone());
    builder.set_range(copy, known.range().cloned());
    builder.set_sparsity(copy, known.sparsity().cloned());
    copy
}

/// A value that no kept operation defines.
fn leaf(builder: &mut GraphBuilder<'_>, module: &Module, graph: &Graph, value: ValueId, stub: Stub) -> ValueId {
    let copy = declare(builder, graph, value);
    match graph.value(value).def() {
        ValueDef::Constant(id) => {
            if let Some(constant) = module.get_constant(id) {
                let id = builder.add_constant(constant.clone());
                builder.bind_constant(copy, id);
            }
        }
        ValueDef::Variable => {
            builder.bind_variable(copy);
        }
        ValueDef::Unbound => {}
        ValueDef::Input(_) | ValueDef::Result { .. } if stub == Stub::Input => {
            builder.bind_input(copy);
        }
        ValueDef::Input(_) | ValueDef::Result { .. } => {
            let ty = Type { shape: graph.ty(value).shape.to_static(), ..graph.ty(value).clone() };
            let range = if ty.elem.is_integer() { INTEGER_RANGE } else { FLOAT_RANGE };
            let constant = random_constant(&mut Random::new(copy.index() as u64), &ty, range);
            builder.set_type(copy, ty);
            let id = builder.add_constant(constant);
            builder.bind_constant(copy, id);
        }
    }
    copy
}

fn renumbered(op: &Op, numbers: &BTreeMap<usize, usize>) -> Op {
    let new = |graph: &mut usize| *graph = numbers.get(graph).copied().unwrap_or(*graph);
    let mut op = op.clone();
    match &mut op {
        Op::If(o) => [&mut o.then_graph, &mut o.else_graph].into_iter().for_each(new),
        Op::While(o) => [&mut o.cond_graph, &mut o.body_graph].into_iter().for_each(new),
        Op::CallOnce(o) => new(&mut o.init_graph),
        Op::Opaque(o) => o.graphs.iter_mut().for_each(new),
        // No other operation names a graph: `Op::graphs` says so.
        other => debug_assert!(other.graphs().is_empty()),
    }
    op
}
