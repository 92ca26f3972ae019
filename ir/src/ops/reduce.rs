//! Operations that combine elements along an axis.

use super::infer::{InferCx, InferError, Inferred, axis_index, invalid, same_as_first};
use crate::types::{ElementType, Shape};

kinds! {
    /// How elements are combined.
    ReduceKind {
        /// Arithmetic mean.
        Mean = "mean",
        /// Sum.
        Sum = "sum",
        /// Largest.
        Max = "reduce_max",
        /// Smallest.
        Min = "reduce_min",
        /// Product.
        Prod = "reduce_prod",
        /// Some element is true.
        Any = "reduce_any",
        /// All elements are true.
        All = "reduce_all",
    }
}

op! {
    /// Combines all elements along the axes that `axes` holds; negative axes count from the end.
    family Reduce(ReduceKind) [input, axes] reduce;
    {
        /// Keep reduced axes with size 1.
        keep_dims: bool = false,
    }
}

fn reduce(op: &Reduce, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let mut reduced = vec![false; input.rank()];
    for axis in cx.ints(1)? {
        // A scalar may be "reduced" along axis 0 or -1: nothing happens.
        if input.rank() == 0 && (-1..=0).contains(&axis) {
            continue;
        }
        reduced[axis_index(axis, input.rank())?] = true;
    }
    let mut shape = Vec::new();
    let mut dynamic = Vec::new();
    for (axis, &size) in input.dims().iter().enumerate() {
        if !reduced[axis] {
            dynamic.push((shape.len(), input.dynamic(axis)));
            shape.push(size);
        } else if op.keep_dims {
            shape.push(1);
        }
    }
    let mut shape = Shape::new(shape);
    for (axis, name) in dynamic {
        if let Some(name) = name {
            shape = shape.with_dynamic(axis, name);
        }
    }
    Ok(vec![(cx.elem(0)?, shape)])
}

kinds! {
    /// Which extreme.
    ArgKind {
        /// Index of the largest element.
        Max = "arg_max",
        /// Index of the smallest element.
        Min = "arg_min",
    }
}

op! {
    /// Index of the extreme element along the axis that `axis` holds; the first one of equals.
    family Arg(ArgKind) [input, axis] arg;
    {
        /// Type of the result: i32 or i64.
        output_type: ElementType = ElementType::I32,
    }
}

fn arg(op: &Arg, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let &[axis] = cx.ints(1)?.as_slice() else { return Err(invalid("the axis must be one number")) };
    let axis = axis_index(axis, input.rank())?;
    let kept = || (0..input.rank()).filter(|&a| a != axis);
    let mut shape = Shape::new(kept().map(|a| input.dims()[a]).collect::<Vec<_>>());
    for (to, from) in kept().enumerate() {
        if let Some(name) = input.dynamic(from) {
            shape = shape.with_dynamic(to, name);
        }
    }
    Ok(vec![(op.output_type, shape)])
}

op! {
    /// Running sum along the axis that `axis` holds.
    Cumsum = "cumsum" [input, axis] |_, cx| same_as_first(cx);
    {
        /// Leave the element itself out of its sum.
        exclusive: bool = false,
        /// Sum from the end.
        reverse: bool = false,
    }
}

op! {
    /// The `k` largest elements of each row and their indices, largest first.
    TopkV2 = "topk_v2" [input, k] topk_v2;
    {}
}

fn topk_v2(_: &TopkV2, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let &[k] = cx.sizes(1)?.as_slice() else { return Err(invalid("k must be one number")) };
    let mut dims = cx.shape(0)?.dims().to_vec();
    match dims.last_mut() {
        Some(last) if *last >= k => *last = k,
        _ => return Err(invalid(format!("k = {k} is more than the innermost size"))),
    }
    let indices = cx.result_elem(1, ElementType::I32);
    Ok(vec![(cx.elem(0)?, dims.clone().into()), (indices, dims.into())])
}

op! {
    /// Distinct elements of a vector in order of appearance, and for every element the index of its distinct one.
    Unique = "unique" [input] |_, cx| cx.declared_results();
    {
        /// Type of the indices: i32 or i64.
        idx_out_type: ElementType = ElementType::I32,
    }
}

op! {
    /// Sums rows of `data` whose `segment_ids` are equal and sorted.
    SegmentSum = "segment_sum" [data, segment_ids] segment_sum;
    {}
}

fn segment_sum(_: &SegmentSum, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let mut dims = cx.shape(0)?.dims().to_vec();
    let ids = cx.sizes(1)?;
    let count = ids.last().map_or(Some(0), |last| last.checked_add(1)).ok_or_else(|| invalid("a segment id overflows"))?;
    match dims.first_mut() {
        Some(first) => *first = count,
        None => return Err(invalid("the data is a scalar")),
    }
    Ok(vec![(cx.elem(0)?, dims.into())])
}

kinds! {
    /// How rows of one segment are combined.
    UnsortedSegmentKind {
        /// Sum.
        Sum = "unsorted_segment_sum",
        /// Product.
        Prod = "unsorted_segment_prod",
        /// Largest.
        Max = "unsorted_segment_max",
        /// Smallest.
        Min = "unsorted_segment_min",
    }
}

op! {
    /// Combines the slices of `data` that have the same segment id; `num_segments` holds the outermost size of the result.
    family UnsortedSegment(UnsortedSegmentKind) [data, segment_ids, num_segments] unsorted_segment;
    {}
}

fn unsorted_segment(_: &UnsortedSegment, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (data, ids) = (cx.shape(0)?, cx.shape(1)?);
    let &[count] = cx.sizes(2)?.as_slice() else { return Err(invalid("num_segments must be one number")) };
    let Some(inner) = data.dims().strip_prefix(ids.dims()) else {
        return Err(invalid(format!("segment ids of shape {ids} do not lead data of shape {data}")));
    };
    let dims: Vec<usize> = std::iter::once(count).chain(inner.iter().copied()).collect();
    Ok(vec![(cx.elem(0)?, dims.into())])
}
