//! Padding.

use octet_ir::ops::{MirrorMode, MirrorPad, Pad, PadV2};
use octet_ir::{Shape, Type};

use super::Family;
use crate::build::{Cx, Out};

pub(super) const FAMILIES: &[Family] = &[Family::new(&["pad", "pad_v2", "mirror_pad"], pad)];

fn pad(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let mode = *cx.random().pick(&[MirrorMode::Reflect, MirrorMode::Symmetric]);
    let mirror = mnemonic == "mirror_pad";
    let sizes: Vec<(usize, usize)> = cx
        .dims(x)
        .into_iter()
        .map(|dim| {
            // A mirror shows at most what there is, and without its border one less.
            let most = match (mirror, mode) {
                (false, _) => 2,
                (true, MirrorMode::Symmetric) => dim.min(2),
                (true, MirrorMode::Reflect) => (dim - 1).min(2),
            };
            (cx.random().between(0, most), cx.random().between(0, most))
        })
        .collect();
    let paddings = cx.pairs(&sizes);
    let (low, high) = cx.range(x);
    let out = Out { range: (low.min(0.0), high.max(0.0)), ..cx.like(x) };
    match mnemonic {
        "pad" => cx.emit1(Pad {}, &[x, paddings], out).map(drop),
        "mirror_pad" => cx.emit1(MirrorPad { mode }, &[x, paddings], out).map(drop),
        _ => {
            let ty = Type { shape: Shape::scalar(), ..cx.ty(x).clone() };
            let value = cx.filled(ty, low, high);
            cx.emit1(PadV2 {}, &[x, paddings, value], out).map(drop)
        }
    }
}
