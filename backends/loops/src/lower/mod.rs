//! From operations to calls of kernels: every operation has its function here, or a refusal that says why not.

mod calls;
mod elementwise;
mod float;
mod fold;
mod layers;
mod legacy;
mod movement;
mod plain;
mod recurrent;
mod reduce;

use std::collections::BTreeMap;

use octet_ir::arith::Affine;
use octet_ir::ops::{Activation, BinaryKind, Custom, UnaryKind};
use octet_ir::{
    Constant, Diagnostic, Diagnostics, ElementType, EntityId, Graph, Module, Op, OpId, Operation, SourceLocation, Type, ValueDef, ValueId,
};

use crate::lang::{Elem, Library};
use crate::program::{Arg, Buffer, BufferKind, Call, CustomCall, Data, Overlap, Port, Program, Role, Step};

/// An operation that no kernel computes on these types.
pub(crate) const UNSUPPORTED: &str = "LOP001";
/// An operation whose shape or values are known only when the model runs.
pub(crate) const DYNAMIC: &str = "LOP002";
/// Something larger than a program can address.
pub(crate) const TOO_LARGE: &str = "LOP003";
/// A mistake in the kernels' own sources.
const INTERNAL: &str = "LOP009";

type Result<T> = std::result::Result<T, Diagnostic>;

/// Lowers the main graph of a verified module, with the sizes that it declares.
///
/// # Errors
/// Every operation that has no kernel, with the reason.
pub fn lower(module: &Module) -> std::result::Result<Program, Diagnostics> {
    lower_module(module, false)
}

/// As [`lower`], for a backend that calls kernels of plugins: custom operations become [`Program::customs`].
///
/// # Errors
/// As [`lower`].
pub fn lower_with_custom(module: &Module) -> std::result::Result<Program, Diagnostics> {
    lower_module(module, true)
}

fn lower_module(module: &Module, customs: bool) -> std::result::Result<Program, Diagnostics> {
    let library = Library::new().map_err(|why| Diagnostic::error(INTERNAL, why))?;
    let program = Program {
        library,
        buffers: Vec::new(),
        constants: Vec::new(),
        steps: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        customs: Vec::new(),
    };
    let mut cx = Cx {
        module,
        graph: module.main(),
        program,
        places: BTreeMap::new(),
        folded: BTreeMap::new(),
        pending: Vec::new(),
        step: Step::default(),
        calling: Vec::new(),
        customs,
        problems: Diagnostics::default(),
    };
    if let Err(problem) = cx.inputs() {
        cx.problems.push(problem);
    }
    cx.operations();
    if cx.problems.has_errors() {
        return Err(cx.problems);
    }
    cx.outputs().and_then(|()| cx.finish()).map_err(Diagnostics::from)
}

/// A call whose sizes still have no width: all calls of a kernel get the same.
struct Pending {
    kernel: &'static str,
    types: Vec<Elem>,
    args: Vec<Arg>,
    sizes: Option<Vec<i32>>,
    step: usize,
}

struct Cx<'m> {
    module: &'m Module,
    graph: &'m Graph,
    program: Program,
    places: BTreeMap<ValueId, Arg>,
    /// What was computed from constants.
    folded: BTreeMap<ValueId, Constant>,
    pending: Vec<Pending>,
    step: Step,
    /// Graphs that are being lowered inside one another, by number.
    calling: Vec<usize>,
    /// Whether kernels of plugins can be called.
    customs: bool,
    problems: Diagnostics,
}

impl<'m> Cx<'m> {
    /// Lowers all operations of the graph.
    fn operations(&mut self) {
        for (id, operation) in self.graph.ops() {
            self.begin(operation);
            match self.operation(id, operation) {
                Ok(()) => self.end(),
                Err(problem) => {
                    self.problems.push(problem.at(self.location(id, operation)));
                    // What reads the results is lowered all the same, to find everything that is in the way.
                    for &id in operation.results() {
                        if self.allocate(id).is_err() {
                            self.places.insert(id, Arg::Int(0));
                        }
                    }
                }
            }
        }
    }

    fn location(&self, id: OpId, operation: &Operation) -> SourceLocation {
        SourceLocation {
            graph: Some(self.graph.name().to_owned()),
            op: Some((id.index(), operation.op().mnemonic().to_uppercase())),
            tensor: operation.results().first().map(|&v| self.graph.value_name(v)),
            ..SourceLocation::default()
        }
    }

    fn begin(&mut self, operation: &Operation) {
        let name = operation.results().first().map(|&v| self.graph.value_name(v)).unwrap_or_default();
        self.step = Step { label: format!("{} {name}", operation.op().mnemonic().to_uppercase()), ..Step::default() };
    }

    fn end(&mut self) {
        // An operation that only gives its input another shape runs nothing.
        let index = self.program.steps.len();
        if !self.step.calls.is_empty() || self.pending.iter().any(|p| p.step == index) {
            self.program.steps.push(std::mem::take(&mut self.step));
        }
    }

    fn inputs(&mut self) -> Result<()> {
        for &id in self.graph.inputs() {
            let place = self.allocate(id)?;
            let port = self.port(id, place)?;
            self.program.inputs.push(port);
        }
        for (id, value) in self.graph.values() {
            if value.def() == ValueDef::Variable && !value.uses().is_empty() {
                let place = self.allocate(id)?;
                if let Arg::Buffer { buffer, .. } = place {
                    self.program.buffers[buffer].kind = BufferKind::State;
                }
            }
        }
        Ok(())
    }

    fn outputs(&mut self) -> Result<()> {
        let mut taken: Vec<Arg> = self.program.inputs.iter().map(|p| p.place).collect();
        for &id in self.graph.outputs() {
            let mut place = self.read(id)?;
            let state = matches!(place, Arg::Buffer { buffer, .. } if self.program.buffers[buffer].kind == BufferKind::State);
            if matches!(place, Arg::Constant { .. }) || taken.contains(&place) || state {
                // Every output has memory of its own.
                let copy = self.allocate(id)?;
                self.carry(id, place, copy)?;
                place = copy;
            }
            taken.push(place);
            let port = self.port(id, place)?;
            self.program.outputs.push(port);
        }
        Ok(())
    }

    /// A step that copies what lies at a place and has the type of this value.
    fn carry(&mut self, id: ValueId, from: Arg, to: Arg) -> Result<()> {
        self.step = Step { label: format!("COPY {}", self.graph.value_name(id)), ..Step::default() };
        let (elem, len) = (self.elem(id)?, self.count(self.graph.ty(id))?);
        self.call("copy_run", &[elem], vec![from, to, Arg::Int(len)], None)?;
        self.end();
        Ok(())
    }

    fn port(&self, id: ValueId, place: Arg) -> Result<Port> {
        let ty = self.graph.ty(id);
        let quantization = ty.scale_zero_point();
        Ok(Port { name: self.graph.value_name(id), place, elem: self.elem(id)?, shape: ty.shape.dims().to_vec(), quantization })
    }

    /// Gives calls the narrowest sizes that all calls of their kernel fit, and instantiates the kernels.
    fn finish(mut self) -> Result<Program> {
        let pending = std::mem::take(&mut self.pending);
        let narrow = |kernel: &str| {
            let mine = pending.iter().filter(|p| p.kernel == kernel);
            mine.filter_map(|p| p.sizes.as_ref()).flatten().all(|&s| i16::try_from(s).is_ok())
        };
        let widths: BTreeMap<&str, bool> = pending.iter().map(|p| (p.kernel, narrow(p.kernel))).collect();
        for mut call in pending {
            if let Some(sizes) = call.sizes {
                let narrow: Option<Vec<i16>> = sizes.iter().map(|&s| i16::try_from(s).ok()).collect();
                let data = match narrow {
                    Some(sizes) if widths.get(call.kernel) == Some(&true) => Data::I16(sizes),
                    _ => Data::I32(sizes),
                };
                call.types.push(data.elem());
                let constant = self.program.constant("sizes", Role::Parameters, data);
                call.args.push(Arg::Constant { constant, offset: 0 });
            }
            let kernel = self.program.library.instantiate(call.kernel, &call.types).map_err(|why| Diagnostic::error(INTERNAL, why))?;
            if let Some(step) = self.program.steps.get_mut(call.step) {
                step.calls.push(Call { kernel, args: call.args });
            }
        }
        Ok(self.program)
    }

    /// Appends a call. `sizes` become its last argument, a table whose width is the last type parameter.
    fn call(&mut self, kernel: &'static str, types: &[Elem], args: Vec<Arg>, sizes: Option<Vec<usize>>) -> Result<()> {
        let sizes = sizes.map(|s| s.into_iter().map(int).collect::<Result<Vec<i32>>>()).transpose()?;
        self.call_signed(kernel, types, args, sizes)
    }

    fn call_signed(&mut self, kernel: &'static str, types: &[Elem], args: Vec<Arg>, sizes: Option<Vec<i32>>) -> Result<()> {
        self.pending.push(Pending { kernel, types: types.to_vec(), args, sizes, step: self.program.steps.len() });
        Ok(())
    }

    /// Memory for a value.
    fn allocate(&mut self, id: ValueId) -> Result<Arg> {
        let ty = self.graph.ty(id);
        let (elem, len) = (self.elem(id)?, self.count(ty)?);
        let name = self.graph.value_name(id);
        self.program.buffers.push(Buffer { name, elem, len: usize::try_from(len).unwrap_or(0), kind: BufferKind::Arena });
        let place = Arg::Buffer { buffer: self.program.buffers.len() - 1, offset: 0 };
        self.places.insert(id, place);
        Ok(place)
    }

    /// Memory that this step alone uses.
    fn scratch(&mut self, elem: Elem, len: usize) -> Arg {
        self.program.buffers.push(Buffer { name: format!("scratch of {}", self.step.label), elem, len, kind: BufferKind::Arena });
        let buffer = self.program.buffers.len() - 1;
        self.step.scratch.push(buffer);
        Arg::Buffer { buffer, offset: 0 }
    }

    /// Where a value lies; constants become part of the program when they are first read.
    fn read(&mut self, id: ValueId) -> Result<Arg> {
        if let Some(&place) = self.places.get(&id) {
            return Ok(place);
        }
        let data = self.data(id)?;
        let name = self.graph.value_name(id);
        let constant = self.program.constant(&name, Role::Weights, data);
        let place = Arg::Constant { constant, offset: 0 };
        self.places.insert(id, place);
        Ok(place)
    }

    /// The values of a constant.
    fn data(&self, id: ValueId) -> Result<Data> {
        let constant = self.constant_of(id);
        let constant = constant.ok_or_else(|| Diagnostic::error(DYNAMIC, format!("{} is no constant", self.graph.value_name(id))))?;
        Ok(match self.elem(id)? {
            Elem::I8 => Data::I8(constant.to_i8()),
            Elem::U8 => Data::U8(constant.to_u8()),
            Elem::I16 => Data::I16(constant.to_i16()),
            Elem::U16 => Data::U16(constant.to_i16().into_iter().map(i16::cast_unsigned).collect()),
            Elem::I32 => Data::I32(constant.to_i32()),
            Elem::I64 => Data::I64(constant.to_i64()),
            Elem::F32 => Data::F32(constant.to_f32()),
        })
    }

    /// The integers of a constant operand.
    fn ints(&self, operation: &Operation, index: usize) -> Result<Vec<i64>> {
        let id = operand(operation, index)?;
        Ok(match self.data(id)? {
            Data::I8(v) => v.into_iter().map(i64::from).collect(),
            Data::U8(v) => v.into_iter().map(i64::from).collect(),
            Data::I16(v) => v.into_iter().map(i64::from).collect(),
            Data::U16(v) => v.into_iter().map(i64::from).collect(),
            Data::I32(v) => v.into_iter().map(i64::from).collect(),
            Data::I64(v) => v,
            Data::F32(_) => return Err(Diagnostic::error(UNSUPPORTED, "an index operand holds floats")),
        })
    }

    fn table(&mut self, name: &str, role: Role, data: Data) -> Arg {
        Arg::Constant { constant: self.program.constant(name, role, data), offset: 0 }
    }

    fn ty(&self, operation: &Operation, index: usize) -> Result<&'m Type> {
        Ok(self.graph.ty(operand(operation, index)?))
    }

    fn result_ty(&self, operation: &Operation) -> Result<&'m Type> {
        Ok(self.graph.ty(result(operation)?))
    }

    fn elem(&self, id: ValueId) -> Result<Elem> {
        element(self.graph.ty(id).elem).ok_or_else(|| {
            let value = self.graph.value_name(id);
            Diagnostic::error(UNSUPPORTED, format!("{value} holds {}, which generated code does not", self.graph.ty(id).elem))
        })
    }

    /// Elements of a type.
    fn count(&self, ty: &Type) -> Result<i32> {
        if !ty.shape.is_ranked() {
            return Err(Diagnostic::error(DYNAMIC, "a shape is known only when the model runs"));
        }
        let count = ty.shape.checked_elements().and_then(|n| i32::try_from(n).ok());
        let count = count.filter(|&n| usize::try_from(n).is_ok_and(|n| ty.elem.byte_len(n).is_some_and(|b| i32::try_from(b).is_ok())));
        count.ok_or_else(|| Diagnostic::error(TOO_LARGE, format!("a tensor of shape {} is too large", ty.shape)))
    }

    /// The operation over one dying input may write where that input lies, `below` bytes below it or more.
    fn may_overlap(&mut self, input: Arg, output: Arg, below: usize) {
        self.may_overlap_either(input, output, below, None);
    }

    /// As [`may_overlap`](Self::may_overlap), or `above` bytes above it for kernels that can run backward.
    fn may_overlap_either(&mut self, input: Arg, output: Arg, below: usize, above: Option<usize>) {
        if let (Arg::Buffer { buffer: input, .. }, Arg::Buffer { buffer: output, offset: 0 }) = (input, output)
            && self.program.buffers[input].kind == BufferKind::Arena
        {
            self.step.overlaps.push(Overlap { input, output, below, above });
        }
    }

    fn operation(&mut self, id: OpId, operation: &Operation) -> Result<()> {
        for &id in operation.results() {
            self.count(self.graph.ty(id))?;
        }
        let empty = operation.results().iter().all(|&id| self.graph.ty(id).shape.elements() == 0);
        if empty && !operation.op().has_side_effects() {
            return operation.results().iter().try_for_each(|&id| self.allocate(id).map(drop));
        }
        if self.fold(operation)? {
            return Ok(());
        }
        let quantized = |index: usize| {
            let ty = operation.operand(index).map(|v| self.graph.ty(v));
            ty.is_some_and(|t| t.is_quantized() && matches!(t.elem, ElementType::I8 | ElementType::I16 | ElementType::U8))
        };
        let stored = |index: usize| {
            let ty = operation.operand(index).map(|v| self.graph.ty(v));
            ty.is_some_and(|t| matches!(t.elem, ElementType::I8 | ElementType::I16 | ElementType::U8))
        };
        let unsigned = |index: usize| operation.operand(index).is_some_and(|v| self.graph.ty(v).elem == ElementType::U8);
        let whole = |index: usize| {
            let ty = operation.operand(index).map(|v| self.graph.ty(v));
            ty.is_some_and(|t| !t.is_quantized() && (t.elem.is_integer() || t.elem == ElementType::Bool))
        };
        match operation.op() {
            Op::Conv2d(op) if unsigned(1) => self.conv_2d_u8(op, operation),
            Op::DepthwiseConv2d(op) if unsigned(1) => self.depthwise_u8(op, operation),
            Op::FullyConnected(op) if unsigned(1) => self.fully_connected_u8(op, operation),
            Op::Conv2d(op) if stored(0) => self.conv_2d(op, operation),
            Op::Conv2d(op) => self.conv_2d_f32(op, operation),
            Op::DepthwiseConv2d(op) if stored(0) => self.depthwise_conv_2d(op, operation),
            Op::DepthwiseConv2d(op) => self.depthwise_f32(op, operation),
            Op::TransposeConv(op) if stored(2) => self.transpose_conv(op, operation),
            Op::TransposeConv(op) => self.transpose_conv_f32(op, operation),
            Op::FullyConnected(op) if stored(0) => self.fully_connected(op, operation),
            Op::FullyConnected(op) => self.dense_f32(op, operation),
            Op::BatchMatmul(op) if stored(0) => self.batch_matmul(op, operation),
            Op::BatchMatmul(op) => self.batch_matmul_f32(op, operation),
            Op::Unary(op) if quantized(0) && op.kind != UnaryKind::ZerosLike => self.unary(operation),
            Op::Unary(op) if op.kind == UnaryKind::ZerosLike => self.fill(operation, None),
            Op::Unary(op) if whole(0) && op.kind != UnaryKind::LogicalNot => self.unary_plain(op, operation),
            Op::Unary(op) => self.unary_f32(op, operation),
            Op::Gelu(_) if quantized(0) => self.unary(operation),
            Op::Gelu(op) => self.gelu_f32(op, operation),
            Op::LeakyRelu(_) if quantized(0) => self.unary(operation),
            Op::LeakyRelu(op) => self.leaky_relu_f32(op, operation),
            Op::Binary(op) if quantized(0) => self.binary(op, operation),
            Op::Binary(op) if matches!(op.kind, BinaryKind::LogicalAnd | BinaryKind::LogicalOr) => self.logical(op, operation),
            Op::Binary(op) if whole(0) || op.kind == BinaryKind::BitwiseXor => self.arithmetic(op, operation),
            Op::Binary(op) => self.binary_f32(op, operation),
            Op::Prelu(_) if quantized(0) => self.prelu(operation),
            Op::Prelu(_) => self.prelu_f32(operation),
            Op::Compare(op) if quantized(0) => self.compare(op, operation),
            Op::Compare(op) => self.compare_plain(op, operation),
            Op::Select(_) => self.select(operation),
            Op::Pool2d(op) if quantized(0) => self.pool(op, operation),
            Op::Pool2d(op) => self.pool_f32(op, operation),
            Op::Reduce(op) if quantized(0) => self.reduce(op, operation),
            Op::Reduce(op) if whole(0) => self.reduce_plain(op, operation),
            Op::Reduce(op) => self.reduce_f32(op, operation),
            Op::Arg(op) => self.arg(op, operation),
            Op::Softmax(op) if quantized(0) => self.softmax(op, operation),
            Op::Softmax(op) => self.softmax_f32(op.beta, 0, operation),
            Op::LogSoftmax(_) if quantized(0) => self.log_softmax(operation),
            Op::LogSoftmax(_) => self.softmax_f32(1.0, 1, operation),
            Op::L2Normalization(_) => self.l2_normalization(operation),
            Op::ResizeBilinear(op) => self.resize_bilinear(op, operation),
            Op::Cast(_) => self.cast(operation),
            Op::Cumsum(op) => self.cumsum(op, operation),
            Op::DynamicUpdateSlice(_) => self.dynamic_update_slice(operation),
            Op::Fill(_) => self.fill(operation, Some(1)),
            Op::EmbeddingLookup(_) => self.embedding_lookup(operation),
            Op::Svdf(op) => self.svdf(op, operation),
            Op::UnidirectionalSequenceLstm(op) => self.lstm(op, operation),
            Op::Quantize(_) => self.quantize(operation),
            Op::Dequantize(_) => self.dequantize(operation),
            Op::Reshape(_) | Op::Squeeze(_) | Op::ExpandDims(_) => self.alias(operation),
            Op::Gather(op) if !self.known(operation, 1) => self.gather(op, operation),
            Op::If(op) => self.branch(op, operation),
            Op::While(op) => self.repeat(op, operation),
            Op::Transpose(_)
            | Op::Slice(_)
            | Op::StridedSlice(_)
            | Op::Split(_)
            | Op::SplitV(_)
            | Op::ReverseV2(_)
            | Op::Tile(_)
            | Op::BroadcastTo(_)
            | Op::Concatenation(_)
            | Op::Pack(_)
            | Op::Unpack(_)
            | Op::Pad(_)
            | Op::PadV2(_)
            | Op::MirrorPad(_)
            | Op::Gather(_)
            | Op::GatherNd(_)
            | Op::SpaceToDepth(_)
            | Op::DepthToSpace(_)
            | Op::SpaceToBatchNd(_)
            | Op::BatchToSpaceNd(_)
            | Op::ResizeNearestNeighbor(_)
            | Op::MatrixDiag(_) => self.movement(operation),
            Op::Conv3d(_)
            | Op::Conv3dTranspose(_)
            | Op::Bitcast(_)
            | Op::TopkV2(_)
            | Op::Unique(_)
            | Op::SegmentSum(_)
            | Op::UnsortedSegment(_)
            | Op::LocalResponseNormalization(_)
            | Op::ShapeOf(_)
            | Op::Rank(_)
            | Op::BroadcastArgs(_)
            | Op::MatrixSetDiag(_)
            | Op::ReverseSequence(_)
            | Op::ScatterNd(_)
            | Op::RangeOp(_)
            | Op::OneHot(_)
            | Op::Where(_)
            | Op::SparseToDense(_)
            | Op::FakeQuant(_)
            | Op::Densify(_)
            | Op::BidirectionalSequenceLstm(_)
            | Op::Lstm(_)
            | Op::Rnn(_)
            | Op::UnidirectionalSequenceRnn(_)
            | Op::BidirectionalSequenceRnn(_)
            | Op::CallOnce(_)
            | Op::VarHandle(_)
            | Op::ReadVariable(_)
            | Op::AssignVariable(_)
            | Op::Opaque(_) => Err(Diagnostic::error(UNSUPPORTED, "generated code has no kernel for this operation")),
            Op::Custom(custom) if self.customs => self.custom(custom, id, operation),
            Op::Custom(custom) => {
                Err(Diagnostic::error(UNSUPPORTED, format!("'{}' is a custom operation, and C calls no kernels of plugins", custom.name))
                    .with_help("--target wasm carries the plugin's WebAssembly kernel into the module"))
            }
        }
    }

    /// A call of a plugin's kernel.
    fn custom(&mut self, custom: &Custom, id: OpId, operation: &Operation) -> Result<()> {
        let types = |id: ValueId| {
            let ty = self.graph.ty(id);
            Type { shape: ty.shape.to_static(), ..ty.clone() }
        };
        let operands: Vec<Option<Type>> = operation.operands().iter().map(|o| o.map(types)).collect();
        let results = operation.results().iter().map(|&id| types(id)).collect();
        let mut args = Vec::new();
        for &operand in operation.operands().iter().flatten() {
            args.push(self.read(operand)?);
        }
        for &result in operation.results() {
            args.push(self.allocate(result)?);
        }
        let kernel = format!("custom.{}", self.program.customs.len());
        self.step.calls.push(Call { kernel: kernel.clone(), args });
        self.program.customs.push(CustomCall {
            kernel,
            name: custom.name.clone(),
            options: custom.options.0.to_vec(),
            operands,
            results,
            location: self.location(id, operation),
        });
        Ok(())
    }

    /// The result is the input under another shape.
    fn alias(&mut self, operation: &Operation) -> Result<()> {
        let place = self.read(operand(operation, 0)?)?;
        self.places.insert(result(operation)?, place);
        Ok(())
    }
}

/// What generated code stores an element type as.
fn element(elem: ElementType) -> Option<Elem> {
    Some(match elem {
        ElementType::I8 => Elem::I8,
        ElementType::U8 | ElementType::Bool => Elem::U8,
        ElementType::I16 => Elem::I16,
        ElementType::U16 => Elem::U16,
        ElementType::I32 => Elem::I32,
        ElementType::I64 => Elem::I64,
        ElementType::F32 => Elem::F32,
        _ => return None,
    })
}

fn operand(operation: &Operation, index: usize) -> Result<ValueId> {
    operation.operand(index).ok_or_else(|| Diagnostic::error(UNSUPPORTED, format!("operand {index} is missing")))
}

fn result(operation: &Operation) -> Result<ValueId> {
    operation.results().first().copied().ok_or_else(|| Diagnostic::error(UNSUPPORTED, "there is no result"))
}

fn unsupported<T>(why: impl Into<String>) -> Result<T> {
    Err(Diagnostic::error(UNSUPPORTED, why))
}

fn int(x: usize) -> Result<i32> {
    i32::try_from(x).map_err(|_| Diagnostic::error(TOO_LARGE, format!("{x} is too large a size")))
}

/// Scale and zero point of a per-tensor type.
fn affine(ty: &Type) -> Result<Affine> {
    let pair = ty.scale_zero_point().and_then(|(scale, zero)| Some(Affine { scale, zero_point: i32::try_from(zero).ok()? }));
    match pair {
        Some(affine) if affine.scale.is_finite() && affine.scale > 0.0 => Ok(affine),
        _ => unsupported(format!("{ty} has no scale for all of it")),
    }
}

/// Smallest and largest stored value.
fn range(elem: Elem) -> (i32, i32) {
    match elem {
        Elem::I8 => (-128, 127),
        Elem::U8 => (0, 255),
        Elem::I16 => (-32768, 32767),
        Elem::U16 => (0, 65535),
        Elem::I32 | Elem::I64 | Elem::F32 => (i32::MIN, i32::MAX),
    }
}

/// Bounds of a fused activation in stored values.
fn clamp(activation: Activation, output: Affine, elem: Elem) -> Result<(i32, i32)> {
    let Some((low, high)) = activation.bounds() else { return unsupported("the fused activation is no clamp") };
    let (min, max) = range(elem);
    Ok(octet_ir::arith::activation_range(Some(low).filter(|x| x.is_finite()), Some(high).filter(|x| x.is_finite()), output, min, max))
}

/// `N` sizes of a shape.
fn dims<const N: usize>(ty: &Type) -> Result<[usize; N]> {
    ty.shape.dims().try_into().or_else(|_| unsupported(format!("{ty} needs {N} axes")))
}
