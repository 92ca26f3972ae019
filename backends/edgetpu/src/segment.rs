//! Segments: a model cut into several that run one after the other and give the bytes of the whole.
//!
//! Cuts are those whose heaviest segment is lightest. A tensor that crosses cuts is an output of the segment that computes it and an input, of the same
//! name, of every segment that reads it.

use std::collections::BTreeMap;

use octet_ir::{Diagnostic, Graph, GraphBuilder, Loc, Module, ValueDef, ValueId};

use crate::cuts::{Cuts, cuts};
use crate::memory::key;

/// A model's segments.
#[derive(Clone, Debug)]
pub struct Segments {
    /// The segments, in order.
    pub modules: Vec<Module>,
    /// The weight of each.
    pub weights: Vec<u64>,
    /// Indices of the operations of each.
    pub operations: Vec<Vec<usize>>,
    /// By how much the heaviest segment exceeds the mean, as a fraction of it.
    pub imbalance: f64,
    /// By how much the heaviest operation alone does, which no cuts can mend; negative if it does not.
    pub floor: f64,
    /// The heaviest operation.
    pub heaviest: usize,
    /// Whether no cuts in any order do better, or none in execution order.
    pub every_order: bool,
}

/// Cuts the main graph into `count` segments, where `weights` has an entry for each operation.
///
/// # Errors
/// `EDG001`, where the model has fewer operations, or state, or several graphs.
pub fn segments(module: &Module, count: usize, weights: &[u64]) -> Result<Segments, Diagnostic> {
    let refused = |why: String| Diagnostic::error("EDG001", why);
    let graph = module.main();
    if count == 0 || count > graph.op_count() {
        return Err(refused(format!("{} operations cannot be cut into {count} segments", graph.op_count())));
    }
    if module.graphs().count() > 1 {
        return Err(refused("a model of several graphs cannot be cut".into()));
    }
    if graph.values().any(|(_, v)| matches!(v.def(), ValueDef::Variable)) {
        return Err(refused("a model with state cannot be cut: variables belong to one file".into()));
    }
    let Cuts { segments, every_order } = cuts(weights, &reads(graph), count);
    let names = names(module);
    let modules = segments.iter().enumerate().map(|(at, inside)| {
        let later: Vec<usize> = segments.iter().skip(at + 1).flatten().copied().collect();
        segment(module, inside, &later, &names)
    });
    let total = |inside: &Vec<usize>| inside.iter().filter_map(|i| weights.get(*i)).fold(0u64, |sum, w| sum.saturating_add(*w));
    let totals: Vec<u64> = segments.iter().map(total).collect();
    let mean = totals.iter().sum::<u64>() as f64 / count as f64;
    let over = |weight: u64| if mean > 0.0 { weight as f64 / mean - 1.0 } else { 0.0 };
    let (heaviest, most) = weights.iter().enumerate().max_by_key(|(i, w)| (**w, std::cmp::Reverse(*i))).map_or((0, 0), |(i, w)| (i, *w));
    Ok(Segments {
        modules: modules.collect(),
        imbalance: over(totals.iter().max().copied().unwrap_or(0)),
        floor: over(most),
        heaviest,
        weights: totals,
        operations: segments,
        every_order,
    })
}

/// For each operation, those that it reads from.
fn reads(graph: &Graph) -> Vec<Vec<usize>> {
    let mut made = BTreeMap::new();
    let mut all = Vec::new();
    for (index, (_, operation)) in graph.ops().enumerate() {
        all.push(operation.operands().iter().flatten().filter_map(|v| made.get(&key(*v)).copied()).collect());
        made.extend(operation.results().iter().map(|v| (key(*v), index)));
    }
    all
}

/// A name of its own for every value, since names are what joins segments.
fn names(module: &Module) -> BTreeMap<usize, String> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (id, _) in module.main().values() {
        let name = module.main().value_name(id);
        let count = taken.entry(name.clone()).or_default();
        found.insert(key(id), if *count == 0 { name } else { format!("{name};{count}") });
        *count += 1;
    }
    found
}

/// The operations `inside` as a module, whose results those that come `later` read.
fn segment(module: &Module, inside: &[usize], later: &[usize], names: &BTreeMap<usize, String>) -> Module {
    let graph = module.main();
    let of = |indices: &[usize]| -> Vec<_> { graph.ops().enumerate().filter(|(i, _)| indices.contains(i)).map(|(_, (_, o))| o).collect() };
    let inside = of(inside);
    let mut result = Module::new();
    result.description.clone_from(&module.description);
    let mut builder = GraphBuilder::new(&mut result, graph.name());
    let mut made: BTreeMap<usize, ValueId> = BTreeMap::new();
    let loc = |v: ValueId| Loc::named(names.get(&key(v)).map_or("", String::as_str));
    let produced: Vec<usize> = inside.iter().flat_map(|o| o.results()).map(|v| key(*v)).collect();
    let reads = || inside.iter().flat_map(|o| o.operands().iter().flatten().copied());
    // Inputs in the order in which the whole model has them, then in which they are computed.
    let outside: Vec<ValueId> =
        graph.values().map(|(v, _)| v).filter(|v| reads().any(|r| r == *v) && !produced.contains(&key(*v))).collect();
    let constants = |v: &ValueId| matches!(graph.value(*v).def(), ValueDef::Constant(_));
    for &value in outside.iter().filter(|v| !constants(v)) {
        made.insert(key(value), builder.input(graph.ty(value).clone(), loc(value)));
    }
    for &value in outside.iter().filter(|v| constants(v)) {
        let found = graph.value(value);
        if let ValueDef::Constant(id) = found.def()
            && let Some(constant) = module.get_constant(id)
        {
            let new = builder.constant(constant.clone(), found.ty().clone(), found.loc().clone());
            builder.set_sparsity(new, found.sparsity().cloned());
            made.insert(key(value), new);
        }
    }
    for operation in &inside {
        let operands: Vec<Option<ValueId>> = operation.operands().iter().map(|o| o.and_then(|v| made.get(&key(v)).copied())).collect();
        let results = operation.results().iter().map(|v| (graph.ty(*v).clone(), loc(*v))).collect();
        let new = builder.op(operation.op().clone(), &operands, results);
        made.extend(operation.results().iter().map(|v| key(*v)).zip(new));
    }
    let later: Vec<ValueId> = of(later).into_iter().flat_map(|o| o.operands().iter().flatten().copied()).collect();
    for result in inside.iter().flat_map(|o| o.results()) {
        if (graph.value(*result).is_output() || later.contains(result))
            && let Some(value) = made.get(&key(*result))
        {
            builder.output(*value);
        }
    }
    builder.finish();
    result
}
