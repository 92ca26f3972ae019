//! Ops that combine elements along an axis.

use bytemuck::Pod;
use octet_ir::ops::{Arg, ArgKind, Cumsum, Reduce, ReduceKind, SegmentSum, TopkV2, Unique, UnsortedSegment, UnsortedSegmentKind};
use octet_ir::{Diagnostic, ElementType as E};

use super::elementwise::{quantized, with_number};
use super::util::{int_elem, put_ints, read_ints};
use crate::float::number::Number;
use crate::float::reduce::{Reduction, cumsum as running_sum, extreme_index};
use crate::kernel::{PrepareCx, PrepareError, Prepared, fallible_kernel, kernel};

/// The axes that operand 1 holds, as marks on the axes of operand 0.
pub(super) fn marked_axes(cx: &PrepareCx<'_>) -> Result<Vec<bool>, PrepareError> {
    let rank = cx.shape(0)?.len();
    let mut marks = vec![false; rank];
    for axis in cx.ints(1)? {
        if rank > 0 {
            marks[cx.axis(axis, rank)?] = true;
        }
    }
    Ok(marks)
}

pub(super) fn reduce(op: &Reduce, cx: &PrepareCx<'_>) -> Prepared {
    let elem = cx.elem(0)?;
    if cx.result(0)?.elem != elem {
        return Err(cx.unsupported());
    }
    let marks = marked_axes(cx)?;
    let reduction = Reduction::new(cx.shape(0)?, &marks);
    let kept: usize = cx.shape(0)?.iter().zip(&marks).filter(|(_, reduced)| !**reduced).map(|(size, _)| size).product();
    if cx.result(0)?.shape.elements() != kept {
        return Err(cx.invalid("the result does not have the axes that are left"));
    }
    // Extremes of quantized numbers are those of their integers when both sides share a scale.
    let same_scale = cx.ty(0)?.scale_zero_point() == cx.result(0)?.scale_zero_point();
    let comparable = !quantized(cx) || same_scale;
    match op.kind {
        ReduceKind::Any | ReduceKind::All if elem == E::Bool => {
            let all = op.kind == ReduceKind::All;
            kernel(move |io| {
                let x = io.input::<u8>(0);
                let read = |x: u8| u8::from(x != 0);
                reduction.fold(x, io.output::<u8>(0), u8::from(all), read, |a, b| if all { a & b } else { a | b });
            })
        }
        ReduceKind::Any | ReduceKind::All => Err(cx.unsupported()),
        ReduceKind::Max if comparable => with_number!(elem, cx, extreme(reduction, true)),
        ReduceKind::Min if comparable => with_number!(elem, cx, extreme(reduction, false)),
        ReduceKind::Sum | ReduceKind::Prod | ReduceKind::Mean if !quantized(cx) => match op.kind {
            ReduceKind::Mean if elem == E::F32 => {
                let count = reduction.count() as f32;
                kernel(move |io| {
                    let x = io.input::<f32>(0);
                    let y = io.output::<f32>(0);
                    reduction.sum(x, y);
                    y.iter_mut().for_each(|y| *y /= count);
                })
            }
            ReduceKind::Mean => match elem {
                E::I64 => integer_mean::<i64>(reduction),
                E::I32 => integer_mean::<i32>(reduction),
                E::I16 => integer_mean::<i16>(reduction),
                E::I8 => integer_mean::<i8>(reduction),
                E::U8 => integer_mean::<u8>(reduction),
                _ => Err(cx.unsupported()),
            },
            ReduceKind::Sum => with_number!(elem, cx, sum(reduction)),
            _ => with_number!(elem, cx, product(reduction)),
        },
        ReduceKind::Sum | ReduceKind::Prod | ReduceKind::Mean | ReduceKind::Max | ReduceKind::Min => Err(cx.unsupported()),
    }
}

fn sum<T: Number>(reduction: Reduction) -> Prepared {
    kernel(move |io| {
        let x = io.input::<T>(0);
        reduction.fold(x, io.output::<T>(0), T::default(), |x| x, T::add);
    })
}

fn product<T: Number>(reduction: Reduction) -> Prepared {
    kernel(move |io| {
        let x = io.input::<T>(0);
        reduction.fold(x, io.output::<T>(0), T::ONE, |x| x, T::mul);
    })
}

fn extreme<T: Number>(reduction: Reduction, largest: bool) -> Prepared {
    kernel(move |io| {
        let x = io.input::<T>(0);
        if largest {
            reduction.fold(x, io.output::<T>(0), T::lowest(), |x| x, |a, b| b.larger(a));
        } else {
            reduction.fold(x, io.output::<T>(0), T::highest(), |x| x, |a, b| b.smaller(a));
        }
    })
}

/// The mean of plain integers, rounded toward zero; sums are 64 bits wide.
fn integer_mean<T: Pod + Into<i64> + TryFrom<i64> + Default>(reduction: Reduction) -> Prepared {
    let count = i64::try_from(reduction.count()).unwrap_or(i64::MAX).max(1);
    kernel(move |io| {
        let x = io.input::<T>(0);
        let y = io.output::<T>(0);
        let mut sums = vec![0i64; y.len()];
        reduction.fold(x, &mut sums, 0, Into::into, i64::wrapping_add);
        for (y, sum) in y.iter_mut().zip(sums) {
            *y = T::try_from(sum / count).unwrap_or_default();
        }
    })
}

/// The operand as `[outer, axis, inner]`.
fn planes(cx: &PrepareCx<'_>, axis: i64) -> Result<(usize, usize), PrepareError> {
    let dims = cx.shape(0)?;
    let axis = cx.axis(axis, dims.len())?;
    Ok((dims[axis], dims[axis + 1..].iter().product()))
}

pub(super) fn arg(op: &Arg, cx: &PrepareCx<'_>) -> Prepared {
    fn run<T: Pod + PartialOrd>(cx: &PrepareCx<'_>, largest: bool) -> Prepared {
        let (axis, inner) = planes(cx, cx.int(1)?)?;
        if axis == 0 || cx.result(0)?.shape.elements() != cx.ty(0)?.shape.elements() / axis {
            return Err(cx.invalid("an axis without elements has no extreme"));
        }
        let wide = match cx.result(0)?.elem {
            E::I64 => true,
            E::I32 => false,
            _ => return Err(cx.unsupported()),
        };
        kernel(move |io| {
            let x = io.input::<T>(0);
            let better = |a: T, b: T| if largest { a > b } else { a < b };
            if wide {
                let out = io.output::<i64>(0);
                extreme_index(x, axis, inner, better, |at, index| out[at] = index as i64);
            } else {
                let out = io.output::<i32>(0);
                extreme_index(x, axis, inner, better, |at, index| out[at] = index as i32);
            }
        })
    }
    let largest = op.kind == ArgKind::Max;
    match cx.elem(0)? {
        E::Bool => run::<u8>(cx, largest),
        elem => with_number!(elem, cx, run(cx, largest)),
    }
}

pub(super) fn cumsum(op: &Cumsum, cx: &PrepareCx<'_>) -> Prepared {
    fn run<T: Number>(cx: &PrepareCx<'_>, order: (bool, bool)) -> Prepared {
        let plane = planes(cx, cx.int(1)?)?;
        kernel(move |io| {
            let x = io.input::<T>(0);
            running_sum(x, io.output::<T>(0), plane, order, T::default(), T::add);
        })
    }
    let elem = cx.elem(0)?;
    if quantized(cx) {
        return Err(cx.unsupported());
    }
    with_number!(elem, cx, run(cx, (op.exclusive, op.reverse)))
}

pub(super) fn topk_v2(_: &TopkV2, cx: &PrepareCx<'_>) -> Prepared {
    fn run<T: Number>(cx: &PrepareCx<'_>) -> Prepared {
        let depth = cx.shape(0)?.last().copied().unwrap_or(1);
        let k = cx.result_shape(0)?.last().copied().unwrap_or(1);
        let elem = cx.result(1)?.elem;
        if k > depth || !matches!(elem, E::I32 | E::I16) {
            return Err(cx.unsupported());
        }
        kernel(move |io| {
            let x = io.input::<T>(0);
            let mut order: Vec<usize> = Vec::with_capacity(depth);
            let mut indices = Vec::new();
            let (values, _) = io.two_outputs::<T, u8>();
            for (row, values) in x.chunks_exact(depth.max(1)).zip(values.chunks_exact_mut(k.max(1))) {
                order.clear();
                order.extend(0..depth);
                // Of equal numbers the first one wins.
                let descending = |&a: &usize, &b: &usize| row[b].partial_cmp(&row[a]).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(&b));
                if k < depth {
                    order.select_nth_unstable_by(k, descending);
                    order.truncate(k);
                }
                order.sort_unstable_by(descending);
                for (value, &at) in values.iter_mut().zip(&order) {
                    *value = row[at];
                }
                indices.extend(order.iter().map(|&at| at as i32));
            }
            if elem == E::I16 {
                for (out, index) in io.output::<i16>(1).iter_mut().zip(indices) {
                    *out = index as i16;
                }
            } else {
                for (out, index) in io.output::<i32>(1).iter_mut().zip(indices) {
                    *out = index;
                }
            }
        })
    }
    let elem = cx.elem(0)?;
    with_number!(elem, cx, run(cx))
}

pub(super) fn unique(_: &Unique, cx: &PrepareCx<'_>) -> Prepared {
    fn run<T: Number>(cx: &PrepareCx<'_>) -> Prepared {
        let elem = cx.result(1)?.elem;
        kernel(move |io| {
            // Numbers as bit patterns, with one zero: keys that order and compare.
            let x = io.input::<T>(0);
            let key = |x: T| {
                let mut key = [0u8; 8];
                let x = if x == T::default() { T::default() } else { x };
                key[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(&x));
                key
            };
            let mut seen = std::collections::BTreeMap::new();
            let mut distinct: Vec<T> = Vec::new();
            let mut indices = Vec::with_capacity(x.len());
            for &x in x {
                let index = *seen.entry(key(x)).or_insert_with(|| {
                    distinct.push(x);
                    distinct.len() - 1
                });
                indices.push(index as i64);
            }
            let output = &mut io.outputs[0];
            output.data.resize(size_of_val(distinct.as_slice()));
            output.data.as_mut_slice::<T>().copy_from_slice(&distinct);
            output.dims = Some(vec![distinct.len()]);
            put_ints(io, 1, elem, indices);
        })
    }
    let elem = cx.elem(0)?;
    with_number!(elem, cx, run(cx))
}

pub(super) fn segment_sum(_: &SegmentSum, cx: &PrepareCx<'_>) -> Prepared {
    let elem = cx.elem(0)?;
    with_number!(elem, cx, segments(cx, UnsortedSegmentKind::Sum))
}

pub(super) fn unsorted_segment(op: &UnsortedSegment, cx: &PrepareCx<'_>) -> Prepared {
    let elem = cx.elem(0)?;
    with_number!(elem, cx, segments(cx, op.kind))
}

fn segments<T: Number>(cx: &PrepareCx<'_>, kind: UnsortedSegmentKind) -> Prepared {
    let ids = cx.ty(1)?.shape.elements();
    let count = cx.result_shape(0)?.first().copied().unwrap_or(0);
    let inner = cx.ty(0)?.shape.elements() / ids.max(1);
    if cx.result(0)?.shape.elements() != count * inner {
        return Err(cx.invalid("the segments do not fill the result"));
    }
    let elem = int_elem(cx, 1)?;
    let (start, combine): (T, fn(T, T) -> T) = match kind {
        UnsortedSegmentKind::Sum => (T::default(), T::add),
        UnsortedSegmentKind::Prod => (T::ONE, T::mul),
        UnsortedSegmentKind::Max => (T::lowest(), T::larger),
        UnsortedSegmentKind::Min => (T::highest(), T::smaller),
    };
    fallible_kernel(0, move |io| {
        let ids = read_ints(io, 1, elem);
        let x = io.input::<T>(0);
        let y = io.output::<T>(0);
        y.fill(start);
        if inner == 0 {
            return Ok(());
        }
        for (&id, row) in ids.iter().zip(x.chunks_exact(inner)) {
            // A negative id drops its row.
            let Ok(id) = usize::try_from(id) else { continue };
            let at = id.checked_mul(inner);
            let Some(out) = at.and_then(|at| y.get_mut(at..)).and_then(|y| y.get_mut(..inner)) else {
                return Err(Diagnostic::error("EVL010", format!("segment id {id} is outside {count} segments")));
            };
            for (out, &x) in out.iter_mut().zip(row) {
                *out = combine(*out, x);
            }
        }
        Ok(())
    })
}
