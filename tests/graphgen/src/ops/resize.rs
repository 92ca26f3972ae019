//! Resizing images.

use octet_ir::ops::{Op, ResizeBilinear, ResizeNearestNeighbor};

use super::Family;
use crate::build::Cx;

pub(super) const FAMILIES: &[Family] = &[Family::new(&["resize_bilinear", "resize_nearest_neighbor"], resize)];

fn resize(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.image(kind);
    let sizes = [cx.random().between(1, 9), cx.random().between(1, 9)];
    let size = cx.vector(&sizes);
    // Both at once is refused.
    let (align_corners, half_pixel_centers) = *cx.random().pick(&[(false, false), (true, false), (false, true)]);
    let op: Op = if mnemonic == "resize_bilinear" {
        ResizeBilinear { align_corners, half_pixel_centers }.into()
    } else {
        ResizeNearestNeighbor { align_corners, half_pixel_centers }.into()
    };
    let out = cx.like(x);
    cx.emit1(op, &[x, size], out).map(drop)
}
