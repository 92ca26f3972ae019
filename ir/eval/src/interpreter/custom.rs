//! Custom ops: from a plugin's kernel to ours.

use octet_ir::ops::Custom;
use octet_ir::{Diagnostic, Type};
use octet_plugin::{KernelCall, Tensor};

use crate::kernel::{PrepareCx, Prepared, fallible_kernel};

/// Wraps the kernel that a plugin registered for `op`. Plugins see tensors of their own, so
/// data is copied in and out.
pub(super) fn prepare(kernel: &'static dyn octet_plugin::Kernel, op: &Custom, cx: &PrepareCx<'_>) -> Prepared {
    let options = op.options.0.clone();
    let types: Vec<Option<Type>> = cx.operands.iter().map(|operand| operand.as_ref().map(|o| o.ty.clone())).collect();
    let name = op.name.clone();
    let results: Vec<Type> = cx.results.to_vec();
    fallible_kernel(0, move |io| {
        let tensors: Vec<Option<Tensor>> = types
            .iter()
            .enumerate()
            .map(|(index, ty)| {
                let ty = ty.as_ref()?;
                let bytes = io.optional::<u8>(index)?.to_vec();
                Some(Tensor { elem: ty.elem, shape: ty.shape.dims().to_vec(), bytes })
            })
            .collect();
        let operands: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
        let given = kernel.compute(&KernelCall { operands: &operands, operand_types: &types, results: &results, options: &options })?;
        if given.len() != results.len() {
            let message = format!("the kernel of '{name}' gave {} results, expected {}", given.len(), results.len());
            return Err(Diagnostic::error("EVL009", message));
        }
        for ((tensor, expected), output) in given.into_iter().zip(&results).zip(io.outputs.iter_mut()) {
            let ty = Type::new(tensor.elem, tensor.shape.clone());
            if tensor.elem != expected.elem || ty.byte_len() != Some(tensor.bytes.len()) {
                return Err(Diagnostic::error("EVL009", format!("the kernel of '{name}' gave a malformed {ty}, expected {expected}")));
            }
            output.data.resize(tensor.bytes.len());
            output.data.bytes_mut().copy_from_slice(&tensor.bytes);
            output.dims = Some(tensor.shape);
        }
        Ok(())
    })
}
