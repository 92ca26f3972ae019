//! Padding in all its modes, and blocks of pixels that become channels.

use octet_ir::ops::{self, MirrorMode};
use octet_ir::{Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, axis, input, optional, to_first, to_last};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("DepthToSpace", depth_to_space), ("Pad", pad), ("SpaceToDepth", space_to_depth)];

/// Before and after each axis; negative ones crop.
fn amounts(scope: &Scope<'_>, node: &Node<'_>, inputs: Inputs<'_>, rank: usize) -> Result<Vec<(i64, i64)>, Refusal> {
    let given = match optional(inputs, 1) {
        Some(pads) if node.version >= 11 => scope.need_ints(pads, "the paddings")?,
        _ => node.ints("pads").or(node.ints("paddings")).unwrap_or(&[]).to_vec(),
    };
    let axes: Vec<usize> = match optional(inputs, 3) {
        Some(axes) => scope.need_ints(axes, "the axes")?.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    if given.len() != 2 * axes.len() {
        return Err(format!("{} paddings for {} axes", given.len(), axes.len()));
    }
    let mut amounts = vec![(0, 0); rank];
    for (k, &a) in axes.iter().enumerate() {
        amounts[a] = (given[k], given[axes.len() + k]);
    }
    Ok(amounts)
}

fn pad(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let mut x = input(inputs, 0)?;
    let rank = scope.rank(x);
    let amounts = amounts(scope, node, inputs, rank)?;
    // Cropping first: what is left is padded.
    let mut grown = Vec::with_capacity(rank);
    for (a, &(before, after)) in amounts.iter().enumerate() {
        let size = i64::try_from(scope.dims(x)[a]).unwrap_or(i64::MAX);
        let (begin, end) = (before.min(0).saturating_neg(), size + after.min(0));
        let (Ok(begin), Ok(len)) = (usize::try_from(begin), usize::try_from(end - begin)) else {
            return Err(format!("axis {a} is cropped to nothing"));
        };
        x = scope.slice(x, a, begin, len)?;
        let positive = |v: i64| usize::try_from(v.max(0)).unwrap_or(0);
        grown.push((positive(before), positive(after)));
    }
    let mode = node.text_or("mode", "constant");
    match mode {
        "constant" => {
            let fill = match optional(inputs, 2) {
                Some(value) => Some(scope.reshape(value, &[])?),
                None => node.float("value").map(|v| scope.scalar(v, scope.elem(x))).transpose()?,
            };
            Ok(vec![constant(scope, x, &grown, fill)?])
        }
        "reflect" if grown.iter().zip(scope.dims(x)).all(|(&(b, a), &d)| b < d && a < d) => {
            let paddings = paddings(scope, &grown)?;
            Ok(vec![scope.op1(ops::MirrorPad { mode: MirrorMode::Reflect }, &[x, paddings])?])
        }
        "reflect" | "edge" | "wrap" => {
            for (a, &(before, after)) in grown.iter().enumerate().filter(|(_, g)| **g != (0, 0)) {
                let size = scope.dims(x)[a];
                if size == 0 {
                    return Err("an empty axis has nothing to repeat".into());
                }
                let order: Vec<usize> = (0..before + size + after).map(|i| source(mode, i, before, size)).collect();
                x = scope.reorder(x, a, &order)?;
            }
            Ok(vec![x])
        }
        other => Err(format!("mode '{other}' is not known")),
    }
}

/// Which element of an axis of this size stands at place `i`, `before` of them being in front.
fn source(mode: &str, i: usize, before: usize, size: usize) -> usize {
    let signed = |v: usize| i64::try_from(v).unwrap_or(i64::MAX);
    let at = signed(i) - signed(before);
    let index = match mode {
        "edge" => at.clamp(0, signed(size) - 1),
        "wrap" => at.rem_euclid(signed(size)),
        _ if size == 1 => 0,
        _ => {
            let period = 2 * (signed(size) - 1);
            let folded = at.rem_euclid(period);
            folded.min(period - folded)
        }
    };
    usize::try_from(index).unwrap_or(0)
}

fn paddings(scope: &mut Scope<'_>, grown: &[(usize, usize)]) -> Result<ValueId, Refusal> {
    let flat: Option<Vec<i32>> = grown.iter().flat_map(|&(b, a)| [b, a]).map(|v| i32::try_from(v).ok()).collect();
    let flat = flat.ok_or("a padding is too large")?;
    Ok(scope.constant_value(octet_ir::Constant::from_i32(&flat), Type::i32([grown.len(), 2])))
}

fn constant(scope: &mut Scope<'_>, x: ValueId, grown: &[(usize, usize)], fill: Option<ValueId>) -> Result<ValueId, Refusal> {
    if grown.iter().all(|&g| g == (0, 0)) {
        return Ok(x);
    }
    let paddings = paddings(scope, grown)?;
    match fill {
        Some(fill) if scope.floats(fill).as_deref() != Some(&[0.0]) => scope.op1(ops::PadV2 {}, &[x, paddings, fill]),
        _ => scope.op1(ops::Pad {}, &[x, paddings]),
    }
}

fn block(node: &Node<'_>) -> Result<usize, Refusal> {
    usize::try_from(node.int_or("blocksize", 0)).ok().filter(|&b| b > 0).ok_or_else(|| "its block size is not positive".into())
}

/// `DCR` is TFLite's order of channels; `CRD` is a permutation of six axes.
fn depth_to_space(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let b = block(node)?;
    if node.text_or("mode", "DCR") == "DCR" {
        let value = to_last(scope, x)?;
        let result = scope.op1(ops::DepthToSpace { block_size: b }, &[value])?;
        return Ok(vec![to_first(scope, result)?]);
    }
    let &[n, c, h, w] = scope.dims(x) else { return Err("its input has not four axes".into()) };
    let outer = c / (b * b);
    let split = scope.reshape(x, &[n, outer, b, b, h, w])?;
    let moved = scope.transpose(split, &[0, 1, 4, 2, 5, 3])?;
    Ok(vec![scope.reshape(moved, &[n, outer, h * b, w * b])?])
}

fn space_to_depth(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let value = to_last(scope, input(inputs, 0)?)?;
    let result = scope.op1(ops::SpaceToDepth { block_size: block(node)? }, &[value])?;
    Ok(vec![to_first(scope, result)?])
}
