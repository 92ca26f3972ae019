//! Kernels of custom operations.

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
