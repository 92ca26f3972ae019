//! The arena that unmodified TFLite Micro takes for a file, by its own rules: a walk through what its allocator does from the first byte to the last, with the
//! sizes of its structures on a machine.
//!
//! Persistent memory grows down from the end, temporary memory up from the beginning, and for every phase both have to fit: kernels that look at
//! tensors as they prepare, the planner's notes, and in the end the plan itself. `arena_used_bytes()` tells of the last phase alone: small models need
//! more than that in order to start. Rules and sizes are those of TFLite Micro's `micro_allocator.cc`, `single_arena_buffer_allocator.cc`,
//! `greedy_memory_planner.cc` and reference kernels. What optimized kernels keep besides is theirs to say.

use octet_ir::ops::ReduceKind;
use octet_ir::{ElementType, EntityId, Graph, Module, Op, OpId, Operation, Use, ValueDef, ValueId};
use octet_loops::plan::TensorPlan;

/// Sizes on Arm (short enumerations), other machines of 32 bits, machines of 64 bits, in the Python package. Where the releases differ, the later one's.
type Sizes = [usize; 4];

/// A kind of machine, as TFLite Micro's structures know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// Pointers of 32 bits and enumerations as short as they can be: the ABI of arm-none-eabi.
    Arm32,
    /// Pointers of 32 bits and enumerations of 32: RISC-V, Xtensa, AVR32.
    Other32,
    /// Pointers of 64 bits.
    Host64,
    /// The same in the Python package, which is built with compression and with an allocator that takes notes.
    Package,
}

impl Machine {
    fn of(self, sizes: Sizes) -> usize {
        match self {
            Self::Arm32 => sizes[0],
            Self::Other32 => sizes[1],
            Self::Host64 => sizes[2],
            Self::Package => sizes[3],
        }
    }

    fn pointer(self) -> usize {
        self.of([4, 4, 8, 8])
    }
}

/// Of which time TFLite Micro's sources are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// August 2026: the sources that rules and sizes were read from.
    August,
    /// What the Python package of October 2026 was built from: parameters and what kernels keep are the sizes that its machine code asks for.
    October,
}

/// What begins at a multiple of it: tensors, and whatever kernels ask for.
const ALIGNMENT: usize = 16;
/// Scratch buffers that one operation may ask for.
const REQUESTS: usize = 12;
/// Bytes that the planner takes for each buffer while it plans.
const PLANNED: usize = 40;

/// The allocator's structures.
const SINGLE_ARENA: Sizes = [36, 36, 72, 104];
const PLANNER: Sizes = [44, 44, 72, 72];
const ALLOCATOR: Sizes = [36, 36, 72, 272];
const SUBGRAPH: Sizes = [8, 8, 16, 24];
const EVAL_TENSOR: Sizes = [12, 12, 24, 24];
const TENSOR: Sizes = [32, 40, 64, 64];
const AFFINE: Sizes = [12, 12, 24, 24];
const NODE: Sizes = [32, 32, 64, 64];
const REQUEST: Sizes = [12, 12, 16, 16];
const ALLOCATION: Sizes = [24, 24, 32, 32];

/// An operation's parameters, and what its kernel keeps.
struct Row {
    mnemonics: &'static [&'static str],
    parameters: Sizes,
    kept: Sizes,
}

const fn row(mnemonics: &'static [&'static str], parameters: Sizes, kept: Sizes) -> Row {
    Row { mnemonics, parameters, kept }
}

const fn all(size: usize) -> Sizes {
    [size, size, size, size]
}

/// The operations whose memory is known. `BATCH_MATMUL`, `ADD_N` and custom operations are not: they ask for what depends on more than their types.
const ROWS: [Row; 46] = [
    row(&["conv_2d", "depthwise_conv_2d"], all(28), [56, 56, 72, 80]),
    row(&["transpose_conv"], [16, 20, 20, 20], [72, 72, 80, 88]),
    row(&["fully_connected"], [16, 24, 32, 32], [48, 48, 64, 72]),
    row(&["average_pool_2d", "max_pool_2d"], all(40), all(32)),
    row(&["l2_pool_2d"], all(40), all(0)),
    row(&["softmax"], all(4), [56, 56, 80, 80]),
    row(&["log_softmax"], all(0), [28, 28, 40, 40]),
    row(&["add"], [2, 8, 8, 8], all(60)),
    row(&["sub"], [2, 8, 8, 8], all(52)),
    row(&["mul"], [1, 4, 4, 4], all(36)),
    row(&["div"], [1, 4, 4, 4], all(28)),
    row(&["squared_difference"], all(0), all(112)),
    row(&["maximum", "minimum"], all(0), all(0)),
    row(&["floor_div", "floor_mod"], all(0), all(0)),
    row(&["equal", "not_equal", "greater", "greater_equal", "less", "less_equal"], all(0), all(32)),
    row(&["logical_and", "logical_or", "logical_not"], all(0), all(0)),
    row(&["select_v2"], all(0), all(1)),
    row(&["relu"], all(0), all(28)),
    row(&["relu6"], all(0), all(8)),
    row(&["leaky_relu"], all(4), all(24)),
    row(&["prelu"], all(0), all(28)),
    row(&["elu"], all(0), all(256)),
    row(&["hard_swish"], all(0), all(20)),
    row(&["logistic", "tanh"], all(0), all(16)),
    row(&["abs", "rsqrt"], all(0), [20, 28, 28, 28]),
    row(&["ceil", "cos", "exp", "floor", "log", "neg", "round", "sin", "sqrt", "square"], all(0), all(0)),
    row(&["cast"], [2, 8, 8, 8], all(0)),
    row(&["quantize", "dequantize"], all(0), all(32)),
    row(&["sum", "mean", "reduce_max", "reduce_min", "reduce_all"], all(1), all(44)),
    row(&["arg_max", "arg_min"], [1, 4, 4, 4], all(0)),
    row(&["cumsum"], all(2), all(36)),
    row(&["l2_normalization"], [1, 4, 4, 4], all(4)),
    row(&["reshape"], all(36), all(0)),
    row(&["squeeze"], all(36), all(0)),
    row(&["expand_dims", "transpose", "slice", "reverse_v2", "fill", "zeros_like", "broadcast_to", "broadcast_args"], all(0), all(0)),
    row(&["strided_slice"], all(24), all(84)),
    row(&["pad", "pad_v2"], all(0), all(56)),
    row(&["mirror_pad"], [1, 4, 4, 4], all(20)),
    row(&["concatenation"], all(8), [24, 24, 40, 80]),
    row(&["shape"], [1, 4, 4, 4], all(0)),
    row(&["pack", "unpack"], all(8), all(0)),
    row(&["split", "split_v"], all(4), all(0)),
    row(&["resize_bilinear", "resize_nearest_neighbor"], all(2), all(0)),
    row(&["space_to_batch_nd"], all(0), all(4)),
    row(&["svdf"], [8, 12, 12, 12], all(36)),
    row(&["unidirectional_sequence_lstm"], all(16), all(688)),
];

/// FULLY_CONNECTED's parameters before they had a list of numbers (a pointer and a length) at their end.
const FORMER_FULLY_CONNECTED: Sizes = [5, 16, 16, 16];

/// Tables of exponentials that SOFTMAX of 16 bits makes for itself, bytes each.
const SOFTMAX_TABLE: usize = 513 * 2;

/// Memory from both ends: what it takes is the largest sum that a phase needs.
struct Walk {
    machine: Machine,
    /// Bytes from the end that are taken.
    tail: usize,
    /// Bytes from the beginning that are taken in this phase, without and with temporary ones.
    head: usize,
    temporary: usize,
    /// Bytes of the arena: the end's distance from a multiple of the alignment decides what is lost to it.
    size: usize,
    fits: bool,
}

impl Walk {
    /// Persistent memory, aligned downward.
    fn keep(&mut self, bytes: usize, alignment: usize) {
        let below = self.size.checked_sub(self.tail + bytes).map(|at| at / alignment * alignment);
        match below.filter(|&at| at >= self.head) {
            Some(at) => self.tail = self.size - at,
            None => self.fits = false,
        }
    }

    /// Temporary memory, until the phase ends.
    fn borrow(&mut self, bytes: usize, alignment: usize) {
        self.temporary = self.temporary.next_multiple_of(alignment) + bytes;
        self.fits &= self.temporary + self.tail <= self.size;
    }

    /// The phase ends; so much lies at the beginning in the next one.
    fn resize(&mut self, bytes: usize) {
        self.head = bytes;
        self.temporary = bytes;
        self.fits &= bytes + self.tail <= self.size;
    }

    fn structure(&mut self, sizes: Sizes, count: usize) {
        let pointer = self.machine.pointer();
        self.keep(self.machine.of(sizes) * count, pointer);
    }

    /// A tensor with its quantization as kernels see it while they prepare.
    fn look(&mut self, graph: &Graph, id: ValueId) {
        let pointer = self.machine.pointer();
        self.borrow(self.machine.of(TENSOR), pointer);
        if let Some(zero_points) = zero_points(graph, id) {
            self.borrow(self.machine.of(AFFINE), pointer);
            self.borrow(zero_points, 4);
        }
    }
}

/// Bytes of the list of a tensor's zero points, if it has a scale.
fn zero_points(graph: &Graph, id: ValueId) -> Option<usize> {
    graph.ty(id).quant.as_ref().filter(|q| !q.scales().is_empty()).map(|q| 4 + 4 * q.scales().len())
}

/// What an operation keeps and asks for.
struct Needs {
    parameters: (usize, usize),
    kept: usize,
    /// Persistent pieces of its preparation.
    prepared: Vec<usize>,
    /// Scratch memory while it runs.
    scratch: Vec<usize>,
    /// Tensors that its preparation looks at.
    looks: Vec<ValueId>,
}

fn elements(graph: &Graph, id: Option<ValueId>) -> usize {
    id.map_or(0, |id| graph.ty(id).shape.elements())
}

fn needs(graph: &Graph, operation: &Operation, machine: Machine, release: Release) -> Option<Needs> {
    let op = operation.op();
    let row = ROWS.iter().find(|r| r.mnemonics.contains(&op.mnemonic()))?;
    let listed = matches!(op, Op::FullyConnected(_)) && release == Release::October;
    let parameters = if matches!(op, Op::FullyConnected(_)) && !listed { FORMER_FULLY_CONNECTED } else { row.parameters };
    let size = machine.of(parameters);
    let alignment = match size {
        _ if listed => machine.pointer(),
        size if size.is_multiple_of(4) => 4,
        _ => 1,
    };
    let (operands, results) = (operation.operands().iter().flatten().copied(), operation.results().iter().copied());
    let elem = |index: usize| operation.operand(index).map(|id| graph.ty(id).elem);
    let rank = |id: Option<ValueId>| id.map_or(0, |id| graph.ty(id).shape.rank());
    let result = results.clone().next();
    let mut needs = Needs {
        parameters: (size, alignment),
        kept: machine.of(row.kept),
        prepared: Vec::new(),
        scratch: Vec::new(),
        looks: operands.clone().chain(results.clone()).collect(),
    };
    let weights = operation.operand(1).map(|id| graph.ty(id));
    let channels = |axis: usize| weights.and_then(|t| t.shape.dims().get(axis).copied()).unwrap_or(0);
    let narrow = weights.is_some_and(|t| t.elem == ElementType::I4);
    match op {
        Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::TransposeConv(_) => {
            let axis = if matches!(op, Op::DepthwiseConv2d(_)) { 3 } else { 0 };
            needs.prepared = vec![4 * channels(axis); 2];
            // Shapes first, then scales; the bias once.
            needs.looks = operands.clone().take(2).chain(results.clone()).chain(operands).chain(results).collect();
            if let Op::TransposeConv(_) = op {
                let wide = match elem(2) {
                    Some(ElementType::I8) => 4,
                    Some(ElementType::I16) => 8,
                    _ => 0,
                };
                needs.scratch = vec![wide * elements(graph, result)];
                needs.scratch.retain(|&bytes| bytes > 0);
                if wide == 8 && elem(3) == Some(ElementType::I16) {
                    needs.scratch.push(8 * elements(graph, operation.operand(3)));
                }
            } else if narrow {
                needs.scratch = vec![elements(graph, operation.operand(1))];
            }
        }
        Op::FullyConnected(_) => {
            let scales = weights.and_then(|t| t.quant.as_ref()).map_or(0, |q| q.scales().len());
            if scales > 1 && elem(0) != Some(ElementType::F32) {
                needs.prepared = vec![4 * scales; 2];
            }
            if narrow {
                needs.scratch = vec![elements(graph, operation.operand(1))];
            }
        }
        Op::Softmax(_) if elem(0) == Some(ElementType::I16) => needs.prepared = vec![SOFTMAX_TABLE; 2],
        Op::Reduce(reduce) => {
            let axes = elements(graph, operation.operand(1));
            if matches!(reduce.kind, ReduceKind::Mean | ReduceKind::Sum) && elem(0) != Some(ElementType::F32) {
                needs.scratch.push(4 * elements(graph, result));
            }
            needs.scratch.extend([4 * rank(operation.operand(0)), 4 * axes]);
        }
        Op::MirrorPad(_) => needs.scratch = vec![4 * rank(operation.operand(0)); 2],
        Op::Svdf(_) => {
            let rows = |id: Option<ValueId>, axis: usize| id.and_then(|id| graph.ty(id).shape.dims().get(axis).copied()).unwrap_or(0);
            let batch = rows(operation.operand(0), 0);
            needs.scratch = vec![4 * batch * rows(operation.operand(1), 0)];
            if elem(0) != Some(ElementType::F32) {
                needs.scratch.push(4 * elements(graph, result));
            }
        }
        Op::UnidirectionalSequenceLstm(_) => {
            // Four gates as wide as the state.
            let wide = elem(19).and_then(|e| e.byte_len(elements(graph, operation.operand(18)))).unwrap_or(0);
            needs.scratch = vec![wide; 4];
        }
        // Their shapes are copied, to be written.
        Op::DepthToSpace(_) | Op::SpaceToDepth(_) | Op::Gather(_) | Op::GatherNd(_) => needs.prepared = vec![4 + 4 * rank(result)],
        Op::Pool2d(_) if op.mnemonic() == "l2_pool_2d" => needs.prepared = vec![4 + 4 * rank(result)],
        _ => {}
    }
    Some(needs)
}

/// Buffers as TFLite Micro's planner sees them: size, first and last step, place if the file says it.
struct Planned {
    size: usize,
    life: (usize, usize),
    offset: Option<usize>,
}

/// The head that TFLite Micro's planner needs: what the file places stays there; the rest comes into the first gap, the largest first.
fn head(mut buffers: Vec<Planned>) -> usize {
    let free: Vec<usize> = {
        let mut free: Vec<usize> = (0..buffers.len()).filter(|&i| buffers[i].offset.is_none()).collect();
        // Of equal sizes the last one comes first.
        free.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].size), std::cmp::Reverse(i)));
        free
    };
    for index in free {
        let (size, life) = (buffers[index].size, buffers[index].life);
        let together = buffers.iter().filter(|b| b.life.0 <= life.1 && life.0 <= b.life.1);
        let mut placed: Vec<(usize, usize)> = together.filter_map(|b| Some((b.offset?, b.size))).collect();
        placed.sort_unstable();
        let mut at = 0;
        for (offset, taken) in placed {
            if offset.saturating_sub(at) >= size && offset >= at {
                break;
            }
            at = at.max(offset + taken);
        }
        buffers[index].offset = Some(at);
    }
    buffers.iter().map(|b| b.offset.unwrap_or(0) + b.size).max().unwrap_or(0)
}

/// The least bytes, aligned to 16, in which TFLite Micro with its reference kernels starts and runs a planned module of one graph; `None` where an operation's
/// memory is not known here.
pub(crate) fn least(module: &Module, plan: &TensorPlan, machine: Machine, release: Release) -> Option<usize> {
    let graph = module.main();
    let needs: Vec<Needs> = graph.ops().map(|(_, operation)| needs(graph, operation, machine, release)).collect::<Option<_>>()?;
    let (mut low, mut high) = (0, 1usize << 31);
    while low < high {
        let middle = usize::midpoint(low, high);
        if starts(graph, plan, &needs, machine, middle)? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

/// Whether an arena of this size suffices.
fn starts(graph: &Graph, plan: &TensorPlan, needs: &[Needs], machine: Machine, size: usize) -> Option<bool> {
    let pointer = machine.pointer();
    let mut walk = Walk { machine, tail: 0, head: 0, temporary: 0, size, fits: true };
    for sizes in [SINGLE_ARENA, PLANNER, ALLOCATOR] {
        walk.structure(sizes, 1);
    }
    walk.keep(2 * pointer, pointer);
    walk.resize(machine.of(REQUEST) * REQUESTS);
    walk.structure(SUBGRAPH, 1);
    walk.structure(EVAL_TENSOR, graph.value_capacity());
    walk.structure(NODE, needs.len());
    for need in needs.iter().filter(|n| n.parameters.0 > 0) {
        walk.keep(need.parameters.0, need.parameters.1);
    }
    for need in needs.iter().filter(|n| n.kept > 0) {
        walk.keep(need.kept, ALIGNMENT);
    }
    let mut requests = 0;
    for need in needs {
        for &id in &need.looks {
            walk.look(graph, id);
        }
        for &bytes in &need.prepared {
            walk.keep(bytes, ALIGNMENT);
        }
        requests += need.scratch.len();
        walk.resize(machine.of(REQUEST) * (requests + REQUESTS));
    }
    if requests > 0 {
        walk.keep(pointer * requests, pointer);
    }
    // The planner's notes: its tensors, then a line for each that needs memory.
    walk.borrow(pointer, pointer);
    walk.borrow(machine.of(ALLOCATION) * (graph.value_capacity() + requests), pointer);
    let mut planned = Vec::new();
    let positions = graph.op_positions();
    let at = |op: OpId| positions.get(op.index()).map_or(0, |at| at + 1);
    for (id, value) in graph.values() {
        let bytes = value.ty().byte_len()?;
        if value.def() == ValueDef::Variable {
            walk.keep(bytes, ALIGNMENT);
        } else if !matches!(value.def(), ValueDef::Constant(_)) && bytes > 0 {
            let born = if let ValueDef::Result { op, .. } = value.def() { at(op) } else { 0 };
            let dies = value.uses().iter().map(|user| match user {
                Use::Operand { op, .. } => at(*op),
                Use::Output(_) => needs.len(),
            });
            let offset = plan.offsets.get(id.index()).copied().flatten();
            let life = (born, dies.max().unwrap_or(born).max(born));
            planned.push(Planned { size: bytes.next_multiple_of(ALIGNMENT), life, offset });
        }
    }
    for (step, need) in needs.iter().enumerate() {
        let life = (step + 1, step + 1);
        planned.extend(need.scratch.iter().map(|&bytes| Planned { size: bytes.next_multiple_of(ALIGNMENT), life, offset: None }));
    }
    let room = (size.saturating_sub(walk.tail) / ALIGNMENT * ALIGNMENT).saturating_sub(walk.temporary.next_multiple_of(ALIGNMENT));
    walk.fits &= room / PLANNED >= planned.len();
    walk.resize(head(planned));
    for ports in [graph.inputs(), graph.outputs()] {
        walk.keep(pointer * ports.len(), ALIGNMENT);
        for &id in ports {
            walk.structure(TENSOR, 1);
            if let Some(zero_points) = zero_points(graph, id) {
                walk.structure(AFFINE, 1);
                walk.keep(zero_points, 4);
            }
        }
    }
    Some(walk.fits)
}
