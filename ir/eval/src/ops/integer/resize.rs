//! Resizing of integer images.

use octet_ir::ops::ResizeBilinear;

use super::{by_storage, kernel, prepared};
use crate::int::resize::{self, Sampling};
use crate::kernel::{PrepareCx, Prepared};

pub(super) fn resize_bilinear(op: &ResizeBilinear, cx: &PrepareCx<'_>) -> Prepared {
    let sampling = Sampling { align_corners: op.align_corners, half_pixel_centers: op.half_pixel_centers };
    let elem = cx.elem(0)?;
    let (input, output) = (cx.ty(0)?, cx.result(0)?);
    if output.elem != elem || input.scale_zero_point() != output.scale_zero_point() {
        return Err(cx.unsupported());
    }
    let resize = prepared(cx, resize::ResizeBilinear::prepare(input.shape.dims(), output.shape.dims(), sampling))?;
    by_storage!(cx, elem, T => kernel(move |io| resize.run::<T>(io.input(0), io.output(0))))
}
