//! From a [`Module`] to a file: tensors, operators, graphs, signatures, metadata, buffers.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use flatbuffers::WIPOffset;
use octet_ir::{
    Constant, Diagnostic, Diagnostics, ElementType, EntityId, Granularity, Graph, GraphId, Module, Op, Operation, Quantization, Shape,
    SourceLocation, Sparsity, SparsityDim, Type, Value, ValueDef, ValueId,
};
use octet_tflite_schema as fb;

use crate::codes;
use crate::constants::Buffers;
use crate::operators::{self, tensor_type};
use crate::packer::{ALIGNMENT, Packer};
use crate::versions::Signature;
use crate::{Encoded, WriteOptions};

/// Constants and options beyond this many bytes in total leave the flatbuffer, whose offsets have 31 bits.
const LARGEST_FLATBUFFER: usize = (1 << 31) - (1 << 27);
/// Options of a custom operator that are at least this long leave the flatbuffer together with the constants.
const LARGE_OPTIONS: usize = 1 << 16;

/// Writes a module.
pub(crate) fn write(module: &Module, options: &WriteOptions) -> Result<Encoded, Diagnostics> {
    let inline = options.largest_flatbuffer.unwrap_or(LARGEST_FLATBUFFER);
    let outside = payload(module) > inline;
    let mut survey = Writer::new(module, options, Packer::survey(), outside.then_some(0));
    survey.run()?;
    let leaves = survey.packer.into_leaves();
    if !outside {
        // Room for the tables is a guess; the builder grows.
        let packer = Packer::new(leaves, payload(module) + 4096);
        return Ok(Encoded::new(vec![Writer::new(module, options, packer, None).run()?]));
    }
    // Offsets count from the start of the file, and the flatbuffer's length does not depend on them: a second run knows it.
    let length = Writer::new(module, options, Packer::new(leaves.clone(), 4096), Some(0)).run()?.len();
    let mut writer = Writer::new(module, options, Packer::new(leaves, length), Some(length));
    let mut parts = vec![writer.run()?];
    parts.append(&mut writer.tail);
    Ok(Encoded::new(parts))
}

/// Bytes of constants and options, before equal ones are united.
fn payload(module: &Module) -> usize {
    let constants: usize = module.constants().map(|(_, c)| c.bytes().len()).sum();
    let options: usize = module.graphs().flat_map(|(_, g)| g.ops()).map(|(_, o)| custom_options(o.op()).map_or(0, Bytes::len)).sum();
    constants + options
}

fn custom_options(op: &Op) -> Option<&Bytes> {
    match op {
        Op::Custom(custom) => Some(&custom.options.0),
        _ => None,
    }
}

/// Offsets of the tables of one kind.
type Offsets<T> = Vec<WIPOffset<T>>;

struct Writer<'m, 'f> {
    module: &'m Module,
    options: &'m WriteOptions,
    packer: Packer<'f>,
    buffers: Buffers,
    /// Operator codes in the order of first use: builtin code, version, custom name.
    codes: Vec<(fb::BuiltinOperator, i32, String)>,
    code_index: HashMap<(i32, i32, String), u32>,
    /// Where the next part behind the flatbuffer goes; `None` when everything lies in it.
    next_offset: Option<usize>,
    tail: Vec<Bytes>,
    /// Whether tensors of known rank say so: only where some tensor's is not known, since otherwise no shape means a scalar.
    mark_ranks: bool,
    problems: Vec<Diagnostic>,
}

impl<'m, 'f> Writer<'m, 'f> {
    /// A writer of the whole file, or of one whose constants lie behind a flatbuffer of `outside` bytes.
    fn new(module: &'m Module, options: &'m WriteOptions, packer: Packer<'f>, outside: Option<usize>) -> Self {
        let mark_ranks = module.graphs().any(|(_, g)| g.values().any(|(_, v)| !v.ty().shape.is_ranked()));
        Self {
            module,
            options,
            packer,
            buffers: Buffers::new(),
            codes: Vec::new(),
            code_index: HashMap::new(),
            next_offset: outside.map(|o| o.next_multiple_of(ALIGNMENT).max(ALIGNMENT)),
            tail: Vec::new(),
            mark_ranks,
            problems: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<Bytes, Diagnostics> {
        // What needs the largest alignment comes first, when there is most to fill the gaps with.
        let tensors: Vec<Tensors> = self.module.graphs().map(|(_, g)| Tensors::plan(g, self.module, &mut self.buffers)).collect();
        let metadata: Vec<u32> = self.module.metadata.iter().map(|m| self.metadata_buffer(&m.bytes)).collect();
        let buffers = self.write_buffers(&metadata);
        self.packer.flush();
        let signed: HashSet<GraphId> = self.module.signatures.iter().map(|s| s.graph).collect();
        let graphs = self.module.graphs().zip(&tensors);
        let graphs: Offsets<fb::SubGraph<'f>> =
            graphs.map(|((id, graph), tensors)| self.graph(graph, signed.contains(&id), tensors)).collect();
        if !self.problems.is_empty() {
            return Err(Diagnostics(std::mem::take(&mut self.problems)));
        }
        let signatures = self.signatures(&tensors);
        let metadata = self.metadata(&metadata);
        let codes = self.operator_codes();
        let args = fb::ModelArgs {
            version: 3,
            operator_codes: Some(self.packer.tables(&codes)),
            subgraphs: Some(self.packer.tables(&graphs)),
            description: self.text(&self.module.description),
            buffers: Some(self.packer.tables(&buffers)),
            metadata: (!metadata.is_empty()).then(|| self.packer.tables(&metadata)),
            signature_defs: (!signatures.is_empty()).then(|| self.packer.tables(&signatures)),
            ..Default::default()
        };
        Ok(self.packer.finish_model(&args))
    }

    /// Metadata without bytes names the empty buffer.
    fn metadata_buffer(&mut self, bytes: &Bytes) -> u32 {
        if bytes.is_empty() { 0 } else { self.buffers.bytes(bytes) }
    }

    /// Metadata stays in the flatbuffer: not every reader of it knows of anything behind.
    fn write_buffers(&mut self, metadata: &[u32]) -> Offsets<fb::Buffer<'f>> {
        let metadata: HashSet<usize> = metadata.iter().filter_map(|b| usize::try_from(*b).ok()).collect();
        let all = self.buffers.all().to_vec();
        let mut tables = Vec::with_capacity(all.len());
        for (index, bytes) in all.iter().enumerate() {
            let args = match self.next_offset {
                _ if index == 0 => fb::BufferArgs::default(),
                Some(offset) if !bytes.is_empty() && !metadata.contains(&index) => {
                    self.put_outside(bytes);
                    fb::BufferArgs { data: None, offset: offset as u64, size: bytes.len() as u64 }
                }
                _ => fb::BufferArgs { data: Some(self.packer.aligned_bytes(bytes)), ..Default::default() },
            };
            tables.push(self.packer.table(|fbb| fb::Buffer::create(fbb, &args)));
        }
        tables
    }

    /// Appends a part behind the flatbuffer, aligned.
    fn put_outside(&mut self, bytes: &Bytes) {
        let Some(next) = &mut self.next_offset else { return };
        let end = bytes.len().next_multiple_of(ALIGNMENT);
        *next += end;
        self.tail.push(bytes.clone());
        if end > bytes.len() {
            self.tail.push(Bytes::from_static(&[0; ALIGNMENT]).slice(..end - bytes.len()));
        }
    }

    fn text(&mut self, text: &str) -> Option<WIPOffset<&'f str>> {
        (!text.is_empty()).then(|| self.packer.string(text))
    }

    fn graph(&mut self, graph: &Graph, signed: bool, tensors: &Tensors) -> WIPOffset<fb::SubGraph<'f>> {
        // Without a signature, names are how a program finds inputs and outputs.
        let mut sought = vec![false; graph.value_capacity()];
        if !signed {
            for value in graph.inputs().iter().chain(graph.outputs()) {
                if let Some(slot) = sought.get_mut(value.index()) {
                    *slot = true;
                }
            }
        }
        let keep_name = |value: ValueId| {
            let is_constant = matches!(graph.value(value).def(), ValueDef::Constant(_));
            let is_stripped = self.options.strip_names || (is_constant && self.options.strip_constant_names);
            !is_stripped || sought.get(value.index()) == Some(&true)
        };
        let named: Vec<bool> = tensors.order.iter().map(|v| keep_name(*v)).collect();
        let mut tables: Offsets<fb::Tensor<'f>> = Vec::with_capacity(tensors.len());
        for ((index, &value), named) in tensors.order.iter().enumerate().zip(named) {
            tables.push(self.tensor(graph, index, value, named, tensors));
        }
        for (ty, buffer) in &tensors.extra {
            tables.push(self.plain_tensor(ty, *buffer));
        }
        let mut operators: Offsets<fb::Operator<'f>> = Vec::with_capacity(graph.op_count());
        for (index, (_, operation)) in graph.ops().enumerate() {
            operators.push(self.operator(graph, index, operation, tensors));
        }
        let args = fb::SubGraphArgs {
            inputs: Some(self.packer.ints(&tensors.indices(graph.inputs()))),
            outputs: Some(self.packer.ints(&tensors.indices(graph.outputs()))),
            name: if self.options.strip_names { None } else { self.text(graph.name()) },
            operators: Some(self.packer.tables(&operators)),
            tensors: Some(self.packer.tables(&tables)),
            ..Default::default()
        };
        self.packer.table(|fbb| fb::SubGraph::create(fbb, &args))
    }

    fn tensor(&mut self, graph: &Graph, index: usize, id: ValueId, named: bool, tensors: &Tensors) -> WIPOffset<fb::Tensor<'f>> {
        let value = graph.value(id);
        let ty = value.ty();
        let shape = self.shape(&ty.shape, || graph.value_name(id));
        let quantization = self.quantization(value, tensors.blocks.get(&index).copied());
        let sparsity = value.sparsity().map(|s| self.sparsity(s));
        let name = if named { self.text(value.loc().name().unwrap_or_default()) } else { None };
        let args = fb::TensorArgs {
            shape,
            type_: tensor_type(ty.elem),
            buffer: tensors.buffers.get(index).copied().unwrap_or(0),
            name,
            quantization,
            is_variable: value.def() == ValueDef::Variable,
            sparsity,
            shape_signature: self.shape_signature(&ty.shape),
            has_rank: self.mark_ranks && ty.shape.is_ranked(),
            ..Default::default()
        };
        self.packer.table(|fbb| fb::Tensor::create(fbb, &args))
    }

    /// A constant that no value of the graph stands for: scales of blocks.
    fn plain_tensor(&mut self, ty: &Type, buffer: u32) -> WIPOffset<fb::Tensor<'f>> {
        let shape = self.shape(&ty.shape, String::new);
        let args = fb::TensorArgs { shape, type_: tensor_type(ty.elem), buffer, has_rank: self.mark_ranks, ..Default::default() };
        self.packer.table(|fbb| fb::Tensor::create(fbb, &args))
    }

    fn shape(&mut self, shape: &Shape, name: impl FnOnce() -> String) -> Option<WIPOffset<flatbuffers::Vector<'f, i32>>> {
        let dims: Result<Vec<i32>, _> = shape.dims().iter().map(|d| i32::try_from(*d)).collect();
        match dims {
            // A scalar's shape is left out.
            Ok(dims) => (!dims.is_empty()).then(|| self.packer.ints(&dims)),
            Err(_) => {
                let message = format!("shape {shape} has a size beyond 31 bits, which TFLite cannot express");
                self.problems.push(Diagnostic::error(codes::TOO_LARGE, message).on_tensor(name()));
                None
            }
        }
    }

    fn shape_signature(&mut self, shape: &Shape) -> Option<WIPOffset<flatbuffers::Vector<'f, i32>>> {
        if !shape.is_ranked() || !shape.is_dynamic() {
            return None;
        }
        let sizes = shape.dims().iter().enumerate();
        let signature: Vec<i32> =
            sizes.map(|(axis, &d)| if shape.dynamic(axis).is_some() { -1 } else { i32::try_from(d).unwrap_or(i32::MAX) }).collect();
        Some(self.packer.ints(&signature))
    }

    fn quantization(&mut self, value: &Value, block: Option<Block>) -> Option<WIPOffset<fb::QuantizationParameters<'f>>> {
        let range = value.range().filter(|_| self.options.ranges);
        let (min, max) = match range {
            Some(range) => (Some(self.packer.floats(&range.min)), Some(self.packer.floats(&range.max))),
            None => (None, None),
        };
        let mut args = fb::QuantizationParametersArgs { min, max, ..Default::default() };
        match (value.ty().quant.as_deref(), block) {
            (None, _) if range.is_none() => return None,
            (None, _) => {}
            (Some(_), Some(block)) => {
                let details = fb::BlockwiseQuantizationArgs {
                    scales: block.scales,
                    zero_points: block.zero_points,
                    block_size: block.size,
                    block_shape: None,
                };
                let details = self.packer.table(|fbb| fb::BlockwiseQuantization::create(fbb, &details));
                args.details_type = fb::QuantizationDetails::BlockwiseQuantization;
                args.details = Some(WIPOffset::new(details.value()));
            }
            (Some(quant), None) => {
                args.scale = Some(self.packer.floats(quant.scales()));
                args.zero_point = Some(self.packer.longs(quant.zero_points()));
                args.quantized_dimension = quant.axis().and_then(|a| i32::try_from(a).ok()).unwrap_or(0);
            }
        }
        Some(self.packer.quantization(&args))
    }

    fn sparsity(&mut self, sparsity: &Sparsity) -> WIPOffset<fb::SparsityParameters<'f>> {
        let mut dims = Vec::with_capacity(sparsity.dims.len());
        for dim in &sparsity.dims {
            let args = match dim {
                SparsityDim::Dense { size } => fb::DimensionMetadataArgs { dense_size: *size, ..Default::default() },
                SparsityDim::Csr { segments, indices, segment_bits, index_bits } => {
                    let (array_segments_type, segments) = self.index_vector(segments, *segment_bits);
                    let (array_indices_type, indices) = self.index_vector(indices, *index_bits);
                    fb::DimensionMetadataArgs {
                        format: fb::DimensionType::SPARSE_CSR,
                        array_segments_type,
                        array_segments: Some(segments),
                        array_indices_type,
                        array_indices: Some(indices),
                        ..Default::default()
                    }
                }
            };
            dims.push(self.packer.table(|fbb| fb::DimensionMetadata::create(fbb, &args)));
        }
        let args = fb::SparsityParametersArgs {
            traversal_order: Some(self.packer.ints(&sparsity.traversal_order)),
            block_map: (!sparsity.block_map.is_empty()).then(|| self.packer.ints(&sparsity.block_map)),
            dim_metadata: Some(self.packer.tables(&dims)),
        };
        self.packer.table(|fbb| fb::SparsityParameters::create(fbb, &args))
    }

    /// A vector of indices in the width that it had, or a wider one that it needs.
    fn index_vector(&mut self, values: &[i32], bits: u8) -> (fb::SparseIndexVector, WIPOffset<flatbuffers::UnionWIPOffset>) {
        let narrow: Option<Vec<u8>> = values.iter().map(|v| u8::try_from(*v).ok()).collect();
        let medium: Option<Vec<u16>> = values.iter().map(|v| u16::try_from(*v).ok()).collect();
        match (bits, narrow, medium) {
            (8, Some(values), _) => {
                let values = Some(self.packer.fbb.create_vector(&values));
                let table = self.packer.table(|fbb| fb::Uint8Vector::create(fbb, &fb::Uint8VectorArgs { values }));
                (fb::SparseIndexVector::Uint8Vector, WIPOffset::new(table.value()))
            }
            (8 | 16, _, Some(values)) => {
                // The format aligns these to 4 bytes, which the length before them does.
                let values = Some(self.packer.fbb.create_vector(&values));
                let table = self.packer.table(|fbb| fb::Uint16Vector::create(fbb, &fb::Uint16VectorArgs { values }));
                (fb::SparseIndexVector::Uint16Vector, WIPOffset::new(table.value()))
            }
            _ => {
                let values = Some(self.packer.ints(values));
                let table = self.packer.table(|fbb| fb::Int32Vector::create(fbb, &fb::Int32VectorArgs { values }));
                (fb::SparseIndexVector::Int32Vector, WIPOffset::new(table.value()))
            }
        }
    }

    fn operator(&mut self, graph: &Graph, index: usize, operation: &Operation, tensors: &Tensors) -> WIPOffset<fb::Operator<'f>> {
        let op = operation.op();
        let opcode_index = self.code(op, Signature::of(graph, operation).version());
        let mut operands: Vec<i32> = operation.operands().iter().map(|v| v.map_or(-1, |v| tensors.index(v))).collect();
        // LiteRT's convolutions count their inputs to know whether there is a bias, and refuse one that is listed as left out.
        if bias_operand(op).is_some_and(|bias| operands.len() == bias + 1 && operands.last() == Some(&-1)) {
            operands.pop();
        }
        let (results, inner) = (tensors.indices(operation.results()), tensors.indices(operation.intermediates()));
        if let Op::Opaque(opaque) = op {
            match unpack(&opaque.options.0) {
                Some(mut table) => {
                    (table.opcode_index, table.inputs, table.outputs) = (opcode_index, Some(operands), Some(results));
                    table.intermediates = (!inner.is_empty()).then_some(inner);
                    return table.pack(&mut self.packer.fbb);
                }
                None => self.problem(codes::OPAQUE, graph, index, op, "its packed options are no TFLite operator".into()),
            }
        }
        let description = format!("{op:?}");
        let written = match self.packer.known_options(&description) {
            Some(known) => Ok(Some(known)),
            None => operators::options(op, &mut self.packer),
        };
        let options = match written {
            Ok(options) => options,
            Err(why) => {
                self.problem(codes::TOO_LARGE, graph, index, op, format!("{why}, which TFLite's options cannot express"));
                None
            }
        };
        let mut args = fb::OperatorArgs {
            opcode_index,
            inputs: Some(self.packer.ints(&operands)),
            outputs: Some(self.packer.ints(&results)),
            intermediates: (!inner.is_empty()).then(|| self.packer.ints(&inner)),
            ..Default::default()
        };
        if let Some((kind, table)) = options {
            (args.builtin_options_type, args.builtin_options) = (kind, Some(table));
            self.packer.note_options(description, (kind, table));
        }
        match (custom_options(op).filter(|o| !o.is_empty()), self.next_offset) {
            (Some(bytes), Some(offset)) if bytes.len() >= LARGE_OPTIONS => {
                (args.large_custom_options_offset, args.large_custom_options_size) = (offset as u64, bytes.len() as u64);
                self.put_outside(bytes);
            }
            (Some(bytes), _) => args.custom_options = Some(self.packer.bytes(bytes)),
            (None, _) => {}
        }
        self.packer.table(|fbb| fb::Operator::create(fbb, &args))
    }

    fn problem(&mut self, code: &'static str, graph: &Graph, index: usize, op: &Op, message: String) {
        let location = SourceLocation {
            graph: Some(graph.name().to_owned()),
            op: Some((index, op.mnemonic().to_owned())),
            ..SourceLocation::default()
        };
        self.problems.push(Diagnostic::error(code, message).at(location));
    }

    /// The index of an operator code.
    fn code(&mut self, op: &Op, version: i32) -> u32 {
        let name = match op {
            Op::Custom(custom) => custom.name.clone(),
            _ => String::new(),
        };
        let code = operators::code(op);
        let next = u32::try_from(self.codes.len()).unwrap_or(u32::MAX);
        let index = *self.code_index.entry((code.0, version, name.clone())).or_insert(next);
        if index == next {
            self.codes.push((code, version, name));
        }
        index
    }

    fn operator_codes(&mut self) -> Offsets<fb::OperatorCode<'f>> {
        let placeholder = i8::try_from(fb::BuiltinOperator::PLACEHOLDER_FOR_GREATER_OP_CODES.0).unwrap_or(i8::MAX);
        let mut tables = Vec::with_capacity(self.codes.len());
        for (builtin_code, version, name) in std::mem::take(&mut self.codes) {
            let args = fb::OperatorCodeArgs {
                // Old runtimes read only this byte.
                deprecated_builtin_code: i8::try_from(builtin_code.0).unwrap_or(placeholder),
                custom_code: (builtin_code == fb::BuiltinOperator::CUSTOM).then(|| self.packer.string(&name)),
                version,
                builtin_code,
            };
            tables.push(self.packer.table(|fbb| fb::OperatorCode::create(fbb, &args)));
        }
        tables
    }

    fn signatures(&mut self, tensors: &[Tensors]) -> Offsets<fb::SignatureDef<'f>> {
        let mut tables = Vec::new();
        for signature in &self.module.signatures {
            let Some((graph, tensors)) = self.module.get_graph(signature.graph).zip(tensors.get(signature.graph.index())) else { continue };
            let mut maps = |names: &[(String, usize)], values: &[ValueId]| {
                let mut maps = Vec::with_capacity(names.len());
                for (name, index) in names {
                    let Some(&value) = values.get(*index) else { continue };
                    let args = fb::TensorMapArgs {
                        name: Some(self.packer.string(name)),
                        tensor_index: u32::try_from(tensors.index(value)).unwrap_or(0),
                    };
                    maps.push(self.packer.table(|fbb| fb::TensorMap::create(fbb, &args)));
                }
                self.packer.tables(&maps)
            };
            let (inputs, outputs) = (maps(&signature.inputs, graph.inputs()), maps(&signature.outputs, graph.outputs()));
            let args = fb::SignatureDefArgs {
                inputs: Some(inputs),
                outputs: Some(outputs),
                signature_key: Some(self.packer.string(&signature.key)),
                subgraph_index: u32::try_from(signature.graph.index()).unwrap_or(0),
                ..Default::default()
            };
            tables.push(self.packer.table(|fbb| fb::SignatureDef::create(fbb, &args)));
        }
        tables
    }

    fn metadata(&mut self, buffers: &[u32]) -> Offsets<fb::Metadata<'f>> {
        let mut tables = Vec::with_capacity(buffers.len());
        for (entry, &buffer) in self.module.metadata.iter().zip(buffers) {
            let args = fb::MetadataArgs { name: Some(self.packer.string(&entry.name)), buffer };
            tables.push(self.packer.table(|fbb| fb::Metadata::create(fbb, &args)));
        }
        tables
    }
}

/// The `Operator` table that the reader packed; empty bytes are an empty one.
fn unpack(bytes: &[u8]) -> Option<fb::OperatorT> {
    if bytes.is_empty() {
        return Some(fb::OperatorT::default());
    }
    flatbuffers::root::<fb::Operator<'_>>(bytes).ok().map(|table| table.unpack())
}

/// Block-wise quantization of a tensor: indices of the tensors with scales and zero points (-1 for none).
#[derive(Clone, Copy, Debug)]
struct Block {
    scales: i32,
    zero_points: i32,
    size: i32,
}

/// Which values become which tensors of a graph: all of them, in the order of their ids, so that a module that nothing changed keeps
/// its numbers; then the scales of blocks that no constant of the graph holds.
struct Tensors {
    order: Vec<ValueId>,
    /// Tensor index by value id.
    index: Vec<i32>,
    /// Buffer by tensor index.
    buffers: Vec<u32>,
    /// Type and buffer of each further constant.
    extra: Vec<(Type, u32)>,
    /// The further constants of each buffer.
    extra_of: HashMap<u32, Vec<usize>>,
    /// Block-wise quantization by tensor index.
    blocks: HashMap<usize, Block>,
}

impl Tensors {
    fn plan(graph: &Graph, module: &Module, buffers: &mut Buffers) -> Self {
        let mut plan = Self {
            order: Vec::new(),
            index: vec![-1; graph.value_capacity()],
            buffers: Vec::new(),
            extra: Vec::new(),
            extra_of: HashMap::new(),
            blocks: HashMap::new(),
        };
        for (id, value) in graph.values() {
            if let Some(slot) = plan.index.get_mut(id.index()) {
                *slot = i32::try_from(plan.order.len()).unwrap_or(i32::MAX);
            }
            plan.order.push(id);
            plan.buffers.push(match value.def() {
                ValueDef::Constant(constant) => module.get_constant(constant).map_or(0, |c| buffers.constant(constant, c.bytes())),
                ValueDef::Input(_) | ValueDef::Result { .. } | ValueDef::Variable | ValueDef::Unbound => 0,
            });
        }
        let is_blockwise = |id: &ValueId| {
            let quant = graph.value(*id).ty().quant.as_deref();
            quant.is_some_and(|q| matches!(q.granularity(), Granularity::Blockwise { .. }))
        };
        let mut constants: HashMap<&Bytes, Vec<ValueId>> = HashMap::new();
        if plan.order.iter().any(is_blockwise) {
            for (id, value) in graph.values() {
                if let ValueDef::Constant(constant) = value.def()
                    && let Some(constant) = module.get_constant(constant)
                {
                    constants.entry(constant.bytes()).or_default().push(id);
                }
            }
        }
        for (index, id) in plan.order.clone().into_iter().enumerate() {
            if let Some(quant) = graph.value(id).ty().quant.as_deref()
                && let Granularity::Blockwise { block } = quant.granularity()
            {
                let block = plan.block(graph, graph.ty(id), quant, block, &constants, buffers);
                plan.blocks.insert(index, block);
            }
        }
        plan
    }

    fn len(&self) -> usize {
        self.order.len() + self.extra.len()
    }

    fn index(&self, value: ValueId) -> i32 {
        self.index.get(value.index()).copied().unwrap_or(-1)
    }

    fn indices(&self, values: &[ValueId]) -> Vec<i32> {
        values.iter().map(|v| self.index(*v)).collect()
    }

    fn block(
        &mut self,
        graph: &Graph,
        ty: &Type,
        quant: &Quantization,
        block: usize,
        constants: &HashMap<&Bytes, Vec<ValueId>>,
        buffers: &mut Buffers,
    ) -> Block {
        let mut dims = ty.shape.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last /= block.max(1);
        }
        let shape = Shape::new(dims);
        // Kernels take scales in half precision, which is what files have; other scales stay as they are.
        let halves: Vec<half::f16> = quant.scales().iter().map(|s| half::f16::from_f32(*s)).collect();
        let exact = halves.iter().zip(quant.scales()).all(|(h, s)| h.to_f32() == *s);
        let (elem, constant) = if exact {
            (ElementType::F16, Constant::new(halves.iter().flat_map(|h| h.to_le_bytes()).collect::<Vec<u8>>()))
        } else {
            (ElementType::F32, Constant::from_f32(quant.scales()))
        };
        let scales = self.find_or_add(graph, constants, buffers, Type::new(elem, shape.clone()), &constant);
        let zero_points = if quant.is_symmetric() {
            -1
        } else {
            let constant = Constant::new(quant.zero_points().iter().flat_map(|z| z.to_le_bytes()).collect::<Vec<u8>>());
            self.find_or_add(graph, constants, buffers, Type::new(ElementType::I64, shape), &constant)
        };
        Block { scales, zero_points, size: i32::try_from(block).unwrap_or(i32::MAX) }
    }

    /// A constant of the graph with this type and content, or a new tensor.
    fn find_or_add(
        &mut self,
        graph: &Graph,
        constants: &HashMap<&Bytes, Vec<ValueId>>,
        buffers: &mut Buffers,
        ty: Type,
        constant: &Constant,
    ) -> i32 {
        let same_type = |id: &&ValueId| graph.ty(**id).elem == ty.elem && graph.ty(**id).shape == ty.shape;
        if let Some(&known) = constants.get(constant.bytes()).and_then(|ids| ids.iter().find(same_type)) {
            return self.index(known);
        }
        let buffer = buffers.bytes(constant.bytes());
        let extra = &mut self.extra;
        let of_buffer = self.extra_of.entry(buffer).or_default();
        let known = of_buffer.iter().copied().find(|&added| extra.get(added).is_some_and(|(t, _)| *t == ty));
        let added = known.unwrap_or_else(|| {
            extra.push((ty, buffer));
            of_buffer.push(extra.len() - 1);
            extra.len() - 1
        });
        i32::try_from(self.order.len() + added).unwrap_or(i32::MAX)
    }
}

/// Where an operation has a bias that must not be listed when it is left out.
fn bias_operand(op: &Op) -> Option<usize> {
    let plain = matches!(op, Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::Conv3d(_));
    let transposed = matches!(op, Op::TransposeConv(_) | Op::Conv3dTranspose(_));
    if plain { Some(2) } else { transposed.then_some(3) }
}
