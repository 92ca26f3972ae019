//! Which operations an accelerator runs, and why it does not run the others.
//!
//! A profile says which operations are supported. With one cluster, a supported operation is mapped if nothing before it is a CPU operation that itself follows
//! a mapped one: CPU operations at the beginning are fine, and after the first one behind the cluster everything that depends on it stays on the CPU.

use octet_ir::{Diagnostic, Graph, Module, Op, Operation, ValueId};
use octet_targets::{Context, Finding, Profile, Runtime, Status};
use serde::Serialize;

use crate::file::FileFacts;
use crate::memory::{Parameters, key, parameters};
use crate::package::Package;

/// How to map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The oldest runtime that the graph must run on; without one, the newest.
    pub runtime: Option<Runtime>,
    /// Map several clusters.
    pub multiple_subgraphs: bool,
    /// Names of tensors at which the accelerator's part ends: what reads them stays on the CPU.
    pub ends: Vec<String>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its index in the file.
    pub index: usize,
    /// Its name, as TFLite has it, or that of a custom operation.
    pub name: String,
    /// Whether it is a custom operation.
    pub custom: bool,
    /// Its first result.
    pub tensor: String,
    /// Whether the accelerator runs it.
    pub mapped: bool,
    /// The cluster that it belongs to.
    pub cluster: Option<usize>,
    /// The status in the words of edgetpu_compiler.
    pub status: String,
    /// Why it is not mapped: what the profile finds.
    pub findings: Vec<Diagnostic>,
    /// The operation that blocks it, by index.
    pub blocked_by: Option<usize>,
    /// Predicted bytes of its parameters.
    pub parameters: Parameters,
}

/// What an accelerator runs of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// What the accelerator is called.
    pub title: String,
    /// Every operation of the main graph.
    pub rows: Vec<Row>,
    /// How many clusters there are.
    pub clusters: usize,
    /// Whether the model is compiled for the accelerator already: what is mapped is what its compiler mapped.
    pub compiled: bool,
}

/// Counts for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Operations on the accelerator.
    pub mapped: usize,
    /// Operations on the CPU.
    pub cpu: usize,
}

/// The status of an operation that does not run at all.
pub const NOT_RUN: &str = "Not run: it tells a shape that is known";

/// The status of a supported operation behind a CPU operation.
pub const ONE_SUBGRAPH: &str = "More than one subgraph is not supported";

/// The status of an operation beside a compiled one.
pub const NOT_COMPILED: &str = "Left to the CPU when the model was compiled";

/// The words of edgetpu_compiler for a kind of trouble.
fn words(status: Status) -> &'static str {
    match status {
        Status::Unsupported => "Operation not supported",
        Status::DataType => "Operation is working on an unsupported data type",
        Status::Version => "Operation version not supported",
        Status::NotConstant => "Filter, bias, or other param is not constant at compile-time",
        Status::Rank => "Tensor has unsupported rank (up to 3 innermost dimensions mapped)",
        Status::Limitation => "Operation is otherwise supported, but not mapped due to some unspecified limitation",
    }
}

/// Maps the main graph of a module.
pub fn map(module: &Module, profile: &Profile, facts: Option<&FileFacts>, options: &Options) -> Mapping {
    let graph = module.main();
    let compiled_op = profile.accelerator.as_ref().and_then(|a| a.compiled.as_deref());
    let is_compiled = |operation: &Operation| matches!(operation.op(), Op::Custom(custom) if compiled_op == Some(custom.name.as_str()));
    let compiled = graph.ops().any(|(_, operation)| is_compiled(operation));
    let one_cluster = profile.accelerator.as_ref().is_some_and(|a| a.one_cluster) && !options.multiple_subgraphs && !compiled;
    let idle = if profile.accelerator.as_ref().is_some_and(|a| a.drops_shapes) { idle(graph) } else { Vec::new() };
    // For each value: whether something mapped lies before it, and the CPU operation behind that which blocks its readers.
    let mut after_mapped = vec![false; graph.value_capacity()];
    let mut blocked: Vec<Option<usize>> = vec![None; graph.value_capacity()];
    let mut rows = Vec::new();
    for (index, (_, operation)) in graph.ops().enumerate() {
        let context = Context { runtime: options.runtime, version: facts.and_then(|f| f.versions.get(index).copied()) };
        let runs = !idle.contains(&index);
        let mut findings = match (compiled, runs) {
            (true, _) if is_compiled(operation) => Vec::new(),
            (true, _) => vec![left(profile, compiled_op.unwrap_or_default())],
            (false, true) => profile.operation(module, graph, operation, context),
            (false, false) => Vec::new(),
        };
        if facts.and_then(|f| f.outside.get(index)).is_some_and(|outside| *outside) {
            let message = "a constant lies behind the flatbuffer, where other compilers do not find it";
            let help = format!("octet compile --target {} writes it inline", profile.name);
            findings.push(Finding { status: Status::NotConstant, diagnostic: Diagnostic::error("TGT009", message).with_help(help) });
        }
        let operands = || operation.operands().iter().flatten().map(|v| key(*v));
        let ended = operation.operands().iter().flatten().any(|v| options.ends.contains(&graph.value_name(*v)));
        let mut blocked_by = operands().find_map(|v| blocked.get(v).copied().flatten()).filter(|_| one_cluster);
        let supported = findings.is_empty() && !ended;
        let mapped = supported && blocked_by.is_none();
        let behind = mapped || operands().any(|v| after_mapped.get(v) == Some(&true));
        if !mapped && behind && blocked_by.is_none() {
            blocked_by = Some(index);
        }
        for result in operation.results().iter().map(|v| key(*v)) {
            if let (Some(after), Some(block)) = (after_mapped.get_mut(result), blocked.get_mut(result)) {
                *after = behind;
                *block = blocked_by;
            }
        }
        let status = match findings.first() {
            Some(_) if compiled => NOT_COMPILED.to_owned(),
            Some(first) => words(first.status).to_owned(),
            None if !runs => NOT_RUN.to_owned(),
            None if mapped => format!("Mapped to {}", profile.title),
            None => ONE_SUBGRAPH.to_owned(),
        };
        rows.push(Row {
            index,
            name: octet_targets::op_name(operation.op()).1.trim_start_matches("the custom operation ").to_owned(),
            custom: matches!(operation.op(), Op::Custom(_)),
            tensor: operation.results().first().map_or_else(String::new, |v| graph.value_name(*v)),
            mapped,
            cluster: None,
            status,
            findings: findings.into_iter().map(|f| f.diagnostic.at(octet_targets::place(graph, index, operation))).collect(),
            blocked_by: blocked_by.filter(|by| !mapped && *by != index),
            parameters: Package::of(operation).map_or_else(|| parameters(module, graph, operation), |p| p.parameters()),
        });
    }
    let clusters = cluster(graph, &mut rows);
    Mapping { title: profile.title.clone(), rows, clusters, compiled }
}

/// What is said of an operation beside a compiled one.
fn left(profile: &Profile, compiled: &str) -> Finding {
    let message = format!("the model is compiled for {} already, and what lies beside {compiled} was left to the CPU", profile.title);
    let help = "ask this of the model that it was compiled from";
    Finding { status: Status::Limitation, diagnostic: Diagnostic::error("TGT010", message).with_help(help) }
}

/// Operations whose results nothing reads but RESHAPE, for a shape, and other such operations.
fn idle(graph: &Graph) -> Vec<usize> {
    let mut needed = vec![false; graph.value_capacity()];
    let need = |value: ValueId, needed: &mut Vec<bool>| {
        if let Some(slot) = needed.get_mut(key(value)) {
            *slot = true;
        }
    };
    graph.outputs().iter().for_each(|v| need(*v, &mut needed));
    let mut idle = Vec::new();
    let operations: Vec<&Operation> = graph.ops().map(|(_, o)| o).collect();
    for (index, operation) in operations.into_iter().enumerate().rev() {
        let read = operation.results().is_empty() || operation.results().iter().any(|v| needed.get(key(*v)) == Some(&true));
        if !read {
            idle.push(index);
            continue;
        }
        let shape = matches!(operation.op(), Op::Reshape(_)).then_some(1);
        let operands = operation.operands().iter().enumerate().filter(|(i, _)| Some(*i) != shape);
        operands.filter_map(|(_, v)| *v).for_each(|v| need(v, &mut needed));
    }
    idle
}

/// Numbers clusters: a mapped operation joins the first one that everything before it allows, and a CPU operation that reads from a cluster ends it.
fn cluster(graph: &Graph, rows: &mut [Row]) -> usize {
    // For each value, the first cluster in which it can be read, and whether it is computed in it.
    let mut level = vec![(0usize, false); graph.value_capacity()];
    let mut count = 0;
    for ((_, operation), row) in graph.ops().zip(rows.iter_mut()) {
        let reads = |operation: &Operation| -> Vec<(usize, bool)> {
            operation.operands().iter().flatten().filter_map(|v| level.get(key(*v)).copied()).collect()
        };
        let (at, inside) = reads(operation).into_iter().max().unwrap_or_default();
        let next = if row.mapped {
            row.cluster = Some(at);
            count = count.max(at + 1);
            (at, true)
        } else {
            (at + usize::from(inside), false)
        };
        for result in operation.results() {
            if let Some(slot) = level.get_mut(key(*result)) {
                *slot = next;
            }
        }
    }
    count
}

impl Mapping {
    /// How many operations run where.
    pub fn counts(&self) -> Counts {
        let mapped = self.rows.iter().filter(|r| r.mapped).count();
        Counts { mapped, cpu: self.rows.len() - mapped }
    }

    /// Predicted bytes of the parameters of mapped operations, by index.
    pub fn layers(&self) -> Vec<(usize, usize)> {
        self.rows.iter().filter(|r| r.mapped).map(|r| (r.index, r.parameters.on_chip)).collect()
    }
}

impl Row {
    /// Why it is not mapped, in one sentence; empty if it is.
    pub fn reason(&self, rows: &[Row]) -> String {
        if let Some(first) = self.findings.first() {
            return std::iter::once(&first.message).chain(&first.notes).cloned().collect::<Vec<_>>().join("; ");
        }
        match self.blocked_by.and_then(|by| rows.get(by)) {
            Some(by) => format!("blocked by op {} {}", by.index, by.name),
            None if self.mapped => String::new(),
            None => "the accelerator's part ends before it".to_owned(),
        }
    }

    /// What helps against the reason, where something does.
    pub fn fix(&self) -> Option<String> {
        if let Some(first) = self.findings.first() {
            return first.help.clone();
        }
        self.blocked_by.map(|by| format!("make op {by} mappable, or map several clusters with --multiple-subgraphs"))
    }
}
