//! Running a planned graph.

use std::cell::Cell;
use std::sync::Arc;

use octet_ir::{Diagnostic, EntityId, GraphId, OpId, Type, ValueDef, ValueId};
use smallvec::SmallVec;

use super::plan::{
    Action, Place, Plan, Step, byte_len, checked_byte_len, gives_results_late, infer, location, numbers, prepare, with_static_shape,
};
use super::program::Program;
use super::{Interpreter, Options};
use crate::buffer::Buffer;
use crate::kernel::{Io, Kernel, OperandInfo, Output, PrepareError};

/// A tensor that has just got its value.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The graph that runs.
    pub graph: GraphId,
    /// The op that computed it; `None` for an input of the graph.
    pub op: Option<OpId>,
    /// The value.
    pub value: ValueId,
    /// Its type, with the sizes of this run.
    pub ty: &'a Type,
    /// Its bytes, aligned to the element type.
    pub bytes: &'a [u8],
}

impl Event<'_> {
    /// The elements.
    #[must_use]
    pub fn elements<T: bytemuck::Pod>(&self) -> &[T] {
        bytemuck::cast_slice(&self.bytes[..self.bytes.len() / size_of::<T>() * size_of::<T>()])
    }
}

/// Sees every tensor of a run as soon as it is computed: for calibration and comparison.
pub trait Observer {
    /// Called for the inputs first, then for the results of each op in execution order, in
    /// graphs that control flow calls as well.
    fn tensor(&mut self, event: &Event<'_>);
}

impl<F: FnMut(&Event<'_>)> Observer for F {
    fn tensor(&mut self, event: &Event<'_>) {
        self(event);
    }
}

/// What a late op was prepared for.
#[derive(Clone)]
struct Cached {
    operands: Vec<Option<Type>>,
    /// Operands whose values the kernel depends on, with those values.
    values: Vec<(usize, Vec<u8>)>,
    results: Vec<Type>,
    kernel: Arc<dyn Kernel>,
}

/// The memory of one graph in one interpreter.
#[derive(Clone, Default)]
pub(super) struct GraphState {
    pub(super) slots: Vec<Output>,
    /// Per value: its type in this run.
    pub(super) types: Vec<Option<Type>>,
    late: Vec<Option<Box<Cached>>>,
    scratch: Buffer,
}

impl GraphState {
    /// Memory for a plan, variables at their zero points.
    pub(super) fn new(program: &Program, graph: GraphId, plan: &Plan) -> Self {
        let slots = plan.slots.iter().map(|&size| Output { data: Buffer::zeroed(size), dims: None }).collect();
        let mut state =
            Self { slots, types: plan.types.clone(), late: vec![None; plan.steps.len()], scratch: Buffer::zeroed(plan.scratch) };
        for (id, value) in program.module.graph(graph).values() {
            if let Place::Slot(slot) = plan.places[id.index()] {
                // Where the size is not known yet, the op that computes the value says it.
                if let Some(size) = plan.types[id.index()].as_ref().and_then(byte_len) {
                    state.slots[slot].data.resize(size);
                }
            }
            if value.def() == ValueDef::Variable {
                state.reset(plan, id, value.ty());
            }
        }
        state
    }

    /// Sets a variable to zero (its zero point).
    pub(super) fn reset(&mut self, plan: &Plan, id: ValueId, ty: &Type) {
        if let Place::Slot(slot) = plan.places[id.index()] {
            let width = ty.elem.bits().map_or(1, |bits| bits.div_ceil(8));
            let zero = crate::ops::zero_element(ty, width);
            crate::ops::fill(self.slots[slot].data.bytes_mut(), &zero);
        }
    }

    /// The bytes of a value.
    pub(super) fn bytes<'a>(&'a self, program: &'a Program, graph: GraphId, plan: &Plan, value: usize) -> Option<&'a [u8]> {
        match plan.places[value] {
            Place::None => None,
            Place::Constant => program.constants[graph.index()][value].as_ref().map(super::program::ConstantData::bytes),
            Place::Slot(slot) => Some(self.slots[slot].data.bytes()),
        }
    }

    /// Gives a value its bytes and type: for graph inputs and results of control flow.
    pub(super) fn put(&mut self, plan: &Plan, value: usize, ty: &Type, bytes: &[u8]) {
        if let Place::Slot(slot) = plan.places[value] {
            let data = &mut self.slots[slot].data;
            data.resize(bytes.len());
            data.bytes_mut().copy_from_slice(bytes);
            if self.types[value].as_ref() != Some(ty) {
                self.types[value] = Some(ty.clone());
            }
        }
    }

    /// Runs a kernel on the values of a step.
    fn run_kernel(&mut self, program: &Program, graph: GraphId, plan: &Plan, step: &Step, kernel: &dyn Kernel) -> Result<(), Diagnostic> {
        let mut outputs: SmallVec<[Output; 2]> = SmallVec::new();
        let mut sizes: SmallVec<[usize; 2]> = SmallVec::new();
        for &value in &step.results {
            sizes.push(self.types[value].as_ref().map(checked_byte_len).transpose()?.unwrap_or(0));
        }
        for (&value, size) in step.results.iter().zip(sizes) {
            let Place::Slot(slot) = plan.places[value] else { continue };
            let mut output = std::mem::take(&mut self.slots[slot]);
            output.data.resize(size);
            output.dims = None;
            outputs.push(output);
        }
        let mut states: SmallVec<[Buffer; 2]> = SmallVec::new();
        for &value in &step.states {
            if let Place::Slot(slot) = plan.places[value] {
                states.push(std::mem::take(&mut self.slots[slot].data));
            }
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(kernel.scratch());
        let result = {
            let inputs: SmallVec<[Option<&[u8]>; 6]> =
                step.operands.iter().map(|value| self.bytes(program, graph, plan, (*value)?)).collect();
            kernel.run(&mut Io::new(&inputs, &mut outputs, &mut states, &mut scratch))
        };
        self.scratch = scratch;
        for (&value, state) in step.states.iter().zip(states) {
            if let Place::Slot(slot) = plan.places[value] {
                self.slots[slot].data = state;
            }
        }
        for (&value, mut output) in step.results.iter().zip(outputs) {
            let Place::Slot(slot) = plan.places[value] else { continue };
            if let (Some(dims), Some(ty)) = (output.dims.take(), &mut self.types[value])
                && ty.shape.dims() != dims
            {
                *ty = ty.clone().with_shape(dims);
            }
            self.slots[slot] = output;
        }
        result
    }

    /// The kernel of a late step for the operands as they are now; sets the result types.
    fn late_kernel(
        &mut self,
        program: &Program,
        graph: GraphId,
        plan: &Plan,
        (index, step): (usize, &Step),
        options: &Options,
    ) -> Result<Arc<dyn Kernel>, Diagnostic> {
        let types: Vec<Option<&Type>> = step.operands.iter().map(|v| self.types[(*v)?].as_ref()).collect();
        let bytes = |operand: usize| self.bytes(program, graph, plan, (*step.operands.get(operand)?)?);
        if let Some(cached) = &self.late[index]
            && cached.operands.iter().map(Option::as_ref).eq(types.iter().copied())
            && cached.values.iter().all(|(operand, value)| bytes(*operand) == Some(value))
        {
            let (kernel, results) = (Arc::clone(&cached.kernel), cached.results.clone());
            self.set_results(step, results);
            return Ok(kernel);
        }
        let operation = program.module.graph(graph).op(step.op);
        let asked = Cell::new(0u64);
        let ask = |operand: usize| asked.set(asked.get() | 1u64.checked_shl(operand as u32).unwrap_or(0));
        let value = |operand: usize| {
            ask(operand);
            numbers((*types.get(operand)?)?.elem, bytes(operand)?)
        };
        let results = match infer(program, program.module.graph(graph), operation, &types, &value)? {
            Some(results) => results,
            // The kernel will say: start from the declared types.
            None if gives_results_late(operation.op()) => {
                let graph = program.module.graph(graph);
                operation.results().iter().map(|id| with_static_shape(graph.ty(*id))).collect()
            }
            None => return Err(Diagnostic::error("EVL019", "the result shapes cannot be told from the operands")),
        };
        let constant = |operand: usize| match plan.places[(*step.operands.get(operand)?)?] {
            Place::Constant => bytes(operand),
            Place::None | Place::Slot(_) => None,
        };
        // The kernel names the values that it needs one by one.
        let mut given: Vec<bool> = vec![false; step.operands.len()];
        let kernel = loop {
            let operands: Vec<Option<OperandInfo<'_>>> = types
                .iter()
                .enumerate()
                .map(|(operand, ty)| {
                    let value = if given[operand] { bytes(operand) } else { None };
                    ty.map(|ty| OperandInfo { ty, constant: constant(operand), value })
                })
                .collect();
            match prepare(program, graph, operation, &operands, &results, options) {
                Ok(kernel) => break kernel,
                Err(PrepareError::NeedsValue(operand)) if given.get(operand) == Some(&false) => {
                    given[operand] = true;
                    ask(operand);
                }
                Err(PrepareError::NeedsValue(operand)) => {
                    return Err(Diagnostic::error("EVL002", format!("the value of operand {operand} is not known")));
                }
                Err(PrepareError::Refused(error)) => return Err(*error),
            }
        };
        let values = (0..step.operands.len().min(64))
            .filter(|operand| asked.get() >> operand & 1 == 1 && constant(*operand).is_none())
            .filter_map(|operand| Some((operand, bytes(operand)?.to_vec())))
            .collect();
        let operands = types.iter().map(|ty| ty.cloned()).collect();
        let cached = Cached { operands, values, results: results.clone(), kernel: Arc::clone(&kernel) };
        self.late[index] = Some(Box::new(cached));
        self.set_results(step, results);
        Ok(kernel)
    }

    fn set_results(&mut self, step: &Step, results: Vec<Type>) {
        for (value, ty) in step.results.iter().zip(results) {
            self.types[*value] = Some(ty);
        }
    }
}

impl Interpreter {
    /// Runs graph `id`, whose inputs are in place.
    pub(super) fn run_graph(&mut self, id: GraphId, observer: &mut Option<&mut dyn Observer>) -> Result<(), Diagnostic> {
        let Some(plan) = self.plans[id.index()].clone() else { return Err(super::not_allocated()) };
        let Some(mut state) = self.states[id.index()].take() else { return Err(super::not_allocated()) };
        self.running[id.index()] = true;
        let result = self.run_steps(id, &plan, &mut state, observer);
        self.running[id.index()] = false;
        self.states[id.index()] = Some(state);
        result
    }

    fn run_steps(
        &mut self,
        id: GraphId,
        plan: &Plan,
        state: &mut GraphState,
        observer: &mut Option<&mut dyn Observer>,
    ) -> Result<(), Diagnostic> {
        let program = Arc::clone(&self.program);
        if observer.is_some() {
            for &value in program.module.graph(id).inputs() {
                observe(observer, &program, id, plan, state, None, value.index());
            }
        }
        for (index, step) in plan.steps.iter().enumerate() {
            let result = match &step.action {
                Action::Kernel(kernel) => state.run_kernel(&program, id, plan, step, kernel.as_ref()),
                Action::Alias => Ok(()),
                Action::Late => state
                    .late_kernel(&program, id, plan, (index, step), &self.options)
                    .and_then(|kernel| state.run_kernel(&program, id, plan, step, kernel.as_ref())),
                Action::Control => self.run_control(&program, id, plan, state, step, observer),
            };
            result.map_err(|error| {
                // What a called graph reports keeps its own place.
                if error.location.op.is_some() { error } else { error.at(location(program.module.graph(id), step.op, index)) }
            })?;
            if observer.is_some() {
                for &value in &step.results {
                    observe(observer, &program, id, plan, state, Some(step.op), value);
                }
            }
        }
        Ok(())
    }
}

fn observe(
    observer: &mut Option<&mut dyn Observer>,
    program: &Program,
    graph: GraphId,
    plan: &Plan,
    state: &GraphState,
    op: Option<OpId>,
    value: usize,
) {
    if let (Some(observer), Some(ty), Some(bytes)) = (observer.as_mut(), &state.types[value], state.bytes(program, graph, plan, value)) {
        observer.tensor(&Event { graph, op, value: ValueId::from_index(value), ty, bytes });
    }
}
