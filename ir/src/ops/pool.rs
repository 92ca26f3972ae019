//! Pooling windows over `[N, H, W, C]`.

use super::common::{Activation, Padding, window_output};
use super::infer::{InferCx, InferError, Inferred, keep_dynamic};

kinds! {
    /// What a window is reduced to.
    PoolKind {
        /// Mean over the cells that lie inside the input.
        Average = "average_pool_2d",
        /// Maximum.
        Max = "max_pool_2d",
        /// Square root of the mean of squares.
        L2 = "l2_pool_2d",
    }
}

op! {
    /// Pooling over windows of height and width.
    family Pool2d(PoolKind) [input] pool_2d;
    {
        /// Border treatment.
        padding: Padding = Padding::Same,
        /// Step along height and width.
        stride: [usize; 2] = [1, 1],
        /// Window height and width.
        filter: [usize; 2] = [1, 1],
        /// Fused activation.
        activation: Activation = Activation::None,
    }
}

fn pool_2d(op: &Pool2d, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [n, h, w, c] = cx.dims(0)?;
    let ho = window_output(op.padding, h, op.filter[0], op.stride[0], 1)?;
    let wo = window_output(op.padding, w, op.filter[1], op.stride[1], 1)?;
    Ok(vec![(cx.elem(0)?, keep_dynamic(cx.shape(0)?, vec![n, ho, wo, c], &[0, 1, 2, 3]))])
}
