//! petgraph's view of a graph: a node per operation, an edge from each producer to each reader.
//!
//! It is a view, never a store: it borrows the arenas, copies nothing, and keeps operand order out of sight.

use petgraph::Direction;
use petgraph::visit::{
    GraphBase, GraphProp, GraphRef, IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers, NodeCount, NodeIndexable, Visitable,
};

use crate::entity::{EntityId, OpId};
use crate::graph::{Graph, Use};

/// The data-flow graph of one [`Graph`], for petgraph's algorithms.
#[derive(Clone, Copy, Debug)]
pub struct DataFlow<'g>(pub &'g Graph);

/// A visit map over operations.
#[derive(Clone, Debug, Default)]
pub struct Visited(Vec<bool>);

impl petgraph::visit::VisitMap<OpId> for Visited {
    fn visit(&mut self, op: OpId) -> bool {
        self.0.get_mut(op.index()).is_some_and(|seen| !std::mem::replace(seen, true))
    }
    fn is_visited(&self, op: &OpId) -> bool {
        self.0.get(op.index()).copied().unwrap_or(false)
    }
    fn unvisit(&mut self, op: OpId) -> bool {
        self.0.get_mut(op.index()).is_some_and(|seen| std::mem::replace(seen, false))
    }
}

impl GraphBase for DataFlow<'_> {
    type NodeId = OpId;
    type EdgeId = (OpId, OpId);
}
impl GraphRef for DataFlow<'_> {}
impl GraphProp for DataFlow<'_> {
    type EdgeType = petgraph::Directed;
}
impl NodeCount for DataFlow<'_> {
    fn node_count(&self) -> usize {
        self.0.op_count()
    }
}
impl NodeIndexable for DataFlow<'_> {
    fn node_bound(&self) -> usize {
        self.0.op_capacity()
    }
    fn to_index(&self, op: OpId) -> usize {
        op.index()
    }
    fn from_index(&self, index: usize) -> OpId {
        OpId::from_index(index)
    }
}
impl Visitable for DataFlow<'_> {
    type Map = Visited;
    fn visit_map(&self) -> Visited {
        Visited(vec![false; self.0.op_capacity()])
    }
    fn reset_map(&self, map: &mut Visited) {
        *map = self.visit_map();
    }
}
impl IntoNodeIdentifiers for DataFlow<'_> {
    type NodeIdentifiers = std::vec::IntoIter<OpId>;
    fn node_identifiers(self) -> Self::NodeIdentifiers {
        self.0.op_ids().into_iter()
    }
}
impl IntoNeighbors for DataFlow<'_> {
    type Neighbors = std::vec::IntoIter<OpId>;
    fn neighbors(self, op: OpId) -> Self::Neighbors {
        self.neighbors_directed(op, Direction::Outgoing)
    }
}
impl IntoNeighborsDirected for DataFlow<'_> {
    type NeighborsDirected = std::vec::IntoIter<OpId>;
    fn neighbors_directed(self, op: OpId, direction: Direction) -> Self::NeighborsDirected {
        let Some(operation) = self.0.get_op(op) else { return Vec::new().into_iter() };
        let found: Vec<OpId> = match direction {
            Direction::Outgoing => operation
                .results()
                .iter()
                .flat_map(|r| self.0.value(*r).uses())
                .filter_map(|u| match u {
                    Use::Operand { op, .. } => Some(*op),
                    Use::Output(_) => None,
                })
                .collect(),
            Direction::Incoming => operation.operands().iter().flatten().filter_map(|v| self.0.producer(*v)).map(|(id, _)| id).collect(),
        };
        found.into_iter()
    }
}
