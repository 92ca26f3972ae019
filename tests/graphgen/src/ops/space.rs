//! Rearrangements between height, width, channels and batch.

use octet_ir::ops::{BatchToSpaceNd, DepthToSpace, SpaceToBatchNd, SpaceToDepth};

use super::Family;
use crate::build::{Cx, Out};

pub(super) const FAMILIES: &[Family] = &[
    Family::new(&["space_to_depth", "depth_to_space"], depth),
    Family::new(&["space_to_batch_nd"], space_to_batch),
    Family::new(&["batch_to_space_nd"], batch_to_space),
];

fn depth(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let block = *cx.random().pick(&[2, 2, 3]);
    if mnemonic == "space_to_depth" {
        let x = cx.data(
            kind,
            None,
            |d| d.len() == 4 && d[1] % block == 0 && d[2] % block == 0,
            |cx| {
                let r = cx.random();
                vec![r.between(1, 2), block * r.between(1, 3), block * r.between(1, 3), r.between(1, 3)]
            },
        );
        let out = cx.like(x);
        return cx.emit1(SpaceToDepth { block_size: block }, &[x], out).map(drop);
    }
    let x = cx.data(
        kind,
        None,
        |d| d.len() == 4 && d[3] % (block * block) == 0,
        |cx| {
            let r = cx.random();
            vec![r.between(1, 2), r.between(1, 3), r.between(1, 3), block * block * r.between(1, 2)]
        },
    );
    let out = cx.like(x);
    cx.emit1(DepthToSpace { block_size: block }, &[x], out).map(drop)
}

fn space_to_batch(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.image(kind);
    let dims = cx.dims(x);
    let block = [cx.random().between(1, 3), cx.random().between(1, 3)];
    let mut pads = Vec::new();
    for (dim, b) in dims[1..3].iter().zip(block) {
        let before = cx.random().below(2);
        let after = (dim + before).next_multiple_of(b) - dim - before;
        pads.push((before, after));
    }
    let (block, pads) = (cx.vector(&block), cx.pairs(&pads));
    let (low, high) = cx.range(x);
    let out = Out { range: (low.min(0.0), high.max(0.0)), ..cx.like(x) };
    cx.emit1(SpaceToBatchNd {}, &[x, block, pads], out).map(drop)
}

fn batch_to_space(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let block = [cx.random().between(1, 2), cx.random().between(1, 3)];
    let area = block[0] * block[1];
    let x = cx.data(
        kind,
        None,
        |d| d.len() == 4 && d[0] % area == 0,
        |cx| {
            let r = cx.random();
            vec![area * r.between(1, 2), r.between(1, 4), r.between(1, 4), r.between(1, 4)]
        },
    );
    let dims = cx.dims(x);
    let mut crops = Vec::new();
    for (dim, b) in dims[1..3].iter().zip(block) {
        let before = cx.random().below(2).min(dim * b - 1);
        let after = cx.random().below(2).min(dim * b - 1 - before);
        crops.push((before, after));
    }
    let (block, crops) = (cx.vector(&block), cx.pairs(&crops));
    let out = cx.like(x);
    cx.emit1(BatchToSpaceNd {}, &[x, block, crops], out).map(drop)
}
