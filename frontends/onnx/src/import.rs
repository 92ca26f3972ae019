//! From a decoded model to a module: inputs, initializers, nodes in order, functions inlined, outputs.

use std::collections::{BTreeMap, BTreeSet};

use octet_ir::{Constant, Diagnostic, Diagnostics, GraphBuilder, Loc, Metadata, Module, Shape, Signature, SourceLocation, Type, ValueId};
use octet_plugin::{ImageLayout, Import, ImportOptions, Siblings};

use crate::adapt;
use crate::attributes::{Node, Refusal};
use crate::lower;
use crate::open::{self, Open, Sizes};
use crate::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TypeKind, TypeProto, ValueInfoProto};
use crate::scope::Scope;
use crate::tensor;

/// How deep functions may call functions and graphs may nest.
const MAX_DEPTH: usize = 32;

/// What holds for the whole model.
pub(crate) struct Importer<'a> {
    options: &'a ImportOptions,
    siblings: &'a Siblings<'a>,
    sizes: &'a Sizes,
    functions: BTreeMap<(&'a str, &'a str, &'a str), &'a FunctionProto>,
    errors: Diagnostics,
    depth: usize,
    /// Index of the node in its graph, for messages.
    index: usize,
}

/// Opset version by domain; `""` is `ai.onnx`.
pub(crate) type Opsets = BTreeMap<String, i64>;

/// Imports a whole model. `notes` are about sizes that could not stay open.
pub(crate) fn model(model: &ModelProto, import: &Import<'_>, notes: &mut Diagnostics) -> Result<Module, Diagnostics> {
    let Some(graph) = &model.graph else {
        return Err(Diagnostic::error("ONX001", "this is not an ONNX model: it has no graph").into());
    };
    open::settle(graph, import.options, &|sizes| module(model, graph, import, sizes), notes)
}

/// The module for these sizes of what the file leaves open.
fn module(model: &ModelProto, graph: &GraphProto, import: &Import<'_>, sizes: &Sizes) -> Result<Module, Diagnostics> {
    let (options, siblings) = (import.options, import.siblings);
    let opsets = opsets(model.opset_import.iter().map(|o| (o.domain.as_str(), o.version)));
    let functions = model.functions.iter().map(|f| ((domain(&f.domain), f.name.as_str(), f.overload.as_str()), f)).collect();
    let mut module = Module::new();
    for property in &model.metadata_props {
        module.metadata.push(Metadata { name: property.key.clone(), bytes: property.value.clone().into() });
    }
    let mut importer = Importer { options, siblings, sizes, functions, errors: Diagnostics::default(), depth: 0, index: 0 };
    let mut scope = Scope::new(GraphBuilder::new(&mut module, graph.name.clone()));
    let interface = importer.main_graph(&mut scope, graph, &opsets);
    let errors = importer.errors;
    if errors.has_errors() {
        return Err(errors);
    }
    let (inputs, outputs) = interface;
    let graph = scope.builder.finish();
    module.signatures.push(Signature { key: "serving_default".into(), graph, inputs, outputs });
    Ok(module)
}

fn opsets<'a>(imports: impl Iterator<Item = (&'a str, i64)>) -> Opsets {
    imports.map(|(name, version)| (domain(name).to_owned(), version)).collect()
}

/// The domain's canonical name.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

type Names = Vec<(String, usize)>;

impl Importer<'_> {
    /// Whether recurrent layers may keep their state from run to run.
    pub(crate) fn keeps_state(&self) -> bool {
        self.options.keep_state
    }

    /// Type and constant of a tensor of the file.
    pub(crate) fn tensor(&self, proto: &crate::proto::TensorProto) -> Result<(Type, octet_ir::Constant), Refusal> {
        tensor::read(proto, self.siblings).map_err(|d| d.message)
    }

    fn main_graph(&mut self, scope: &mut Scope<'_>, graph: &GraphProto, opsets: &Opsets) -> (Names, Names) {
        let initialized: BTreeSet<&str> = graph
            .initializer
            .iter()
            .map(|t| t.name.as_str())
            .chain(graph.sparse_initializer.iter().filter_map(|s| s.values.as_ref()).map(|t| t.name.as_str()))
            .collect();
        let mut inputs = Vec::new();
        for input in graph.input.iter().filter(|i| !initialized.contains(i.name.as_str())) {
            if let Some((_, tensor)) = self.options.constants.iter().find(|(name, _)| *name == input.name) {
                let ty = Type::new(tensor.elem, tensor.shape.clone());
                let value = scope.builder.constant(Constant::new(tensor.bytes.clone()), ty, Loc::named(&input.name));
                scope.names.insert(input.name.clone(), value);
                continue;
            }
            match self.input_type(input).and_then(|ty| self.input(scope, ty, &input.name)) {
                Ok(value) => {
                    inputs.push((input.name.clone(), inputs.len()));
                    scope.names.insert(input.name.clone(), value);
                }
                Err(why) => self.errors.push(Diagnostic::error("ONX002", why).on_tensor(input.name.clone())),
            }
        }
        self.check_options(graph, &initialized);
        if self.errors.0.iter().any(|e| e.code == "ONX003") {
            // What the nodes say then follows from inputs that are not what was meant.
            return (Names::new(), Names::new());
        }
        self.body(scope, graph, opsets);
        let mut outputs = Vec::new();
        for output in &graph.output {
            match scope.names.get(&output.name) {
                Some(&value) => {
                    let value = self.output(scope, value, &output.name);
                    scope.builder.output(value);
                    outputs.push((output.name.clone(), outputs.len()));
                }
                // When nodes failed, what hangs on them is not worth a message of its own.
                None if self.errors.has_errors() => {}
                None => self.errors.push(Diagnostic::error("ONX004", "no node computes this output").on_tensor(output.name.clone())),
            }
        }
        distinct(&mut inputs);
        distinct(&mut outputs);
        (inputs, outputs)
    }

    /// Names in the options that the model does not have.
    fn check_options(&mut self, graph: &GraphProto, initialized: &BTreeSet<&str>) {
        let inputs: Vec<&str> = graph.input.iter().map(|i| i.name.as_str()).filter(|n| !initialized.contains(n)).collect();
        let outputs = graph.output.iter().map(|o| o.name.as_str());
        let ports: Vec<&str> = inputs.iter().copied().chain(outputs).collect();
        let named = self.options.shapes.iter().map(|(name, _)| ("--shape", name, &inputs));
        let named = named.chain(self.options.constants.iter().map(|(name, _)| ("--constant", name, &inputs)));
        let named = named.chain(self.options.layouts.iter().filter_map(|(name, _)| Some(("--layout", name.as_ref()?, &ports))));
        for (option, name, known) in named.filter(|(_, name, known)| !known.contains(&name.as_str())) {
            let error = Diagnostic::error("ONX003", format!("{option} names '{name}', which the model does not have"));
            self.errors.push(error.with_note(format!("it has: {}", known.join(", "))));
        }
        let open: Vec<&ValueInfoProto> = graph.input.iter().filter(|i| !initialized.contains(i.name.as_str())).collect();
        let named: BTreeSet<String> = open.iter().flat_map(|i| open::symbols(i)).collect();
        for (name, _) in self.options.dims.iter().filter(|(name, _)| !named.contains(name)) {
            let error = Diagnostic::error("ONX003", format!("--dim names '{name}', which is no dimension of an input"));
            let error = open.iter().fold(error, |e, i| e.with_note(format!("input '{}' has the shape {}", i.name, open::shown(i))));
            let mut ways: Vec<String> = named.iter().map(|symbol| format!("--dim '{symbol}=1'")).collect();
            // `?` is no name: an axis without one is settled with the whole shape.
            let unnamed = open.iter().filter(|i| open::declared_sizes(i).is_none() && open::symbols(i).next().is_none());
            ways.extend(unnamed.map(|i| open::shape_option(i)));
            self.errors.push(if ways.is_empty() { error } else { error.with_help(format!("give {}", ways.join(", or "))) });
        }
    }

    /// Whether an input or output of this name and rank is to have its channels last.
    fn channels_last(&self, name: &str, rank: usize) -> bool {
        let own = self.options.layouts.iter().rfind(|(n, _)| n.as_deref() == Some(name)).map(|(_, layout)| (*layout, 3));
        let all = self.options.layouts.iter().rfind(|(n, _)| n.is_none()).map(|(_, layout)| (*layout, 4));
        own.or(all).is_some_and(|(layout, least)| layout == ImageLayout::Nhwc && rank >= least)
    }

    /// A graph input, which is channels last where the user asked for it; the model sees it as declared.
    fn input(&self, scope: &mut Scope<'_>, declared: Type, name: &str) -> Result<ValueId, Refusal> {
        let rank = declared.shape.rank();
        if !self.channels_last(name, rank) {
            return Ok(scope.builder.input(declared, Loc::named(name)));
        }
        let order: Vec<usize> = std::iter::once(0).chain(2..rank).chain([1]).collect();
        let mut shape = Shape::new(order.iter().map(|&a| declared.shape.dims()[a]).collect::<Vec<_>>());
        for (axis, &from) in order.iter().enumerate() {
            if let Some(symbol) = declared.shape.dynamic(from) {
                shape = shape.with_dynamic(axis, symbol);
            }
        }
        let value = scope.builder.input(Type { shape, ..declared }, Loc::named(name));
        scope.origin = name.to_owned();
        lower::to_first(scope, value)
    }

    /// The value that leaves the graph: channels last where the user asked for it.
    fn output(&self, scope: &mut Scope<'_>, value: ValueId, name: &str) -> ValueId {
        if !self.channels_last(name, scope.rank(value)) {
            return value;
        }
        scope.origin = name.to_owned();
        // A permutation of known axes cannot be refused.
        lower::to_last(scope, value).unwrap_or(value)
    }

    /// The declared type of a graph input, with the user's shape and symbol sizes put in.
    fn input_type(&self, info: &ValueInfoProto) -> Result<Type, String> {
        let Some(TypeProto { value: Some(TypeKind::Tensor(declared)) }) = &info.r#type else {
            return Err("only tensors can be inputs, not sequences or optionals".into());
        };
        let elem = tensor::element_type(declared.elem_type)
            .ok_or_else(|| format!("tensors of {} are not supported", tensor::element_name(declared.elem_type)))?;
        if let Some((_, dims)) = self.options.shapes.iter().find(|(name, _)| *name == info.name) {
            return Ok(Type::new(elem, dims.clone()));
        }
        let Some(declared) = &declared.shape else {
            return Err(format!("the shape of input '{}' is unknown: give it with --shape {}=1x3x224x224", info.name, info.name));
        };
        let mut dims = Vec::new();
        let mut symbols = Vec::new();
        for (axis, dim) in declared.dim.iter().enumerate() {
            let open = match open::size(dim, &info.name, axis) {
                Ok(size) => {
                    dims.push(usize::try_from(size).map_err(|_| "a size is too large")?);
                    continue;
                }
                Err(open) => open,
            };
            let name = if let Open::Named(name) = &open { name.as_str() } else { "?" };
            if let Some((_, size)) = self.options.dims.iter().find(|(n, _)| matches!(&open, Open::Named(o) if o == n)) {
                dims.push(*size);
                continue;
            }
            let (size, stays_open) = self.sizes.of(&open);
            dims.push(size);
            if stays_open {
                symbols.push((axis, name.to_owned()));
            }
        }
        let mut shape = Shape::new(dims);
        for (axis, name) in symbols {
            shape = shape.with_dynamic(axis, &name);
        }
        Ok(Type::new(elem, shape))
    }

    /// Initializers and nodes of a graph.
    pub(crate) fn body(&mut self, scope: &mut Scope<'_>, graph: &GraphProto, opsets: &Opsets) {
        let mut failed = BTreeSet::new();
        for tensor in &graph.initializer {
            match tensor::read(tensor, self.siblings) {
                Ok((ty, constant)) => {
                    let value = scope.builder.constant(constant, ty, Loc::named(&tensor.name));
                    scope.names.insert(tensor.name.clone(), value);
                }
                // A file that is missing holds the data of many tensors, and is told once.
                Err(error) if error.code == "DAT001" => {
                    failed.insert(tensor.name.clone());
                    let is_told = self.errors.0.iter().any(|e| e.code == error.code && e.location.file == error.location.file);
                    if !is_told {
                        self.errors.push(error.with_help(
                            "data that stand outside of the model must come along with it, under the names that it has for them",
                        ));
                    }
                }
                Err(error) => {
                    failed.insert(tensor.name.clone());
                    self.errors.push(error);
                }
            }
        }
        for sparse in &graph.sparse_initializer {
            match self.sparse(sparse) {
                Ok((name, ty, constant)) => {
                    let value = scope.builder.constant(constant, ty, Loc::named(&name));
                    scope.names.insert(name, value);
                }
                Err(why) => self.errors.push(Diagnostic::error("ONX012", why)),
            }
        }
        self.nodes(scope, &crate::dynamic::nodes(graph), opsets, failed);
    }

    /// Nodes in an order in which every one finds its inputs; files need not be sorted. What hangs on `failed` is left out.
    fn nodes(&mut self, scope: &mut Scope<'_>, nodes: &[NodeProto], opsets: &Opsets, mut failed: BTreeSet<String>) {
        let mut producer: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                producer.insert(output, index);
            }
        }
        // Depth first along inputs, without recursion: a chain may be as long as the file.
        let mut state = vec![0u8; nodes.len()];
        for root in 0..nodes.len() {
            let mut stack = vec![root];
            while let Some(&index) = stack.last() {
                if state[index] == 2 {
                    stack.pop();
                    continue;
                }
                let first_visit = std::mem::replace(&mut state[index], 1) == 0;
                if first_visit {
                    let mut wanted: Vec<&str> = nodes[index].input.iter().map(String::as_str).collect();
                    wanted.extend(nodes[index].attribute.iter().filter_map(|a| a.g.as_ref()).flat_map(captured));
                    stack.extend(wanted.iter().filter_map(|name| producer.get(name)).filter(|&&p| state[p] == 0));
                } else {
                    stack.pop();
                    state[index] = 2;
                    self.index = index;
                    self.node(scope, &nodes[index], opsets, &mut failed);
                }
            }
        }
    }

    /// Lowers one node, or notes why not. Nodes that hang on a failed one are left out in silence.
    fn node(&mut self, scope: &mut Scope<'_>, proto: &NodeProto, opsets: &Opsets, failed: &mut BTreeSet<String>) {
        if proto.input.iter().any(|i| failed.contains(i)) {
            failed.extend(proto.output.iter().filter(|o| !o.is_empty()).cloned());
            return;
        }
        if let Err(why) = self.try_node(scope, proto, opsets) {
            failed.extend(proto.output.iter().filter(|o| !o.is_empty()).cloned());
            let location = SourceLocation {
                op: Some((self.index, proto.op_type.clone())),
                tensor: Some(if proto.name.is_empty() { proto.output.first().cloned().unwrap_or_default() } else { proto.name.clone() }),
                ..SourceLocation::default()
            };
            self.errors.push(Diagnostic::error("ONX010", format!("{} cannot be lowered: {why}", proto.op_type)).at(location));
        }
    }

    fn try_node(&mut self, scope: &mut Scope<'_>, proto: &NodeProto, opsets: &Opsets) -> Result<(), Refusal> {
        let name = domain(&proto.domain);
        if let Some(function) = self.functions.get(&(name, proto.op_type.as_str(), proto.overload.as_str())).copied() {
            return self.inline(scope, proto, function);
        }
        let version = opsets.get(name).copied().or(if name.is_empty() { None } else { Some(1) });
        let version = version.ok_or_else(|| format!("the model imports no opset for domain '{name}'"))?;
        let inputs = proto
            .input
            .iter()
            .map(|i| match i.as_str() {
                "" => Ok(None),
                input => scope.names.get(input).copied().map(Some).ok_or_else(|| format!("nothing computes its input '{input}'")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        scope.origin = proto.output.iter().find(|o| !o.is_empty()).cloned().unwrap_or_default();
        let node = Node { proto, version };
        let lower = lower::find(name, &proto.op_type).ok_or_else(|| lower::why_not(name, &proto.op_type))?;
        let outputs = adapt::lower(&mut lower::Lowering { importer: self, scope, opsets }, &node, &inputs, lower)?;
        for (name, value) in proto.output.iter().zip(outputs) {
            if !name.is_empty() {
                scope.names.insert(name.clone(), value);
            }
        }
        if let Some(missing) = proto.output.iter().find(|o| !o.is_empty() && !scope.names.contains_key(*o)) {
            return Err(format!("its output '{missing}' is not supported"));
        }
        Ok(())
    }

    /// Lowers a nested graph; the scope's names hold its inputs, and its results afterwards.
    pub(crate) fn nested(&mut self, scope: &mut Scope<'_>, graph: &GraphProto, opsets: &Opsets) -> Result<(), Refusal> {
        if self.depth >= MAX_DEPTH {
            return Err("graphs are nested too deeply".into());
        }
        let (index, before) = (self.index, self.errors.0.len());
        self.depth += 1;
        self.body(scope, graph, opsets);
        self.depth -= 1;
        self.index = index;
        if self.errors.0.len() > before { Err("its graph could not be lowered".into()) } else { Ok(()) }
    }

    /// Lowers the nodes of a function with its formal names bound to the call's.
    fn inline(&mut self, scope: &mut Scope<'_>, call: &NodeProto, function: &FunctionProto) -> Result<(), Refusal> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("function '{}' is nested too deeply or calls itself", function.name));
        }
        let opsets = opsets(function.opset_import.iter().map(|o| (o.domain.as_str(), o.version)));
        let mut nodes: Vec<NodeProto> = function.node.iter().map(|n| bind_attributes(n, call, function)).collect();
        // An input that the call leaves out is left out of the nodes that take it.
        let given = |k: usize| call.input.get(k).is_some_and(|actual| !actual.is_empty());
        let absent: BTreeSet<&str> =
            function.input.iter().enumerate().filter(|(k, _)| !given(*k)).map(|(_, formal)| formal.as_str()).collect();
        for input in nodes.iter_mut().flat_map(|n| &mut n.input).filter(|i| absent.contains(i.as_str())) {
            input.clear();
        }
        let mut inner: BTreeMap<String, ValueId> = BTreeMap::new();
        for (formal, actual) in function.input.iter().zip(&call.input) {
            if let Some(&value) = scope.names.get(actual) {
                inner.insert(formal.clone(), value);
            }
        }
        let outer = std::mem::replace(&mut scope.names, inner);
        let errors_before = self.errors.0.len();
        self.depth += 1;
        self.nodes(scope, &nodes, &opsets, BTreeSet::new());
        self.depth -= 1;
        let inner = std::mem::replace(&mut scope.names, outer);
        for (formal, actual) in function.output.iter().zip(&call.output).filter(|(_, a)| !a.is_empty()) {
            match inner.get(formal) {
                Some(&value) => {
                    scope.names.insert(actual.clone(), value);
                }
                None if self.errors.0.len() > errors_before => return Err("its function body could not be lowered".into()),
                None => return Err(format!("its function body does not compute '{formal}'")),
            }
        }
        Ok(())
    }

    pub(crate) fn sparse(&self, sparse: &crate::proto::SparseTensorProto) -> Result<(String, Type, octet_ir::Constant), String> {
        let (Some(values), Some(indices)) = (&sparse.values, &sparse.indices) else { return Err("a sparse tensor lacks parts".into()) };
        let read = |t| tensor::read(t, self.siblings).map_err(|d| d.message);
        let ((ty, data), (index_type, index_data)) = (read(values)?, read(indices)?);
        let dims: Option<Vec<usize>> = sparse.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
        let shape = Shape::new(dims.ok_or("a sparse tensor has a negative size")?);
        let dense = Type::new(ty.elem, shape.clone());
        let width = ty.elem.byte_len(1).ok_or("a sparse tensor of this type")?;
        let length = dense.byte_len().filter(|&n| n <= 1 << 30).ok_or("a sparse tensor is too large")?;
        let rank = shape.rank();
        let strides = shape.strides();
        let coordinates = index_data.to_i64();
        let mut bytes = vec![0u8; length];
        for (k, element) in data.bytes().chunks_exact(width).enumerate() {
            let flat = if index_type.shape.rank() == 2 {
                let row = coordinates.get(k * rank..(k + 1) * rank).ok_or("a sparse tensor lacks indices")?;
                row.iter().zip(&strides).map(|(&c, &s)| usize::try_from(c).ok()?.checked_mul(s)).try_fold(0usize, |a, c| a.checked_add(c?))
            } else {
                coordinates.get(k).and_then(|&c| usize::try_from(c).ok())
            };
            let at = flat.and_then(|f| f.checked_mul(width)).filter(|&at| at + width <= length);
            let at = at.ok_or("a sparse tensor's index lies outside its shape")?;
            bytes[at..at + width].copy_from_slice(element);
        }
        Ok((values.name.clone(), dense, octet_ir::Constant::new(bytes)))
    }
}

/// Names that a nested graph takes from outside.
fn captured(graph: &GraphProto) -> Vec<&str> {
    let mut inner: BTreeSet<&str> = graph.input.iter().map(|i| i.name.as_str()).collect();
    inner.extend(graph.initializer.iter().map(|t| t.name.as_str()));
    inner.extend(graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str)));
    let mut names = Vec::new();
    for node in &graph.node {
        names.extend(node.input.iter().map(String::as_str).filter(|i| !inner.contains(i)));
        names.extend(node.attribute.iter().filter_map(|a| a.g.as_ref()).flat_map(captured).filter(|i| !inner.contains(i)));
    }
    names.extend(graph.output.iter().map(|o| o.name.as_str()).filter(|o| !inner.contains(o)));
    names
}

/// A function's node with references to the function's attributes replaced by the call's values or the defaults.
fn bind_attributes(node: &NodeProto, call: &NodeProto, function: &FunctionProto) -> NodeProto {
    let mut node = node.clone();
    let resolve = |attribute: AttributeProto| -> Option<AttributeProto> {
        if attribute.ref_attr_name.is_empty() {
            return Some(attribute);
        }
        let given = call.attribute.iter().chain(&function.attribute_proto).find(|a| a.name == attribute.ref_attr_name)?;
        Some(AttributeProto { name: attribute.name, ..given.clone() })
    };
    node.attribute = node.attribute.into_iter().filter_map(resolve).collect();
    for graph in node.attribute.iter_mut().filter_map(|a| a.g.as_mut()) {
        graph.node = graph.node.iter().map(|n| bind_attributes(n, call, function)).collect();
    }
    node
}

/// Makes names unique: a signature needs distinct ones, and test suites leave them empty.
fn distinct(names: &mut Names) {
    let mut seen = BTreeSet::new();
    for (index, entry) in names.iter_mut().enumerate() {
        if entry.0.is_empty() || !seen.insert(entry.0.clone()) {
            entry.0 = format!("{}_{index}", entry.0);
            seen.insert(entry.0.clone());
        }
    }
}
