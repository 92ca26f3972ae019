//! The contract between ops and whatever runs them: prepare once, run often.
//!
//! [`crate::ops::prepare`] turns an op with its operand types into a [`Kernel`]: it checks that
//! the types are supported, packs constant weights, computes multipliers and index tables.
//! [`Kernel::run`] then only moves numbers. A kernel knows its shapes; when a shape changes,
//! the op is prepared again. A kernel holds no state of a run, so that many interpreters on
//! many threads share it.
//!
//! How to add a kernel: the file of the op in `ops/` matches on element types and answers with
//! [`kernel`] or [`kernel_with_scratch`] around a closure over prepared parameters; the loops
//! live in [`crate::float`], [`crate::data`] and [`crate::int`] and know only slices.

use std::borrow::Cow;

use bytemuck::Pod;
use octet_ir::{Diagnostic, ElementType, Op, Type};

use crate::buffer::Buffer;

pub use octet_ir::arith::RoundingProfile;

/// An op that is ready to run.
pub trait Kernel: Send + Sync {
    /// Bytes of scratch memory that [`run`](Self::run) finds in [`Io::scratch`].
    fn scratch(&self) -> usize {
        0
    }

    /// Computes the results from the operands.
    fn run(&self, io: &mut Io<'_>) -> Result<(), Diagnostic>;
}

struct Closure<F> {
    scratch: usize,
    run: F,
}

impl<F> Kernel for Closure<F>
where
    F: Fn(&mut Io<'_>) -> Result<(), Diagnostic> + Send + Sync,
{
    fn scratch(&self) -> usize {
        self.scratch
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), Diagnostic> {
        (self.run)(io)
    }
}

/// A prepared op, or why there is none.
pub type Prepared = Result<Box<dyn Kernel>, PrepareError>;

/// A kernel without scratch that cannot fail once it is prepared.
pub fn kernel(run: impl Fn(&mut Io<'_>) + Send + Sync + 'static) -> Prepared {
    kernel_with_scratch(0, run)
}

/// A kernel that needs `scratch` bytes and cannot fail once it is prepared.
pub fn kernel_with_scratch(scratch: usize, run: impl Fn(&mut Io<'_>) + Send + Sync + 'static) -> Prepared {
    fallible_kernel(scratch, move |io| {
        run(io);
        Ok(())
    })
}

/// A kernel that may find its data unusable (an index out of bounds, say).
pub fn fallible_kernel(scratch: usize, run: impl Fn(&mut Io<'_>) -> Result<(), Diagnostic> + Send + Sync + 'static) -> Prepared {
    Ok(Box::new(Closure { scratch, run }))
}

/// The data that a running kernel sees.
pub struct Io<'a> {
    inputs: &'a [Option<&'a [u8]>],
    /// Results, already as long as their types say.
    pub outputs: &'a mut [Output],
    /// Variables of the state operands, in operand order.
    pub states: &'a mut [Buffer],
    /// Scratch memory of at least [`Kernel::scratch`] bytes; its content is arbitrary.
    pub scratch: &'a mut Buffer,
}

/// One result of a running kernel.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Its bytes.
    pub data: Buffer,
    /// Its sizes, if the kernel found out only now (WHERE, UNIQUE, ...).
    pub dims: Option<Vec<usize>>,
}

impl<'a> Io<'a> {
    /// Binds the data of one run. Every input is aligned to its element type.
    pub fn new(inputs: &'a [Option<&'a [u8]>], outputs: &'a mut [Output], states: &'a mut [Buffer], scratch: &'a mut Buffer) -> Self {
        Self { inputs, outputs, states, scratch }
    }

    /// The elements of operand `index`; empty when it is left out or is a state.
    #[must_use]
    pub fn input<T: Pod>(&self, index: usize) -> &'a [T] {
        self.optional(index).unwrap_or_default()
    }

    /// The elements of operand `index`, if it is there.
    #[must_use]
    pub fn optional<T: Pod>(&self, index: usize) -> Option<&'a [T]> {
        let bytes = self.inputs.get(index).copied().flatten()?;
        let whole = bytes.len() / size_of::<T>() * size_of::<T>();
        Some(bytemuck::cast_slice(&bytes[..whole]))
    }

    /// Number of operands, left-out ones included.
    #[must_use]
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// The elements of result `index`, to write.
    #[must_use]
    pub fn output<T: Pod>(&mut self, index: usize) -> &mut [T] {
        self.outputs[index].data.as_mut_slice()
    }

    /// Two results at once.
    #[must_use]
    pub fn two_outputs<A: Pod, B: Pod>(&mut self) -> (&mut [A], &mut [B]) {
        match self.outputs {
            [a, b, ..] => (a.data.as_mut_slice(), b.data.as_mut_slice()),
            _ => (&mut [], &mut []),
        }
    }

    /// Result `index` together with the scratch memory.
    #[must_use]
    pub fn output_and_scratch<T: Pod, S: Pod>(&mut self, index: usize) -> (&mut [T], &mut [S]) {
        (self.outputs[index].data.as_mut_slice(), self.scratch.as_mut_slice())
    }
}

/// Why an op has no kernel (yet).
#[derive(Clone, Debug)]
pub enum PrepareError {
    /// The kernel depends on the value of this operand, which is known only when the model
    /// runs: prepare again then.
    NeedsValue(usize),
    /// It never will have one.
    Refused(Box<Diagnostic>),
}

impl From<Diagnostic> for PrepareError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Refused(Box::new(diagnostic))
    }
}

/// An operand as [`prepare`](crate::ops::prepare) sees it.
#[derive(Clone, Copy, Debug)]
pub struct OperandInfo<'a> {
    /// Its type, with the sizes of this run.
    pub ty: &'a Type,
    /// Its bytes, if they are the same in every run.
    pub constant: Option<&'a [u8]>,
    /// Its bytes in this run, if the op is prepared while the model runs.
    pub value: Option<&'a [u8]>,
}

/// What a kernel is prepared from.
pub struct PrepareCx<'a> {
    /// The op.
    pub op: &'a Op,
    /// Its operands; `None` where an optional one is left out.
    pub operands: &'a [Option<OperandInfo<'a>>],
    /// Types of its results, with the sizes of this run.
    pub results: &'a [Type],
    /// Types that describe its inner tensors (LSTM).
    pub intermediates: &'a [Type],
    /// Which integer rounding to follow.
    pub profile: RoundingProfile,
}

impl<'a> PrepareCx<'a> {
    /// The type of operand `index`.
    pub fn ty(&self, index: usize) -> Result<&'a Type, PrepareError> {
        self.optional(index).ok_or_else(|| self.invalid(format!("operand {index} is missing")))
    }

    /// The type of operand `index`, if it is there.
    #[must_use]
    pub fn optional(&self, index: usize) -> Option<&'a Type> {
        self.operands.get(index)?.as_ref().map(|operand| operand.ty)
    }

    /// The element type of operand `index`.
    pub fn elem(&self, index: usize) -> Result<ElementType, PrepareError> {
        Ok(self.ty(index)?.elem)
    }

    /// Whether operand `index` has this element type and no quantization.
    #[must_use]
    pub fn is(&self, index: usize, elem: ElementType) -> bool {
        self.optional(index).is_some_and(|ty| ty.elem == elem)
    }

    /// Sizes of operand `index`.
    pub fn shape(&self, index: usize) -> Result<&'a [usize], PrepareError> {
        Ok(self.ty(index)?.shape.dims())
    }

    /// Sizes of operand `index`, which must have `N` axes.
    pub fn dims<const N: usize>(&self, index: usize) -> Result<[usize; N], PrepareError> {
        let shape = self.shape(index)?;
        shape.try_into().map_err(|_| self.invalid(format!("operand {index} has rank {}, expected {N}", shape.len())))
    }

    /// The type of result `index`.
    pub fn result(&self, index: usize) -> Result<&'a Type, PrepareError> {
        self.results.get(index).ok_or_else(|| self.invalid(format!("result {index} is missing")))
    }

    /// Sizes of result `index`.
    pub fn result_shape(&self, index: usize) -> Result<&'a [usize], PrepareError> {
        Ok(self.result(index)?.shape.dims())
    }

    /// The elements of operand `index`, if it is a constant: worth packing.
    #[must_use]
    pub fn constant<T: Pod>(&self, index: usize) -> Option<Cow<'a, [T]>> {
        self.operands.get(index)?.as_ref()?.constant.map(elements)
    }

    /// The elements of operand `index`, which the kernel must know before it runs.
    pub fn value<T: Pod>(&self, index: usize) -> Result<Cow<'a, [T]>, PrepareError> {
        let operand = self.operands.get(index).copied().flatten();
        let operand = operand.ok_or_else(|| self.invalid(format!("operand {index} is missing")))?;
        let bytes = operand.constant.or(operand.value);
        bytes.map(elements).ok_or(PrepareError::NeedsValue(index))
    }

    /// The integers (i8 to i64) that operand `index` holds, which the kernel must know before
    /// it runs.
    pub fn ints(&self, index: usize) -> Result<Vec<i64>, PrepareError> {
        use ElementType as E;
        let elem = self.elem(index)?;
        Ok(match elem {
            E::I64 => self.value::<i64>(index)?.into_owned(),
            E::I32 => self.value::<i32>(index)?.iter().copied().map(i64::from).collect(),
            E::I16 => self.value::<i16>(index)?.iter().copied().map(i64::from).collect(),
            E::I8 => self.value::<i8>(index)?.iter().copied().map(i64::from).collect(),
            E::U32 => self.value::<u32>(index)?.iter().copied().map(i64::from).collect(),
            E::U16 => self.value::<u16>(index)?.iter().copied().map(i64::from).collect(),
            E::U8 => self.value::<u8>(index)?.iter().copied().map(i64::from).collect(),
            other => return Err(self.invalid(format!("operand {index} is {other}, not integers"))),
        })
    }

    /// One integer that operand `index` holds.
    pub fn int(&self, index: usize) -> Result<i64, PrepareError> {
        match self.ints(index)?.as_slice() {
            [one] => Ok(*one),
            other => Err(self.invalid(format!("operand {index} has {} elements, not one", other.len()))),
        }
    }

    /// An axis given as `axis`, counted from the end when negative, of a tensor of `rank` axes.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, PrepareError> {
        let signed = i64::try_from(rank).unwrap_or(i64::MAX);
        let index = usize::try_from(if axis < 0 { axis + signed } else { axis }).ok();
        index.filter(|&index| index < rank).ok_or_else(|| self.invalid(format!("axis {axis} of a tensor of rank {rank}")))
    }

    /// The refusal of an op whose operands do not fit together.
    pub fn invalid(&self, why: impl Into<String>) -> PrepareError {
        Diagnostic::error("EVL002", why).into()
    }

    /// The refusal of an op that has no kernel for its types.
    #[must_use]
    pub fn unsupported(&self) -> PrepareError {
        let operand = |operand: &Option<OperandInfo<'_>>| match operand {
            Some(operand) => operand.ty.to_string(),
            None => "none".to_owned(),
        };
        let operands: Vec<_> = self.operands.iter().map(operand).collect();
        let results: Vec<_> = self.results.iter().map(ToString::to_string).collect();
        let name = self.op.mnemonic().to_uppercase();
        Diagnostic::error("EVL001", format!("{name} has no kernel for these types"))
            .with_note(format!("operands: {}", operands.join(", ")))
            .with_note(format!("results: {}", results.join(", ")))
            .into()
    }
}

/// `bytes` as elements; copied only if they are not aligned.
fn elements<T: Pod>(bytes: &[u8]) -> Cow<'_, [T]> {
    let whole = &bytes[..bytes.len() / size_of::<T>() * size_of::<T>()];
    match bytemuck::try_cast_slice(whole) {
        Ok(slice) => Cow::Borrowed(slice),
        Err(_) => Cow::Owned(bytemuck::allocation::pod_collect_to_vec(whole)),
    }
}
