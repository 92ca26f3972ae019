//! Reductions on integers.

use octet_ir::ElementType as E;
use octet_ir::ops::{Arg, ArgKind, Reduce, ReduceKind};

use super::{by_storage, kernel, operand, prepared, result};
use crate::int::arg::arg_extreme;
use crate::int::reduce::{self, Reduction};
use crate::kernel::{PrepareCx, Prepared};

pub(super) fn reduce(op: &Reduce, cx: &PrepareCx<'_>) -> Prepared {
    let reduction = match op.kind {
        ReduceKind::Mean => Reduction::Mean,
        ReduceKind::Sum => Reduction::Sum,
        ReduceKind::Max => Reduction::Max,
        ReduceKind::Min => Reduction::Min,
        ReduceKind::Prod => Reduction::Product,
        ReduceKind::Any | ReduceKind::All => return Err(cx.unsupported()),
    };
    let elem = cx.elem(0)?;
    if cx.result(0)?.elem != elem {
        return Err(cx.unsupported());
    }
    let axes: Result<Vec<i32>, _> = cx.ints(1)?.into_iter().map(i32::try_from).collect();
    let mut axes = axes.map_err(|_| cx.invalid("an axis does not fit 32 bits"))?;
    let shape = cx.shape(0)?;
    if shape.is_empty() {
        axes.clear();
    }
    let (input, output) = (operand(cx, 0)?, result(cx)?);
    by_storage!(cx, elem, T => {
        let reduce = prepared(cx, reduce::Reduce::prepare::<T>(reduction, shape, &axes, input, output))?;
        kernel(move |io| reduce.run::<T>(io.input(0), io.output(0)))
    })
}

pub(super) fn arg(op: &Arg, cx: &PrepareCx<'_>) -> Prepared {
    let shape = cx.shape(0)?;
    let axis = cx.axis(cx.int(1)?, shape.len())?;
    let split = [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()];
    let max = op.kind == ArgKind::Max;
    let (elem, to) = (cx.elem(0)?, cx.result(0)?.elem);
    if !matches!(to, E::I32 | E::I64) {
        return Err(cx.unsupported());
    }
    by_storage!(cx, elem, T => kernel(move |io| {
        let input = io.input::<T>(0);
        let better = |candidate: T, best: T| if max { candidate > best } else { candidate < best };
        if to == E::I64 {
            return arg_extreme(split, input, io.output::<i64>(0), better, |i| i as i64);
        }
        arg_extreme(split, input, io.output::<i32>(0), better, |i| i as i32)
    }))
}
