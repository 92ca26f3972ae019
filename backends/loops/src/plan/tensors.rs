//! Plans for runtimes that allocate tensors by their numbers.

use super::{Block, PlanOptions, Search, rules};

/// A plan for a runtime that allocates the tensors of a graph by their numbers, one after the other in the graph's order of operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorPlan {
    /// Byte offset by value number; `None` for constants, variables and values that nothing computes.
    pub offsets: Vec<Option<usize>>,
    /// Bytes in all.
    pub size: usize,
    /// No plan of this order is smaller.
    pub lower_bound: usize,
}

/// Places every tensor of a graph that is an input or a result, apart from all others that live at the same time.
#[must_use]
pub fn plan_tensors(graph: &octet_ir::Graph, options: &PlanOptions) -> TensorPlan {
    use octet_ir::{EntityId, Use, ValueDef};
    let order: std::collections::BTreeMap<octet_ir::OpId, usize> = graph.ops().enumerate().map(|(at, (id, _))| (id, at)).collect();
    let last = order.len();
    let mut blocks = Vec::new();
    for (id, value) in graph.values() {
        let born = match value.def() {
            ValueDef::Input(_) => 0,
            ValueDef::Result { op, .. } => order.get(&op).copied().unwrap_or(0),
            ValueDef::Constant(_) | ValueDef::Variable | ValueDef::Unbound => continue,
        };
        let used = value.uses().iter().map(|user| match user {
            Use::Operand { op, .. } => order.get(op).copied().unwrap_or(last),
            Use::Output(_) => last,
        });
        let Some(bytes) = value.ty().byte_len() else { continue };
        let size = bytes.div_ceil(options.alignment) * options.alignment;
        let dies = used.max().unwrap_or(born).max(born);
        // A runtime may hand out the memory of an input before the first operation runs.
        blocks.push(Block { buffer: id.index(), size, life: (born, dies) });
    }
    let live = |step: usize| blocks.iter().filter(|b| b.life.0 <= step && step <= b.life.1).map(|b| b.size).sum::<usize>();
    let lower_bound = (0..=last).map(live).max().unwrap_or(0);
    let search = Search { blocks: &blocks, rules: rules(&blocks, &[]) };
    let found = search.best(lower_bound, options.attempts);
    let mut offsets = vec![None; graph.value_capacity()];
    for (block, offset) in blocks.iter().zip(&found) {
        offsets[block.buffer] = Some(*offset);
    }
    TensorPlan { offsets, size: search.size(&found), lower_bound }
}
