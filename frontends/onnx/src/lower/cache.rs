//! What a model carries from step to step: caches that are written in place, convolutions that see the past.

use octet_ir::ops::{BinaryKind, CompareKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, axis, input, optional};
use crate::attributes::Node;
use crate::build::small;

pub(super) const TABLE: Table = &[("CausalConvWithState", causal_convolution), ("TensorScatter", tensor_scatter)];

/// Steps that are written out at most.
const MOST: usize = 256;

/// A convolution along time, each channel on its own: a product for each tap. The last inputs are the next call's past.
fn causal_convolution(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let weight = scope.as_f32(input(inputs, 1)?)?.0;
    let (&[batch, channels, length], &[filters, 1, taps]) = (scope.dims(x), scope.dims(weight)) else {
        return Err("an input of [batch, channel, time] and weights of [channel, 1, tap] are needed".into());
    };
    if filters != channels || taps == 0 || taps > MOST {
        return Err(format!("{filters} filters of {taps} taps for {channels} channels"));
    }
    let past = match optional(inputs, 3) {
        Some(past) => scope.as_f32(past)?.0,
        None => scope.f32_tensor(&vec![0.0; batch * channels * (taps - 1)], &[batch, channels, taps - 1]),
    };
    let all = if taps > 1 { scope.concat(&[past, x], 2)? } else { x };
    let mut sum: Option<ValueId> = None;
    for tap in 0..taps {
        let seen = scope.slice(all, 2, tap, length)?;
        let factor = scope.slice(weight, 2, tap, 1)?;
        let factor = scope.reshape(factor, &[1, channels, 1])?;
        let part = scope.binary(BinaryKind::Mul, seen, factor)?;
        sum = Some(match sum {
            Some(sum) => scope.binary(BinaryKind::Add, sum, part)?,
            None => part,
        });
    }
    let mut result = sum.ok_or("a filter without taps")?;
    if let Some(bias) = optional(inputs, 2) {
        let bias = scope.as_f32(bias)?.0;
        let bias = scope.reshape(bias, &[1, channels, 1])?;
        result = scope.binary(BinaryKind::Add, result, bias)?;
    }
    match node.text_or("activation", "none") {
        "none" => {}
        "silu" | "swish" => {
            let gate = scope.unary(UnaryKind::Logistic, result)?;
            result = scope.binary(BinaryKind::Mul, result, gate)?;
        }
        other => return Err(format!("activation '{other}' is not known")),
    }
    let kept = if node.wants(1) {
        let total = scope.size(all, 2)?;
        let kept = scope.slice(all, 2, total - (taps - 1), taps - 1)?;
        scope.cast(kept, elem)?
    } else {
        x
    };
    Ok(vec![scope.cast(result, elem)?, kept])
}

/// Entries written into a cache along one axis, for each of the batch from a place of its own on.
fn tensor_scatter(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (cache, update) = (input(inputs, 0)?, input(inputs, 1)?);
    let dims = scope.dims(cache).to_vec();
    let along = axis(node.int_or("axis", -2), dims.len())?;
    let (size, count) = (dims[along], scope.size(update, along)?);
    if along == 0 || count > MOST {
        return Err(format!("{count} entries along axis {along} are not supported"));
    }
    let circular = match node.text_or("mode", "linear") {
        "linear" => false,
        "circular" => true,
        other => return Err(format!("mode '{other}' is not known")),
    };
    let shape = |axis: usize, size: usize| -> Vec<usize> { (0..dims.len()).map(|a| if a == axis { size } else { 1 }).collect() };
    let first = match optional(inputs, 2) {
        Some(places) => {
            let places = scope.cast(places, ElementType::I32)?;
            scope.reshape(places, &shape(0, dims[0]))?
        }
        None => scope.i32(0),
    };
    let places: Vec<i32> = (0..size).map(small).collect::<Result<_, _>>()?;
    let places = scope.i32_tensor(&places, &shape(along, size));
    let mut result = cache;
    for entry in 0..count {
        let entry_place = scope.i32(small(entry)?);
        let mut place = scope.binary(BinaryKind::Add, first, entry_place)?;
        if circular {
            let size = scope.i32(small(size)?);
            place = scope.binary(BinaryKind::FloorMod, place, size)?;
        }
        let is_here = scope.compare(CompareKind::Equal, places, place)?;
        let new = scope.slice(update, along, entry, 1)?;
        result = scope.select(is_here, new, result)?;
    }
    Ok(vec![result])
}
