//! Resizing of images.

use octet_ir::ElementType as E;
use octet_ir::ops::{ResizeBilinear, ResizeNearestNeighbor};

use super::util::width;
use crate::float::resize::{Scaling, bilinear};
use crate::kernel::{PrepareCx, PrepareError, Prepared, kernel};

/// The scaling of height and width.
fn scalings(cx: &PrepareCx<'_>, align_corners: bool, half_pixel_centers: bool) -> Result<[Scaling; 2], PrepareError> {
    let [_, h, w, _] = cx.dims(0)?;
    let &[_, oh, ow, _] = cx.result_shape(0)? else { return Err(cx.invalid("the result has no rank of 4")) };
    if h == 0 || w == 0 {
        return Err(cx.invalid("an empty image cannot be resized"));
    }
    let scaling = |input, output| Scaling { input, output, align_corners, half_pixel_centers };
    Ok([scaling(h, oh), scaling(w, ow)])
}

pub(super) fn resize_bilinear(op: &ResizeBilinear, cx: &PrepareCx<'_>) -> Prepared {
    let [rows, columns] = scalings(cx, op.align_corners, op.half_pixel_centers)?;
    let channels = cx.dims::<4>(0)?[3];
    match cx.elem(0)? {
        E::F32 => {
            let (in_len, out_len) = (rows.input * columns.input * channels, rows.output * columns.output * channels);
            let (y, x) = (rows.bilinear(), columns.bilinear());
            kernel(move |io| {
                let input = io.input::<f32>(0);
                let images = io.output(0).chunks_exact_mut(out_len.max(1));
                for (input, output) in input.chunks_exact(in_len.max(1)).zip(images) {
                    bilinear(input, output, &y, &x, columns.input, channels);
                }
            })
        }
        _ => Err(cx.unsupported()),
    }
}

pub(super) fn resize_nearest_neighbor(op: &ResizeNearestNeighbor, cx: &PrepareCx<'_>) -> Prepared {
    let [rows, columns] = scalings(cx, op.align_corners, op.half_pixel_centers)?;
    let pixel = cx.dims::<4>(0)?[3] * width(cx, 0)?;
    let (in_len, out_len) = (rows.input * columns.input * pixel, rows.output * columns.output * pixel);
    let (y, x) = (rows.nearest(), columns.nearest());
    kernel(move |io| {
        let input = io.input::<u8>(0);
        if in_len == 0 || out_len == 0 {
            return;
        }
        let images = io.output::<u8>(0).chunks_exact_mut(out_len);
        for (input, output) in input.chunks_exact(in_len).zip(images) {
            let mut pixels = output.chunks_exact_mut(pixel);
            for &y in &y {
                for &x in &x {
                    if let Some(out) = pixels.next() {
                        out.copy_from_slice(&input[(y * columns.input + x) * pixel..][..pixel]);
                    }
                }
            }
        }
    })
}
