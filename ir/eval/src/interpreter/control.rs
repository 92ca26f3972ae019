//! Control flow and resource variables: ops that the interpreter runs itself.

use std::sync::Arc;

use octet_ir::{Diagnostic, EntityId, GraphId, Op, Type};

use super::Interpreter;
use super::plan::{Place, Plan, Step};
use super::program::Program;
use super::run::{GraphState, Observer};
use crate::buffer::Buffer;

/// A tensor on its way between graphs.
type Passed = (Type, Buffer);

impl Interpreter {
    pub(super) fn run_control(
        &mut self,
        program: &Program,
        id: GraphId,
        plan: &Plan,
        state: &mut GraphState,
        step: &Step,
        observer: &mut Option<&mut dyn Observer>,
    ) -> Result<(), Diagnostic> {
        let operand = |state: &GraphState, index: usize| -> Result<Passed, Diagnostic> {
            let value = step.operands.get(index).copied().flatten();
            let value = value.ok_or_else(|| Diagnostic::error("EVL002", format!("operand {index} is missing")))?;
            let ty = state.types[value].clone();
            match (ty, state.bytes(program, id, plan, value)) {
                (Some(ty), Some(bytes)) => Ok((ty, Buffer::copy_of(bytes))),
                _ => Err(Diagnostic::error("EVL002", format!("operand {index} has no value"))),
            }
        };
        match program.module.graph(id).op(step.op).op() {
            Op::If(op) => {
                let (_, condition) = operand(state, 0)?;
                let graph = if truth(&condition)? { op.then_graph } else { op.else_graph };
                let inputs = (1..step.operands.len()).map(|i| operand(state, i)).collect::<Result<Vec<_>, _>>()?;
                let outputs = self.call(GraphId::from_index(graph), &inputs, observer)?;
                give(plan, state, step, &outputs);
            }
            Op::While(op) => {
                let mut values = (0..step.operands.len()).map(|i| operand(state, i)).collect::<Result<Vec<_>, _>>()?;
                let (condition, body) = (GraphId::from_index(op.cond_graph), GraphId::from_index(op.body_graph));
                loop {
                    let answer = self.call(condition, &values, observer)?;
                    match answer.first() {
                        Some((_, answer)) if truth(answer)? => values = self.call(body, &values, observer)?,
                        Some(_) => break,
                        None => return Err(Diagnostic::error("EVL002", "the condition graph has no output")),
                    }
                }
                give(plan, state, step, &values);
            }
            Op::CallOnce(op) => {
                if !std::mem::replace(&mut self.initialized[op.init_graph], true) {
                    self.call(GraphId::from_index(op.init_graph), &[], observer)?;
                }
            }
            Op::VarHandle(op) => {
                let number = program.variables.get(&(op.container.clone(), op.shared_name.clone())).copied().unwrap_or(0);
                let [result] = step.results.as_slice() else { return Err(Diagnostic::error("EVL002", "VAR_HANDLE has one result")) };
                let ty = super::plan::with_static_shape(program.module.graph(id).ty(program.module.graph(id).op(step.op).results()[0]));
                state.put(plan, *result, &ty, &u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
            }
            Op::ReadVariable(_) => {
                let number = handle(&operand(state, 0)?.1)?;
                let value = self.variables.get(number).cloned().flatten();
                let value = value.ok_or_else(|| Diagnostic::error("EVL014", "the variable is read before it has a value"))?;
                give(plan, state, step, &[value]);
            }
            Op::AssignVariable(_) => {
                let number = handle(&operand(state, 0)?.1)?;
                let value = operand(state, 1)?;
                if let Some(variable) = self.variables.get_mut(number) {
                    *variable = Some(value);
                }
            }
            other => return Err(Diagnostic::error("EVL003", format!("{} is no control flow", other.mnemonic().to_uppercase()))),
        }
        Ok(())
    }

    /// Runs another graph of the module on these inputs.
    fn call(&mut self, id: GraphId, inputs: &[Passed], observer: &mut Option<&mut dyn Observer>) -> Result<Vec<Passed>, Diagnostic> {
        let program = Arc::clone(&self.program);
        let graph = program.module.graph(id);
        if self.running[id.index()] {
            return Err(Diagnostic::error("EVL013", format!("graph '{}' calls itself", graph.name())));
        }
        if graph.inputs().len() != inputs.len() {
            let message = format!("graph '{}' takes {} inputs, {} are passed", graph.name(), graph.inputs().len(), inputs.len());
            return Err(Diagnostic::error("EVL002", message));
        }
        // Shapes and element types count; quantization stays as the called graph declares it.
        let types: Vec<Type> =
            graph.inputs().iter().zip(inputs).map(|(input, (ty, _))| graph.ty(*input).clone().with_shape(ty.shape.to_static())).collect();
        self.plan_graph(id, types).map_err(|errors| {
            let first = errors.0.into_iter().next();
            first.unwrap_or_else(|| Diagnostic::error("EVL002", "the called graph cannot be planned"))
        })?;
        let (Some(plan), Some(state)) = (self.plans[id.index()].clone(), self.states[id.index()].as_mut()) else {
            return Err(super::not_allocated());
        };
        for (value, (ty, data)) in graph.inputs().iter().zip(inputs) {
            state.put(&plan, value.index(), ty, data.bytes());
        }
        self.run_graph(id, observer)?;
        let state = self.states[id.index()].as_ref();
        let output = |value: usize| {
            let state = state?;
            Some((state.types[value].clone()?, Buffer::copy_of(state.bytes(&program, id, &plan, value)?)))
        };
        let outputs: Option<Vec<Passed>> = graph.outputs().iter().map(|value| output(value.index())).collect();
        outputs.ok_or_else(|| Diagnostic::error("EVL002", "an output of the called graph has no value"))
    }
}

fn truth(value: &Buffer) -> Result<bool, Diagnostic> {
    match value.bytes() {
        [byte] => Ok(*byte != 0),
        _ => Err(Diagnostic::error("EVL002", "the condition is not one boolean")),
    }
}

/// The variable that a handle names.
fn handle(value: &Buffer) -> Result<usize, Diagnostic> {
    let number = value.as_slice::<u32>().first().and_then(|&number| usize::try_from(number).ok());
    number.ok_or_else(|| Diagnostic::error("EVL002", "the operand is no handle"))
}

/// Stores results of a called graph in the caller.
fn give(plan: &Plan, state: &mut GraphState, step: &Step, values: &[Passed]) {
    for (&result, (ty, data)) in step.results.iter().zip(values) {
        if plan.places[result] != Place::None {
            state.put(plan, result, ty, data.bytes());
        }
    }
}
