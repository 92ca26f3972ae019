//! A lowered model: calls in order, the memory that they touch, the constants that they read.

use octet_ir::{SourceLocation, Type};

use crate::lang::{Elem, Library};

/// A model as calls of kernels.
pub struct Program {
    /// The kernels, instantiated for the element types that occur.
    pub library: Library,
    /// Memory.
    pub buffers: Vec<Buffer>,
    /// Read-only data.
    pub constants: Vec<ConstantData>,
    /// What runs, in order, an entry per operation of the graph.
    pub steps: Vec<Step>,
    /// Inputs of the model, in its order.
    pub inputs: Vec<Port>,
    /// Outputs of the model, in its order.
    pub outputs: Vec<Port>,
    /// Custom operations that kernels of plugins compute.
    pub customs: Vec<CustomCall>,
}

/// A custom operation. The call in its step gives its operands, those that are left out excepted, and then its results.
#[derive(Clone, Debug)]
pub struct CustomCall {
    /// The kernel of its call, which is not in the library.
    pub kernel: String,
    /// The operation's name.
    pub name: String,
    /// Its options, as the model has them.
    pub options: Vec<u8>,
    /// Types of its operands, `None` where one is left out.
    pub operands: Vec<Option<Type>>,
    /// Types of its results.
    pub results: Vec<Type>,
    /// Where it stands in the model.
    pub location: SourceLocation,
}

/// How long a buffer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferKind {
    /// From its first write to its last read.
    Arena,
    /// As long as the model: kept between runs, zero at first.
    State,
}

/// A piece of memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The tensor's name.
    pub name: String,
    /// What it holds.
    pub elem: Elem,
    /// Elements.
    pub len: usize,
    /// How long it lives.
    pub kind: BufferKind,
}

impl Buffer {
    /// Bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len * self.elem.bytes()
    }
}

/// What a constant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Weights, biases and other data of the model.
    Weights,
    /// Multipliers and shifts that follow from scales.
    Scales,
    /// Tables of functions.
    Table,
    /// Sizes, strides, clamps.
    Parameters,
}

/// Typed values.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Data {
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
}

impl Data {
    /// What it holds.
    #[must_use]
    pub fn elem(&self) -> Elem {
        match self {
            Self::I8(_) => Elem::I8,
            Self::U8(_) => Elem::U8,
            Self::I16(_) => Elem::I16,
            Self::U16(_) => Elem::U16,
            Self::I32(_) => Elem::I32,
            Self::I64(_) => Elem::I64,
            Self::F32(_) => Elem::F32,
        }
    }

    /// The elements as memory holds them: little-endian, one after the other.
    #[must_use]
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::I8(v) => v.iter().map(|x| x.cast_unsigned()).collect(),
            Self::U8(v) => v.clone(),
            Self::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    /// Elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::I8(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len() * self.elem().bytes()
    }

    /// Equal bit by bit, so that -0.0 is not 0.0 and NaN is itself.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
            _ => self == other,
        }
    }
}

/// Read-only data.
#[derive(Clone, Debug)]
pub struct ConstantData {
    /// What it is, as part of a name.
    pub name: String,
    /// Its values.
    pub data: Data,
    /// What it is for.
    pub role: Role,
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Arg {
    /// A place in a buffer, in elements.
    Buffer { buffer: usize, offset: usize },
    /// A place in a constant, in elements.
    Constant { constant: usize, offset: usize },
    /// A number.
    Int(i32),
    /// 1 where the plan puts the output above the input, so that the kernel has to run backward; else 0.
    Backward { input: Option<usize>, output: Option<usize> },
}

/// A call of a kernel.
#[derive(Clone, Debug)]
pub struct Call {
    /// The instance's name in the library.
    pub kernel: String,
    /// Its arguments.
    pub args: Vec<Arg>,
}

/// Says that `output` may lie over `input`, which dies here: it has to begin at least `below` bytes below it, or, if the kernel can run backward, `above` bytes
/// above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Overlap {
    pub input: usize,
    pub output: usize,
    pub below: usize,
    pub above: Option<usize>,
}

impl Overlap {
    /// Bytes that the two, aligned, can have in common.
    pub(crate) fn saving(&self, input: usize, output: usize, align: &dyn Fn(usize) -> usize) -> usize {
        let under = (align(self.below) + input).max(output);
        let least = self.above.map_or(under, |above| under.min((align(above) + output).max(input)));
        (input + output).saturating_sub(least)
    }
}

/// Which steps run next. What `If` and `Loop` begin is properly nested, and ends with `EndIf` and `EndLoop`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Control {
    /// The next one.
    #[default]
    Next,
    /// Those up to [`Else`](Self::Else) if the byte at this place is not 0, those behind it if it is.
    If(Arg),
    /// Begins the other branch.
    Else,
    /// Ends both branches.
    EndIf,
    /// Begins what runs again and again.
    Loop,
    /// Those behind [`EndLoop`](Self::EndLoop) if the byte at this place is 0. There is one in every loop, not within a branch.
    BreakUnless(Arg),
    /// Those behind [`Loop`](Self::Loop).
    EndLoop,
}

/// What one operation became.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The operation's name in TFLite and its result's name.
    pub label: String,
    /// Multiply-accumulates.
    pub macs: u64,
    /// What runs. A step with control has no calls.
    pub calls: Vec<Call>,
    /// Which steps run next.
    pub control: Control,
    /// Memory that it needs for itself.
    pub scratch: Vec<usize>,
    /// Overlaps that its kernels allow.
    pub overlaps: Vec<Overlap>,
}

impl Step {
    /// Everything that it reads or writes.
    pub fn args(&self) -> impl Iterator<Item = Arg> {
        let condition = match self.control {
            Control::If(place) | Control::BreakUnless(place) => Some(place),
            Control::Next | Control::Else | Control::EndIf | Control::Loop | Control::EndLoop => None,
        };
        self.calls.iter().flat_map(|c| c.args.iter().copied()).chain(condition)
    }
}

/// An input or output of the model.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub place: Arg,
    /// What it holds.
    pub elem: Elem,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Scale and zero point, if it is quantized per tensor.
    pub quantization: Option<(f32, i64)>,
}

impl Program {
    /// The constant with these values: an equal one, or a new one.
    pub(crate) fn constant(&mut self, name: &str, role: Role, data: Data) -> usize {
        if let Some(found) = self.constants.iter().position(|c| c.role == role && c.data.same(&data)) {
            return found;
        }
        self.constants.push(ConstantData { name: name.to_owned(), data, role });
        self.constants.len() - 1
    }

    /// For every step the one that its control leads to: from a condition to the mark where the other case goes on, from `Else` to `EndIf`, from `EndLoop`
    /// to `Loop`.
    #[must_use]
    pub fn jumps(&self) -> Vec<Option<usize>> {
        let mut jumps = vec![None; self.steps.len()];
        let mut open = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            match step.control {
                Control::Next => {}
                Control::If(_) | Control::Loop | Control::BreakUnless(_) => open.push(index),
                Control::Else => {
                    open.pop().into_iter().for_each(|condition: usize| jumps[condition] = Some(index));
                    open.push(index);
                }
                Control::EndIf => open.pop().into_iter().for_each(|branch| jumps[branch] = Some(index)),
                Control::EndLoop => {
                    open.pop().into_iter().for_each(|condition| jumps[condition] = Some(index));
                    jumps[index] = open.pop();
                }
            }
        }
        jumps
    }

    /// Whether all steps run once, in order.
    #[must_use]
    pub fn is_straight(&self) -> bool {
        self.steps.iter().all(|s| s.control == Control::Next)
    }

    /// Kernels that are called, callees first.
    #[must_use]
    pub fn kernels(&self) -> Vec<&crate::lang::Function> {
        let roots: Vec<String> = self.steps.iter().flat_map(|s| &s.calls).map(|c| c.kernel.clone()).collect();
        self.library.ordered(&roots)
    }
}
