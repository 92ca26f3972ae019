//! The verifier. A verified module never makes a pass, executor or backend panic.
//!
//! Layer 1, structure ([`structure`]):
//! - the module has a main graph; signatures and operations name graphs, inputs and outputs that exist, each name once;
//! - no graph calls itself, directly or through others, and calls nest at most [`structure::MAX_CALL_DEPTH`] deep;
//! - every operand, result, input and output is a live value, and uses and operands are reciprocal;
//! - every operation runs after what it reads; a value has one definition, and that definition names it back;
//! - an operation has as many operands as it declares, and no required one is left out;
//! - an intermediate is a live value that nothing defines or reads, of one operation alone;
//! - a constant's bytes exist.
//!
//! Layer 2, types ([`types`]):
//! - element counts and byte lengths do not overflow, and a dense constant has exactly the bytes that its type asks for;
//! - the layout of a sparse constant covers its shape ([`Sparsity::stored_elements`](crate::Sparsity::stored_elements)), and the constant
//!   has exactly the bytes of the elements that are stored;
//! - scales are finite and positive, zero points fit the storage type, per-axis quantization has one scale per index, blocks divide the
//!   innermost axis;
//! - inferring the result types of every operation again gives the types that stand there, as far as they can be inferred;
//! - the graphs that an operation calls take and give values of the types that it passes: element type, quantization, and
//!   shape where it is static on both sides.
//!
//! Layer 3, legality for a target, belongs to the target profiles and is checked before a backend writes.

pub mod structure;
pub mod types;

use crate::diagnostic::Diagnostics;
use crate::module::Module;

/// Checks structure and, where that is sound, types. All findings are reported, up to [`MAX_FINDINGS`].
pub fn verify(module: &Module) -> Result<(), Diagnostics> {
    structure::verify(module)?;
    types::verify(module)
}

/// A broken file may break an invariant at every operation; so many findings are reported.
pub const MAX_FINDINGS: usize = 100;
