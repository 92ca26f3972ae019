//! Kernels of custom operations.

use octet_ir::{Diagnostic, Type};

use crate::data::Tensor;

/// Computes a custom operation.
pub trait Kernel: Sync {
    /// Types of the results, from the operand types (`None` where one is left out) and the operation's options.
    fn infer(&self, operands: &[Option<Type>], options: &[u8]) -> Result<Vec<Type>, Diagnostic>;
    /// Computes the results.
    fn run(&self, operands: &[Option<&Tensor>], options: &[u8]) -> Result<Vec<Tensor>, Diagnostic>;
}

/// A registered kernel; its name is the custom operation's.
pub struct KernelEntry {
    /// The custom operation's name.
    pub name: &'static str,
    /// One sentence on what it computes.
    pub summary: &'static str,
    /// Crate and version.
    pub origin: &'static str,
    /// The kernel.
    pub kernel: &'static dyn Kernel,
}
