//! From a verified file to a [`Module`]: graphs, constants, signatures, metadata.
//!
//! Tensor *i* of a graph becomes value `%i`, used or not, so that a model that nothing changed keeps its tensor indices. Tensors that share a
//! buffer share a constant.

use std::collections::BTreeSet;

use bytes::Bytes;
use octet_ir::ops::{Custom, Reshape};
use octet_ir::verify::structure::{self, BadCall};
use octet_ir::verify::types::infer_operation;
use octet_ir::{
    Blob, ConstId, Constant, Diagnostics, ElementType, EntityId, GraphBuilder, GraphId, Loc, Metadata, Module, Op, OpId, Signature,
    SourceLocation, ValueId,
};
use octet_tflite_schema as fb;

use crate::codes::{self, Report};
use crate::container::{Container, at_graph};
use crate::operators;
use crate::tensors::{self, Described};

/// Reads the whole file.
///
/// What the module has no place for goes into `notes`.
pub(crate) fn read(bytes: &Bytes, notes: &mut Diagnostics) -> Result<Module, Diagnostics> {
    let container = Container::open(bytes)?;
    let mut report = Report::default();
    let mut reader = Reader::new(&container, &mut report);
    let module = reader.run();
    if !report.is_clean() {
        return Err(report.into_diagnostics());
    }
    notes.0.extend(report.into_notes());
    Ok(module)
}

/// What an operator code entry says, checked once.
enum Code<'a> {
    Builtin(fb::BuiltinOperator, i32),
    Custom(&'a str, i32),
    Unusable,
}

struct Reader<'r, 'a> {
    container: &'r Container<'a>,
    report: &'r mut Report,
    codes: Vec<Code<'a>>,
    /// Constants by buffer, made when the first tensor asks.
    constants: Vec<Option<ConstId>>,
    graph_count: usize,
    /// Whether this file marks tensors of known rank at all; older ones do not.
    ranks_known: bool,
}

impl<'r, 'a> Reader<'r, 'a> {
    fn new(container: &'r Container<'a>, report: &'r mut Report) -> Self {
        let graphs = container.model.subgraphs();
        let ranks_known = graphs.iter().flatten().any(|g| g.tensors().iter().flatten().any(|t| t.has_rank()));
        let buffers = container.model.buffers().map_or(0, |b| b.len());
        Self {
            container,
            report,
            codes: Vec::new(),
            constants: vec![None; buffers],
            graph_count: graphs.map_or(0, |g| g.len()),
            ranks_known,
        }
    }

    fn run(&mut self) -> Module {
        let model = self.container.model;
        let mut module = Module::new();
        if model.version() != 3 {
            let message = format!("the file has schema version {}, Octet reads version 3", model.version());
            self.report.error(codes::STRUCTURE, SourceLocation::default(), message);
        }
        if self.graph_count == 0 {
            self.report.error(codes::STRUCTURE, SourceLocation::default(), "the model has no subgraph");
        }
        module.description = model.description().unwrap_or_default().to_owned();
        self.operator_codes();
        for (index, graph) in model.subgraphs().iter().flatten().enumerate() {
            self.graph(index, graph, &mut module);
        }
        if self.report.is_clean() {
            self.call_cycles(&module);
            self.signatures(&mut module);
            self.metadata(&mut module);
            self.left_out();
        }
        module
    }

    fn operator_codes(&mut self) {
        for (index, entry) in self.container.model.operator_codes().iter().flatten().enumerate() {
            // Old writers know only the byte, new ones write both; the larger one is meant.
            let code = fb::BuiltinOperator(entry.builtin_code().0.max(i32::from(entry.deprecated_builtin_code())));
            let code = match (code, entry.custom_code()) {
                (fb::BuiltinOperator::CUSTOM, Some(name)) => Code::Custom(name, entry.version()),
                (fb::BuiltinOperator::CUSTOM, None) => {
                    let message = format!("operator code {index} is a custom operator without a name");
                    self.report.error(codes::OPERATOR_CODE, SourceLocation::default(), message);
                    Code::Unusable
                }
                (fb::BuiltinOperator::PLACEHOLDER_FOR_GREATER_OP_CODES, _) => {
                    let message = format!("operator code {index} is the placeholder for codes above 127, and no code follows");
                    self.report.error(codes::OPERATOR_CODE, SourceLocation::default(), message);
                    Code::Unusable
                }
                (code, _) if code.variant_name().is_none() => {
                    self.report.error_help(
                        codes::OPERATOR_CODE,
                        SourceLocation::default(),
                        format!("builtin operator code {} is unknown", code.0),
                        "the model uses an operator that is newer than this version of Octet, or the file is damaged",
                    );
                    Code::Unusable
                }
                (code, _) => Code::Builtin(code, entry.version()),
            };
            self.codes.push(code);
        }
    }

    fn graph(&mut self, index: usize, graph: fb::SubGraph<'a>, module: &mut Module) {
        let name = graph.name().unwrap_or_default();
        let label = if name.is_empty() { format!("#{index}") } else { name.to_owned() };
        let tensors = graph.tensors();
        let count = tensors.map_or(0, |t| t.len());
        let uses = Uses::of(graph);
        let mut constants: Vec<Option<ConstId>> = Vec::with_capacity(count);
        let mut described: Vec<Option<Described>> = Vec::with_capacity(count);
        for (at, tensor) in tensors.iter().flatten().enumerate() {
            let own = !tensor.is_variable() && !uses.defined.contains(&at);
            constants.push(self.constant(&label, at, tensor, own, module));
            let place = Place { label: &label, at, unused: !uses.used.contains(&at) };
            described.push(self.describe(place, tensor, graph, constants.last().copied().flatten(), module));
        }
        let mut builder = GraphBuilder::new(module, name);
        for (at, (tensor, described)) in tensors.iter().flatten().zip(described).enumerate() {
            let ty = described.as_ref().map_or_else(|| octet_ir::Type::new(ElementType::F32, [0]), |d| d.ty.clone());
            let value = builder.declare(ty, Loc::named(tensor.name().unwrap_or_default()));
            if let Some(described) = described {
                builder.set_range(value, described.range);
                builder.set_sparsity(value, described.sparsity);
            }
            match (constants.get(at).copied().flatten(), tensor.is_variable()) {
                (Some(_), true) => {
                    let place = at_tensor(&label, at, tensor);
                    self.report.error(codes::DEFINED_TWICE, place, "a variable tensor has a buffer; variables start at zero");
                }
                (Some(constant), false) => {
                    builder.bind_constant(value, constant);
                }
                (None, true) => {
                    builder.bind_variable(value);
                }
                (None, false) => {}
            }
        }
        let mut body = Body { reader: self, graph, label: &label, count, builder };
        body.inputs();
        for (at, op) in graph.operators().iter().flatten().enumerate() {
            body.operator(at, op);
        }
        body.outputs();
        body.builder.finish();
    }

    /// The constant that a tensor's buffer holds, if it holds data. `own` is whether nothing else defines the tensor: an empty vector is
    /// data only for such a one without elements, as old writers give one to every tensor.
    fn constant(&mut self, label: &str, at: usize, tensor: fb::Tensor<'a>, own: bool, module: &mut Module) -> Option<ConstId> {
        if tensor.external_buffer() != 0 {
            let name = self.external_file(tensor.external_buffer());
            self.report.error_help(
                codes::EXTERNAL,
                at_tensor(label, at, tensor),
                format!("the tensor's data lie in another file, {name}"),
                "convert the model again with its weights in one file",
            );
            return None;
        }
        let index = tensor.buffer();
        let slot = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(Some(known)) = self.constants.get(slot) {
            return Some(*known);
        }
        match self.container.buffer(index) {
            Ok(Some(data)) => {
                if data.is_empty() {
                    // Not for the tensors that share the buffer: each is judged by itself.
                    let nothing = tensor.shape().iter().flatten().any(|d| d == 0);
                    return (own && nothing).then(|| module.add_constant(Constant::new(data)));
                }
                let id = module.add_constant(Constant::new(data));
                if let Some(slot) = self.constants.get_mut(slot) {
                    *slot = Some(id);
                }
                Some(id)
            }
            Ok(None) => None,
            Err(why) => {
                self.report.error(codes::BUFFER, at_tensor(label, at, tensor), why);
                None
            }
        }
    }

    fn external_file(&self, id: u32) -> String {
        let model = self.container.model;
        let entry = model.external_buffers().iter().flatten().find(|b| b.id() == id);
        let group = entry.and_then(|b| usize::try_from(b.group()).ok());
        let groups = model.external_buffer_groups();
        let group = groups.iter().flatten().enumerate().find(|(i, _)| Some(*i) == group).and_then(|(_, g)| g.name());
        group.map_or_else(|| "which the model does not name".to_owned(), |name| format!("'{name}'"))
    }

    fn describe(
        &mut self,
        Place { label, at, unused }: Place<'_>,
        tensor: fb::Tensor<'a>,
        graph: fb::SubGraph<'a>,
        constant: Option<ConstId>,
        module: &Module,
    ) -> Option<Described> {
        let tensors = graph.tensors();
        let other = |index: i32| {
            let index = usize::try_from(index).ok()?;
            let other = tensors.filter(|t| index < t.len())?.get(index);
            let bytes = self.container.buffer(other.buffer()).ok()??;
            (!bytes.is_empty()).then_some((other, bytes))
        };
        if unused && tensors::has_zero_scale(tensor) {
            let message = "a scale of 0 means nothing; the tensor is read without its quantization, as nothing uses it";
            self.report.note(codes::QUANTIZATION, at_tensor(label, at, tensor), message);
        }
        let described = tensors::describe(tensor, unused, self.ranks_known && constant.is_none(), &other).and_then(|mut described| {
            if constant.is_some() {
                tensors::keep_axis(&mut described, tensor);
            }
            if let Some(constant) = constant.and_then(|c| module.get_constant(c)) {
                tensors::check_constant(&described, constant.bytes())?;
            }
            Ok(described)
        });
        match described {
            Ok(described) => {
                if tensor.variant_tensors().is_some_and(|v| !v.is_empty()) {
                    let message = "a variant tensor says what it holds, which Octet cannot represent";
                    self.report.error(codes::UNSUPPORTED, at_tensor(label, at, tensor), message);
                }
                Some(described)
            }
            Err((code, message)) => {
                self.report.error(code, at_tensor(label, at, tensor), message);
                None
            }
        }
    }

    /// Graphs must not call themselves; how deep calls may nest is judged with the rest of the module.
    fn call_cycles(&mut self, module: &Module) {
        if let Some(BadCall::Circular(graph)) = structure::bad_call(module) {
            let message = format!("subgraph {} calls itself, directly or through others", graph.index());
            self.report.error(codes::GRAPH_INDEX, at_graph(module.graph(graph).name()), message);
        }
    }

    fn signatures(&mut self, module: &mut Module) {
        for (index, def) in self.container.model.signature_defs().iter().flatten().enumerate() {
            let key = def.signature_key().unwrap_or_default().to_owned();
            let graph = usize::try_from(def.subgraph_index()).map(GraphId::from_index);
            let found = graph.ok().and_then(|id| Some((id, module.get_graph(id)?)));
            let Some((graph, body)) = found else {
                let message = format!("signature '{key}' names subgraph {}, which does not exist", def.subgraph_index());
                self.report.error(codes::SIGNATURE, SourceLocation::default(), message);
                continue;
            };
            let mut names =
                |what: &str, maps: Option<flatbuffers::Vector<'a, flatbuffers::ForwardsUOffset<fb::TensorMap<'a>>>>, of: &[ValueId]| {
                    let mut named = Vec::new();
                    for map in maps.iter().flatten() {
                        let name = map.name().unwrap_or_default();
                        let tensor = usize::try_from(map.tensor_index()).map(ValueId::from_index).ok();
                        match of.iter().position(|v| Some(*v) == tensor) {
                            Some(position) => named.push((name.to_owned(), position)),
                            None => {
                                let message = format!(
                                    "signature {index} '{key}' calls tensor {} its {what} '{name}', but that is no {what} of the subgraph",
                                    map.tensor_index()
                                );
                                self.report.error(codes::SIGNATURE, at_graph(body.name()), message);
                            }
                        }
                    }
                    named
                };
            let inputs = names("input", def.inputs(), body.inputs());
            let outputs = names("output", def.outputs(), body.outputs());
            module.signatures.push(Signature { key, graph, inputs, outputs });
        }
    }

    /// Notes what the file says that a module has no place for, once per kind.
    fn left_out(&mut self) {
        let model = self.container.model;
        let mut note = |count: usize, what: &str| {
            if count > 0 {
                self.report.note(
                    codes::LEFT_OUT,
                    SourceLocation::default(),
                    format!("{what} ({count}) are not carried over: no runtime reads them"),
                );
            }
        };
        note(model.metadata_buffer().map_or(0, |m| m.len()), "entries of metadata_buffer");
        let (mut options, mut mutated, mut debug) = (0, 0, 0);
        for graph in model.subgraphs().iter().flatten() {
            debug += usize::from(graph.debug_metadata_index() >= 0);
            let tensors = graph.tensors();
            let variable = |index: i32| {
                let index = usize::try_from(index).ok();
                tensors.zip(index).filter(|(t, i)| *i < t.len()).is_some_and(|(t, i)| t.get(i).is_variable())
            };
            for op in graph.operators().iter().flatten() {
                let code = usize::try_from(op.opcode_index()).ok().and_then(|i| self.codes.get(i));
                let custom = matches!(code, Some(Code::Custom(..)));
                options += usize::from(!custom && op.custom_options().is_some_and(|o| !o.is_empty()));
                debug += usize::from(op.debug_metadata_index() >= 0);
                // A variable tensor says itself that it changes.
                if let (Some(flags), Some(inputs)) = (op.mutating_variable_inputs(), op.inputs()) {
                    mutated += usize::from(flags.iter().zip(inputs.iter()).any(|(mutates, input)| mutates && !variable(input)));
                }
            }
        }
        note(options, "custom_options of builtin operators");
        note(mutated, "mutating_variable_inputs of operators that update no variable tensor");
        note(debug, "debug_metadata_index entries");
    }

    fn metadata(&mut self, module: &mut Module) {
        for entry in self.container.model.metadata().iter().flatten() {
            let name = entry.name().unwrap_or_default().to_owned();
            match self.container.buffer(entry.buffer()) {
                Ok(bytes) => module.metadata.push(Metadata { name, bytes: bytes.unwrap_or_default() }),
                Err(why) => {
                    self.report.error(codes::METADATA, SourceLocation::default(), format!("metadata '{name}': {why}"));
                }
            }
        }
    }
}

/// Which tensor of which graph is described.
struct Place<'l> {
    label: &'l str,
    at: usize,
    /// Whether no operator, input or output names it.
    unused: bool,
}

/// Tensors by what is done with them.
struct Uses {
    /// Graph inputs and what operators compute.
    defined: BTreeSet<usize>,
    /// Those, graph outputs and what operators read.
    used: BTreeSet<usize>,
}

impl Uses {
    fn of(graph: fb::SubGraph<'_>) -> Self {
        let mut defined: BTreeSet<usize> = graph.inputs().iter().flatten().filter_map(|i| usize::try_from(i).ok()).collect();
        let mut used: BTreeSet<usize> = graph.outputs().iter().flatten().filter_map(|i| usize::try_from(i).ok()).collect();
        for op in graph.operators().iter().flatten() {
            defined
                .extend(op.outputs().iter().flatten().chain(op.intermediates().iter().flatten()).filter_map(|i| usize::try_from(i).ok()));
            used.extend(op.inputs().iter().flatten().filter_map(|i| usize::try_from(i).ok()));
        }
        used.extend(&defined);
        Self { defined, used }
    }
}

/// Where tensor `index` is.
fn at_tensor(graph: &str, index: usize, tensor: fb::Tensor<'_>) -> SourceLocation {
    let name = tensor.name().filter(|n| !n.is_empty()).map_or_else(|| format!("#{index}"), |n| format!("{n} (#{index})"));
    SourceLocation { graph: Some(graph.to_owned()), tensor: Some(name), ..SourceLocation::default() }
}

/// One graph while its operators are read.
struct Body<'b, 'm, 'r, 'a> {
    reader: &'b mut Reader<'r, 'a>,
    graph: fb::SubGraph<'a>,
    label: &'b str,
    count: usize,
    builder: GraphBuilder<'m>,
}

impl Body<'_, '_, '_, '_> {
    fn value(&self, index: i32) -> Option<ValueId> {
        usize::try_from(index).ok().filter(|i| *i < self.count).map(ValueId::from_index)
    }

    fn name(&self, value: ValueId) -> String {
        let name = self.builder.graph().value_name(value);
        if name.starts_with('%') { format!("#{}", value.index()) } else { format!("{name} (#{})", value.index()) }
    }

    fn inputs(&mut self) {
        for index in self.graph.inputs().iter().flatten() {
            let place = at_graph(self.label);
            match self.value(index) {
                None => {
                    let message = format!("graph input {index} does not exist, the graph has {} tensors", self.count);
                    self.reader.report.error(codes::TENSOR_INDEX, place, message);
                }
                Some(value) if !self.builder.bind_input(value) => {
                    let message = format!("graph input {} is a constant, a variable, or an input already", self.name(value));
                    self.reader.report.error(codes::DEFINED_TWICE, place, message);
                }
                Some(_) => {}
            }
        }
    }

    fn outputs(&mut self) {
        for index in self.graph.outputs().iter().flatten() {
            let place = at_graph(self.label);
            match self.value(index) {
                None => {
                    let message = format!("graph output {index} does not exist, the graph has {} tensors", self.count);
                    self.reader.report.error(codes::TENSOR_INDEX, place, message);
                }
                Some(value) if self.is_unbound(value) => {
                    let message = format!("nothing computes the graph output {}", self.name(value));
                    self.reader.report.error(codes::UNDEFINED, place, message);
                }
                Some(value) => {
                    self.builder.output(value);
                }
            }
        }
    }

    fn is_unbound(&self, value: ValueId) -> bool {
        self.builder.graph().get_value(value).is_none_or(|v| v.def() == octet_ir::ValueDef::Unbound)
    }

    fn operator(&mut self, at: usize, op: fb::Operator<'_>) {
        let code = usize::try_from(op.opcode_index()).ok().and_then(|i| self.reader.codes.get(i));
        let (name, typed) = match code {
            None => {
                let message = format!("operator code {} does not exist", op.opcode_index());
                let place = self.at_op(at, "?");
                self.reader.report.error(codes::OPERATOR_CODE, place, message);
                return;
            }
            Some(Code::Unusable) => return,
            Some(Code::Custom(name, version)) => ((*name).to_owned(), self.custom(name, *version, op)),
            Some(Code::Builtin(code, version)) => {
                let name = code.variant_name().unwrap_or_default().to_owned();
                (name, operators::read(*code, *version, op).map_err(|why| (codes::OPTIONS, why)))
            }
        };
        let place = self.at_op(at, &name);
        let operands: Option<Vec<Option<ValueId>>> = op.inputs().iter().flatten().map(|i| self.operand(i, &place)).collect();
        let results: Option<Vec<ValueId>> = op.outputs().iter().flatten().map(|i| self.defined(i, &place)).collect();
        let inner: Option<Vec<ValueId>> = op.intermediates().iter().flatten().map(|i| self.defined(i, &place)).collect();
        let typed = match typed {
            Ok(typed) => typed,
            Err((code, why)) => {
                self.reader.report.error(code, place.clone(), why);
                // Later operators may read its results: they are defined, only not by anything that we can read.
                Op::Custom(Custom::default())
            }
        };
        let (Some(results), Some(inner)) = (results, inner) else { return };
        // Where an operand is wrong the results are defined all the same, so that one finding does not bring others.
        let operands = operands.unwrap_or_default();
        for graph in typed.graphs() {
            if graph >= self.reader.graph_count {
                let message = format!("subgraph {graph} does not exist, the model has {}", self.reader.graph_count);
                self.reader.report.error(codes::GRAPH_INDEX, place.clone(), message);
            }
        }
        let typed = match typed {
            Op::Reshape(reshape) => self.reshape(reshape, &operands).into(),
            other => other,
        };
        let mut seen = BTreeSet::new();
        for &result in &results {
            if !self.is_unbound(result) || !seen.insert(result) {
                let message = format!("its output {} is computed twice, or is a constant, a variable or a graph input", self.name(result));
                self.reader.report.error_help(
                    codes::DEFINED_TWICE,
                    place,
                    message,
                    "a tensor has one definition; operators that depend on each other in a circle look like this",
                );
                return;
            }
        }
        let unranked = results.iter().any(|r| self.builder.graph().get_value(*r).is_some_and(|v| !v.ty().shape.is_ranked()));
        if let Some(op) = self.builder.bind_op(typed, operands, results, inner)
            && unranked
        {
            self.infer_ranks(op);
        }
    }

    /// Some writers leave the rank of a result open although its operands decide it; every runtime then infers it, and so do we.
    fn infer_ranks(&mut self, op: OpId) {
        let graph = self.builder.graph();
        let Some(operation) = graph.get_op(op) else { return };
        let Ok(inferred) = infer_operation(self.builder.module(), graph, operation) else { return };
        let results = operation.results().to_vec();
        for (result, (_, shape)) in results.into_iter().zip(inferred) {
            let ty = self.builder.graph().get_value(result).map(|v| v.ty().clone());
            if let Some(ty) = ty.filter(|t| !t.shape.is_ranked()) {
                self.builder.set_type(result, ty.with_shape(shape));
            }
        }
    }

    fn at_op(&self, index: usize, name: &str) -> SourceLocation {
        SourceLocation { graph: Some(self.label.to_owned()), op: Some((index, name.to_owned())), ..SourceLocation::default() }
    }

    /// A custom operator with its options, which may lie behind the flatbuffer.
    fn custom(&self, name: &str, version: i32, op: fb::Operator<'_>) -> Result<Op, (&'static str, String)> {
        let container = self.reader.container;
        let (offset, size) = (op.large_custom_options_offset(), op.large_custom_options_size());
        let options = match op.custom_options() {
            Some(options) => container.share(options.bytes()),
            None if offset > 1 => container
                .slice(offset, size)
                .ok_or_else(|| (codes::BUFFER, format!("its options lie at offset {offset} with {size} bytes, outside the file")))?,
            None => Bytes::new(),
        };
        Ok(Custom { name: name.to_owned(), version, options: Blob(options) }.into())
    }

    /// An operand: `Some(None)` for -1, an optional one that is left out.
    fn operand(&mut self, index: i32, place: &SourceLocation) -> Option<Option<ValueId>> {
        if index == -1 {
            return Some(None);
        }
        let value = self.defined(index, place)?;
        if self.is_unbound(value) {
            let message = format!("it reads {}, which nothing before it computes", self.name(value));
            self.reader.report.error_help(
                codes::UNDEFINED,
                place.clone(),
                message,
                "operators stand in execution order; the file is damaged, or its operators depend on each other in a circle",
            );
            return None;
        }
        Some(Some(value))
    }

    fn defined(&mut self, index: i32, place: &SourceLocation) -> Option<ValueId> {
        let value = self.value(index);
        if value.is_none() {
            let message = format!("it names tensor {index}, the graph has {}", self.count);
            self.reader.report.error(codes::TENSOR_INDEX, place.clone(), message);
        }
        value
    }

    /// Kernels look at the attribute only where the operand is no vector of int32; where it is one, the attribute repeats it.
    fn reshape(&self, reshape: Reshape, operands: &[Option<ValueId>]) -> Reshape {
        let graph = self.builder.graph();
        let shape = operands.get(1).copied().flatten().and_then(|v| graph.get_value(v));
        let decides = shape.is_some_and(|v| v.ty().elem == ElementType::I32 && v.ty().shape.rank() == 1);
        if decides { Reshape::default() } else { reshape }
    }
}
