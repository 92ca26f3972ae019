//! Operators that put elements back where windows took them from: sums of blocks, and maxima at noted places.

use octet_ir::ops;
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input, optional};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("Col2Im", col2im), ("MaxUnpool", max_unpool)];

/// Elements that a table of places may have.
const LARGEST: usize = 1 << 24;

/// Positive sizes from an attribute with one entry an axis.
fn sizes(given: Option<&[i64]>, count: usize, default: usize) -> Result<Vec<usize>, Refusal> {
    match given {
        None => Ok(vec![default; count]),
        Some(all) if all.len() == count => all.iter().map(|&s| usize::try_from(s).map_err(|_| "a size is negative".to_owned())).collect(),
        Some(_) => Err(format!("an attribute has no {count} entries")),
    }
}

/// The number of elements, if a table of places may have as many.
fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).filter(|&n| n <= LARGEST)
}

/// Rows `[M, K]` added up at rows `indices` of `[count, K]`.
fn add_up(scope: &mut Scope<'_>, rows: ValueId, indices: ValueId, count: usize) -> Result<ValueId, Refusal> {
    let &[given, width] = scope.dims(rows) else { return Err("rows have two axes".into()) };
    let at = scope.reshape(indices, &[given, 1])?;
    let shape = scope.sizes(&[count, width])?;
    scope.op1(ops::ScatterNd {}, &[at, rows, shape])
}

/// Columns of blocks back to an image; where blocks overlap they are added, what lies in the padding is dropped.
fn col2im(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let image = scope.need_ints(input(inputs, 1)?, "the image's shape")?;
    let block = scope.need_ints(input(inputs, 2)?, "the block's shape")?;
    let rank = image.len();
    let (image, block) = (sizes(Some(&image), rank, 1)?, sizes(Some(&block), rank, 1)?);
    let (strides, dilations) = (sizes(node.ints("strides"), rank, 1)?, sizes(node.ints("dilations"), rank, 1)?);
    let pads = sizes(node.ints("pads"), 2 * rank, 0)?;
    // For every axis, the place of each element of each block, or none in the padding.
    let mut along: Vec<Vec<Vec<Option<usize>>>> = Vec::with_capacity(rank);
    for a in 0..rank {
        let reach = block[a].checked_sub(1).and_then(|b| b.checked_mul(dilations[a])).ok_or("a block is empty or too large")?;
        let padded = image[a].checked_add(pads[a]).and_then(|s| s.checked_add(pads[rank + a])).filter(|&s| s <= LARGEST);
        let steps = padded.and_then(|s| s.checked_sub(reach + 1)).and_then(|s| s.checked_div(strides[a]));
        let steps = steps.ok_or("a block does not fit the image")? + 1;
        let place = |k: usize, s: usize| (s * strides[a] + k * dilations[a]).checked_sub(pads[a]).filter(|&p| p < image[a]);
        along.push((0..block[a]).map(|k| (0..steps).map(|s| place(k, s)).collect()).collect());
    }
    let steps: Vec<usize> = along.iter().map(|a| a.first().map_or(0, Vec::len)).collect();
    let product = |sizes: &[usize]| product(sizes).filter(|&n| n > 0);
    let pixels = product(&image).ok_or("the image is empty or too large")?;
    let elements = product(&block).ok_or("the blocks are empty or too large")?;
    let blocks = product(&steps).ok_or("there are no blocks, or too many")?;
    if elements.checked_mul(blocks).is_none_or(|n| n > LARGEST) {
        return Err("the blocks are too large".into());
    }
    let &[batch, rows, columns] = scope.dims(x) else { return Err("its input has another rank than 3".into()) };
    if columns != blocks || rows % elements != 0 {
        return Err(format!("columns of {rows}x{columns} are not {blocks} blocks of {elements}"));
    }
    let channels = rows / elements;
    // One row more takes what falls into the padding.
    let mut places = Vec::with_capacity(elements * blocks);
    for element in 0..elements {
        for column in 0..blocks {
            let (mut k, mut s, mut place, mut stride) = (element, column, Some(0usize), 1);
            for a in (0..rank).rev() {
                let own = along[a][k % block[a]][s % steps[a]];
                place = place.zip(own).map(|(p, own)| p + own * stride);
                (k, s, stride) = (k / block[a], s / steps[a], stride * image[a]);
            }
            places.push(small(place.unwrap_or(pixels))?);
        }
    }
    let flat = scope.reshape(x, &[batch * channels, elements * blocks])?;
    let flat = scope.transpose(flat, &[1, 0])?;
    let places = scope.i32s(&places);
    let sums = add_up(scope, flat, places, pixels + 1)?;
    let sums = scope.slice(sums, 0, 0, pixels)?;
    let sums = scope.transpose(sums, &[1, 0])?;
    let shape = [&[batch, channels], image.as_slice()].concat();
    let result = scope.reshape(sums, &shape)?;
    Ok(vec![scope.cast(result, elem)?])
}

/// Values put at the indices that MaxPool noted, zeros elsewhere. A larger result than the indices count in is filled up behind.
fn max_unpool(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let dims = scope.dims(x).to_vec();
    let rank = dims.len().checked_sub(2).filter(|&r| r > 0).ok_or("its input is no image")?;
    let kernel = sizes(node.ints("kernel_shape"), rank, 1)?;
    let strides = sizes(node.ints("strides"), rank, 1)?;
    let pads = sizes(node.ints("pads"), 2 * rank, 0)?;
    let mut own = dims[..2].to_vec();
    for a in 0..rank {
        let size = dims[2 + a].checked_sub(1).and_then(|s| s.checked_mul(strides[a])).and_then(|s| s.checked_add(kernel[a]));
        let size = size.and_then(|s| s.checked_sub(pads[a])).and_then(|s| s.checked_sub(pads[rank + a]));
        own.push(size.ok_or("its sizes do not fit")?);
    }
    let wanted = match optional(inputs, 2) {
        Some(shape) => {
            let shape = scope.need_ints(shape, "the output's shape")?;
            sizes(Some(&shape), dims.len(), 1)?
        }
        None => own.clone(),
    };
    let (pixels, count) = (product(&own).ok_or("its result is too large")?, product(&dims).ok_or("its input is too large")?);
    product(&wanted).ok_or("its result is too large")?;
    let indices = scope.cast(input(inputs, 1)?, ElementType::I32)?;
    let flat = scope.reshape(x, &[count, 1])?;
    let placed = add_up(scope, flat, indices, pixels)?;
    let mut result = scope.reshape(placed, &own)?;
    if wanted != own {
        let mut paddings = Vec::with_capacity(2 * dims.len());
        for (&from, &to) in own.iter().zip(&wanted) {
            paddings.extend([0, small(to.checked_sub(from).ok_or("the output's shape is smaller than what is put in it")?)?]);
        }
        let paddings = scope.i32_tensor(&paddings, &[dims.len(), 2]);
        result = scope.op1(ops::Pad {}, &[result, paddings])?;
    }
    Ok(vec![scope.cast(result, elem)?])
}
