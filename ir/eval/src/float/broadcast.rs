//! Walking several tensors in step, with broadcasting.

use super::vector::vectorized;
use crate::data::strided::dense_strides;

/// How `N` operands are walked to fill a dense result.
#[derive(Clone, Debug)]
pub struct Broadcast<const N: usize> {
    /// Size and stride of each operand per axis, outermost first, joined where possible.
    axes: Vec<(usize, [usize; N])>,
    elements: usize,
}

impl<const N: usize> Broadcast<N> {
    /// Aligns `operands` with `result` at the innermost axis; `None` when one does not broadcast.
    #[must_use]
    pub fn new(operands: [&[usize]; N], result: &[usize]) -> Option<Self> {
        let mut axes: Vec<(usize, [usize; N])> = Vec::new();
        let dense = operands.map(dense_strides);
        for (axis, &size) in result.iter().enumerate() {
            let mut strides = [0; N];
            for (n, dims) in operands.iter().enumerate() {
                let skip = result.len().checked_sub(dims.len())?;
                if axis >= skip {
                    match dims[axis - skip] {
                        own if own == size => strides[n] = dense[n][axis - skip] as usize,
                        1 => {}
                        _ => return None,
                    }
                }
            }
            if size == 1 {
                continue;
            }
            match axes.last_mut() {
                Some((outer, outer_strides)) if (0..N).all(|n| outer_strides[n] == strides[n] * size) => {
                    *outer *= size;
                    *outer_strides = strides;
                }
                _ => axes.push((size, strides)),
            }
        }
        if axes.is_empty() {
            axes.push((1, [1; N]));
        }
        Some(Self { axes, elements: result.iter().product() })
    }

    /// Calls `row(first result element, first element of each operand, strides, count)` for
    /// every innermost run; strides are 0 or 1 there.
    #[inline(always)]
    fn rows(&self, mut row: impl FnMut(usize, [usize; N], [usize; N], usize)) {
        if self.elements == 0 {
            return;
        }
        let Some((&(count, strides), outer)) = self.axes.split_last() else { return };
        let mut index = vec![0; outer.len()];
        let mut at = [0; N];
        let mut done = 0;
        loop {
            row(done, at, strides, count);
            done += count;
            if done >= self.elements {
                return;
            }
            for axis in (0..outer.len()).rev() {
                let (size, steps) = outer[axis];
                index[axis] += 1;
                for n in 0..N {
                    at[n] += steps[n];
                }
                if index[axis] < size {
                    break;
                }
                index[axis] = 0;
                for n in 0..N {
                    at[n] -= steps[n] * size;
                }
            }
        }
    }
}

impl Broadcast<2> {
    /// `out = f(a, b)` for every element. Compiled once per pair of types, not per function:
    /// for the many cases that models spend no time in.
    #[inline(never)]
    pub fn zip<T: Copy, U: Copy>(&self, a: &[T], b: &[T], out: &mut [U], f: fn(T, T) -> U) {
        self.rows(|first, at, strides, count| {
            for (i, out) in out[first..first + count].iter_mut().enumerate() {
                *out = f(a[at[0] + i * strides[0]], b[at[1] + i * strides[1]]);
            }
        });
    }

    /// The same with the function compiled in, for every vector unit.
    #[inline]
    pub fn zip_vectorized<T: Copy, U: Copy>(&self, a: &[T], b: &[T], out: &mut [U], f: impl Fn(T, T) -> U) {
        vectorized(
            #[inline(always)]
            || {
                self.rows(
                    #[inline(always)]
                    |first, [at_a, at_b], strides, count| {
                        let out = &mut out[first..first + count];
                        match strides {
                            [1, 1] => {
                                let (a, b) = (&a[at_a..at_a + count], &b[at_b..at_b + count]);
                                for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                                    *out = f(a, b);
                                }
                            }
                            [1, _] => {
                                let b = b[at_b];
                                for (out, &a) in out.iter_mut().zip(&a[at_a..at_a + count]) {
                                    *out = f(a, b);
                                }
                            }
                            [_, 1] => {
                                let a = a[at_a];
                                for (out, &b) in out.iter_mut().zip(&b[at_b..at_b + count]) {
                                    *out = f(a, b);
                                }
                            }
                            _ => out.fill(f(a[at_a], b[at_b])),
                        }
                    },
                );
            },
        );
    }
}

impl Broadcast<3> {
    /// `out = if condition { a } else { b }` for every element.
    pub fn select<T: Copy>(&self, condition: &[u8], a: &[T], b: &[T], out: &mut [T]) {
        self.rows(|first, at, strides, count| {
            for (i, out) in out[first..first + count].iter_mut().enumerate() {
                let yes = condition[at[0] + i * strides[0]] != 0;
                *out = if yes { a[at[1] + i * strides[1]] } else { b[at[2] + i * strides[2]] };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Broadcast;

    #[test]
    fn operands_broadcast_along_any_axes() {
        let a: Vec<i32> = (0..6).collect();
        let b = [10, 20, 30];
        let run = |da: &[usize], db: &[usize], result: &[usize], a: &[i32], b: &[i32]| {
            let mut out = vec![0; result.iter().product()];
            Broadcast::new([da, db], result).expect("fits").zip(a, b, &mut out, |x, y| x - y);
            let mut fast = vec![0; out.len()];
            Broadcast::new([da, db], result).expect("fits").zip_vectorized(a, b, &mut fast, |x, y| x - y);
            assert_eq!(out, fast);
            out
        };
        assert_eq!(run(&[2, 3], &[3], &[2, 3], &a, &b), [-10, -19, -28, -7, -16, -25]);
        assert_eq!(run(&[3], &[2, 1, 3], &[2, 1, 3], &b, &a), [10, 19, 28, 7, 16, 25]);
        assert_eq!(run(&[2, 1], &[1, 3], &[2, 3], &[1, 2], &b), [-9, -19, -29, -8, -18, -28]);
        assert_eq!(run(&[], &[3], &[3], &[5], &b), [-5, -15, -25]);
        assert!(Broadcast::new([&[2], &[3]], &[3]).is_none());
    }
}
