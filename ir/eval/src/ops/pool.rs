//! Pools.

use octet_ir::ElementType as E;
use octet_ir::ops::{Pool2d, PoolKind};

use super::conv::{axis, clamp_of};
use crate::float::activation::activate;
use crate::float::pool::PoolShape;
use crate::kernel::{PrepareCx, Prepared, kernel};

pub(super) fn pool_2d(op: &Pool2d, cx: &PrepareCx<'_>) -> Prepared {
    match cx.elem(0)? {
        E::F32 => float_pool(op, cx),
        _ => Err(cx.unsupported()),
    }
}

fn float_pool(op: &Pool2d, cx: &PrepareCx<'_>) -> Prepared {
    let [batch, h, w, channels] = cx.dims(0)?;
    let &[_, oh, ow, _] = cx.result_shape(0)? else { return Err(cx.invalid("the result has no rank of 4")) };
    let shape = PoolShape {
        batch,
        axes: [axis(op.padding, h, oh, op.filter[0], op.stride[0], 1), axis(op.padding, w, ow, op.filter[1], op.stride[1], 1)],
        channels,
    };
    let (kind, activation, clamp) = (op.kind, op.activation, clamp_of(op.activation));
    kernel(move |io| {
        let input = io.input(0);
        let output = io.output(0);
        match kind {
            PoolKind::Average => shape.average(input, output, clamp),
            PoolKind::Max => shape.max(input, output, clamp),
            PoolKind::L2 => shape.l2(input, output, clamp),
        }
        if activation.bounds().is_none() {
            activate(activation, output);
        }
    })
}
