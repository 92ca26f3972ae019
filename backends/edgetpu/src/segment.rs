//! Segments: a model cut into several that run one after the other and give the bytes of the whole.
//!
//! Cuts go between operations in execution order, where the heaviest segment is lightest: no other choice of cuts in that order has a lighter one. A
//! tensor that crosses cuts is an output of the segment that computes it and an input, of the same name, of every segment that reads it.

use std::collections::BTreeMap;

use octet_ir::{Diagnostic, GraphBuilder, Loc, Module, ValueDef, ValueId};

use crate::memory::key;

/// A model's segments.
#[derive(Clone, Debug)]
pub struct Segments {
    /// The segments, in order.
    pub modules: Vec<Module>,
    /// The weight of each.
    pub weights: Vec<u64>,
    /// By how much the heaviest segment exceeds the mean, as a fraction of it; no cuts in this order do better.
    pub imbalance: f64,
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
    let ends = balance(weights, count);
    let names = names(module);
    let mut modules = Vec::new();
    let mut totals = Vec::new();
    let mut begin = 0;
    for &end in &ends {
        modules.push(segment(module, begin, end, &names));
        totals.push(weights.get(begin..end).unwrap_or_default().iter().sum());
        begin = end;
    }
    let mean = totals.iter().sum::<u64>() as f64 / count as f64;
    let most = totals.iter().max().copied().unwrap_or(0) as f64;
    Ok(Segments { modules, weights: totals, imbalance: if mean > 0.0 { most / mean - 1.0 } else { 0.0 } })
}

/// Where segments end so that the heaviest is lightest: the best over all cuts, found by what is best for every beginning.
fn balance(weights: &[u64], count: usize) -> Vec<usize> {
    let n = weights.len();
    let sums: Vec<u64> = std::iter::once(0)
        .chain(weights.iter().scan(0u64, |sum, w| {
            *sum = sum.saturating_add(*w);
            Some(*sum)
        }))
        .collect();
    let between = |a: usize, b: usize| sums.get(b).zip(sums.get(a)).map_or(0, |(b, a)| b - a);
    // best[k][i]: the heaviest of k segments that hold the first i operations, and where the last of them begins.
    let mut best = vec![vec![(u64::MAX, 0usize); n + 1]; count + 1];
    best[0][0] = (0, 0);
    for k in 1..=count {
        for i in k..=n {
            for j in k - 1..i {
                let (before, _) = best[k - 1][j];
                let heaviest = before.max(between(j, i));
                if before != u64::MAX && heaviest < best[k][i].0 {
                    best[k][i] = (heaviest, j);
                }
            }
        }
    }
    let mut ends = Vec::new();
    let mut at = n;
    for k in (1..=count).rev() {
        ends.push(at);
        at = best[k][at].1;
    }
    ends.reverse();
    ends
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

/// The operations from `begin` up to `end` as a module.
fn segment(module: &Module, begin: usize, end: usize, names: &BTreeMap<usize, String>) -> Module {
    let graph = module.main();
    let inside: Vec<_> = graph.ops().skip(begin).take(end - begin).map(|(_, o)| o).collect();
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
    let later: Vec<ValueId> = graph.ops().skip(end).flat_map(|(_, o)| o.operands().iter().flatten().copied()).collect();
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

#[cfg(test)]
mod tests {
    use super::balance;

    #[test]
    fn the_heaviest_segment_is_lightest() {
        for (weights, count, heaviest) in [(&[1, 1, 1, 1][..], 2, 2), (&[9, 1, 1, 1], 2, 9), (&[5, 1, 5, 1, 5], 3, 6), (&[0, 0], 2, 0)] {
            let ends = balance(weights, count);
            let begins = std::iter::once(0).chain(ends.iter().copied());
            let found: Vec<u64> = begins.zip(&ends).map(|(a, b)| weights[a..*b].iter().sum()).collect();
            assert_eq!((found.len(), found.iter().max().copied()), (count, Some(heaviest)), "{weights:?}: {ends:?}");
            assert!(begins_rise(&ends) && ends.last() == Some(&weights.len()), "{ends:?}");
        }
    }

    fn begins_rise(ends: &[usize]) -> bool {
        ends.first().is_some_and(|e| *e > 0) && ends.is_sorted_by(|a, b| a < b)
    }
}
