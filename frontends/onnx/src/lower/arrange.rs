//! Entries chosen by a condition, running products, identity matrices, crops around the middle, the largest entry marked.

use octet_ir::ops::{self, ArgKind, BinaryKind};
use octet_ir::{ElementType, Shape, Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, axis, input, optional};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::tensor;

pub(super) const TABLE: Table = &[
    ("CenterCropPad", center_crop_pad),
    ("Compress", compress),
    ("CumProd", cumulative_product),
    ("EyeLike", eye_like),
    ("Hardmax", hardmax),
];

/// Entries of a running product that are written out at most.
const MOST: usize = 1024;

/// Slices where the condition holds, along an axis or of the flattened tensor.
fn compress(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (mut x, condition) = (input(inputs, 0)?, input(inputs, 1)?);
    let along = match node.int("axis") {
        Some(along) => axis(along, scope.rank(x))?,
        None => {
            x = scope.reshape(x, &[scope.dims(x).iter().product()])?;
            0
        }
    };
    if scope.size(condition, 0)? > scope.size(x, along)? {
        return Err("the condition is longer than the axis".into());
    }
    let ty = Type::new(ElementType::I64, Shape::new([1, 1]).with_dynamic(0, "chosen"));
    let places = scope.op_typed(ops::Where {}, &[Some(condition)], vec![ty])?[0];
    let places = scope.cast(places, ElementType::I32)?;
    let mut order: Vec<usize> = (0..scope.rank(x)).collect();
    order.swap(0, along);
    let rows = scope.transpose(x, &order)?;
    let chosen = scope.op1(ops::GatherNd {}, &[rows, places])?;
    Ok(vec![scope.transpose(chosen, &order)?])
}

fn cumulative_product(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let along = scope.need_ints(input(inputs, 1)?, "the axis")?;
    let along = axis(along.first().copied().unwrap_or(0), scope.rank(x))?;
    let size = scope.size(x, along)?;
    if size == 0 || size > MOST {
        return Err(format!("a running product of {size} entries is not supported"));
    }
    let (exclusive, reverse) = (node.flag("exclusive"), node.flag("reverse"));
    let mut products: Vec<ValueId> = Vec::with_capacity(size);
    for step in 0..size {
        let index = if reverse { size - 1 - step } else { step };
        let product = match products.last() {
            Some(&last) => {
                // An exclusive product lacks the entry itself: it is one entry behind.
                let index = if !exclusive {
                    index
                } else if reverse {
                    index + 1
                } else {
                    index - 1
                };
                let entry = scope.slice(x, along, index, 1)?;
                scope.binary(BinaryKind::Mul, last, entry)?
            }
            None if exclusive => {
                let first = scope.slice(x, along, index, 1)?;
                let dims = scope.dims(first).to_vec();
                let ones = scope.f32_tensor(&vec![1.0; dims.iter().product()], &dims);
                scope.cast(ones, scope.elem(x))?
            }
            None => scope.slice(x, along, index, 1)?,
        };
        products.push(product);
    }
    if reverse {
        products.reverse();
    }
    Ok(vec![scope.concat(&products, along)?])
}

fn eye_like(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let elem = match node.int("dtype") {
        Some(code) => i32::try_from(code).ok().and_then(tensor::element_type).ok_or("its dtype has no type in the IR")?,
        None => scope.elem(x),
    };
    let &[rows, columns] = scope.dims(x) else { return Err("its input is no matrix".into()) };
    if rows.checked_mul(columns).is_none_or(|n| n > 1 << 22) {
        return Err("the constant is too large".into());
    }
    let signed = |v: usize| i64::try_from(v).unwrap_or(i64::MAX);
    let k = node.int_or("k", 0);
    let cell = |i: usize| if signed(i % columns) - signed(i / columns) == k { 1.0 } else { 0.0 };
    let cells: Vec<f32> = (0..rows * columns).map(cell).collect();
    let eye = scope.f32_tensor(&cells, &[rows, columns]);
    Ok(vec![scope.cast(eye, elem)?])
}

/// 1 at the first largest entry along an axis; before opset 13 of everything from the axis on.
fn hardmax(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let dims = scope.dims(x).to_vec();
    let given = axis(node.int_or("axis", if node.version < 13 { 1 } else { -1 }), dims.len().max(1))?;
    let (rows, along) = if node.version < 13 {
        let (outer, inner) = dims.split_at(given);
        (scope.reshape(x, &[outer.iter().product(), inner.iter().product()])?, 1)
    } else {
        (x, given)
    };
    let at = scope.i32(small(along)?);
    let best = scope.op1(ops::Arg { kind: ArgKind::Max, output_type: ElementType::I32 }, &[rows, at])?;
    let depth = scope.i32(small(scope.size(rows, along)?)?);
    let (on, off) = (scope.f32(1.0), scope.f32(0.0));
    let marked = scope.op1(ops::OneHot { axis: small(along)? }, &[best, depth, on, off])?;
    let marked = scope.reshape(marked, &dims)?;
    Ok(vec![scope.cast(marked, elem)?])
}

/// Each axis cropped to a size around its middle, or padded with zeros to it.
fn center_crop_pad(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let mut x = input(inputs, 0)?;
    let rank = scope.rank(x);
    let shape = optional(inputs, 1).ok_or("the sizes are missing")?;
    let sizes = scope.need_ints(shape, "the sizes")?;
    let axes: Vec<usize> = match node.ints("axes") {
        Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    if axes.len() != sizes.len() {
        return Err(format!("{} sizes for {} axes", sizes.len(), axes.len()));
    }
    let mut padding = vec![0; 2 * rank];
    for (&at, &size) in axes.iter().zip(&sizes) {
        let size = usize::try_from(size).map_err(|_| Refusal::from("a size is negative"))?;
        let own = scope.size(x, at)?;
        if own > size {
            x = scope.slice(x, at, (own - size) / 2, size)?;
        } else {
            padding[2 * at] = small((size - own) / 2)?;
            padding[2 * at + 1] = small(size - own - (size - own) / 2)?;
        }
    }
    if padding.iter().all(|&p| p == 0) {
        return Ok(vec![x]);
    }
    let padding = scope.i32_tensor(&padding, &[rank, 2]);
    Ok(vec![scope.op1(ops::Pad {}, &[x, padding])?])
}
