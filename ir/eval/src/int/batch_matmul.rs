//! BATCH_MATMUL: `[..., M, K] * [..., K, N] -> [..., M, N]` with broadcast batch axes and optional transposition of either side.
//!
//! Arithmetic: `reference/batch_matmul.h`; the scales are multiplied in single precision. 16-bit operands sum 64 bits.

use super::gemm::{Packed, Requantize, channel_multipliers, fixed, multiply};
use super::{Affine, Bounds, Quantized, Result, Slots, Storage, centre, conv2d::Bias, elements, ensure};

/// A prepared product.
#[derive(Clone, Debug)]
pub struct BatchMatmul {
    /// Offsets of the left and right matrices of each product.
    batches: Vec<(usize, usize)>,
    lhs_transposed: bool,
    rhs_transposed: bool,
    m: usize,
    k: usize,
    n: usize,
    lhs_len: usize,
    rhs_len: usize,
    lhs_zero_point: i32,
    rhs_zero_point: i32,
    requantize: Requantize,
}

impl BatchMatmul {
    /// `storage` is that of all three tensors. `adj_x` says that the left operand is stored `[K, M]`, `adj_y` the right `[N, K]`.
    pub fn prepare(
        storage: Storage,
        lhs: &[usize],
        rhs: &[usize],
        adj_x: bool,
        adj_y: bool,
        lhs_scale: Affine,
        rhs_scale: Affine,
        output_scale: Affine,
    ) -> Result<Self> {
        ensure(lhs.len() >= 2 && rhs.len() >= 2, || format!("{lhs:?} and {rhs:?} are not matrices"))?;
        super::conv2d::check_zero_point(storage, lhs_scale)?;
        super::conv2d::check_zero_point(storage, rhs_scale)?;
        let split = |shape: &[usize], transposed: bool| {
            let (batch, matrix) = shape.split_at(shape.len() - 2);
            let (rows, cols) = if transposed { (matrix[1], matrix[0]) } else { (matrix[0], matrix[1]) };
            (batch.to_vec(), rows, cols)
        };
        let (lhs_batch, m, k) = split(lhs, adj_x);
        let (rhs_batch, k_rhs, n) = split(rhs, adj_y);
        ensure(k == k_rhs, || format!("{lhs:?} and {rhs:?} differ in the inner dimension"))?;
        let batch = super::broadcast::broadcast_shape(&lhs_batch, &rhs_batch)?;
        let (lhs_len, rhs_len) = (elements(lhs)?, elements(rhs)?);
        let lhs_at = super::broadcast::offsets(&lhs_batch, &batch);
        let rhs_at = super::broadcast::offsets(&rhs_batch, &batch);
        let batches = lhs_at.into_iter().zip(rhs_at).map(|(l, r)| (l * m * k, r * k * n)).collect();
        let real = channel_multipliers(lhs_scale.scale, &[rhs_scale.scale], output_scale.scale, n, true)?;
        let bias = Bias::zeros(n, storage.is_wide());
        let range = Bounds::NONE.quantized(storage, output_scale);
        Ok(Self {
            batches,
            lhs_transposed: adj_x,
            rhs_transposed: adj_y,
            m,
            k,
            n,
            lhs_len,
            rhs_len,
            lhs_zero_point: lhs_scale.zero_point,
            rhs_zero_point: rhs_scale.zero_point,
            requantize: Requantize::new(bias, fixed(&real), output_scale, range)?,
        })
    }

    /// Computes `output`, dense.
    pub fn run<T: Quantized>(&self, lhs: &[T], rhs: &[T], output: &mut [T]) -> Result<()> {
        let (m, n) = (self.m, self.n);
        ensure(lhs.len() == self.lhs_len && rhs.len() == self.rhs_len, || {
            format!("the operands have {} and {} values", lhs.len(), rhs.len())
        })?;
        ensure(output.len() == self.batches.len() * m * n, || format!("the output has {} values", output.len()))?;
        if output.is_empty() {
            return Ok(());
        }
        let mut centred = [vec![0i16; lhs.len()], vec![0i16; rhs.len()]];
        centre(&mut centred[0], lhs, self.lhs_zero_point);
        centre(&mut centred[1], rhs, self.rhs_zero_point);
        let [lhs, rhs] = &centred;
        let mut output = T::slots(output);
        if T::MAX > 255 {
            self.wide(lhs, rhs, &mut output);
        } else {
            self.narrow(lhs, rhs, &mut output);
        }
        Ok(())
    }

    fn narrow(&self, lhs: &[i16], rhs: &[i16], output: &mut Slots<'_>) {
        let (m, k, n) = (self.m, self.k, self.n);
        let stride = k.div_ceil(2) * 2;
        let mut rows = vec![0i16; m * stride];
        let mut packed: Option<(usize, Packed)> = None;
        for (batch, &(left, right)) in self.batches.iter().enumerate() {
            for i in 0..m {
                for j in 0..k {
                    let at = if self.lhs_transposed { j * m + i } else { i * k + j };
                    rows[i * stride + j] = lhs[left + at];
                }
            }
            if packed.as_ref().is_none_or(|(at, _)| *at != right) {
                let weight = |c: usize, i: usize| rhs[right + if self.rhs_transposed { c * k + i } else { i * n + c }];
                packed = Some((right, Packed::new(n, k, weight)));
            }
            if let Some((_, weights)) = &packed {
                multiply(&rows, stride, m, weights, &self.requantize, output, batch * m * n, n);
            }
        }
    }

    /// Products of two 16-bit numbers: every pair may fill 32 bits, so sums are 64 bits from the start.
    fn wide(&self, lhs: &[i16], rhs: &[i16], output: &mut Slots<'_>) {
        let (m, k, n) = (self.m, self.k, self.n);
        let mut sums = vec![0i64; n];
        for (batch, &(left, right)) in self.batches.iter().enumerate() {
            for i in 0..m {
                sums.fill(0);
                for j in 0..k {
                    let at = if self.lhs_transposed { j * m + i } else { i * k + j };
                    let x = i64::from(lhs[left + at]);
                    for (c, sum) in sums.iter_mut().enumerate() {
                        let at = if self.rhs_transposed { c * k + j } else { j * n + c };
                        *sum += x * i64::from(rhs[right + at]);
                    }
                }
                self.requantize.wide_row(&sums, |channel, values| output.put((batch * m + i) * n + channel, values));
            }
        }
    }
}
