//! Matrix products.

use octet_ir::ops::{BatchMatmul, EmbeddingLookup, FullyConnected, WeightsFormat};
use octet_ir::{ElementType as E, Type};

use super::conv::clamp_of;
use super::util::{float_if_there, out_of_bounds, width};
use crate::data::index::{GatherShape, checked};
use crate::float::activation::activate;
use crate::float::gemm::{Gather, PackedWeights, multiply, multiply_vector};
use crate::float::hybrid::{quantize_asymmetric, quantize_symmetric, rescale, unpack};
use crate::kernel::{Io, PrepareCx, PrepareError, Prepared, fallible_kernel, kernel, kernel_with_scratch};

/// Up to this many rows each is a matrix-vector product that reads the weights in place.
const FEW_ROWS: usize = 3;

pub(super) fn fully_connected(op: &FullyConnected, cx: &PrepareCx<'_>) -> Prepared {
    if op.weights_format != WeightsFormat::Default {
        return Err(cx.unsupported());
    }
    float_if_there(cx, 2)?;
    match (cx.elem(0)?, cx.elem(1)?) {
        (E::F32, E::F32) => float_fully_connected(op, cx),
        (E::F32, E::I8 | E::I4 | E::I2) => hybrid_fully_connected(op, cx),
        _ => Err(cx.unsupported()),
    }
}

/// Rows of the flattened input.
fn rows(cx: &PrepareCx<'_>, k: usize) -> Result<usize, PrepareError> {
    let elements = cx.ty(0)?.shape.elements();
    if k == 0 || elements % k != 0 {
        return Err(cx.invalid(format!("{elements} input elements do not fill rows of {k}")));
    }
    Ok(elements / k)
}

fn float_fully_connected(op: &FullyConnected, cx: &PrepareCx<'_>) -> Prepared {
    let [units, k] = cx.dims(1)?;
    let rows = rows(cx, k)?;
    let (activation, clamp) = (op.activation, clamp_of(op.activation));
    let finish = move |output: &mut [f32]| {
        if activation.bounds().is_none() {
            activate(activation, output);
        }
    };
    if rows <= FEW_ROWS {
        return kernel(move |io| {
            let (input, weights, bias) = (io.input::<f32>(0), io.input::<f32>(1), io.optional(2));
            let output = io.output(0);
            for (x, y) in input.chunks_exact(k).zip(output.chunks_exact_mut(units.max(1))) {
                multiply_vector(x, weights, bias, clamp, y);
            }
            finish(output);
        });
    }
    let gather = Gather::dense(rows, k);
    let pack = move |weights: &[f32]| PackedWeights::pack(k, units, |row, unit| weights[unit * k + row]);
    let packed = cx.constant::<f32>(1).map(|weights| pack(&weights));
    kernel(move |io| {
        let owned;
        let weights = match &packed {
            Some(packed) => packed,
            None => {
                owned = pack(io.input(1));
                &owned
            }
        };
        let (input, bias) = (io.input::<f32>(0), io.optional::<f32>(2));
        let output = io.output::<f32>(0);
        match bias {
            // The bias may change from run to run while the packed weights stay.
            Some(bias) => {
                multiply(input, &gather, weights, (f32::NEG_INFINITY, f32::INFINITY), output, units, 0);
                rescale(output, 1.0, &[1.0], Some(bias), units, clamp);
            }
            None => multiply(input, &gather, weights, clamp, output, units, 0),
        }
        finish(output);
    })
}

/// Scales of the weights: one, or one per index of axis 0.
pub(super) fn weight_scales(cx: &PrepareCx<'_>, weights: &Type) -> Result<Vec<f32>, PrepareError> {
    let quant = weights.quant.as_ref().filter(|quant| quant.is_symmetric());
    let scales = quant.map(|quant| (quant.scales().to_vec(), quant.axis()));
    match scales {
        Some((scales, None)) if scales.len() == 1 => Ok(scales),
        Some((scales, Some(axis))) if weights.shape.dims().get(axis) == Some(&scales.len()) => Ok(scales),
        _ => Err(cx.unsupported()),
    }
}

/// Integer weights as numbers.
pub(super) fn integer_weights(bytes: &[u8], ty: &Type) -> Vec<f32> {
    unpack(bytes, ty.elem.bits().unwrap_or(8), ty.shape.elements())
}

fn hybrid_fully_connected(op: &FullyConnected, cx: &PrepareCx<'_>) -> Prepared {
    let [units, k] = cx.dims(1)?;
    rows(cx, k)?;
    let weights = cx.ty(1)?;
    let scales = weight_scales(cx, weights)?;
    let quantize = if op.asymmetric_quantize_inputs { quantize_asymmetric } else { quantize_symmetric };
    let (activation, clamp) = (op.activation, clamp_of(op.activation));
    let numbers = integer_weights(&cx.value::<u8>(1)?, weights);
    let run = move |io: &mut Io<'_>| {
        let (input, bias) = (io.input::<f32>(0), io.optional::<f32>(2));
        let (output, scratch) = io.output_and_scratch::<f32, f32>(0);
        let scratch = &mut scratch[..k];
        for (x, y) in input.chunks_exact(k).zip(output.chunks_exact_mut(units.max(1))) {
            let step = quantize(x, scratch);
            multiply_vector(scratch, &numbers, None, (f32::NEG_INFINITY, f32::INFINITY), y);
            rescale(y, step, &scales, bias, units, clamp);
        }
        if activation.bounds().is_none() {
            activate(activation, output);
        }
    };
    kernel_with_scratch(k * size_of::<f32>(), run)
}

/// The batches of both sides that make each result matrix.
fn batches(cx: &PrepareCx<'_>) -> Result<Vec<(usize, usize)>, PrepareError> {
    let (lhs, rhs) = (cx.shape(0)?, cx.shape(1)?);
    let result = cx.result_shape(0)?;
    if lhs.len() < 2 || rhs.len() < 2 || result.len() < 2 {
        return Err(cx.invalid("both sides need rank 2 or more"));
    }
    let lead = &result[..result.len() - 2];
    let count: usize = lead.iter().product();
    let number = |dims: &[usize], flat: usize| {
        let own = &dims[..dims.len() - 2];
        let skip = lead.len() - own.len().min(lead.len());
        let (mut rest, mut at, mut step) = (flat, 0, 1);
        for axis in (0..lead.len()).rev() {
            let index = rest % lead[axis];
            rest /= lead[axis];
            if axis >= skip {
                let size = own[axis - skip];
                at += if size == 1 { 0 } else { index * step };
                step *= size;
            }
        }
        at
    };
    Ok((0..count).map(|flat| (number(lhs, flat), number(rhs, flat))).collect())
}

pub(super) fn batch_matmul(op: &BatchMatmul, cx: &PrepareCx<'_>) -> Prepared {
    let hybrid = match (cx.elem(0)?, cx.elem(1)?) {
        (E::F32, E::F32) => false,
        (E::F32, E::I8) => true,
        _ => return Err(cx.unsupported()),
    };
    let batches = batches(cx)?;
    let (lhs, rhs) = (cx.shape(0)?, cx.shape(1)?);
    let (a, b) = (lhs[lhs.len() - 2], lhs[lhs.len() - 1]);
    let (m, k) = if op.adj_x { (b, a) } else { (a, b) };
    let (c, d) = (rhs[rhs.len() - 2], rhs[rhs.len() - 1]);
    let (k2, n) = if op.adj_y { (d, c) } else { (c, d) };
    if k != k2 {
        return Err(cx.invalid(format!("inner sizes {k} and {k2} differ")));
    }
    let (adj_x, adj_y) = (op.adj_x, op.adj_y);
    let gather = Gather::dense(m, k);
    let pack =
        move |rhs: &[f32]| PackedWeights::pack(k, n, |row, column| if adj_y { rhs[column * k + row] } else { rhs[row * n + column] });
    let split = move |numbers: &[f32]| numbers.chunks_exact((k * n).max(1)).map(pack).collect::<Vec<_>>();
    let (rhs_type, asymmetric) = (cx.ty(1)?.clone(), op.asymmetric_quantize_inputs);
    let scale = if hybrid { Some(rhs_type.scale_zero_point().ok_or_else(|| cx.unsupported())?.0) } else { None };
    let read = move |bytes: &[u8], floats: &[f32]| {
        if hybrid { split(&integer_weights(bytes, &rhs_type)) } else { split(floats) }
    };
    let packed = if hybrid { cx.constant::<u8>(1).map(|bytes| read(&bytes, &[])) } else { cx.constant(1).map(|f| read(&[], &f)) };
    let none = (f32::NEG_INFINITY, f32::INFINITY);
    kernel_with_scratch(m * k * size_of::<f32>(), move |io| {
        let owned;
        let rhs = match &packed {
            Some(packed) => packed,
            None => {
                owned = if hybrid { read(io.input(1), &[]) } else { read(&[], io.input(1)) };
                &owned
            }
        };
        let lhs = io.input::<f32>(0);
        let (output, scratch) = io.output_and_scratch::<f32, f32>(0);
        let scratch = &mut scratch[..m * k];
        if k == 0 {
            output.fill(0.0);
            return;
        }
        for (&(left, right), out) in batches.iter().zip(output.chunks_exact_mut((m * n).max(1))) {
            let mut left = &lhs[left * m * k..][..m * k];
            if adj_x {
                for (i, out) in scratch.iter_mut().enumerate() {
                    *out = left[i % k * m + i / k];
                }
                left = scratch;
            }
            match scale {
                None => multiply(left, &gather, &rhs[right], none, out, n, 0),
                Some(scale) => {
                    for (x, y) in left.chunks_exact(k.max(1)).zip(out.chunks_exact_mut(n.max(1))) {
                        let mut row = vec![0.0; k];
                        let step = if asymmetric { quantize_asymmetric(x, &mut row) } else { quantize_symmetric(x, &mut row) };
                        multiply(&row, &Gather::dense(1, k), &rhs[right], none, y, n, 0);
                        rescale(y, step, &[scale], None, n, none);
                    }
                }
            }
        }
    })
}

pub(super) fn embedding_lookup(_: &EmbeddingLookup, cx: &PrepareCx<'_>) -> Prepared {
    let table = cx.ty(1)?;
    let result = cx.result(0)?;
    let dims = table.shape.dims();
    let Some((&rows, row)) = dims.split_first() else { return Err(cx.invalid("the table is a scalar")) };
    let count = cx.ty(0)?.shape.elements();
    let row: usize = row.iter().product();
    if cx.elem(0)? != E::I32 {
        return Err(cx.unsupported());
    }
    if table.elem == result.elem {
        let shape = GatherShape { batch: 1, outer: 1, axis: rows, inner: row * width(cx, 1)?, count };
        return fallible_kernel(0, move |io| {
            let (ids, table) = (io.input::<i32>(0), io.input(1));
            shape.run(table, ids, io.output(0)).map_err(out_of_bounds)
        });
    }
    if result.elem != E::F32 || !matches!(table.elem, E::I8 | E::I4 | E::I2) {
        return Err(cx.unsupported());
    }
    let scales = weight_scales(cx, table)?;
    let ty = table.clone();
    let numbers = cx.constant::<u8>(1).map(|bytes| integer_weights(&bytes, &ty));
    fallible_kernel(0, move |io| {
        let owned;
        let numbers = match &numbers {
            Some(numbers) => numbers,
            None => {
                owned = integer_weights(io.input(1), &ty);
                &owned
            }
        };
        let ids = io.input::<i32>(0);
        for (&id, out) in ids.iter().zip(io.output::<f32>(0).chunks_exact_mut(row.max(1))) {
            let id = checked(id.into(), rows).map_err(out_of_bounds)?;
            let scale = if scales.len() == 1 { scales[0] } else { scales[id] };
            for (out, &x) in out.iter_mut().zip(&numbers[id * row..][..row]) {
                *out = x * scale;
            }
        }
        Ok(())
    })
}
