//! Planning a graph for given input shapes: which kernels, and which memory.
//!
//! Shapes are inferred from the inputs on. An op whose shapes are all known is prepared now;
//! one that depends on data is prepared while the model runs ([`Action::Late`]). Results share
//! slots of memory when their lifetimes do not overlap; results of unknown size, variables and
//! (on request) all tensors have slots of their own.

use std::sync::Arc;

use octet_ir::ops::{InferCx, InferError, Numbers};
use octet_ir::{
    Constant, Diagnostic, Diagnostics, ElementType, EntityId, Graph, GraphId, Op, OpId, Operation, SourceLocation, Type, ValueDef,
};

use super::Options;
use super::program::Program;
use crate::kernel::{Kernel, OperandInfo, PrepareCx, PrepareError};
use crate::ops;

/// Where a value's bytes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: a name without storage.
    None,
    /// Among the program's constants.
    Constant,
    /// In this slot.
    Slot(usize),
}

/// What running a step means.
#[derive(Clone)]
pub(super) enum Action {
    /// Run this kernel.
    Kernel(Arc<dyn Kernel>),
    /// Infer and prepare once the operands are there.
    Late,
    /// Nothing: the result shares its operand's slot.
    Alias,
    /// Control flow or a resource variable: see [`super::control`].
    Control,
}

/// One op in execution order. Values are indices.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) op: OpId,
    pub(super) action: Action,
    pub(super) operands: Vec<Option<usize>>,
    pub(super) results: Vec<usize>,
    pub(super) states: Vec<usize>,
}

/// A graph planned for given input types.
pub(super) struct Plan {
    pub(super) inputs: Vec<Type>,
    /// Per value: its type with static sizes; `None` until the model runs.
    pub(super) types: Vec<Option<Type>>,
    pub(super) places: Vec<Place>,
    pub(super) steps: Vec<Step>,
    /// Bytes per slot.
    pub(super) slots: Vec<usize>,
    /// Largest scratch of any prepared kernel, in bytes.
    pub(super) scratch: usize,
}

/// Bytes of a tensor in an interpreter; handles to resources take four.
pub(super) fn byte_len(ty: &Type) -> Option<usize> {
    match ty.elem {
        ElementType::Resource | ElementType::Variant => ty.shape.checked_elements()?.checked_mul(4),
        ElementType::String => Some(0),
        _ => ty.byte_len(),
    }
}

/// What refuses tensors that take more than the interpreter's limit.
fn too_large(message: String) -> Diagnostic {
    Diagnostic::error("EVL006", message).with_help("raise the memory limit of the interpreter")
}

/// Bytes of a tensor; EVL006 when the product of its sizes overflows.
pub(super) fn checked_byte_len(ty: &Type) -> Result<usize, Diagnostic> {
    byte_len(ty).ok_or_else(|| too_large(format!("the size of {ty} overflows")))
}

/// Holds tensors against the memory limit; their bytes together. To be asked before anything is prepared for them: kernels keep tables
/// as long as an axis.
///
/// An axis of size 0 counts as 1 in each tensor by itself, since tables along the other axes are no shorter for it. So whatever a kernel
/// multiplies from the sizes of tensors that passed does not overflow.
pub(super) fn check_sizes<'a>(types: impl IntoIterator<Item = &'a Type>, options: &Options) -> Result<usize, Diagnostic> {
    let mut total: usize = 0;
    for ty in types {
        let width = ty.elem.bits().map_or(4, |bits| bits.div_ceil(8));
        let extent = ty.shape.dims().iter().try_fold(width, |n, &dim| n.checked_mul(dim.max(1)));
        let extent = extent.ok_or_else(|| too_large(format!("the size of {ty} overflows")))?;
        total = total.saturating_add(checked_byte_len(ty)?);
        let needed = total.max(extent);
        if needed > options.memory_limit {
            return Err(too_large(format!("the tensors need {needed} bytes, more than the limit of {}", options.memory_limit)));
        }
    }
    Ok(total)
}

/// The place of an op, which is number `index` in execution order, for messages.
pub(super) fn location(graph: &Graph, op: OpId, index: usize) -> SourceLocation {
    let operation = graph.op(op);
    let name = graph.name();
    SourceLocation {
        graph: (!name.is_empty()).then(|| name.to_owned()),
        op: Some((index, operation.op().mnemonic().to_owned())),
        tensor: operation.results().first().map(|id| graph.value_name(*id)),
        ..SourceLocation::default()
    }
}

/// Operands that an op updates in place.
fn states(graph: &Graph, operation: &Operation) -> Vec<usize> {
    let is_variable =
        |index: usize| operation.operand(index).filter(|id| graph.value(*id).def() == ValueDef::Variable).map(EntityId::index);
    match operation.op() {
        // These declare their many operands as one list.
        Op::BidirectionalSequenceLstm(_) | Op::BidirectionalSequenceRnn(_) | Op::Lstm(_) | Op::Rnn(_) => {
            (0..operation.operands().len()).filter_map(is_variable).collect()
        }
        op => op.state_operands().filter_map(is_variable).collect(),
    }
}

/// Result types of an op from what is known; `None` if they depend on data.
pub(super) fn infer(
    program: &Program,
    graph: &Graph,
    operation: &Operation,
    operands: &[Option<&Type>],
    values: &dyn Fn(usize) -> Option<Numbers>,
) -> Result<Option<Vec<Type>>, Diagnostic> {
    let declared: Vec<Type> = operation.results().iter().map(|id| graph.ty(*id).clone()).collect();
    if let Op::Custom(op) = operation.op() {
        let types: Vec<Option<Type>> = operands.iter().map(|ty| ty.cloned()).collect();
        let kernel = program.kernels.get(&op.name).map_err(|_| no_custom_kernel(&op.name))?.kernel;
        let inferred = kernel.infer(&types, &op.options.0)?;
        let agree = inferred.len() == declared.len() && inferred.iter().zip(&declared).all(|(a, b)| a.elem == b.elem);
        if !agree {
            let list = |types: &[Type]| types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
            let message =
                format!("the results of '{}' are declared ({}), its kernel computes ({})", op.name, list(&declared), list(&inferred));
            return Err(Diagnostic::error("EVL002", message));
        }
        // Quantization is what the model declares.
        return Ok(Some(declared.into_iter().zip(inferred).map(|(ty, found)| ty.with_shape(found.shape)).collect()));
    }
    let cx = InferCx::new(operands, &declared, declared.len(), values);
    let inferred = match operation.op().infer(&cx) {
        Ok(inferred) => inferred,
        Err(InferError::Unknown) => return Ok(None),
        Err(InferError::Invalid(why)) => return Err(Diagnostic::error("EVL002", why)),
    };
    if inferred.len() != declared.len() {
        let message = format!("{} results, expected {}", declared.len(), inferred.len());
        return Err(Diagnostic::error("EVL002", message));
    }
    let mut types = Vec::with_capacity(declared.len());
    for ((elem, shape), declared) in inferred.into_iter().zip(&declared) {
        if elem != declared.elem {
            let message = format!("the result is declared {}, the op computes {elem}", declared.elem);
            return Err(Diagnostic::error("EVL002", message));
        }
        if !shape.is_ranked() {
            return Ok(None);
        }
        types.push(declared.clone().with_shape(shape.to_static()));
    }
    Ok(Some(types))
}

/// The refusal of a custom op that nobody registered a kernel for.
pub(super) fn no_custom_kernel(name: &str) -> Diagnostic {
    Diagnostic::error("EVL004", format!("no kernel is registered for the custom op '{name}'"))
        .with_help("give --plugin with a kernel for it, or link a crate that registers one with register_kernel!")
}

/// Numbers that a small operand holds.
pub(super) fn numbers(elem: ElementType, bytes: &[u8]) -> Option<Numbers> {
    const LARGEST: usize = 1 << 16;
    if bytes.len() > LARGEST {
        return None;
    }
    octet_ir::verify::types::numbers(elem, &Constant::new(bytes.to_vec()))
}

/// Whether results of this op are known only when it has run.
pub(super) fn gives_results_late(op: &Op) -> bool {
    matches!(op, Op::If(_) | Op::While(_) | Op::ReadVariable(_) | Op::Where(_) | Op::Unique(_))
}

fn is_control(op: &Op) -> bool {
    matches!(op, Op::If(_) | Op::While(_) | Op::CallOnce(_) | Op::VarHandle(_) | Op::ReadVariable(_) | Op::AssignVariable(_))
}

/// Whether the op only gives its operand another shape.
fn is_reshape(op: &Op) -> bool {
    matches!(op, Op::Reshape(_) | Op::Squeeze(_) | Op::ExpandDims(_))
}

/// Prepares an op from types and whatever values are known, if its results and its scratch memory keep within the limit.
pub(super) fn prepare(
    program: &Program,
    id: GraphId,
    operation: &Operation,
    operands: &[Option<OperandInfo<'_>>],
    results: &[Type],
    options: &Options,
) -> Result<Arc<dyn Kernel>, PrepareError> {
    let bytes = check_sizes(results, options)?;
    let graph = program.module.graph(id);
    let intermediates: Vec<Type> = operation.intermediates().iter().map(|id| graph.ty(*id).clone()).collect();
    let cx = PrepareCx { op: operation.op(), operands, results, intermediates: &intermediates, profile: options.profile };
    let kernel: Arc<dyn Kernel> = match operation.op() {
        Op::Custom(op) => {
            let entry = program.kernels.get(&op.name).map_err(|_| no_custom_kernel(&op.name))?;
            super::custom::prepare(entry.kernel, op, &cx)?.into()
        }
        _ => ops::prepare(&cx)?.into(),
    };
    let needed = bytes.saturating_add(kernel.scratch());
    if needed > options.memory_limit {
        let message = format!("the op needs {needed} bytes with its scratch memory, more than the limit of {}", options.memory_limit);
        return Err(too_large(message).into());
    }
    Ok(kernel)
}

impl Plan {
    /// Plans graph `id` for inputs of these types. All ops that cannot run are reported at once.
    pub(super) fn new(program: &Program, id: GraphId, inputs: Vec<Type>, options: &Options) -> Result<Self, Diagnostics> {
        let graph = program.module.graph(id);
        let constants = &program.constants[id.index()];
        let mut types: Vec<Option<Type>> = vec![None; graph.value_capacity()];
        for (value, data) in graph.values() {
            types[value.index()] = match data.def() {
                ValueDef::Input(index) => inputs.get(index).cloned(),
                ValueDef::Constant(_) | ValueDef::Variable => Some(with_static_shape(data.ty())),
                ValueDef::Result { .. } | ValueDef::Unbound => None,
            };
        }
        for (value, _) in graph.values() {
            if let Some(ty) = &types[value.index()] {
                check_sizes([ty], options).map_err(|error| error.on_tensor(graph.value_name(value)))?;
            }
        }
        let mut errors = Diagnostics::default();
        let mut steps = Vec::with_capacity(graph.op_count());
        let mut scratch = 0;
        for (op, operation) in graph.ops() {
            let mut step = Step {
                op,
                action: Action::Late,
                operands: operation.operands().iter().map(|id| id.map(EntityId::index)).collect(),
                results: operation.results().iter().map(|id| id.index()).collect(),
                states: states(graph, operation),
            };
            let known: Option<Vec<Option<&Type>>> =
                step.operands.iter().map(|v| v.map_or(Some(None), |v| types[v].as_ref().map(Some))).collect();
            let constant = |index: usize| constants[(*step.operands.get(index)?)?].as_ref().map(super::program::ConstantData::bytes);
            let results = match &known {
                _ if gives_results_late(operation.op()) => Ok(None),
                Some(operands) => {
                    let value = |index: usize| numbers((*operands.get(index)?)?.elem, constant(index)?);
                    infer(program, graph, operation, operands, &value)
                }
                None => Ok(None),
            };
            if is_control(operation.op()) {
                step.action = Action::Control;
            }
            match results {
                Err(error) => errors.push(error.at(location(graph, op, steps.len()))),
                Ok(None) => {}
                Ok(Some(results)) if is_control(operation.op()) => {
                    for (value, ty) in step.results.iter().zip(results) {
                        types[*value] = Some(ty);
                    }
                }
                Ok(Some(results)) => {
                    let operands: Vec<Option<OperandInfo<'_>>> = known
                        .unwrap_or_default()
                        .into_iter()
                        .enumerate()
                        .map(|(index, ty)| ty.map(|ty| OperandInfo { ty, constant: constant(index), value: None }))
                        .collect();
                    match prepare(program, id, operation, &operands, &results, options) {
                        Ok(kernel) => {
                            scratch = scratch.max(kernel.scratch());
                            step.action = Action::Kernel(kernel);
                        }
                        Err(PrepareError::NeedsValue(_)) => {}
                        Err(PrepareError::Refused(error)) => errors.push(error.at(location(graph, op, steps.len()))),
                    }
                    // Ops after tensors that are too large are not judged.
                    if check_sizes(&results, options).is_ok() {
                        for (value, ty) in step.results.iter().zip(results) {
                            types[*value] = Some(ty);
                        }
                    }
                }
            }
            steps.push(step);
        }
        if errors.has_errors() {
            return Err(errors);
        }
        let (places, slots) = place(graph, &types, &mut steps, scratch, options)?;
        Ok(Self { inputs, types, places, steps, slots, scratch })
    }
}

/// The type with nothing dynamic in its shape.
pub(super) fn with_static_shape(ty: &Type) -> Type {
    ty.clone().with_shape(ty.shape.to_static())
}

/// Slots of memory while they are assigned.
struct Slots {
    /// Bytes per slot.
    sizes: Vec<usize>,
    /// Per slot: the last step that reads what it holds.
    busy_until: Vec<usize>,
    /// Bytes of all slots and of the scratch memory.
    total: usize,
    limit: usize,
}

impl Slots {
    /// Makes room for `size` bytes in a slot.
    fn grow(&mut self, slot: usize, size: usize) -> Result<(), Diagnostics> {
        let more = size.saturating_sub(self.sizes[slot]);
        self.sizes[slot] += more;
        self.total = self.total.saturating_add(more);
        if self.total <= self.limit {
            return Ok(());
        }
        Err(too_large(format!("the tensors need more than {} bytes", self.limit)).into())
    }

    /// A new slot, busy until step `until`.
    fn add(&mut self, size: usize, until: usize) -> Result<Place, Diagnostics> {
        self.sizes.push(0);
        self.busy_until.push(until);
        let slot = self.sizes.len() - 1;
        self.grow(slot, size)?;
        Ok(Place::Slot(slot))
    }

    /// A slot that is free at step `at`: the smallest that fits, else the largest, else a new one.
    fn reuse(&mut self, size: usize, at: usize, until: usize) -> Result<Place, Diagnostics> {
        let free = (0..self.sizes.len()).filter(|&slot| self.busy_until[slot] < at);
        match free.min_by_key(|&slot| (self.sizes[slot] < size, self.sizes[slot].abs_diff(size))) {
            Some(slot) => {
                self.busy_until[slot] = until;
                self.grow(slot, size)?;
                Ok(Place::Slot(slot))
            }
            None => self.add(size, until),
        }
    }
}

/// Assigns slots. A slot is free again after the last step that reads it.
fn place(
    graph: &Graph,
    types: &[Option<Type>],
    steps: &mut [Step],
    scratch: usize,
    options: &Options,
) -> Result<(Vec<Place>, Vec<usize>), Diagnostics> {
    let mut places = vec![Place::None; types.len()];
    let mut slots = Slots { sizes: Vec::new(), busy_until: Vec::new(), total: scratch, limit: options.memory_limit };
    let size_of = |value: usize| types[value].as_ref().map(checked_byte_len).transpose();
    for (id, value) in graph.values() {
        places[id.index()] = match value.def() {
            ValueDef::Constant(_) => Place::Constant,
            ValueDef::Input(_) | ValueDef::Variable => slots.add(size_of(id.index())?.unwrap_or(0), usize::MAX)?,
            ValueDef::Result { .. } | ValueDef::Unbound => Place::None,
        };
    }
    let fixed = slots.sizes.len();
    let mut last_use = vec![0usize; types.len()];
    for (at, step) in steps.iter().enumerate() {
        for value in step.operands.iter().flatten().chain(&step.results) {
            last_use[*value] = at;
        }
    }
    for output in graph.outputs() {
        last_use[output.index()] = usize::MAX;
    }
    for (at, step) in steps.iter_mut().enumerate() {
        // A reshaped tensor keeps its memory.
        if let (Action::Kernel(_), Some(Some(from)), [to]) = (&step.action, step.operands.first(), step.results.as_slice())
            && is_reshape(graph.op(step.op).op())
            && !options.preserve_all_tensors
            && let Place::Slot(slot) = places[*from]
            && slot >= fixed
            && types[*from].is_some()
        {
            slots.busy_until[slot] = slots.busy_until[slot].max(last_use[*to]);
            places[*to] = Place::Slot(slot);
            step.action = Action::Alias;
            continue;
        }
        for &value in &step.results {
            places[value] = match size_of(value)? {
                Some(size) if !options.preserve_all_tensors => slots.reuse(size, at, last_use[value])?,
                // Of unknown size, or to be kept: a slot of its own.
                size => slots.add(size.unwrap_or(0), usize::MAX)?,
            };
        }
    }
    Ok((places, slots.sizes))
}
