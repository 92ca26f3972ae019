//! Ops that move blocks between space and depth or batch.

use octet_ir::ops::{BatchToSpaceNd, DepthToSpace, SpaceToBatchNd, SpaceToDepth};

use super::util::{copy_kernel, fill, width, zero_element};
use crate::data::strided::{StridedCopy, View, dense_strides};
use crate::kernel::{PrepareCx, PrepareError, Prepared, kernel};

pub(super) fn space_to_depth(op: &SpaceToDepth, cx: &PrepareCx<'_>) -> Prepared {
    let [n, h, w, c] = cx.dims(0)?;
    let b = op.block_size.max(1);
    let s = dense_strides(&[n, h / b, b, w / b, b, c]);
    let view = View::new(0, vec![s[0], s[1], s[3], s[2], s[4], s[5]]);
    copy_kernel(0, StridedCopy::gather(width(cx, 0)?, &[n, h / b, w / b, b, b, c], &view))
}

pub(super) fn depth_to_space(op: &DepthToSpace, cx: &PrepareCx<'_>) -> Prepared {
    let [n, h, w, c] = cx.dims(0)?;
    let b = op.block_size.max(1);
    let c = c / (b * b);
    let s = dense_strides(&[n, h, w, b, b, c]);
    let view = View::new(0, vec![s[0], s[1], s[3], s[2], s[4], s[5]]);
    copy_kernel(0, StridedCopy::gather(width(cx, 0)?, &[n, h, b, w, b, c], &view))
}

/// How one block's offset in the batch maps to space along one axis.
struct Lane {
    /// First index in the batched tensor.
    batched: usize,
    /// First index in the spatial tensor.
    spatial: usize,
    /// How many.
    count: usize,
}

/// Positions `i` of a batched axis whose spatial position `i * block + offset - pad` lies in
/// `0..spatial`.
fn lane(block: usize, offset: usize, pad: usize, batched: usize, spatial: usize) -> Lane {
    let first = pad.saturating_sub(offset).div_ceil(block);
    let end = (spatial + pad).saturating_sub(offset).div_ceil(block).min(batched);
    let start = first * block + offset;
    Lane { batched: first, spatial: start.saturating_sub(pad), count: end.saturating_sub(first) }
}

/// The copies between a spatial tensor and its batched form, one per offset in a block. There may be as many as the batched form has
/// elements, so they are made one by one.
struct BlockCopies {
    width: usize,
    spatial: Vec<usize>,
    batched: Vec<usize>,
    block: Vec<usize>,
    /// Paddings before each blocked axis.
    pads: Vec<usize>,
    /// Whether the batched form is the target.
    to_batch: bool,
}

impl BlockCopies {
    fn new(cx: &PrepareCx<'_>, spatial: &[usize], batched: &[usize], to_batch: bool) -> Result<Self, PrepareError> {
        let (block, pads) = (cx.ints(1)?, cx.ints(2)?);
        let bad = || cx.invalid("block sizes and paddings do not fit the shapes");
        let size = |v: i64| usize::try_from(v).map_err(|_| bad());
        let block: Vec<usize> = block.into_iter().map(size).collect::<Result<_, _>>()?;
        let pads: Vec<usize> = pads.into_iter().map(size).collect::<Result<_, _>>()?;
        if block.contains(&0) || pads.len() != 2 * block.len() || spatial.len() != batched.len() || block.len() >= spatial.len() {
            return Err(bad());
        }
        if Some(batched[0]) != block.iter().try_fold(spatial[0], |n, &b| n.checked_mul(b)) {
            return Err(bad());
        }
        let pads = pads.iter().step_by(2).copied().collect();
        Ok(Self { width: width(cx, 0)?, spatial: spatial.to_vec(), batched: batched.to_vec(), block, pads, to_batch })
    }

    fn run(&self, input: &[u8], output: &mut [u8]) {
        if input.is_empty() || output.is_empty() {
            return;
        }
        let Self { width, spatial, batched, block, pads, to_batch } = self;
        let (in_space, in_batch) = (dense_strides(spatial), dense_strides(batched));
        for number in 0..batched[0] / spatial[0] {
            let mut dims = spatial.clone();
            let mut space = View::new(0, in_space.clone());
            let mut batch = View::new(number * spatial[0] * in_batch[0] as usize, in_batch.clone());
            let mut rest = number;
            for axis in (0..block.len()).rev() {
                let offset = rest % block[axis];
                rest /= block[axis];
                let at = axis + 1;
                let lane = lane(block[axis], offset, pads[axis], batched[at], spatial[at]);
                dims[at] = lane.count;
                if lane.count == 0 {
                    break;
                }
                space.start += lane.spatial * in_space[at] as usize;
                // The step of a single entry leads nowhere, and may be any number.
                space.strides[at] = if lane.count > 1 { in_space[at] * block[axis] as isize } else { 0 };
                batch.start += lane.batched * in_batch[at] as usize;
            }
            let (from, to) = if *to_batch { (&space, &batch) } else { (&batch, &space) };
            StridedCopy::new(*width, &dims, from, to).run(input, output);
        }
    }
}

pub(super) fn space_to_batch_nd(_: &SpaceToBatchNd, cx: &PrepareCx<'_>) -> Prepared {
    let copies = BlockCopies::new(cx, cx.shape(0)?, cx.result_shape(0)?, true)?;
    let zero = zero_element(cx.result(0)?, width(cx, 0)?);
    kernel(move |io| {
        let input = io.input(0);
        let output = io.output(0);
        fill(output, &zero);
        copies.run(input, output);
    })
}

pub(super) fn batch_to_space_nd(_: &BatchToSpaceNd, cx: &PrepareCx<'_>) -> Prepared {
    let copies = BlockCopies::new(cx, cx.result_shape(0)?, cx.shape(0)?, false)?;
    kernel(move |io| {
        let input = io.input(0);
        copies.run(input, io.output(0));
    })
}
