//! Resizing images `[N, H, W, C]`.

use super::infer::{InferCx, InferError, Inferred, invalid, keep_dynamic};

op! {
    /// Bilinear interpolation to the height and width that `size` holds.
    ResizeBilinear = "resize_bilinear" [input, size] |_, cx| resized(cx);
    {
        /// Corner pixels of input and output coincide.
        align_corners: bool = false,
        /// Pixel centres lie at half-integers.
        half_pixel_centers: bool = false,
    }
}

op! {
    /// The nearest pixel, to the height and width that `size` holds.
    ResizeNearestNeighbor = "resize_nearest_neighbor" [input, size] |_, cx| resized(cx);
    {
        /// Corner pixels of input and output coincide.
        align_corners: bool = false,
        /// Pixel centres lie at half-integers.
        half_pixel_centers: bool = false,
    }
}

fn resized(cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let [n, _, _, c] = cx.dims(0)?;
    let &[h, w] = cx.sizes(1)?.as_slice() else { return Err(invalid("size must hold height and width")) };
    Ok(vec![(cx.elem(0)?, keep_dynamic(cx.shape(0)?, vec![n, h, w, c], &[0, 3]))])
}
