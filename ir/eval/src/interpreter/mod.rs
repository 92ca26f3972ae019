//! Runs a module as `tf.lite.Interpreter` does: allocate, set, invoke, get.
//!
//! ```
//! use octet_eval::Interpreter;
//! use octet_ir::text;
//!
//! let source = "octet.ir 1\n\
//!     graph @main(%0: 1x3 f32 loc(\"x\")) {\n\
//!       %1 = relu(%0) : 1x3 f32 loc(\"y\")\n\
//!       return %1\n\
//!     }\n";
//! let module = text::parse(source, &Default::default())?;
//! let mut interpreter = Interpreter::new(&module, Default::default())?;
//! interpreter.allocate_tensors()?;
//! let (input, output) = (interpreter.input_details()[0].index, interpreter.output_details()[0].index);
//! interpreter.elements_mut::<f32>(input)?.copy_from_slice(&[-1.0, 0.5, 2.0]);
//! interpreter.invoke()?;
//! assert_eq!(interpreter.elements::<f32>(output)?, [0.0, 0.5, 2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An interpreter is single threaded. Its clones share constants, packed weights and plans, and
//! have memory of their own: to run samples in parallel, give each thread a clone. Nothing in a
//! result depends on how many there are.

mod control;
mod custom;
mod details;
mod evaluate;
mod plan;
mod program;
mod run;
mod signature;

use std::sync::Arc;

use bytemuck::Pod;
use octet_ir::{Diagnostic, Diagnostics, EntityId, GraphId, Module, Type, ValueDef, ValueId};
use octet_plugin::Tensor;

pub use details::{QuantizationParameters, TensorDetails};
pub use evaluate::evaluate;
pub use run::{Event, Observer};
pub use signature::SignatureRunner;

use crate::buffer::Buffer;
use crate::kernel::RoundingProfile;
use plan::{Place, Plan, byte_len, with_static_shape};
use program::Program;
use run::GraphState;

/// Choices that hold for an interpreter's whole life.
#[derive(Clone, Debug)]
pub struct Options {
    /// Keep every tensor's value after a run, as `experimental_preserve_all_tensors` does.
    pub preserve_all_tensors: bool,
    /// Which runtime's integer rounding to follow.
    pub profile: RoundingProfile,
    /// Most bytes that the tensors of one graph may take.
    pub memory_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { preserve_all_tensors: false, profile: RoundingProfile::default(), memory_limit: 4 << 30 }
    }
}

/// A module that runs. See the [module documentation](self).
#[derive(Clone)]
pub struct Interpreter {
    program: Arc<Program>,
    options: Options,
    /// Per graph.
    plans: Vec<Option<Arc<Plan>>>,
    /// Per graph; taken while the graph runs.
    states: Vec<Option<GraphState>>,
    /// Per graph: whether it runs now. A graph may not call itself.
    running: Vec<bool>,
    /// Per graph: the input types of the next plan.
    input_types: Vec<Vec<Type>>,
    /// Resource variables.
    variables: Vec<Option<(Type, Buffer)>>,
    /// Per graph: whether CALL_ONCE has run it.
    initialized: Vec<bool>,
}

fn not_allocated() -> Diagnostic {
    Diagnostic::error("EVL007", "the tensors are not allocated").with_help("call allocate_tensors first, and again after a resize")
}

impl Interpreter {
    /// An interpreter of a verified module. Nothing is allocated yet.
    pub fn new(module: &Module, options: Options) -> Result<Self, Diagnostic> {
        let program = Arc::new(Program::new(module)?);
        let graphs = module.graphs().count();
        if graphs == 0 {
            return Err(Diagnostic::error("EVL002", "the module has no graph"));
        }
        let input_types =
            module.graphs().map(|(_, graph)| graph.inputs().iter().map(|id| with_static_shape(graph.ty(*id))).collect()).collect();
        let variables = vec![None; program.variables.len()];
        Ok(Self {
            program,
            options,
            plans: vec![None; graphs],
            states: vec![None; graphs],
            running: vec![false; graphs],
            input_types,
            variables,
            initialized: vec![false; graphs],
        })
    }

    /// Prepares all kernels of the main graph for the current input shapes and allocates its tensors.
    /// The error lists every op that cannot run.
    pub fn allocate_tensors(&mut self) -> Result<(), Diagnostics> {
        self.allocate_graph(GraphId::MAIN)
    }

    fn allocate_graph(&mut self, id: GraphId) -> Result<(), Diagnostics> {
        let types = self.input_types[id.index()].clone();
        self.plan_graph(id, types)
    }

    /// Plans a graph for these input types, unless it is planned for them already.
    fn plan_graph(&mut self, id: GraphId, types: Vec<Type>) -> Result<(), Diagnostics> {
        let index = id.index();
        if self.plans[index].as_ref().is_some_and(|plan| plan.inputs == types) {
            return Ok(());
        }
        let plan = Arc::new(Plan::new(&self.program, id, types, &self.options)?);
        self.states[index] = Some(GraphState::new(&self.program, id, &plan));
        self.plans[index] = Some(plan);
        Ok(())
    }

    /// Changes the shape of an input of the main graph; takes effect with the next
    /// [`allocate_tensors`](Self::allocate_tensors).
    pub fn resize_tensor_input(&mut self, index: usize, shape: &[usize]) -> Result<(), Diagnostic> {
        let graph = self.program.module.main();
        let position = graph.inputs().iter().position(|id| id.index() == index);
        let position = position.ok_or_else(|| Diagnostic::error("EVL015", format!("tensor {index} is no input")))?;
        self.resize_input(GraphId::MAIN, position, shape);
        Ok(())
    }

    fn resize_input(&mut self, id: GraphId, position: usize, shape: &[usize]) {
        let ty = &mut self.input_types[id.index()][position];
        if ty.shape.dims() != shape {
            *ty = ty.clone().with_shape(shape);
            self.plans[id.index()] = None;
            self.states[id.index()] = None;
        }
    }

    /// Sets all variables back to their initial values: zero for states of recurrent ops,
    /// no value for resource variables.
    pub fn reset_variable_tensors(&mut self) {
        for (id, graph) in self.program.module.graphs() {
            let (Some(plan), Some(state)) = (&self.plans[id.index()], &mut self.states[id.index()]) else { continue };
            for (value, data) in graph.values().filter(|(_, data)| data.def() == ValueDef::Variable) {
                state.reset(plan, value, data.ty());
            }
        }
        self.variables.fill(None);
        self.initialized.fill(false);
    }

    /// The module.
    #[must_use]
    pub fn module(&self) -> &Module {
        &self.program.module
    }

    /// The inputs of the main graph.
    #[must_use]
    pub fn input_details(&self) -> Vec<TensorDetails> {
        self.module().main().inputs().iter().filter_map(|id| self.tensor_details(id.index())).collect()
    }

    /// The outputs of the main graph.
    #[must_use]
    pub fn output_details(&self) -> Vec<TensorDetails> {
        self.module().main().outputs().iter().filter_map(|id| self.tensor_details(id.index())).collect()
    }

    /// All tensors of the main graph.
    #[must_use]
    pub fn all_tensor_details(&self) -> Vec<TensorDetails> {
        self.module().main().values().filter_map(|(id, _)| self.tensor_details(id.index())).collect()
    }

    /// One tensor of the main graph.
    #[must_use]
    pub fn tensor_details(&self, index: usize) -> Option<TensorDetails> {
        let graph = self.module().main();
        let id = ValueId::from_index(index);
        let value = graph.get_value(id)?;
        let ty = match value.def() {
            ValueDef::Input(position) => self.input_types[0].get(position),
            _ => self.states[0].as_ref().and_then(|state| state.types[index].as_ref()),
        };
        Some(details::details(graph, id, ty))
    }

    /// Sets an input (or variable) of the main graph. Shape and element type must be the tensor's own.
    pub fn set_tensor(&mut self, index: usize, tensor: &Tensor) -> Result<(), Diagnostic> {
        self.set_graph_tensor(GraphId::MAIN, index, tensor)
    }

    fn set_graph_tensor(&mut self, id: GraphId, index: usize, tensor: &Tensor) -> Result<(), Diagnostic> {
        let ty = self.type_of(id, index)?;
        let given = Type::new(tensor.elem, tensor.shape.clone());
        if ty.elem != tensor.elem || ty.shape.dims() != tensor.shape || byte_len(&given) != Some(tensor.bytes.len()) {
            let name = self.program.module.graph(id).value_name(ValueId::from_index(index));
            let mut error = Diagnostic::error("EVL016", format!("the tensor takes {ty}, got {given}")).on_tensor(name);
            if ty.elem == tensor.elem && ty.shape.dims() != tensor.shape {
                error = error.with_help("resize the input first");
            }
            return Err(error);
        }
        self.slot_mut(id, index)?.bytes_mut().copy_from_slice(&tensor.bytes);
        Ok(())
    }

    /// The type of a tensor in the current plan.
    fn type_of(&self, id: GraphId, index: usize) -> Result<&Type, Diagnostic> {
        let state = self.states[id.index()].as_ref().ok_or_else(not_allocated)?;
        let ty = state.types.get(index).ok_or_else(|| Diagnostic::error("EVL015", format!("there is no tensor {index}")))?;
        ty.as_ref().ok_or_else(|| Diagnostic::error("EVL015", format!("the shape of tensor {index} is not known before the model runs")))
    }

    /// The memory of an input or variable.
    fn slot_mut(&mut self, id: GraphId, index: usize) -> Result<&mut Buffer, Diagnostic> {
        let value = self.program.module.graph(id).get_value(ValueId::from_index(index));
        let writable = value.is_some_and(|value| matches!(value.def(), ValueDef::Input(_) | ValueDef::Variable));
        let (Some(plan), Some(state)) = (&self.plans[id.index()], &mut self.states[id.index()]) else { return Err(not_allocated()) };
        match plan.places.get(index) {
            Some(Place::Slot(slot)) if writable => Ok(&mut state.slots[*slot].data),
            _ => Err(Diagnostic::error("EVL015", format!("tensor {index} is neither an input nor a variable"))),
        }
    }

    /// The elements of an input or variable of the main graph, to write: `set_tensor` without a copy.
    /// `T` must be as wide as the tensor's elements.
    pub fn elements_mut<T: Pod>(&mut self, index: usize) -> Result<&mut [T], Diagnostic> {
        self.check_width::<T>(index)?;
        Ok(self.slot_mut(GraphId::MAIN, index)?.as_mut_slice())
    }

    fn check_width<T>(&self, index: usize) -> Result<(), Diagnostic> {
        let ty = self.type_of(GraphId::MAIN, index)?;
        if ty.elem.bits() == Some(8 * size_of::<T>()) {
            return Ok(());
        }
        Err(Diagnostic::error("EVL016", format!("elements of tensor {index} are {}, not {} bytes wide", ty.elem, size_of::<T>())))
    }

    /// The elements of a tensor of the main graph. After a run, only inputs, outputs, constants and variables are
    /// sure to hold their values unless all tensors are preserved.
    pub fn elements<T: Pod>(&self, index: usize) -> Result<&[T], Diagnostic> {
        self.check_width::<T>(index)?;
        Ok(bytemuck::cast_slice(self.bytes(GraphId::MAIN, index)?))
    }

    fn bytes(&self, id: GraphId, index: usize) -> Result<&[u8], Diagnostic> {
        let (Some(plan), Some(state)) = (&self.plans[id.index()], &self.states[id.index()]) else { return Err(not_allocated()) };
        let ty = self.type_of(id, index)?;
        let bytes = state.bytes(&self.program, id, plan, index);
        let bytes = bytes.zip(byte_len(ty)).and_then(|(bytes, len)| bytes.get(..len));
        bytes.ok_or_else(|| Diagnostic::error("EVL015", format!("tensor {index} has no value")))
    }

    /// A copy of a tensor of the main graph.
    pub fn get_tensor(&self, index: usize) -> Result<Tensor, Diagnostic> {
        self.get_graph_tensor(GraphId::MAIN, index)
    }

    fn get_graph_tensor(&self, id: GraphId, index: usize) -> Result<Tensor, Diagnostic> {
        let bytes = self.bytes(id, index)?.to_vec();
        let ty = self.type_of(id, index)?;
        Ok(Tensor { elem: ty.elem, shape: ty.shape.dims().to_vec(), bytes })
    }

    /// Runs the main graph.
    pub fn invoke(&mut self) -> Result<(), Diagnostic> {
        self.run_graph(GraphId::MAIN, &mut None)
    }

    /// Runs the main graph and shows every tensor to `observer` as soon as it is computed.
    pub fn invoke_observed(&mut self, observer: &mut dyn Observer) -> Result<(), Diagnostic> {
        self.run_graph(GraphId::MAIN, &mut Some(observer))
    }

    /// Bytes of memory that the main graph's tensors take: inputs, variables and slots.
    #[must_use]
    pub fn arena_bytes(&self) -> usize {
        self.plans[0].as_ref().map_or(0, |plan| plan.slots.iter().sum())
    }

    /// Keys of the module's signatures.
    #[must_use]
    pub fn signature_keys(&self) -> Vec<&str> {
        self.module().signatures.iter().map(|signature| signature.key.as_str()).collect()
    }

    /// Runs a signature by the names of its inputs and outputs. Without a key: the only signature.
    pub fn signature_runner(&mut self, key: Option<&str>) -> Result<SignatureRunner<'_>, Diagnostic> {
        SignatureRunner::new(self, key)
    }
}
