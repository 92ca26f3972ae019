//! Kernels of custom operations.

use std::sync::Arc;

use octet_ir::{Diagnostic, Type};

use crate::data::Tensor;

/// What a kernel is to compute.
#[derive(Clone, Copy, Debug)]
pub struct KernelCall<'c> {
    /// The operands, `None` where one is left out.
    pub operands: &'c [Option<&'c Tensor>],
    /// Their types, with quantization; sizes are those of the tensors.
    pub operand_types: &'c [Option<Type>],
    /// What the results must be: the shapes that [`Kernel::infer`] gave, with the element types and quantization that the model declares.
    pub results: &'c [Type],
    /// The operation's options, as the model has them.
    pub options: &'c [u8],
}

/// Where data lies in a kernel's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelPlace {
    /// At this address.
    At(u32),
    /// At the address that an export (`(i32) -> i32`) answers for this argument when it is asked.
    Answer(&'static str, i32),
}

/// What the answer of a kernel's export means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelAnswer {
    /// It has none.
    Nothing,
    /// It must be this number: the export gives the same answer each time.
    Equal(i32),
    /// 0, or the address of an error message: UTF-8 that ends in a zero byte.
    Message,
}

/// One step of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum KernelStep {
    /// Calls an export with numbers of 32 bits.
    Call { export: &'static str, arguments: Vec<i32>, answer: KernelAnswer },
    /// Writes bytes into the kernel's memory.
    Write { address: u32, bytes: Vec<u8> },
    /// Fills part of the kernel's memory with zeros.
    Clear { address: u32, bytes: usize },
    /// Copies an operand's data into the kernel's memory.
    Operand { index: usize, place: KernelPlace, bytes: usize },
    /// Copies a result's data out of the kernel's memory.
    Result { index: usize, place: KernelPlace, bytes: usize },
}

/// A kernel as a WebAssembly core module without imports, and how it is called on operands of given types: all that a backend needs to make it part of what
/// it writes.
///
/// Each call begins with a fresh instance: memory, globals and tables as the module declares them, its start function called. Whatever of that memory is
/// not there traps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelModule {
    /// The module.
    pub wasm: Arc<[u8]>,
    /// Bytes of its memory when the data of operands has been written.
    pub memory: usize,
    /// Most bytes of memory that it may have.
    pub most_memory: usize,
    /// What one call does, in order.
    pub steps: Vec<KernelStep>,
}

/// Computes a custom operation.
pub trait Kernel: Sync {
    /// Types of the results, from the operand types (`None` where one is left out) and the operation's options.
    fn infer(&self, operands: &[Option<Type>], options: &[u8]) -> Result<Vec<Type>, Diagnostic>;
    /// Computes the results.
    fn run(&self, operands: &[Option<&Tensor>], options: &[u8]) -> Result<Vec<Tensor>, Diagnostic>;
    /// Computes the results; [`run`](Self::run) for kernels that need to know the quantization of operands and results.
    fn compute(&self, call: &KernelCall<'_>) -> Result<Vec<Tensor>, Diagnostic> {
        self.run(call.operands, call.options)
    }
    /// Whether equal operands and options always give equal results and nothing else happens: then the operation may be computed by the compiler.
    fn is_pure(&self) -> bool {
        false
    }
    /// The kernel as a WebAssembly module, with the call for these operands, results and options; `None` for kernels that are none.
    ///
    /// # Errors
    /// Types that the kernel cannot be given; a call that fails before there is data.
    fn module(&self, _operands: &[Option<Type>], _results: &[Type], _options: &[u8]) -> Result<Option<KernelModule>, Diagnostic> {
        Ok(None)
    }
}

/// A registered kernel; its name is the custom operation's.
pub struct KernelEntry {
    /// The custom operation's name.
    pub name: &'static str,
    /// One sentence on what it computes.
    pub summary: &'static str,
    /// Crate and version; file and version of a kernel that was loaded.
    pub origin: &'static str,
    /// The kernel.
    pub kernel: &'static dyn Kernel,
}

impl std::fmt::Debug for KernelEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kernel '{}' of {}", self.name, self.origin)
    }
}
