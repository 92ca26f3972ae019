//! Computes DEPTH_TO_SPACE as a TRANSPOSE_CONV whose filters each pick one channel.
//!
//! Exact: every output is one input times 127 times 1/127. For filters of at most 1 MiB.
//!
//! ```ir
//! graph @main(%0: 1x2x2x4 !q<i8, 0.05> loc("x")) {
//!   %1 = depth_to_space(%0) {block_size = 2} : 1x4x4x1 !q<i8, 0.05> loc("y")
//!   return %1
//! }
//! ```
//! becomes
//! ```ir
//! graph @main(%0: 1x2x2x4 !q<i8, 0.05> loc("x")) {
//!   %1 = const [1, 4, 4, 1] : 4 i32
//!   %2 = const [127, 0, 0, 0, 0, 127, 0, 0, 0, 0, 127, 0, 0, 0, 0, 127] : 1x2x2x4 !q<i8, 0.007874016>
//!   %3 = transpose_conv(%1, %2, %0) {padding = valid, stride = [2, 2]} : 1x4x4x1 !q<i8, 0.05> loc("y")
//!   return %3
//! }
//! ```

use octet_ir::ops::{Padding, TransposeConv};
use octet_ir::{Constant, Graph, Loc, Module, Op, OpId, Patch, Quantization, Type};

use super::build::{Chain, byte_scale, sizes};
use crate::rewrite::pattern::{operand, result};
use crate::rewrite::{Refusal, rewrite};

rewrite!(DepthToSpaceConv = "depth_to_space", depth_to_space);

/// Largest filter, bytes.
const MOST: usize = 1 << 20;

fn depth_to_space(_: &Module, graph: &Graph, root: OpId) -> Result<Patch, Refusal> {
    let operation = graph.op(root);
    let Op::DepthToSpace(op) = operation.op() else { return Err(Refusal::NoMatch) };
    let (x, ty) = (operand(operation, 0)?, graph.ty(result(operation)?));
    byte_scale(ty)?;
    if graph.ty(x).quant != ty.quant {
        return Err(Refusal::check("it changes the scale"));
    }
    let (out, block) = (sizes(ty)?, op.block_size);
    let (&[_, _, _, ci], &[_, _, _, co]) = (sizes(graph.ty(x))?.as_slice(), out.as_slice()) else { return Err(Refusal::NoMatch) };
    let bytes = [co, block, block, ci].iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MOST);
    let mut filter = vec![0u8; bytes.ok_or_else(|| Refusal::check("the filters would be large"))?];
    for c in 0..co {
        for tap in 0..block * block {
            filter[(c * block * block + tap) * ci + tap * co + c] = 127;
        }
    }
    let mut chain = Chain::of(graph, root)?;
    let filter_ty = Type::quantized(ty.elem, [co, block, block, ci], Quantization::new(1.0 / 127.0, 0));
    let filter = chain.patch.constant(Constant::from_u8(&filter), filter_ty, Loc::unknown());
    let shape = chain.ints(&out)?;
    let conv = TransposeConv { padding: Padding::Valid, stride: [block, block], ..TransposeConv::default() };
    chain.last(root, conv, &[shape, filter, x])
}
