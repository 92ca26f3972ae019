//! Evaluation of what is constant, with the kernels that would run it.

use octet_ir::{Constant, Op, Type};

/// Results larger than this (in bytes) are left to the constant folder, which weighs them against the file's size.
const LARGEST: usize = 1 << 24;

/// Each result; `None` when there is no kernel, the result is large, or its size differs from the type.
pub(crate) fn evaluate(op: &Op, operands: &[Option<(&Type, &Constant)>], results: &[Type]) -> Option<Vec<Constant>> {
    if results.iter().any(|r| r.byte_len().is_none_or(|n| n > LARGEST)) {
        return None;
    }
    let found = octet_eval::evaluate(op, operands, results).ok()?;
    let fits = |((ty, constant), declared): (&(Type, Constant), &Type)| {
        ty.shape.dims() == declared.shape.dims() && declared.byte_len() == Some(constant.bytes().len())
    };
    found.iter().zip(results).all(fits).then(|| found.into_iter().map(|(_, constant)| constant).collect())
}
