//! Einsum, as one product of matrices between transposes.

use octet_ir::ValueId;
use octet_ir::ops::{BinaryKind, ReduceKind};

use super::{Inputs, Lowering, Outputs, Table};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("Einsum", einsum)];

/// A value and what its axes are called. The axes behind `...` are digits, the last one `0`.
struct Term {
    value: ValueId,
    labels: Vec<char>,
}

/// The labels of a term of this rank.
fn labels(text: &str, rank: usize) -> Result<Vec<char>, Refusal> {
    let named = text.chars().filter(char::is_ascii_alphabetic).count();
    let Some((before, after)) = text.split_once("...") else {
        return if named == rank { Ok(text.chars().collect()) } else { Err(format!("'{text}' does not name {rank} axes")) };
    };
    let hidden = rank.checked_sub(named).filter(|&h| h < 10).ok_or_else(|| format!("'{text}' does not name {rank} axes"))?;
    let digits = (0..hidden).rev().filter_map(|d| char::from_digit(u32::try_from(d).ok()?, 10));
    Ok(before.chars().chain(digits).chain(after.chars()).collect())
}

fn einsum(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let equation: String = node.text_or("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let texts: Vec<&str> = left.split(',').collect();
    if texts.len() != inputs.len() {
        return Err(format!("'{equation}' has {} terms for {} inputs", texts.len(), inputs.len()));
    }
    let mut terms = Vec::new();
    for (text, value) in texts.iter().zip(inputs) {
        let value = value.ok_or("an input is missing")?;
        terms.push(diagonal(scope, Term { value, labels: labels(text, scope.rank(value))? })?);
    }
    let mut hidden: Vec<char> = terms.iter().flat_map(|t| &t.labels).copied().filter(char::is_ascii_digit).collect();
    hidden.sort_unstable();
    hidden.dedup();
    let hidden: String = hidden.into_iter().rev().collect();
    let result: Vec<char> = match right {
        Some(text) => text.replace("...", &hidden).chars().collect(),
        None => {
            // What occurs once, in the order of the alphabet.
            let all: Vec<char> = texts.iter().flat_map(|t| t.chars()).filter(char::is_ascii_alphabetic).collect();
            let mut once: Vec<char> = all.iter().copied().filter(|c| all.iter().filter(|o| *o == c).count() == 1).collect();
            once.sort_unstable();
            hidden.chars().chain(once).collect()
        }
    };
    let mut terms = terms.into_iter();
    let mut so_far = terms.next().ok_or("an equation without terms")?;
    let mut rest: Vec<Term> = terms.collect();
    while !rest.is_empty() {
        let next = rest.remove(0);
        let wanted = |c: &char| result.contains(c) || rest.iter().any(|t| t.labels.contains(c));
        so_far = product(scope, so_far, next, &wanted)?;
    }
    let so_far = summed(scope, so_far, &|c| result.contains(c))?;
    Ok(vec![arranged(scope, &so_far, &result)?])
}

/// A label that stands twice names the diagonal.
fn diagonal(scope: &mut Scope<'_>, term: Term) -> Result<Term, Refusal> {
    let Term { mut value, mut labels } = term;
    while let Some((first, second)) = (0..labels.len()).find_map(|a| Some((a, (a + 1..labels.len()).find(|&b| labels[b] == labels[a])?))) {
        let (size, other) = (scope.size(value, first)?, scope.size(value, second)?);
        if size != other {
            return Err(format!("the axes '{}' have {size} and {other} entries", labels[first]));
        }
        // Both axes innermost and flattened, every (size + 1)-th entry is on the diagonal.
        let rank = labels.len();
        let order: Vec<usize> = (0..rank).filter(|a| *a != first && *a != second).chain([first, second]).collect();
        let moved = scope.transpose(value, &order)?;
        let outer = scope.dims(moved)[..rank - 2].to_vec();
        let cells = scope.reshape(moved, &[outer.as_slice(), &[size * size]].concat())?;
        value = scope.reorder(cells, rank - 2, &(0..size).map(|i| i * (size + 1)).collect::<Vec<_>>())?;
        labels = order[..rank - 1].iter().map(|&a| labels[a]).collect();
    }
    Ok(Term { value, labels })
}

/// The sum over axes that nobody wants.
fn summed(scope: &mut Scope<'_>, term: Term, wanted: &dyn Fn(&char) -> bool) -> Result<Term, Refusal> {
    let axes: Vec<usize> = (0..term.labels.len()).filter(|&a| !wanted(&term.labels[a])).collect();
    if axes.is_empty() {
        return Ok(term);
    }
    let value = scope.reduce(ReduceKind::Sum, term.value, &axes, false)?;
    Ok(Term { value, labels: term.labels.into_iter().filter(|c| wanted(c)).collect() })
}

/// The value with its axes in this order; those that it lacks get size 1.
fn arranged(scope: &mut Scope<'_>, term: &Term, order: &[char]) -> Result<ValueId, Refusal> {
    let kept: Vec<usize> = order.iter().filter_map(|c| term.labels.iter().position(|l| l == c)).collect();
    if kept.len() != term.labels.len() {
        return Err("an axis of the result is in no term".into());
    }
    let value = scope.transpose(term.value, &kept)?;
    let sizes: Vec<usize> =
        order.iter().map(|c| term.labels.iter().position(|l| l == c).map_or(1, |a| scope.dims(term.value)[a])).collect();
    scope.reshape(value, &sizes)
}

/// Axes of both that are wanted run side by side, axes of both that are not are summed over.
fn product(scope: &mut Scope<'_>, a: Term, b: Term, wanted: &dyn Fn(&char) -> bool) -> Result<Term, Refusal> {
    let (in_a, in_b) = (a.labels.clone(), b.labels.clone());
    let a = summed(scope, a, &|c| wanted(c) || in_b.contains(c))?;
    let b = summed(scope, b, &|c| wanted(c) || in_a.contains(c))?;
    let batch: Vec<char> = a.labels.iter().copied().filter(|c| b.labels.contains(c) && wanted(c)).collect();
    let inner: Vec<char> = a.labels.iter().copied().filter(|c| b.labels.contains(c) && !wanted(c)).collect();
    let rows: Vec<char> = a.labels.iter().copied().filter(|c| !b.labels.contains(c)).collect();
    let columns: Vec<char> = b.labels.iter().copied().filter(|c| !a.labels.contains(c)).collect();
    let labels = [batch.as_slice(), &rows, &columns].concat();
    if inner.is_empty() {
        let (left, right) = (arranged(scope, &a, &[&batch[..], &rows].concat())?, arranged(scope, &b, &[&batch[..], &columns].concat())?);
        let mut shape = scope.dims(left).to_vec();
        shape.extend(vec![1; columns.len()]);
        let left = scope.reshape(left, &shape)?;
        let mut shape = scope.dims(right)[..batch.len()].to_vec();
        shape.extend(vec![1; rows.len()]);
        shape.extend(scope.dims(right)[batch.len()..].to_vec());
        let right = scope.reshape(right, &shape)?;
        return Ok(Term { value: scope.binary(BinaryKind::Mul, left, right)?, labels });
    }
    let left = arranged(scope, &a, &[&batch[..], &rows, &inner].concat())?;
    let right = arranged(scope, &b, &[&batch[..], &columns, &inner].concat())?;
    let size =
        |scope: &Scope<'_>, value: ValueId, from: usize, count: usize| -> usize { scope.dims(value)[from..from + count].iter().product() };
    let (n, m) = (batch.len(), rows.len());
    let (outer, height, depth) = (size(scope, left, 0, n), size(scope, left, n, m), size(scope, left, n + m, inner.len()));
    let width = size(scope, right, n, columns.len());
    let mut shape = scope.dims(left)[..n + m].to_vec();
    shape.extend(scope.dims(right)[n..n + columns.len()].to_vec());
    if size(scope, right, 0, n) != outer || size(scope, right, n + columns.len(), inner.len()) != depth {
        return Err("axes of one name have different sizes".into());
    }
    let left = scope.reshape(left, &[outer, height, depth])?;
    let right = scope.reshape(right, &[outer, width, depth])?;
    let value = scope.batch_matmul(left, right, true)?;
    Ok(Term { value: scope.reshape(value, &shape)?, labels })
}
