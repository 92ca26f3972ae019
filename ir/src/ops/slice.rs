//! Operations that take parts of a tensor, reverse or repeat it.

use super::infer::{InferCx, InferError, Inferred, axis_index, invalid, keep_dynamic, same_as_first};
use crate::types::Shape;

op! {
    /// The box that starts at `begin` and has size `size`; a size of -1 means up to the end.
    Slice = "slice" [input, begin, size] slice;
    {}
}

fn slice(_: &Slice, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let (begin, size) = (cx.sizes(1)?, cx.ints(2)?);
    if begin.len() != input.rank() || size.len() != input.rank() {
        return Err(invalid(format!("begin and size need {} entries", input.rank())));
    }
    let mut dims = Vec::with_capacity(input.rank());
    for (axis, &extent) in input.dims().iter().enumerate() {
        let left = extent.checked_sub(begin[axis]).ok_or_else(|| invalid(format!("begin {} is outside axis {axis}", begin[axis])))?;
        let wanted = if size[axis] == -1 { Some(left) } else { usize::try_from(size[axis]).ok().filter(|&s| s <= left) };
        dims.push(wanted.ok_or_else(|| invalid(format!("size {} does not fit axis {axis}", size[axis])))?);
    }
    let whole: Vec<usize> = (0..input.rank()).filter(|&a| size[a] == -1).collect();
    Ok(vec![(cx.elem(0)?, keep_dynamic(input, dims, &whole))])
}

op! {
    /// NumPy-style slicing with steps and masks.
    StridedSlice = "strided_slice" [input, begin, end, strides] strided_slice;
    {
        /// Bit *i*: start at the first element of entry *i*.
        begin_mask: u32 = 0,
        /// Bit *i*: go to the last element of entry *i*.
        end_mask: u32 = 0,
        /// Bit *i*: entry *i* stands for all axes that no other entry names.
        ellipsis_mask: u32 = 0,
        /// Bit *i*: entry *i* inserts an axis of size 1.
        new_axis_mask: u32 = 0,
        /// Bit *i*: entry *i* takes one index and drops the axis.
        shrink_axis_mask: u32 = 0,
        /// `end` counts from `begin`.
        offset: bool = false,
    }
}

/// What a strided slice takes from one axis of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceRange {
    /// First index.
    pub start: usize,
    /// Distance between indices; may be negative.
    pub step: i64,
    /// How many indices.
    pub count: usize,
    /// The axis is dropped from the result.
    pub shrink: bool,
}

impl StridedSlice {
    /// What is taken from each axis of an input of sizes `dims`, and the sizes of the result.
    /// Entries beyond the input's rank, zero steps and indices to drop outside the axis are errors.
    pub fn ranges(&self, dims: &[usize], begin: &[i64], end: &[i64], strides: &[i64]) -> Result<(Vec<SliceRange>, Vec<usize>), InferError> {
        let entries = begin.len();
        if end.len() != entries || strides.len() != entries || entries > 32 {
            return Err(invalid("begin, end and strides need the same length"));
        }
        let bit = |mask: u32, entry: usize| mask >> entry & 1 == 1;
        let named = (0..entries).filter(|&e| !bit(self.ellipsis_mask, e) && !bit(self.new_axis_mask, e)).count();
        if named > dims.len() || (self.ellipsis_mask.count_ones() > 1) {
            return Err(invalid(format!("{named} entries for {} axes", dims.len())));
        }
        let mut ranges = Vec::with_capacity(dims.len());
        let mut result = Vec::with_capacity(dims.len());
        let whole = |dim: usize| SliceRange { start: 0, step: 1, count: dim, shrink: false };
        for entry in 0..entries {
            if bit(self.ellipsis_mask, entry) {
                for _ in 0..dims.len() - named {
                    result.push(dims[ranges.len()]);
                    ranges.push(whole(dims[ranges.len()]));
                }
            } else if bit(self.new_axis_mask, entry) {
                result.push(1);
            } else {
                let range = self.range(entry, dims[ranges.len()], begin[entry], end[entry], strides[entry])?;
                ranges.push(range);
                if !range.shrink {
                    result.push(range.count);
                }
            }
        }
        for &dim in &dims[ranges.len()..] {
            ranges.push(whole(dim));
            result.push(dim);
        }
        Ok((ranges, result))
    }

    fn range(&self, entry: usize, dim: usize, begin: i64, end: i64, step: i64) -> Result<SliceRange, InferError> {
        if step == 0 {
            return Err(invalid("a stride is zero"));
        }
        let bit = |mask: u32| mask >> entry & 1 == 1;
        let size = i64::try_from(dim).map_err(|_| invalid("axis too large"))?;
        let from_start = |index: i64| if index < 0 { index.saturating_add(size) } else { index };
        if bit(self.shrink_axis_mask) {
            let start = from_start(if bit(self.begin_mask) { 0 } else { begin });
            let start = usize::try_from(start).ok().filter(|&s| s < dim);
            let start = start.ok_or_else(|| invalid(format!("index {begin} is outside an axis of size {dim}")))?;
            return Ok(SliceRange { start, step: 1, count: 1, shrink: true });
        }
        let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let start = if bit(self.begin_mask) { if step > 0 { low } else { high } } else { from_start(begin).clamp(low, high) };
        let stop = if bit(self.end_mask) {
            if step > 0 { high } else { low }
        } else if self.offset {
            start.saturating_add(end).clamp(low, high)
        } else {
            from_start(end).clamp(low, high)
        };
        let distance = if step > 0 { stop - start } else { start - stop };
        let count = if distance <= 0 { 0 } else { (distance - 1) / step.saturating_abs() + 1 };
        Ok(SliceRange { start: usize::try_from(start).unwrap_or(0), step, count: usize::try_from(count).unwrap_or(0), shrink: false })
    }
}

fn strided_slice(op: &StridedSlice, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (_, dims) = op.ranges(cx.shape(0)?.dims(), &cx.ints(1)?, &cx.ints(2)?, &cx.ints(3)?)?;
    Ok(vec![(cx.elem(0)?, dims.into())])
}

op! {
    /// Equal parts along the axis that `axis` holds.
    Split = "split" [axis, input] split;
    {
        /// How many parts.
        num_splits: usize = 1,
    }
}

fn split(op: &Split, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(1)?;
    let &[axis] = cx.ints(0)?.as_slice() else { return Err(invalid("the axis must be one number")) };
    let axis = axis_index(axis, input.rank())?;
    let mut dims = input.dims().to_vec();
    if op.num_splits == 0 || dims[axis] % op.num_splits != 0 || op.num_splits != cx.result_count() {
        return Err(invalid(format!("{} cannot be split into {} equal parts", dims[axis], op.num_splits)));
    }
    dims[axis] /= op.num_splits;
    let keep: Vec<usize> = (0..input.rank()).filter(|&a| a != axis).collect();
    Ok(vec![(cx.elem(1)?, keep_dynamic(input, dims, &keep)); op.num_splits])
}

op! {
    /// Parts of the sizes that `sizes` holds along the axis that `axis` holds; one size may be -1.
    SplitV = "split_v" [input, sizes, axis] split_v;
    {
        /// How many parts.
        num_splits: usize = 1,
    }
}

fn split_v(op: &SplitV, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let &[axis] = cx.ints(2)?.as_slice() else { return Err(invalid("the axis must be one number")) };
    let axis = axis_index(axis, input.rank())?;
    let sizes = cx.ints(1)?;
    if sizes.len() != op.num_splits || sizes.len() != cx.result_count() {
        return Err(invalid(format!("{} sizes for {} results", sizes.len(), cx.result_count())));
    }
    let extent = input.dims()[axis];
    let known = sizes.iter().filter(|&&s| s != -1).try_fold(0usize, |n, &s| n.checked_add(usize::try_from(s).ok()?));
    let holes = sizes.iter().filter(|&&s| s == -1).count();
    let rest = known.and_then(|k| extent.checked_sub(k)).filter(|&rest| holes == 1 || (holes == 0 && rest == 0));
    let rest = rest.ok_or_else(|| invalid(format!("sizes {sizes:?} do not add up to {extent}")))?;
    let keep: Vec<usize> = (0..input.rank()).filter(|&a| a != axis).collect();
    let part = |&size: &i64| {
        let mut dims = input.dims().to_vec();
        dims[axis] = usize::try_from(size).unwrap_or(rest);
        Ok((cx.elem(0)?, keep_dynamic(input, dims, &keep)))
    };
    sizes.iter().map(part).collect()
}

op! {
    /// The operand with a box replaced by `update`, at indices clamped so that it fits.
    DynamicUpdateSlice = "dynamic_update_slice" [operand, update, start_indices] |_, cx| same_as_first(cx);
    {}
}

op! {
    /// Elements in reverse order along the axes that `axes` holds.
    ReverseV2 = "reverse_v2" [input, axes] |_, cx| same_as_first(cx);
    {}
}

op! {
    /// Reverses the first `lengths[b]` entries along `seq_dim` for every index *b* along `batch_dim`.
    ReverseSequence = "reverse_sequence" [input, lengths] |_, cx| same_as_first(cx);
    {
        /// The axis that is reversed.
        seq_dim: i32 = 0,
        /// The axis of the lengths.
        batch_dim: i32 = 0,
    }
}

op! {
    /// Repeats the input `multiples[i]` times along axis *i*.
    Tile = "tile" [input, multiples] tile;
    {}
}

fn tile(_: &Tile, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (input, multiples) = (cx.shape(0)?, cx.sizes(1)?);
    if multiples.len() != input.rank() {
        return Err(invalid(format!("{} multiples for {} axes", multiples.len(), input.rank())));
    }
    let dims = input.dims().iter().zip(&multiples).map(|(&d, &m)| d.checked_mul(m));
    let dims: Option<Vec<usize>> = dims.collect();
    Ok(vec![(cx.elem(0)?, Shape::new(dims.ok_or_else(|| invalid("the number of elements overflows"))?))])
}
