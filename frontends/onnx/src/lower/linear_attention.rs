//! LinearAttention: a matrix per head that each step decays, corrects, writes and reads, written out step by step.

use octet_ir::ValueId;
use octet_ir::ops::{BinaryKind, UnaryKind};

use super::attention::{repeat_heads, split_heads};
use super::{Inputs, Lowering, Outputs, Table, input, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("LinearAttention", linear_attention)];

/// Steps that are written out at most.
const MOST: usize = 1024;

fn linear_attention(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (query, elem) = scope.as_f32(input(inputs, 0)?)?;
    let (key, value) = (scope.as_f32(input(inputs, 1)?)?.0, scope.as_f32(input(inputs, 2)?)?.0);
    let heads = |name: &str| usize::try_from(node.int_or(name, 0)).ok().filter(|&h| h > 0).ok_or_else(|| format!("{name} is missing"));
    let (q_heads, kv_heads) = (heads("q_num_heads")?, heads("kv_num_heads")?);
    if !q_heads.is_multiple_of(kv_heads) {
        return Err(format!("{q_heads} heads of queries do not share {kv_heads} of keys"));
    }
    let (query, key) = (split_heads(scope, query, q_heads)?, split_heads(scope, key, kv_heads)?);
    let value = split_heads(scope, value, kv_heads)?;
    let (&[batch, _, steps, wide], &[_, _, _, deep]) = (scope.dims(key), scope.dims(value)) else {
        return Err("four axes are needed".into());
    };
    if steps == 0 || steps > MOST || scope.size(query, 2)? != steps {
        return Err(format!("{steps} steps are not supported"));
    }
    let rule = node.text_or("update_rule", "gated_delta");
    let (gated, corrected) = match rule {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(format!("update_rule '{other}' is not known")),
    };
    // [B, heads, T, D], or one number a head.
    let decay = if gated {
        let decay = scope.as_f32(input(inputs, 4)?)?.0;
        let decay = split_heads(scope, decay, kv_heads)?;
        Some(scope.unary(UnaryKind::Exp, decay)?)
    } else {
        None
    };
    let beta = if corrected {
        let beta = scope.as_f32(input(inputs, 5)?)?.0;
        let given = *scope.dims(beta).last().ok_or("beta is a scalar")?;
        Some(split_heads(scope, beta, given)?)
    } else {
        None
    };
    let (mut state, state_elem) = match optional(inputs, 3) {
        Some(past) => scope.as_f32(past)?,
        None => (scope.f32_tensor(&vec![0.0; batch * kv_heads * wide * deep], &[batch, kv_heads, wide, deep]), elem),
    };
    #[expect(clippy::cast_precision_loss, reason = "the size of a head")]
    let scale = node.float("scale").filter(|&s| s != 0.0).unwrap_or(1.0 / (wide as f32).sqrt());
    let query = scope.times(query, scale)?;
    let mut outputs = Vec::with_capacity(steps);
    for step in 0..steps {
        if let Some(decay) = decay {
            let now = column(scope, decay, step)?;
            state = scope.binary(BinaryKind::Mul, state, now)?;
        }
        let key = column(scope, key, step)?;
        let mut written = scope.slice(value, 2, step, 1)?;
        if let Some(beta) = beta {
            let row = scope.transpose(key, &[0, 1, 3, 2])?;
            let known = scope.batch_matmul(row, state, false)?;
            let missing = scope.binary(BinaryKind::Sub, written, known)?;
            let beta = scope.slice(beta, 2, step, 1)?;
            written = scope.binary(BinaryKind::Mul, missing, beta)?;
        }
        let change = scope.binary(BinaryKind::Mul, key, written)?;
        state = scope.binary(BinaryKind::Add, state, change)?;
        let shared = repeat_heads(scope, state, q_heads / kv_heads)?;
        let asked = scope.slice(query, 2, step, 1)?;
        outputs.push(scope.batch_matmul(asked, shared, false)?);
    }
    let result = scope.concat(&outputs, 2)?;
    let result = scope.transpose(result, &[0, 2, 1, 3])?;
    let result = scope.reshape(result, &[batch, steps, q_heads * deep])?;
    Ok(vec![scope.cast(result, elem)?, scope.cast(state, state_elem)?])
}

/// Entry `step` of the third axis of `[B, heads, T, D]`, as a column `[B, heads, D, 1]`.
fn column(scope: &mut Scope<'_>, value: ValueId, step: usize) -> Result<ValueId, Refusal> {
    let row = scope.slice(value, 2, step, 1)?;
    scope.transpose(row, &[0, 1, 3, 2])
}
