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

/// One copy per block offset between a spatial tensor and its batched form; the batched one is
/// the target when `to_batch`.
fn block_copies(cx: &PrepareCx<'_>, spatial: &[usize], batched: &[usize], to_batch: bool) -> Result<Vec<StridedCopy>, PrepareError> {
    let (block, pads) = (cx.ints(1)?, cx.ints(2)?);
    let width = width(cx, 0)?;
    let bad = || cx.invalid("block sizes and paddings do not fit the shapes");
    let size = |v: i64| usize::try_from(v).map_err(|_| bad());
    let block: Vec<usize> = block.into_iter().map(size).collect::<Result<_, _>>()?;
    let pads: Vec<usize> = pads.into_iter().map(size).collect::<Result<_, _>>()?;
    if block.contains(&0)
        || pads.len() != 2 * block.len()
        || spatial.len() != batched.len()
        || block.len() >= spatial.len()
        || batched[0] != spatial[0] * block.iter().product::<usize>()
    {
        return Err(bad());
    }
    let (in_space, in_batch) = (dense_strides(spatial), dense_strides(batched));
    let mut copies = Vec::new();
    for number in 0..block.iter().product() {
        let mut dims = spatial.to_vec();
        let mut space = View::new(0, in_space.clone());
        let mut batch = View::new(number * spatial[0] * in_batch[0] as usize, in_batch.clone());
        let mut rest = number;
        for axis in (0..block.len()).rev() {
            let offset = rest % block[axis];
            rest /= block[axis];
            let at = axis + 1;
            let lane = lane(block[axis], offset, pads[2 * axis], batched[at], spatial[at]);
            dims[at] = lane.count;
            space.start += lane.spatial * in_space[at] as usize;
            space.strides[at] *= block[axis] as isize;
            batch.start += lane.batched * in_batch[at] as usize;
        }
        copies.push(if to_batch { StridedCopy::new(width, &dims, &space, &batch) } else { StridedCopy::new(width, &dims, &batch, &space) });
    }
    Ok(copies)
}

pub(super) fn space_to_batch_nd(_: &SpaceToBatchNd, cx: &PrepareCx<'_>) -> Prepared {
    let copies = block_copies(cx, cx.shape(0)?, cx.result_shape(0)?, true)?;
    let zero = zero_element(cx.result(0)?, width(cx, 0)?);
    kernel(move |io| {
        let input = io.input(0);
        let output = io.output(0);
        fill(output, &zero);
        for copy in &copies {
            copy.run(input, output);
        }
    })
}

pub(super) fn batch_to_space_nd(_: &BatchToSpaceNd, cx: &PrepareCx<'_>) -> Prepared {
    let copies = block_copies(cx, cx.result_shape(0)?, cx.shape(0)?, false)?;
    kernel(move |io| {
        let input = io.input(0);
        let output = io.output(0);
        for copy in &copies {
            copy.run(input, output);
        }
    })
}
