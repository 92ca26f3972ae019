//! Attention and rotary position embeddings, as products of matrices, a softmax and additions.

use octet_ir::ops::{self, BinaryKind, CompareKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input, optional};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("Attention", attention), ("RotaryEmbedding", rotary_embedding)];

pub(super) const PREVIEW: Table = &[("FlexAttention", flex_attention)];

/// `[B, S, heads * D]` to `[B, heads, S, D]`.
pub(super) fn split_heads(scope: &mut Scope<'_>, x: ValueId, heads: usize) -> Result<ValueId, Refusal> {
    let &[batch, length, hidden] = scope.dims(x) else { return Err("its input has neither three nor four axes".into()) };
    if heads == 0 || !hidden.is_multiple_of(heads) {
        return Err(format!("{hidden} columns do not split into {heads} heads"));
    }
    let x = scope.reshape(x, &[batch, length, heads, hidden / heads])?;
    scope.transpose(x, &[0, 2, 1, 3])
}

/// Every head of `[B, heads, S, D]` `times` times, copies side by side.
pub(super) fn repeat_heads(scope: &mut Scope<'_>, x: ValueId, times: usize) -> Result<ValueId, Refusal> {
    let &[batch, heads, length, size] = scope.dims(x) else { return Err("keys and values need four axes".into()) };
    if times == 1 {
        return Ok(x);
    }
    let flat = scope.reshape(x, &[batch * heads, 1, length * size])?;
    let repeated = scope.expand(flat, &[batch * heads, times, length * size])?;
    scope.reshape(repeated, &[batch, heads * times, length, size])
}

fn heads(node: &Node<'_>, name: &str) -> usize {
    usize::try_from(node.int_or(name, 0)).unwrap_or(0)
}

/// `softmax(softcap(Q K' scale) + mask) V`, with caches of keys and values before them and heads that share them.
fn attention(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (mut q, elem) = scope.as_f32(input(inputs, 0)?)?;
    let (mut k, mut v) = (scope.as_f32(input(inputs, 1)?)?.0, scope.as_f32(input(inputs, 2)?)?.0);
    let flat = scope.rank(q) == 3;
    if flat {
        let (q_heads, kv_heads) = (heads(node, "q_num_heads"), heads(node, "kv_num_heads"));
        q = split_heads(scope, q, q_heads)?;
        k = split_heads(scope, k, kv_heads)?;
        v = split_heads(scope, v, kv_heads)?;
    }
    let mut past = 0;
    if let Some(cache) = optional(inputs, 4) {
        let cache = scope.as_f32(cache)?.0;
        past = *scope.dims(cache).get(2).ok_or("the cache of keys needs four axes")?;
        k = scope.concat(&[cache, k], 2)?;
    }
    if let Some(cache) = optional(inputs, 5) {
        let cache = scope.as_f32(cache)?.0;
        v = scope.concat(&[cache, v], 2)?;
    }
    let (present_k, present_v) = (k, v);
    let (&[batch, q_heads, length, size], &[_, kv_heads, kv_length, _]) = (scope.dims(q), scope.dims(k)) else {
        return Err("queries and keys need four axes".into());
    };
    if kv_heads == 0 || !q_heads.is_multiple_of(kv_heads) {
        return Err(format!("{q_heads} heads of queries do not share {kv_heads} of keys"));
    }
    k = repeat_heads(scope, k, q_heads / kv_heads)?;
    v = repeat_heads(scope, v, q_heads / kv_heads)?;
    #[expect(clippy::cast_precision_loss, reason = "the size of a head")]
    let scale = node.float("scale").unwrap_or(1.0 / (size as f32).sqrt());
    let scaled = scope.times(q, scale)?;
    let mut scores = scope.batch_matmul(scaled, k, true)?;
    let softcap = node.float_or("softcap", 0.0);
    if softcap > 0.0 {
        let inner = scope.times(scores, 1.0 / softcap)?;
        let squashed = scope.unary(UnaryKind::Tanh, inner)?;
        scores = scope.times(squashed, softcap)?;
    }
    let mut shown = scores;
    for bias in biases(scope, node, inputs, [batch, length, kv_length], past)? {
        scores = scope.binary(BinaryKind::Add, scores, bias)?;
    }
    let weights = scope.op1(ops::Softmax { beta: 1.0 }, &[scores])?;
    match node.int_or("qk_matmul_output_mode", 0) {
        2 => shown = scores,
        3 => shown = weights,
        _ => {}
    }
    let mut result = scope.batch_matmul(weights, v, false)?;
    if flat {
        result = scope.transpose(result, &[0, 2, 1, 3])?;
        let columns = scope.dims(result)[2] * scope.dims(result)[3];
        result = scope.reshape(result, &[batch, length, columns])?;
    }
    [result, present_k, present_v, shown].into_iter().map(|value| scope.cast(value, elem)).collect()
}

/// Attention whose scores and probabilities pass through graphs of the model.
fn flex_attention(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let (q, elem) = l.scope.as_f32(input(inputs, 0)?)?;
    let (mut k, mut v) = (l.scope.as_f32(input(inputs, 1)?)?.0, l.scope.as_f32(input(inputs, 2)?)?.0);
    let (&[_, q_heads, _, size], &[_, kv_heads, ..]) = (l.scope.dims(q), l.scope.dims(k)) else {
        return Err("queries and keys need four axes".into());
    };
    if kv_heads == 0 || !q_heads.is_multiple_of(kv_heads) {
        return Err(format!("{q_heads} heads of queries do not share {kv_heads} of keys"));
    }
    k = repeat_heads(l.scope, k, q_heads / kv_heads)?;
    v = repeat_heads(l.scope, v, q_heads / kv_heads)?;
    #[expect(clippy::cast_precision_loss, reason = "the size of a head")]
    let scale = node.float("scale").unwrap_or(1.0 / (size as f32).sqrt());
    let scaled = l.scope.times(q, scale)?;
    let mut scores = l.scope.batch_matmul(scaled, k, true)?;
    let modified = |l: &mut Lowering<'_, '_, '_>, name: &str, value: ValueId| match node.graph(name) {
        Some(graph) => l.nested(graph, &[value])?.first().copied().ok_or_else(|| format!("its graph '{name}' has no output")),
        None => Ok(value),
    };
    scores = modified(l, "score_mod", scores)?;
    let weights = l.scope.op1(ops::Softmax { beta: 1.0 }, &[scores])?;
    let weights = modified(l, "prob_mod", weights)?;
    let result = l.scope.batch_matmul(weights, v, false)?;
    Ok(vec![l.scope.cast(result, elem)?])
}

/// What is added to the scores `[B, heads, length, kv_length]`: the mask, the causal triangle, the ends of padded sequences.
fn biases(
    scope: &mut Scope<'_>,
    node: &Node<'_>,
    inputs: Inputs<'_>,
    [batch, length, kv_length]: [usize; 3],
    past: usize,
) -> Result<Vec<ValueId>, Refusal> {
    let mut biases = Vec::new();
    let (zero, never) = (scope.f32(0.0), scope.f32(f32::NEG_INFINITY));
    if let Some(mask) = optional(inputs, 3) {
        let mut bias = if scope.elem(mask) == ElementType::Bool { scope.select(mask, zero, never)? } else { scope.as_f32(mask)?.0 };
        // A mask that is shorter than the keys leaves out the rest.
        let dims = scope.dims(bias).to_vec();
        if let Some(&given) = dims.last()
            && given < kv_length
            && given > 1
        {
            let mut rest = dims.clone();
            rest[dims.len() - 1] = kv_length - given;
            let rest = scope.f32_tensor(&vec![f32::NEG_INFINITY; rest.iter().product()], &rest);
            bias = scope.concat(&[bias, rest], dims.len() - 1)?;
        }
        biases.push(bias);
    }
    if node.flag("is_causal") {
        let cells = (0..length).flat_map(|row| (0..kv_length).map(move |column| column <= row + past));
        let cells: Vec<f32> = cells.map(|seen| if seen { 0.0 } else { f32::NEG_INFINITY }).collect();
        biases.push(scope.f32_tensor(&cells, &[length, kv_length]));
    }
    if let Some(lengths) = optional(inputs, 6) {
        let lengths = scope.cast(lengths, ElementType::I32)?;
        let lengths = scope.reshape(lengths, &[batch, 1])?;
        let positions: Vec<i32> = (0..kv_length).map(small).collect::<Result<_, _>>()?;
        let positions = scope.i32_tensor(&positions, &[1, kv_length]);
        let inside = scope.compare(CompareKind::Less, positions, lengths)?;
        let bias = scope.select(inside, zero, never)?;
        biases.push(scope.reshape(bias, &[batch, 1, 1, kv_length])?);
    }
    Ok(biases)
}

/// Pairs of columns turned by an angle that depends on the position.
fn rotary_embedding(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let dims = scope.dims(x).to_vec();
    // [B, S, heads, D] for three axes, [B, heads, S, D] for four: the angles follow.
    let (value, head_axis) = if let &[batch, length, hidden] = dims.as_slice() {
        let heads = heads(node, "num_heads").max(1);
        (scope.reshape(x, &[batch, length, heads, hidden / heads])?, 2)
    } else {
        (x, 1)
    };
    let angles = |scope: &mut Scope<'_>, index: usize| -> Result<ValueId, Refusal> {
        let mut cache = scope.as_f32(input(inputs, index)?)?.0;
        if let Some(positions) = optional(inputs, 3) {
            let positions = scope.cast(positions, ElementType::I32)?;
            cache = scope.gather(cache, positions, 0)?;
        }
        let mut dims = scope.dims(cache).to_vec();
        if dims.len() != 3 {
            return Err("the caches of sines and cosines need three axes, or positions".into());
        }
        dims.insert(head_axis, 1);
        scope.reshape(cache, &dims)
    };
    let (cosines, sines) = (angles(scope, 1)?, angles(scope, 2)?);
    let size = *scope.dims(value).get(3).ok_or("its input has neither three nor four axes")?;
    let turned = match heads(node, "rotary_embedding_dim") {
        0 => size,
        given => given.min(size),
    };
    let half = turned / 2;
    let part = scope.slice(value, 3, 0, turned)?;
    let (first, second) = if node.flag("interleaved") {
        let even: Vec<usize> = (0..half).map(|i| 2 * i).collect();
        let odd: Vec<usize> = (0..half).map(|i| 2 * i + 1).collect();
        (scope.reorder(part, 3, &even)?, scope.reorder(part, 3, &odd)?)
    } else {
        (scope.slice(part, 3, 0, half)?, scope.slice(part, 3, half, half)?)
    };
    let combine = |scope: &mut Scope<'_>, a: ValueId, b: ValueId, kind: BinaryKind| -> Result<ValueId, Refusal> {
        let left = scope.binary(BinaryKind::Mul, first, a)?;
        let right = scope.binary(BinaryKind::Mul, second, b)?;
        scope.binary(kind, left, right)
    };
    let real = combine(scope, cosines, sines, BinaryKind::Sub)?;
    let imaginary = combine(scope, sines, cosines, BinaryKind::Add)?;
    let mut result = scope.concat(&[real, imaginary], 3)?;
    if node.flag("interleaved") {
        let order: Vec<usize> = (0..turned).map(|i| i / 2 + if i % 2 == 1 { half } else { 0 }).collect();
        result = scope.reorder(result, 3, &order)?;
    }
    if turned < size {
        let rest = scope.slice(value, 3, turned, size - turned)?;
        result = scope.concat(&[result, rest], 3)?;
    }
    let result = scope.reshape(result, &dims)?;
    Ok(vec![scope.cast(result, elem)?])
}
