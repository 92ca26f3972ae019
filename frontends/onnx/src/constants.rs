//! Evaluation of what is constant, with the kernels that would run it.

use octet_eval::buffer::Buffer;
use octet_eval::kernel::{Io, OperandInfo, Output, PrepareCx, RoundingProfile};
use octet_ir::{Op, Type};

/// Results larger than this (in bytes) are left to the constant folder, which weighs them against the file's size.
const LARGEST: usize = 1 << 24;

/// The bytes of each result; `None` when there is no kernel, the result is large, or its size differs from the type.
pub(crate) fn evaluate(op: &Op, operands: &[Option<(&Type, &[u8])>], results: &[Type]) -> Option<Vec<Vec<u8>>> {
    if results.iter().any(|r| r.byte_len().is_none_or(|n| n > LARGEST)) {
        return None;
    }
    // Kernels want operands aligned to their elements; constants of a file may lie anywhere.
    let aligned: Vec<Option<Buffer>> = operands.iter().map(|o| o.map(|(_, bytes)| Buffer::copy_of(bytes))).collect();
    let bytes: Vec<Option<&[u8]>> = aligned.iter().map(|b| b.as_ref().map(Buffer::bytes)).collect();
    let infos: Vec<Option<OperandInfo<'_>>> =
        operands.iter().zip(&bytes).map(|(o, bytes)| o.map(|(ty, _)| OperandInfo { ty, constant: *bytes, value: None })).collect();
    let cx = PrepareCx { op, operands: &infos, results, intermediates: &[], profile: RoundingProfile::default() };
    let kernel = octet_eval::ops::prepare(&cx).ok()?;
    let mut outputs: Vec<Output> = results.iter().map(|r| Output { data: Buffer::zeroed(r.byte_len().unwrap_or(0)), dims: None }).collect();
    let mut scratch = Buffer::zeroed(kernel.scratch());
    kernel.run(&mut Io::new(&bytes, &mut outputs, &mut [], &mut scratch)).ok()?;
    outputs.into_iter().map(|o| if o.dims.is_none() { Some(o.data.bytes().to_vec()) } else { None }).collect()
}
