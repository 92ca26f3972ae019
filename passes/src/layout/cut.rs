//! The cheapest assignment of layouts, as a minimum cut.
//!
//! Every operation that can adapt is a node with two choices: natural (the source's side of the cut) or permuted (the sink's side).
//! Everything bound to its layout stands on the source's side; a TRANSPOSE that makes the natural form from the permuted one counts as
//! a permuted producer, and one that undoes it as a permuted consumer. A value costs the bytes of one transpose for each form in which
//! it is wanted but not made, however many readers want it: two extra nodes per value say so.

use std::collections::BTreeMap;

use octet_ir::{Graph, Module, OpId, Use, ValueDef, ValueId};
use petgraph::algo::dinics;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::{Permutation, adapt, transpose_of};

/// What the cut decided.
pub(super) struct Assignment {
    /// Operations that work on the permuted layout.
    pub(super) permuted: Vec<OpId>,
}

/// Which side something stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Natural,
    Permuted,
    /// Decided by the cut.
    Open(OpId),
    /// Takes either form.
    Either,
}

/// An assignment that is cheaper than leaving everything natural, if there is one.
pub(super) fn solve(module: &Module, graph: &Graph, p: &Permutation) -> Option<Assignment> {
    let mut problem = Problem::new(module, graph, p);
    for (id, value) in graph.values() {
        let takes_part = value.ty().shape.rank() == p.rank() && !matches!(value.def(), ValueDef::Constant(_) | ValueDef::Unbound);
        if takes_part {
            problem.value(id);
        }
    }
    problem.solve()
}

struct Problem<'a> {
    graph: &'a Graph,
    p: &'a Permutation,
    sides: BTreeMap<OpId, OperationSides>,
    network: DiGraph<(), u64>,
    source: NodeIndex,
    sink: NodeIndex,
    nodes: BTreeMap<OpId, NodeIndex>,
    natural_cost: u64,
}

/// The sides of one operation towards what it reads and what it makes.
struct OperationSides {
    /// Side of each operand.
    reads: Vec<Side>,
    makes: Side,
}

/// More than all transposes together can cost.
const NEVER: u64 = 1 << 60;

impl<'a> Problem<'a> {
    fn new(module: &'a Module, graph: &'a Graph, p: &'a Permutation) -> Self {
        let mut network = DiGraph::new();
        let (source, sink) = (network.add_node(()), network.add_node(()));
        let sides = graph.ops().map(|(id, operation)| (id, sides_of(module, graph, id, operation, p))).collect();
        Self { graph, p, sides, network, source, sink, nodes: BTreeMap::new(), natural_cost: 0 }
    }

    fn node(&mut self, side: Side) -> NodeIndex {
        match side {
            Side::Natural | Side::Either => self.source,
            Side::Permuted => self.sink,
            Side::Open(op) => *self.nodes.entry(op).or_insert_with(|| self.network.add_node(())),
        }
    }

    fn value(&mut self, id: ValueId) {
        let value = self.graph.value(id);
        let made = match value.def() {
            ValueDef::Result { op, .. } => self.sides[&op].makes,
            ValueDef::Input(_) | ValueDef::Variable | ValueDef::Constant(_) | ValueDef::Unbound => Side::Natural,
        };
        let mut wanted: Vec<Side> = Vec::new();
        for user in value.uses() {
            let side = match user {
                Use::Output(_) => Side::Natural,
                Use::Operand { op, operand } => self.sides[op].reads[*operand],
            };
            if side != Side::Either && !wanted.contains(&side) {
                wanted.push(side);
            }
        }
        if wanted.iter().all(|w| *w == made) {
            return;
        }
        let trivial = self.p.is_trivial_on(value.ty().shape.dims());
        let bytes = if trivial { 0 } else { value.ty().byte_len().unwrap_or(0) };
        let cost = u64::try_from(bytes).unwrap_or(NEVER).min(NEVER >> 20) + 1;
        self.natural_cost += match made {
            Side::Permuted => u64::from(wanted.iter().any(|w| *w != Side::Permuted)) * cost,
            Side::Natural | Side::Open(_) | Side::Either => u64::from(wanted.contains(&Side::Permuted)) * cost,
        };
        let made = self.node(made);
        let (to_permuted, to_natural) = (self.network.add_node(()), self.network.add_node(()));
        self.network.add_edge(made, to_permuted, cost);
        self.network.add_edge(to_natural, made, cost);
        for side in wanted {
            let reader = self.node(side);
            self.network.add_edge(to_permuted, reader, NEVER);
            self.network.add_edge(reader, to_natural, NEVER);
        }
    }

    fn solve(self) -> Option<Assignment> {
        if self.natural_cost == 0 || self.nodes.is_empty() && self.network.edge_count() == 0 {
            return None;
        }
        let (cost, flows) = dinics(&self.network, self.source, self.sink);
        if cost >= self.natural_cost {
            return None;
        }
        // Whatever the source still reaches through unused capacity stays natural.
        let mut natural = vec![false; self.network.node_count()];
        let mut stack = vec![self.source];
        while let Some(node) = stack.pop() {
            if std::mem::replace(&mut natural[node.index()], true) {
                continue;
            }
            for edge in self.network.edges(node) {
                if flows[edge.id().index()] < *edge.weight() {
                    stack.push(edge.target());
                }
            }
            for edge in self.network.edges_directed(node, petgraph::Direction::Incoming) {
                if flows[edge.id().index()] > 0 {
                    stack.push(edge.source());
                }
            }
        }
        let permuted = self.nodes.iter().filter(|(_, node)| !natural[node.index()]).map(|(op, _)| *op).collect();
        Some(Assignment { permuted })
    }
}

fn sides_of(module: &Module, graph: &Graph, id: OpId, operation: &octet_ir::Operation, p: &Permutation) -> OperationSides {
    let mut reads = vec![Side::Natural; operation.operands().len()];
    if let Some(own) = transpose_of(module, graph, operation) {
        if own == *p {
            reads[0] = Side::Permuted;
            return OperationSides { reads, makes: Side::Natural };
        }
        if own == p.inverse() {
            return OperationSides { reads, makes: Side::Permuted };
        }
    }
    let Some(adapted) = adapt::adapt(module, graph, operation, p) else {
        return OperationSides { reads, makes: Side::Natural };
    };
    let side = if adapted.results_follow { Side::Open(id) } else { Side::Either };
    for (read, operand) in reads.iter_mut().zip(&adapted.operands) {
        if matches!(operand, adapt::Operand::Permuted(_)) {
            *read = side;
        }
    }
    OperationSides { reads, makes: if adapted.results_follow { side } else { Side::Natural } }
}
