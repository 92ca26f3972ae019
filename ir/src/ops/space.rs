//! Rearrangements between height, width, channels and batch.

use super::infer::{InferCx, InferError, Inferred, invalid, one};

op! {
    /// Blocks of height and width become channels: `[N, H, W, C]` gives `[N, H/b, W/b, C*b*b]`.
    SpaceToDepth = "space_to_depth" [input] space_to_depth;
    {
        /// Block size.
        block_size: usize = 1,
    }
}

fn space_to_depth(op: &SpaceToDepth, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [n, h, w, c] = cx.dims(0)?;
    let b = op.block_size;
    if b == 0 || h % b != 0 || w % b != 0 {
        return Err(invalid(format!("{h}x{w} does not divide into blocks of {b}")));
    }
    let channels = c.checked_mul(b).and_then(|c| c.checked_mul(b)).ok_or_else(|| invalid("the channels overflow"))?;
    one(cx.elem(0)?, [n, h / b, w / b, channels])
}

op! {
    /// Channels become blocks of height and width: `[N, H, W, C]` gives `[N, H*b, W*b, C/(b*b)]`.
    DepthToSpace = "depth_to_space" [input] depth_to_space;
    {
        /// Block size.
        block_size: usize = 1,
    }
}

fn depth_to_space(op: &DepthToSpace, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [n, h, w, c] = cx.dims(0)?;
    let b = op.block_size;
    let square = b.checked_mul(b).filter(|&s| s > 0 && c % s == 0);
    let square = square.ok_or_else(|| invalid(format!("{c} channels do not divide into blocks of {b}x{b}")))?;
    let (Some(ho), Some(wo)) = (h.checked_mul(b), w.checked_mul(b)) else { return Err(invalid("a size overflows")) };
    one(cx.elem(0)?, [n, ho, wo, c / square])
}

op! {
    /// Pads spatial axes and moves blocks of them into the batch: `input`, `block_shape [m]`, `paddings [m, 2]`.
    SpaceToBatchNd = "space_to_batch_nd" [input, block_shape, paddings] space_to_batch_nd;
    {}
}

fn space_to_batch_nd(_: &SpaceToBatchNd, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (input, block, pads) = (cx.shape(0)?, cx.sizes(1)?, cx.sizes(2)?);
    let mut dims = input.dims().to_vec();
    if block.len() + 1 > dims.len() || pads.len() != 2 * block.len() {
        return Err(invalid(format!("{} block sizes and {} paddings for {} axes", block.len(), pads.len(), dims.len())));
    }
    for (axis, &b) in block.iter().enumerate() {
        let padded = dims[axis + 1].checked_add(pads[2 * axis]).and_then(|d| d.checked_add(pads[2 * axis + 1]));
        let padded = padded.filter(|&d| b > 0 && d % b == 0);
        let padded = padded.ok_or_else(|| invalid(format!("padded axis {} does not divide into blocks of {b}", axis + 1)))?;
        dims[axis + 1] = padded / b;
        dims[0] = dims[0].checked_mul(b).ok_or_else(|| invalid("the batch overflows"))?;
    }
    one(cx.elem(0)?, dims)
}

op! {
    /// Moves the batch back into spatial axes and crops: `input`, `block_shape [m]`, `crops [m, 2]`.
    BatchToSpaceNd = "batch_to_space_nd" [input, block_shape, crops] batch_to_space_nd;
    {}
}

fn batch_to_space_nd(_: &BatchToSpaceNd, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (input, block, crops) = (cx.shape(0)?, cx.sizes(1)?, cx.sizes(2)?);
    let mut dims = input.dims().to_vec();
    if block.len() + 1 > dims.len() || crops.len() != 2 * block.len() {
        return Err(invalid(format!("{} block sizes and {} crops for {} axes", block.len(), crops.len(), dims.len())));
    }
    for (axis, &b) in block.iter().enumerate() {
        if b == 0 || dims[0] % b != 0 {
            return Err(invalid(format!("a batch of {} does not divide by {b}", dims[0])));
        }
        dims[0] /= b;
        let grown = dims[axis + 1].checked_mul(b).and_then(|d| d.checked_sub(crops[2 * axis]));
        dims[axis + 1] = grown.and_then(|d| d.checked_sub(crops[2 * axis + 1])).ok_or_else(|| invalid("the crops exceed the axis"))?;
    }
    one(cx.elem(0)?, dims)
}
