//! Control flow: called graphs become steps of their caller, between marks that say which of them run and how often.
//!
//! A called graph is lowered anew wherever it is called, so that the planner sees the lives of its tensors: nothing that a call needs shares bytes with
//! what lives on behind it. What a loop carries from turn to turn has a place of its own, which the results are.

use octet_ir::ops::{If, While};
use octet_ir::{Constant, Diagnostic, ElementType, EntityId, GraphId, Operation, ValueDef, ValueId};

use super::{Cx, DYNAMIC, Result, TOO_LARGE, operand, unsupported};
use crate::program::{Arg, Buffer, BufferKind, Control, Step};

/// Steps of a program that calls graphs: graphs that call graphs twice each would grow without bound.
const MOST_STEPS: usize = 100_000;

/// What a called graph gets for an input: a constant stays one.
#[derive(Clone)]
enum Given {
    Place(Arg),
    Known(Constant),
}

impl<'m> Cx<'m> {
    pub(super) fn branch(&mut self, op: &If, operation: &Operation) -> Result<()> {
        let condition = self.flag(operand(operation, 0)?)?;
        let operands = (1..operation.operands().len()).map(|i| operand(operation, i)).collect::<Result<Vec<_>>>()?;
        for graph in [op.then_graph, op.else_graph] {
            self.fits(&operands, graph, true)?;
            self.fits(operation.results(), graph, false)?;
        }
        let given = operands.iter().map(|&id| self.given(id)).collect::<Result<Vec<_>>>()?;
        let results = operation.results().iter().map(|&id| self.allocate(id)).collect::<Result<Vec<_>>>()?;
        self.mark("IF", Control::If(condition));
        for (graph, label, end) in [(op.then_graph, "ELSE", Control::Else), (op.else_graph, "END_IF", Control::EndIf)] {
            let outputs = self.inline(graph, &given)?;
            for ((&id, from), &to) in operation.results().iter().zip(outputs).zip(&results) {
                self.carry(id, from, to)?;
            }
            self.mark(label, end);
        }
        Ok(())
    }

    pub(super) fn repeat(&mut self, op: &While, operation: &Operation) -> Result<()> {
        let operands = (0..operation.operands().len()).map(|i| operand(operation, i)).collect::<Result<Vec<_>>>()?;
        let results = operation.results();
        for graph in [op.cond_graph, op.body_graph] {
            self.fits(&operands, graph, true)?;
        }
        self.fits(&operands, op.body_graph, false)?;
        self.fits(results, op.body_graph, false)?;
        let body = self.module.graph(GraphId::from_index(op.body_graph));
        let &[answer] = self.module.graph(GraphId::from_index(op.cond_graph)).outputs() else {
            return unsupported("the condition graph needs one output");
        };
        let mut given = Vec::new();
        // Places that the body writes anew, and the output that each gets.
        let mut carried = Vec::new();
        for (index, (&from, &to)) in operands.iter().zip(results).enumerate() {
            if body.inputs().get(index) == body.outputs().get(index) {
                // Every turn passes it on.
                let same = self.given(from)?;
                self.name(to, &same);
                given.push(same);
                continue;
            }
            let start = self.read(from)?;
            let place = self.allocate(to)?;
            self.carry(to, start, place)?;
            given.push(Given::Place(place));
            carried.push((index, to, place));
        }
        self.mark("WHILE", Control::Loop);
        let graph = op.cond_graph;
        let outputs = self.inline(graph, &given)?;
        let condition = self.module.graph(GraphId::from_index(graph)).ty(answer);
        let (&[condition_at], true) = (outputs.as_slice(), is_flag(condition)) else {
            return unsupported("the condition is not one boolean");
        };
        self.mark("DO", Control::BreakUnless(condition_at));
        let mut outputs = self.inline(op.body_graph, &given)?;
        // What lies where another one goes moves out of the way first.
        for &(index, id, place) in &carried {
            let taken = |at: Arg| carried.iter().any(|c| same_buffer(c.2, at));
            if let Some(at) = outputs.get_mut(index).filter(|at| **at != place && taken(**at)) {
                let aside = self.aside(id)?;
                self.carry(id, *at, aside)?;
                *at = aside;
            }
        }
        for (index, id, place) in carried {
            if let Some(&from) = outputs.get(index).filter(|&&from| from != place) {
                self.carry(id, from, place)?;
            }
        }
        self.mark("END_WHILE", Control::EndLoop);
        Ok(())
    }

    /// Where a condition lies.
    fn flag(&mut self, id: ValueId) -> Result<Arg> {
        if !is_flag(self.graph.ty(id)) {
            return unsupported("the condition is not one boolean");
        }
        self.read(id)
    }

    /// A step that only says what runs.
    fn mark(&mut self, label: &str, control: Control) {
        self.program.steps.push(Step { label: label.to_owned(), control, ..Step::default() });
    }

    fn given(&mut self, id: ValueId) -> Result<Given> {
        match self.constant_of(id) {
            Some(constant) => Ok(Given::Known(constant.clone())),
            None => Ok(Given::Place(self.read(id)?)),
        }
    }

    fn name(&mut self, id: ValueId, given: &Given) {
        match given {
            Given::Place(place) => drop(self.places.insert(id, *place)),
            Given::Known(constant) => drop(self.folded.insert(id, constant.clone())),
        }
    }

    /// Memory for a value that moves out of the way.
    fn aside(&mut self, id: ValueId) -> Result<Arg> {
        let (elem, len) = (self.elem(id)?, self.count(self.graph.ty(id))?);
        let name = format!("next {}", self.graph.value_name(id));
        self.program.buffers.push(Buffer { name, elem, len: usize::try_from(len).unwrap_or(0), kind: BufferKind::Arena });
        Ok(Arg::Buffer { buffer: self.program.buffers.len() - 1, offset: 0 })
    }

    /// Whether values of this graph have the element types and shapes of another graph's inputs, or outputs.
    fn fits(&self, values: &[ValueId], graph: usize, inputs: bool) -> Result<()> {
        let called = self.module.graph(GraphId::from_index(graph));
        let ports = if inputs { called.inputs() } else { called.outputs() };
        if ports.len() != values.len() {
            return unsupported(format!("graph '{}' has {} inputs or outputs, {} are passed", called.name(), ports.len(), values.len()));
        }
        for (&value, &port) in values.iter().zip(ports) {
            let (own, other) = (self.graph.ty(value), called.ty(port));
            self.count(own)?;
            if own.shape.dims() != other.shape.dims() || !other.shape.is_ranked() {
                let names = [self.graph.value_name(value), called.value_name(port)];
                let why = format!(
                    "{} has shape {} where '{}' of graph '{}' has {}: generated code needs the same one in every turn and branch",
                    names[0],
                    own.shape,
                    names[1],
                    called.name(),
                    other.shape
                );
                return Err(Diagnostic::error(DYNAMIC, why));
            }
            if own.elem != other.elem {
                return unsupported(format!(
                    "{} holds {}, graph '{}' takes or gives {}",
                    self.graph.value_name(value),
                    own.elem,
                    called.name(),
                    other.elem
                ));
            }
        }
        Ok(())
    }

    /// Lowers another graph here; answers where its outputs lie. What cannot be lowered is among the problems.
    fn inline(&mut self, index: usize, given: &[Given]) -> Result<Vec<Arg>> {
        let graph = self.module.graph(GraphId::from_index(index));
        if self.calling.contains(&index) {
            return unsupported(format!("graph '{}' calls itself", graph.name()));
        }
        if self.program.steps.len() > MOST_STEPS {
            return Err(Diagnostic::error(TOO_LARGE, format!("graphs that call graphs become more than {MOST_STEPS} steps")));
        }
        if graph.values().any(|(_, value)| value.def() == ValueDef::Variable && !value.uses().is_empty()) {
            return unsupported(format!("graph '{}' keeps state from call to call", graph.name()));
        }
        self.calling.push(index);
        let outer = std::mem::replace(&mut self.graph, graph);
        let places = std::mem::take(&mut self.places);
        let folded = std::mem::take(&mut self.folded);
        for (&input, given) in graph.inputs().iter().zip(given) {
            self.name(input, given);
        }
        self.operations();
        let outputs: Result<Vec<Arg>> = graph.outputs().iter().map(|&id| self.read(id)).collect();
        self.calling.pop();
        (self.graph, self.places, self.folded) = (outer, places, folded);
        outputs
    }
}

/// One truth value.
fn is_flag(ty: &octet_ir::Type) -> bool {
    ty.elem == ElementType::Bool && ty.shape.is_ranked() && ty.shape.elements() == 1
}

fn same_buffer(a: Arg, b: Arg) -> bool {
    matches!((a, b), (Arg::Buffer { buffer: a, .. }, Arg::Buffer { buffer: b, .. }) if a == b)
}
