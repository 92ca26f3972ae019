//! What operations pass to the graphs that they call, and what comes back: tensors of one type on both sides, so of one set.

use std::collections::BTreeMap;

use octet_ir::{EntityId, Graph, GraphId, Module, Op, OpId, ValueId};

use super::{Anchor, Solution, constant_bounds, observed};

impl Solution {
    /// Unites what calls force to be of one type: what the branches of an IF take, what a loop takes, repeats and gives, and what different
    /// callers get from one graph. What is passed in and given back follows if it can, and is requantized if not ([`Self::unite_calls`]).
    pub(super) fn tie_calls(&mut self, module: &Module) {
        let mut takers: BTreeMap<(GraphId, usize), usize> = BTreeMap::new();
        let inputs = |callee: GraphId| module.get_graph(callee).map_or(&[][..], |g| g.inputs());
        for (id, graph) in module.graphs() {
            for (_, op) in graph.ops() {
                let callees = match op.op() {
                    Op::If(call) => {
                        let [then, otherwise] = [call.then_graph, call.else_graph].map(GraphId::from_index);
                        self.tie((then, inputs(then)), (otherwise, inputs(otherwise)));
                        vec![then, otherwise]
                    }
                    Op::While(call) => {
                        let (cond, body) = (GraphId::from_index(call.cond_graph), GraphId::from_index(call.body_graph));
                        self.tie((body, inputs(body)), (cond, inputs(cond)));
                        self.tie((body, inputs(body)), (id, op.results()));
                        vec![body]
                    }
                    _ => continue,
                };
                for (callee, (index, &result)) in callees.iter().flat_map(|&c| op.results().iter().enumerate().map(move |r| (c, r))) {
                    let Some(node) = self.node(id, result) else { continue };
                    let first = *takers.entry((callee, index)).or_insert(node);
                    self.tie_nodes(first, node);
                }
            }
        }
    }

    /// Unites two lists of values, one by one.
    fn tie(&mut self, (a_graph, a): (GraphId, &[ValueId]), (b_graph, b): (GraphId, &[ValueId])) {
        for (&a, &b) in a.iter().zip(b) {
            if let (Some(a), Some(b)) = (self.node(a_graph, a), self.node(b_graph, b)) {
                self.tie_nodes(a, b);
            }
        }
    }

    /// Unites two sets. Where both were trained, apart, the first one's parameters hold for both.
    fn tie_nodes(&mut self, a: usize, b: usize) {
        if !self.classes.unite(a, b) {
            self.classes.class_mut(b).anchor = Anchor::Range;
            let _ = self.classes.unite_trained(a, b);
        }
    }

    /// Unites what operations pass to the graphs that they call, and what these give back.
    pub(super) fn unite_calls(&mut self, module: &Module) {
        for (id, graph) in module.graphs() {
            for (op_id, op) in graph.ops() {
                let operands: Vec<(usize, ValueId)> = op.operands().iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?))).collect();
                match op.op() {
                    Op::If(call) => {
                        for callee in [call.then_graph, call.else_graph].map(GraphId::from_index) {
                            self.pass_operands(module, (id, graph, op_id), &operands, 1, callee);
                            self.pass_results(module, id, op.results(), callee);
                        }
                    }
                    Op::While(call) => {
                        let (cond, body) = (GraphId::from_index(call.cond_graph), GraphId::from_index(call.body_graph));
                        self.pass_operands(module, (id, graph, op_id), &operands, 0, body);
                        self.pass_operands(module, (id, graph, op_id), &operands, 0, cond);
                        self.pass_results(module, id, op.results(), body);
                    }
                    _ => {}
                }
            }
        }
    }

    fn pass_operands(
        &mut self,
        module: &Module,
        (id, graph, op_id): (GraphId, &Graph, OpId),
        operands: &[(usize, ValueId)],
        skip: usize,
        callee: GraphId,
    ) {
        let Some(target) = module.get_graph(callee) else { return };
        for &(index, value) in operands.iter().filter(|(index, _)| *index >= skip) {
            let Some(input) = target.inputs().get(index - skip).and_then(|&input| self.node(callee, input)) else { continue };
            if let Some(bounds) = constant_bounds(module, graph, value) {
                self.classes.absorb(input, bounds);
                self.slots.insert((id, op_id, index), input);
            } else if let Some(node) = self.node(id, value)
                && !self.classes.unite(input, node)
            {
                self.requantize_operand(id, graph, op_id, index, value, input);
            }
        }
    }

    /// Unites the outputs of `callee` with the values that take them.
    fn pass_results(&mut self, module: &Module, id: GraphId, results: &[ValueId], callee: GraphId) {
        let Some(target) = module.get_graph(callee) else { return };
        for (index, (&result, &output)) in results.iter().zip(target.outputs()).enumerate() {
            let Some(node) = self.node(id, result) else { continue };
            if let Some(bounds) = constant_bounds(module, target, output) {
                self.classes.absorb(node, bounds);
                self.outputs.insert((callee, index), node);
            } else if let Some(inner) = self.node(callee, output)
                && !self.classes.unite(node, inner)
            {
                if let Some(bounds) = observed(target, output) {
                    self.classes.absorb(node, bounds);
                }
                self.outputs.insert((callee, index), node);
            }
        }
    }
}
