//! Pools on integers.

use octet_ir::ops::{Pool2d, PoolKind, conv_padding};

use super::{bounds, by_storage, kernel, operand, prepared, result};
use crate::int::pool::{self, Pooling};
use crate::int::window::Window;
use crate::kernel::{PrepareCx, Prepared};

pub(super) fn pool_2d(op: &Pool2d, cx: &PrepareCx<'_>) -> Prepared {
    let pooling = match op.kind {
        PoolKind::Average => Pooling::Average,
        PoolKind::Max => Pooling::Max,
        PoolKind::L2 => return Err(cx.unsupported()),
    };
    let elem = cx.elem(0)?;
    let (input, output) = (operand(cx, 0)?, result(cx)?);
    if cx.result(0)?.elem != elem || (input.scale - output.scale).abs() > 1e-6 || input.zero_point != output.zero_point {
        return Err(cx.invalid("input and output of a pool must share type, scale and zero point"));
    }
    let [_, height, width, _] = cx.dims(0)?;
    let &[_, out_height, out_width, _] = cx.result_shape(0)? else { return Err(cx.invalid("the result needs 4 axes")) };
    let front = |input: usize, output: usize, axis: usize| conv_padding(op.padding, input, output, op.filter[axis], op.stride[axis], 1).0;
    let window = Window { stride: op.stride, dilation: [1, 1], padding: [front(height, out_height, 0), front(width, out_width, 1)] };
    let activation = bounds(cx, op.activation)?;
    let (input_shape, output_shape) = (cx.shape(0)?, cx.result_shape(0)?);
    by_storage!(cx, elem, T => {
        let pool = prepared(cx, pool::Pool2d::prepare::<T>(pooling, window, op.filter, input_shape, output_shape, output, activation))?;
        kernel(move |io| pool.run::<T>(io.input(0), io.output(0)))
    })
}
