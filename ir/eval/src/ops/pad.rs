//! Paddings.

use octet_ir::ops::{MirrorMode, MirrorPad, Pad, PadV2};

use super::util::{fill, one_element, width, zero_element};
use crate::data::index::axis_tables;
use crate::data::strided::{StridedCopy, View, dense_strides};
use crate::kernel::{PrepareCx, PrepareError, Prepared, kernel};

/// Copies operand 0 into its place in the result; the caller fills the rest.
fn placed(cx: &PrepareCx<'_>) -> Result<StridedCopy, PrepareError> {
    let (dims, result) = (cx.shape(0)?, cx.result_shape(0)?);
    let pads = cx.ints(1)?;
    let strides = dense_strides(result);
    if pads.len() != 2 * dims.len() || result.len() != dims.len() {
        return Err(cx.invalid("the paddings have two entries per axis"));
    }
    let mut start = 0;
    for (axis, pair) in pads.chunks_exact(2).enumerate() {
        let (Ok(before), Ok(after)) = (usize::try_from(pair[0]), usize::try_from(pair[1])) else {
            return Err(cx.invalid(format!("negative padding of axis {axis}")));
        };
        let padded = before.checked_add(dims[axis]).and_then(|size| size.checked_add(after));
        if padded.is_none() || result.get(axis).copied() != padded {
            return Err(cx.invalid("the paddings do not give the result's shape"));
        }
        start += before * strides[axis] as usize;
    }
    Ok(StridedCopy::scatter(width(cx, 0)?, dims, &View::new(start, strides)))
}

pub(super) fn pad(_: &Pad, cx: &PrepareCx<'_>) -> Prepared {
    let copy = placed(cx)?;
    let zero = zero_element(cx.result(0)?, width(cx, 0)?);
    kernel(move |io| {
        let input = io.input(0);
        let output = io.output(0);
        fill(output, &zero);
        copy.run(input, output);
    })
}

pub(super) fn pad_v2(_: &PadV2, cx: &PrepareCx<'_>) -> Prepared {
    let copy = placed(cx)?;
    one_element(cx, 2, cx.elem(0)?)?;
    kernel(move |io| {
        let (input, value) = (io.input(0), io.input(2));
        let output = io.output(0);
        fill(output, value);
        copy.run(input, output);
    })
}

pub(super) fn mirror_pad(op: &MirrorPad, cx: &PrepareCx<'_>) -> Prepared {
    let (dims, result) = (cx.shape(0)?, cx.result_shape(0)?);
    let width = width(cx, 0)?;
    let pads = cx.ints(1)?;
    let edge = match op.mode {
        MirrorMode::Reflect => 1,
        MirrorMode::Symmetric => 0,
    };
    let mut tables = Vec::with_capacity(dims.len());
    for (axis, &size) in dims.iter().enumerate() {
        let (Some(&before), Some(&after)) = (pads.get(2 * axis), pads.get(2 * axis + 1)) else {
            return Err(cx.invalid("the paddings have two entries per axis"));
        };
        let most = size as i64 - edge;
        if before < 0 || after < 0 || before > most || after > most {
            return Err(cx.invalid(format!("axis {axis} of size {size} is too short to mirror")));
        }
        let position = |i: i64| {
            if i < 0 {
                edge - 1 - i
            } else if i < size as i64 {
                i
            } else {
                2 * size as i64 - 1 - edge - i
            }
        };
        let table: Vec<usize> = (-before..size as i64 + after).map(|i| position(i) as usize).collect();
        if result.get(axis) != Some(&table.len()) {
            return Err(cx.invalid("the paddings do not give the result's shape"));
        }
        tables.push(table);
    }
    let strides = dense_strides(dims);
    kernel(move |io| {
        let input = io.input(0);
        axis_tables(width, &tables, &strides, input, io.output(0));
    })
}
