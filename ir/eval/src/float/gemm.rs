//! Matrix multiplication with gathered rows: the inner loop of every f32 convolution.
//!
//! A convolution over `[H, W, C]` data is a matrix product whose left rows are gathered: the
//! row of an output pixel is the concatenation of a few contiguous runs of the input (one per
//! kernel row), and the distance of those runs from the pixel's first element is the same for
//! every pixel. So [`Gather`] holds one offset per row and one per run, and no im2col matrix
//! is ever written. A plain product is the case of one run.
//!
//! Weights are packed once, in column panels as wide as the vector unit likes. This is one of
//! the crate's named SIMD modules: it holds `unsafe` loads and stores whose bounds are checked
//! once per call. It never allocates while multiplying and never uses threads.

#![allow(unsafe_code)]

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use crate::buffer::Buffer;

/// Where the rows of the left matrix lie in the input.
#[derive(Clone, Debug)]
pub struct Gather {
    rows: Vec<usize>,
    runs: Vec<usize>,
    run_len: usize,
    extent: usize,
}

impl Gather {
    /// Row `m` is the concatenation over `runs` of `run_len` elements that begin at
    /// `rows[m] + run`.
    #[must_use]
    pub fn new(rows: Vec<usize>, runs: Vec<usize>, run_len: usize) -> Self {
        let last = rows.iter().max().copied().unwrap_or(0) + runs.iter().max().copied().unwrap_or(0);
        let extent = if rows.is_empty() || runs.is_empty() { 0 } else { last + run_len };
        Self { rows, runs, run_len, extent }
    }

    /// The rows of a dense row-major `[m, k]` matrix.
    #[must_use]
    pub fn dense(m: usize, k: usize) -> Self {
        Self::new((0..m).map(|row| row * k).collect(), vec![0], k)
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Elements per row.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.runs.len() * self.run_len
    }

    /// Elements that the input must have.
    #[must_use]
    pub fn extent(&self) -> usize {
        self.extent
    }
}

/// The right matrix `[k, n]`, packed in panels of columns, with its bias.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    /// Panels one after the other, each `[k, width]`; then the bias, padded like the columns.
    data: Buffer,
    k: usize,
    n: usize,
    lanes: usize,
}

/// Vectors per full panel.
const PANEL: usize = 2;
/// Rows per register tile.
const TILE: usize = 8;

struct Lanes;

impl SimdOp for Lanes {
    type Output = usize;
    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> usize {
        isa.f32().len()
    }
}

impl PackedWeights {
    /// Packs the `[k, n]` matrix whose element is `at(row, column)`.
    #[must_use]
    pub fn pack(k: usize, n: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let lanes = Lanes.dispatch();
        let columns = n.div_ceil(lanes) * lanes;
        let mut data = Buffer::zeroed((columns * k + columns) * size_of::<f32>());
        let out = data.as_mut_slice::<f32>();
        let mut next = 0;
        let mut first = 0;
        while first < n {
            let width = panel_width(first, n, lanes);
            for row in 0..k {
                for column in 0..width {
                    if first + column < n {
                        out[next + column] = at(row, first + column);
                    }
                }
                next += width;
            }
            first += width;
        }
        Self { data, k, n, lanes }
    }

    /// Sets what is added to each column, zero before.
    pub fn set_bias(&mut self, bias: &[f32]) {
        let start = self.columns() * self.k;
        self.data.as_mut_slice::<f32>()[start..][..bias.len()].copy_from_slice(bias);
    }

    /// Number of columns.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of rows.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    fn columns(&self) -> usize {
        self.n.div_ceil(self.lanes) * self.lanes
    }
}

fn panel_width(first: usize, n: usize, lanes: usize) -> usize {
    if n - first > lanes { PANEL * lanes } else { lanes }
}

/// `out[m, first + j] = clamp(bias[j] + sum_k rows[m][k] * weights[k][j])`, with rows of `out`
/// `stride` elements apart.
///
/// # Panics
///
/// If `input` is shorter than the gather's extent, `out` has no room for the last row, or the
/// depths differ: callers derive all of them from one shape.
pub fn multiply(input: &[f32], gather: &Gather, weights: &PackedWeights, clamp: (f32, f32), out: &mut [f32], stride: usize, first: usize) {
    if gather.rows() == 0 || weights.n == 0 {
        return;
    }
    assert_eq!(gather.depth(), weights.k, "the depth of both matrices");
    assert!(gather.extent <= input.len(), "the gathered rows lie in the input");
    assert!((gather.rows() - 1) * stride + first + weights.n <= out.len(), "the last row lies in the output");
    Multiply { input, gather, weights, clamp, out, stride, first }.dispatch();
}

struct Multiply<'a> {
    input: &'a [f32],
    gather: &'a Gather,
    weights: &'a PackedWeights,
    clamp: (f32, f32),
    out: &'a mut [f32],
    stride: usize,
    first: usize,
}

impl SimdOp for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        assert_eq!(lanes, self.weights.lanes, "weights are packed for this vector unit");
        let (k, n) = (self.weights.k, self.weights.n);
        let packed = self.weights.data.as_slice::<f32>();
        let bias = &packed[self.weights.columns() * k..];
        let rows = &self.gather.rows;
        // AVX2 has half of AVX-512's registers: smaller tiles there.
        let tile = if lanes >= 16 || cfg!(target_arch = "aarch64") { TILE } else { 5 };
        let tiles = rows.len().div_ceil(tile);
        let mut first = 0;
        let mut panel = 0;
        while first < n {
            let width = panel_width(first, n, lanes);
            let valid = width.min(n - first);
            let (mut row, mut left) = (0, tiles);
            while left > 0 {
                // Tiles of nearly equal height: 9 rows are 5 and 4, not 8 and 1.
                let height = (rows.len() - row).div_ceil(left);
                let tile = Tile {
                    input: self.input.as_ptr(),
                    rows: &rows[row..row + height],
                    runs: &self.gather.runs,
                    run_len: self.gather.run_len,
                    weights: packed[panel..].as_ptr(),
                    bias: bias[first..].as_ptr(),
                    clamp: self.clamp,
                    // SAFETY: the entry point checked that the last row's end lies in `out`.
                    out: unsafe { self.out.as_mut_ptr().add(row * self.stride + self.first + first) },
                    stride: self.stride,
                    valid,
                };
                // SAFETY: every row offset plus every run lies in the input (`extent`), the
                // panel holds `k * width` elements and the bias `width` from `first`, and the
                // tile writes `valid` columns of `height` rows that exist.
                unsafe {
                    if width == lanes {
                        tile.any_height::<I, 1>(isa);
                    } else {
                        tile.any_height::<I, PANEL>(isa);
                    }
                }
                row += height;
                left -= 1;
            }
            panel += k * width;
            first += width;
        }
    }
}

struct Tile<'a> {
    input: *const f32,
    rows: &'a [usize],
    runs: &'a [usize],
    run_len: usize,
    weights: *const f32,
    bias: *const f32,
    clamp: (f32, f32),
    out: *mut f32,
    stride: usize,
    valid: usize,
}

impl Tile<'_> {
    /// # Safety
    ///
    /// See [`Tile::run`]; `rows` has between one and [`TILE`] entries.
    #[inline(always)]
    unsafe fn any_height<I: Isa, const V: usize>(&self, isa: I) {
        // SAFETY: the caller's promise, and the height matches the arm.
        unsafe {
            match self.rows.len() {
                1 => self.run::<I, 1, V>(isa),
                2 => self.run::<I, 2, V>(isa),
                3 => self.run::<I, 3, V>(isa),
                4 => self.run::<I, 4, V>(isa),
                5 => self.run::<I, 5, V>(isa),
                6 => self.run::<I, 6, V>(isa),
                7 => self.run::<I, 7, V>(isa),
                _ => self.run::<I, 8, V>(isa),
            }
        }
    }

    /// Computes `M` rows by `V` vectors.
    ///
    /// # Safety
    ///
    /// `rows` has `M` entries; for each, `input + row + run` has `run_len` elements for every
    /// run; `weights` has `runs * run_len * V` vectors, `bias` has `V` vectors; `out` has
    /// `valid` elements in each of `M` rows `stride` apart.
    #[inline(always)]
    unsafe fn run<I: Isa, const M: usize, const V: usize>(&self, isa: I) {
        let ops = isa.f32();
        let lanes = ops.len();
        // SAFETY: all pointers stay inside what the caller promised.
        unsafe {
            let bias: [I::F32; V] = std::array::from_fn(|v| ops.load_ptr(self.bias.add(v * lanes)));
            let mut sums = [bias; M];
            let mut weights = self.weights;
            let starts: [*const f32; M] = std::array::from_fn(|m| self.input.add(*self.rows.get_unchecked(m)));
            for &run in self.runs {
                let rows: [*const f32; M] = std::array::from_fn(|m| starts[m].add(run));
                for k in 0..self.run_len {
                    let w: [I::F32; V] = std::array::from_fn(|v| ops.load_ptr(weights.add(v * lanes)));
                    weights = weights.add(V * lanes);
                    for m in 0..M {
                        let x = ops.splat(*rows[m].add(k));
                        for v in 0..V {
                            sums[m][v] = ops.mul_add(x, w[v], sums[m][v]);
                        }
                    }
                }
            }
            let (low, high) = (ops.splat(self.clamp.0), ops.splat(self.clamp.1));
            for m in 0..M {
                let out = self.out.add(m * self.stride);
                for v in 0..V {
                    let y = ops.min(ops.max(sums[m][v], low), high);
                    let at = v * lanes;
                    if self.valid >= at + lanes {
                        ops.store_ptr(y, out.add(at));
                    } else if self.valid > at {
                        ops.store_ptr_mask(y, out.add(at), ops.first_n_mask(self.valid - at));
                    }
                }
            }
        }
    }
}

/// `out[n] = clamp(bias[n] + sum_k x[k] * weights[n][k])` for one row `x`, with the weights as
/// they stand in a model, `[n, k]`. Reading them once is the whole cost, so packing would not help.
///
/// # Panics
///
/// If `weights` is shorter than `out.len() * x.len()` or `bias` shorter than `out`.
pub fn multiply_vector(x: &[f32], weights: &[f32], bias: Option<&[f32]>, clamp: (f32, f32), out: &mut [f32]) {
    assert!(x.len() * out.len() <= weights.len(), "one weight per product");
    MultiplyVector { x, weights, bias, clamp, out }.dispatch();
}

struct MultiplyVector<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    clamp: (f32, f32),
    out: &'a mut [f32],
}

impl SimdOp for MultiplyVector<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let k = self.x.len();
        let mut n = 0;
        while n < self.out.len() {
            // SAFETY: rows `n..n + count` lie in `weights`, as the entry point checked.
            let (count, sums) = unsafe {
                let row = self.weights.as_ptr().add(n * k);
                if n + 8 <= self.out.len() {
                    (8, dots::<I, 8>(isa, self.x, row))
                } else if n + 4 <= self.out.len() {
                    let [a, b, c, d] = dots::<I, 4>(isa, self.x, row);
                    (4, [a, b, c, d, 0.0, 0.0, 0.0, 0.0])
                } else {
                    let [a] = dots::<I, 1>(isa, self.x, row);
                    (1, [a, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
                }
            };
            for (i, sum) in sums.into_iter().take(count).enumerate() {
                let y = sum + self.bias.map_or(0.0, |bias| bias[n + i]);
                self.out[n + i] = y.clamp(self.clamp.0, self.clamp.1);
            }
            n += count;
        }
    }
}

/// Dot products of `x` with `N` consecutive rows.
///
/// # Safety
///
/// `rows` has `N * x.len()` elements.
#[inline(always)]
unsafe fn dots<I: Isa, const N: usize>(isa: I, x: &[f32], rows: *const f32) -> [f32; N] {
    let ops = isa.f32();
    let lanes = ops.len();
    let k = x.len();
    let mut sums = [ops.zero(); N];
    let mut i = 0;
    // SAFETY: `i + lanes <= k` in the first loop, the mask keeps the last load below `k`.
    unsafe {
        while i + lanes <= k {
            let v = ops.load_ptr(x.as_ptr().add(i));
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = ops.mul_add(v, ops.load_ptr(rows.add(n * k + i)), *sum);
            }
            i += lanes;
        }
        if i < k {
            let mask = ops.first_n_mask(k - i);
            let v = ops.load_ptr_mask(x.as_ptr().add(i), mask);
            for (n, sum) in sums.iter_mut().enumerate() {
                let w = ops.load_ptr_mask(rows.add(n * k + i), mask);
                *sum = ops.mul_add(v, w, *sum);
            }
        }
    }
    sums.map(|sum| ops.sum(sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float::testing::random;

    #[test]
    fn products_match_a_plain_loop_for_every_tile_shape() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (9, 27, 16), (17, 12, 33), (8, 64, 50), (41, 3, 65)] {
            let a = random(m * k, 1);
            let b = random(k * n, 2);
            let bias = random(n, 3);
            let mut weights = PackedWeights::pack(k, n, |row, column| b[row * n + column]);
            weights.set_bias(&bias);
            let mut out = vec![0.0; m * n];
            multiply(&a, &Gather::dense(m, k), &weights, (-1.5, 2.0), &mut out, n, 0);
            let transposed: Vec<f32> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
            let mut row = vec![0.0; n];
            multiply_vector(&a[..k], &transposed, Some(&bias), (-1.5, 2.0), &mut row);
            for (i, &y) in out.iter().enumerate() {
                let exact: f64 =
                    (0..k).map(|j| f64::from(a[i / n * k + j]) * f64::from(b[j * n + i % n])).sum::<f64>() + f64::from(bias[i % n]);
                let exact = exact.clamp(-1.5, 2.0);
                assert!((f64::from(y) - exact).abs() < 1e-4, "{m}x{k}x{n} at {i}: {y} {exact}");
                if i < n {
                    assert!((f64::from(row[i]) - exact).abs() < 1e-4, "row {i}: {} {exact}", row[i]);
                }
            }
        }
    }
}
