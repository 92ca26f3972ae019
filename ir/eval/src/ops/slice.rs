//! Ops that take parts of a tensor, reverse or repeat it.

use octet_ir::ops::{DynamicUpdateSlice, ReverseSequence, ReverseV2, Slice, Split, SplitV, StridedSlice, Tile};

use super::util::{copy_kernel, int_elem, read_ints, width};
use crate::data::strided::{StridedCopy, View, dense_strides};
use crate::kernel::{PrepareCx, PrepareError, Prepared, kernel};

pub(super) fn slice(_: &Slice, cx: &PrepareCx<'_>) -> Prepared {
    let dims = cx.shape(0)?;
    let begin = cx.ints(1)?;
    let result = cx.result_shape(0)?;
    let strides = dense_strides(dims);
    if begin.len() != dims.len() || result.len() != dims.len() {
        return Err(cx.invalid("begin has one entry per axis"));
    }
    let mut start = 0;
    for axis in 0..dims.len() {
        let first = usize::try_from(begin[axis]).ok().filter(|first| first.checked_add(result[axis]).is_some_and(|end| end <= dims[axis]));
        let first = first.ok_or_else(|| cx.invalid(format!("the slice leaves axis {axis}")))?;
        start += first * strides[axis] as usize;
    }
    copy_kernel(0, StridedCopy::gather(width(cx, 0)?, result, &View::new(start, strides)))
}

pub(super) fn strided_slice(op: &StridedSlice, cx: &PrepareCx<'_>) -> Prepared {
    let dims = cx.shape(0)?;
    let (begin, end, steps) = (cx.ints(1)?, cx.ints(2)?, cx.ints(3)?);
    let ranges = op.ranges(dims, &begin, &end, &steps);
    let (ranges, result) = ranges.map_err(|error| cx.invalid(error.to_string()))?;
    if result != cx.result_shape(0)? {
        return Err(cx.invalid("the slice does not give the result's shape"));
    }
    let strides = dense_strides(dims);
    let mut view = View::new(0, Vec::with_capacity(ranges.len()));
    let mut counts = Vec::with_capacity(ranges.len());
    for (range, stride) in ranges.iter().zip(strides) {
        view.start += range.start * stride as usize;
        // The step of a single entry leads nowhere, and may be any number.
        view.strides.push(if range.count > 1 { stride * range.step as isize } else { 0 });
        counts.push(range.count);
    }
    copy_kernel(0, StridedCopy::gather(width(cx, 0)?, &counts, &view))
}

/// Copies consecutive parts of operand `operand` along `axis` to the results.
pub(super) fn parts(cx: &PrepareCx<'_>, operand: usize, axis: usize, sizes: &[usize]) -> Prepared {
    let dims = cx.shape(operand)?;
    let width = width(cx, operand)?;
    let strides = dense_strides(dims);
    let mut copies = Vec::with_capacity(sizes.len());
    let mut first = 0;
    for &size in sizes {
        let mut part = dims.to_vec();
        part[axis] = size;
        let view = View::new(first * strides[axis] as usize, strides.clone());
        copies.push(StridedCopy::gather(width, &part, &view));
        first += size;
    }
    if first > dims[axis] {
        return Err(cx.invalid("the parts are larger than the axis"));
    }
    kernel(move |io| {
        let input = io.input(operand);
        for (copy, output) in copies.iter().zip(io.outputs.iter_mut()) {
            copy.run(input, output.data.bytes_mut());
        }
    })
}

/// Sizes of the results along `axis`.
fn result_sizes(cx: &PrepareCx<'_>, axis: usize) -> Result<Vec<usize>, PrepareError> {
    let size = |ty: &octet_ir::Type| ty.shape.dims().get(axis).copied();
    let sizes: Option<Vec<usize>> = cx.results.iter().map(size).collect();
    sizes.ok_or_else(|| cx.invalid("a result has fewer axes than the operand"))
}

pub(super) fn split(_: &Split, cx: &PrepareCx<'_>) -> Prepared {
    let axis = cx.axis(cx.int(0)?, cx.shape(1)?.len())?;
    parts(cx, 1, axis, &result_sizes(cx, axis)?)
}

pub(super) fn split_v(_: &SplitV, cx: &PrepareCx<'_>) -> Prepared {
    let axis = cx.axis(cx.int(2)?, cx.shape(0)?.len())?;
    parts(cx, 0, axis, &result_sizes(cx, axis)?)
}

pub(super) fn dynamic_update_slice(_: &DynamicUpdateSlice, cx: &PrepareCx<'_>) -> Prepared {
    let (dims, update) = (cx.shape(0)?.to_vec(), cx.shape(1)?.to_vec());
    let (width, index) = (width(cx, 0)?, int_elem(cx, 2)?);
    if cx.elem(1)? != cx.elem(0)? || dims.len() != update.len() || update.iter().zip(&dims).any(|(part, whole)| part > whole) {
        return Err(cx.invalid("the update does not fit into the operand"));
    }
    let strides = dense_strides(&dims);
    kernel(move |io| {
        // Where the box would leave the operand, it is moved back into it.
        let begin = read_ints(io, 2, index);
        let mut start = 0;
        for axis in 0..dims.len() {
            let last = (dims[axis] - update[axis]) as i64;
            let first = begin.get(axis).copied().unwrap_or(0).clamp(0, last);
            start += first as usize * strides[axis] as usize;
        }
        let copy = StridedCopy::scatter(width, &update, &View::new(start, strides.clone()));
        let (operand, part) = (io.input::<u8>(0), io.input::<u8>(1));
        let output = io.output::<u8>(0);
        output.copy_from_slice(operand);
        copy.run(part, output);
    })
}

pub(super) fn reverse_v2(_: &ReverseV2, cx: &PrepareCx<'_>) -> Prepared {
    let dims = cx.shape(0)?;
    let mut view = View::dense(dims);
    let mut seen = vec![false; dims.len()];
    for axis in cx.ints(1)? {
        let axis = cx.axis(axis, dims.len())?;
        if !std::mem::replace(&mut seen[axis], true) && dims[axis] > 0 {
            view.start += (dims[axis] - 1) * view.strides[axis] as usize;
            view.strides[axis] = -view.strides[axis];
        }
    }
    copy_kernel(0, StridedCopy::gather(width(cx, 0)?, dims, &view))
}

pub(super) fn reverse_sequence(op: &ReverseSequence, cx: &PrepareCx<'_>) -> Prepared {
    let dims = cx.shape(0)?;
    let sequence = cx.axis(op.seq_dim.into(), dims.len())?;
    let batch = cx.axis(op.batch_dim.into(), dims.len())?;
    if sequence == batch || cx.ty(1)?.shape.elements() != dims[batch] {
        return Err(cx.invalid("reversal needs one length per batch entry and two different axes"));
    }
    let lengths = int_elem(cx, 1)?;
    // View as [outer, low, middle, high, inner] with the two axes at `low` and `high`.
    let (low, high) = (sequence.min(batch), sequence.max(batch));
    let outer: usize = dims[..low].iter().product();
    let middle: usize = dims[low + 1..high].iter().product();
    let inner = dims[high + 1..].iter().product::<usize>() * width(cx, 0)?;
    let (low_size, high_size) = (dims[low], dims[high]);
    let (steps, sequence_first) = (dims[sequence], sequence < batch);
    kernel(move |io| {
        let lengths = read_ints(io, 1, lengths);
        let input = io.input::<u8>(0);
        let output = io.output::<u8>(0);
        let at = |o: usize, l: usize, m: usize, h: usize| (((o * low_size + l) * middle + m) * high_size + h) * inner;
        for o in 0..outer {
            for l in 0..low_size {
                for m in 0..middle {
                    for h in 0..high_size {
                        let (step, entry) = if sequence_first { (l, h) } else { (h, l) };
                        let length = usize::try_from(lengths[entry]).unwrap_or(0).min(steps);
                        let from = if step < length { length - 1 - step } else { step };
                        let (from_low, from_high) = if sequence_first { (from, h) } else { (l, from) };
                        let source = &input[at(o, from_low, m, from_high)..][..inner];
                        output[at(o, l, m, h)..][..inner].copy_from_slice(source);
                    }
                }
            }
        }
    })
}

pub(super) fn tile(_: &Tile, cx: &PrepareCx<'_>) -> Prepared {
    let dims = cx.shape(0)?;
    let result = cx.result_shape(0)?;
    let strides = dense_strides(dims);
    let (mut sizes, mut steps) = (Vec::new(), Vec::new());
    let multiples = cx.ints(1)?;
    if multiples.len() != dims.len() {
        return Err(cx.invalid("there is one multiple per axis"));
    }
    for (axis, multiple) in multiples.into_iter().enumerate() {
        let size = dims[axis];
        let multiple = usize::try_from(multiple).unwrap_or(0);
        if result.get(axis) != size.checked_mul(multiple).as_ref() {
            return Err(cx.invalid("the multiples do not give the result's shape"));
        }
        sizes.extend([multiple, size]);
        steps.extend([0, strides[axis]]);
    }
    copy_kernel(0, StridedCopy::gather(width(cx, 0)?, &sizes, &View::new(0, steps)))
}
