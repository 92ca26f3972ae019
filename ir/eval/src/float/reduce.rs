//! Combining elements along axes.

use super::vector::vectorized;

/// Which axes are combined, with neighbours of the same kind joined.
#[derive(Clone, Debug)]
pub struct Reduction {
    /// Size per joined axis, and whether it is combined.
    axes: Vec<(usize, bool)>,
    count: usize,
}

impl Reduction {
    /// Combines the axes of `dims` for which `reduced` is true.
    #[must_use]
    pub fn new(dims: &[usize], reduced: &[bool]) -> Self {
        let mut axes: Vec<(usize, bool)> = Vec::new();
        for (&size, &reduced) in dims.iter().zip(reduced) {
            match axes.last_mut() {
                Some((last, kind)) if *kind == reduced => *last *= size,
                _ if size == 1 => {}
                _ => axes.push((size, reduced)),
            }
        }
        let count = dims.iter().zip(reduced).filter(|(_, r)| **r).map(|(size, _)| size).product();
        Self { axes, count }
    }

    /// How many elements are combined into one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Folds `input` into `output` with an operation that may be applied in any order.
    #[inline(always)]
    pub fn fold<T: Copy, A: Copy>(&self, input: &[T], output: &mut [A], start: A, read: impl Fn(T) -> A, f: impl Fn(A, A) -> A) {
        output.fill(start);
        if !input.is_empty() && !output.is_empty() {
            walk(&self.axes, input, output, start, &read, &f);
        }
    }

    /// Sums of f32, compiled for every vector unit.
    pub fn sum(&self, input: &[f32], output: &mut [f32]) {
        vectorized(|| self.fold(input, output, 0.0, |x| x, |a, b| a + b));
    }
}

/// The recursion over axes; the innermost one or two are loops.
fn walk<T: Copy, A: Copy>(axes: &[(usize, bool)], input: &[T], output: &mut [A], start: A, read: &impl Fn(T) -> A, f: &impl Fn(A, A) -> A) {
    match *axes {
        [] => output[0] = f(output[0], read(input[0])),
        [(_, false)] => row(input, output, read, f),
        [(_, true)] => output[0] = f(output[0], total(input, start, read, f)),
        [(_, true), (kept, false)] => {
            for input in input.chunks_exact(kept) {
                row(input, output, read, f);
            }
        }
        [(size, reduced), ref inner @ ..] => {
            let part = input.len() / size;
            let out = if reduced { output.len() } else { output.len() / size };
            for (i, input) in input.chunks_exact(part).enumerate() {
                let output = if reduced { &mut output[..] } else { &mut output[i * out..][..out] };
                walk(inner, input, output, start, read, f);
            }
        }
    }
}

#[inline(always)]
fn row<T: Copy, A: Copy>(input: &[T], output: &mut [A], read: &impl Fn(T) -> A, f: &impl Fn(A, A) -> A) {
    for (out, &x) in output.iter_mut().zip(input) {
        *out = f(*out, read(x));
    }
}

/// Folds a run through 16 partial results, so that sums of floats lose little and vectorise.
#[inline(always)]
fn total<T: Copy, A: Copy>(input: &[T], start: A, read: &impl Fn(T) -> A, f: &impl Fn(A, A) -> A) -> A {
    let mut parts = [start; 16];
    let (chunks, rest) = input.as_chunks::<16>();
    for chunk in chunks {
        for (part, &x) in parts.iter_mut().zip(chunk) {
            *part = f(*part, read(x));
        }
    }
    for (part, &x) in parts.iter_mut().zip(rest) {
        *part = f(*part, read(x));
    }
    let mut width = 8;
    while width > 0 {
        for i in 0..width {
            parts[i] = f(parts[i], parts[i + width]);
        }
        width /= 2;
    }
    parts[0]
}

/// The index of the extreme element along the middle axis of `[outer, axis, inner]`: the first
/// for which no other is `better`.
pub fn extreme_index<T: Copy>(input: &[T], axis: usize, inner: usize, better: impl Fn(T, T) -> bool, mut put: impl FnMut(usize, usize)) {
    if axis * inner == 0 {
        return;
    }
    for (o, plane) in input.chunks_exact(axis * inner).enumerate() {
        for i in 0..inner {
            let mut best = 0;
            for at in 1..axis {
                if better(plane[at * inner + i], plane[best * inner + i]) {
                    best = at;
                }
            }
            put(o * inner + i, best);
        }
    }
}

/// Running sums along the middle axis of `[outer, axis, inner]`.
pub fn cumsum<T: Copy>(
    input: &[T],
    output: &mut [T],
    (axis, inner): (usize, usize),
    (exclusive, reverse): (bool, bool),
    zero: T,
    add: impl Fn(T, T) -> T,
) {
    if axis * inner == 0 {
        return;
    }
    for (input, output) in input.chunks_exact(axis * inner).zip(output.chunks_exact_mut(axis * inner)) {
        for i in 0..inner {
            let mut sum = zero;
            for step in 0..axis {
                let at = if reverse { axis - 1 - step } else { step } * inner + i;
                let next = add(sum, input[at]);
                output[at] = if exclusive { sum } else { next };
                sum = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_set_of_axes_reduces() {
        let dims = [3, 4, 5, 6];
        let input: Vec<i64> = (0..360).collect();
        for mask in 0..16usize {
            let reduced: Vec<bool> = (0..4).map(|axis| mask >> axis & 1 == 1).collect();
            let kept: Vec<usize> = (0..4).map(|axis| if reduced[axis] { 1 } else { dims[axis] }).collect();
            let mut expected = vec![0; kept.iter().product()];
            for (i, &x) in input.iter().enumerate() {
                let (mut rest, mut at, mut scale) = (i, 0, 1);
                for axis in (0..4).rev() {
                    let index = rest % dims[axis];
                    rest /= dims[axis];
                    if !reduced[axis] {
                        at += index * scale;
                        scale *= dims[axis];
                    }
                }
                expected[at] += x;
            }
            let mut out = vec![0; expected.len()];
            Reduction::new(&dims, &reduced).fold(&input, &mut out, 0, |x| x, |a, b| a + b);
            assert_eq!(out, expected, "{reduced:?}");
        }
    }
}
