//! MEAN, SUM, REDUCE_MAX, REDUCE_MIN and REDUCE_PROD over any axes.
//!
//! Arithmetic: `reference/reduce.h` (`QuantizedMeanOrSum`, `ReduceGeneric`, `QuantizedReduceProd`). REDUCE_PROD exists in LiteRT only.

use super::{Affine, KernelError, Multiplier, Quantized, Result, elements, ensure};

/// What a reduction does with the values that fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Mean with the division folded into the multiplier.
    Mean,
    /// Sum.
    Sum,
    /// Largest; scales must be equal.
    Max,
    /// Smallest; scales must be equal.
    Min,
    /// Product, requantized after every factor.
    Product,
}

/// A prepared reduction.
#[derive(Clone, Debug)]
pub struct Reduce {
    reduction: Reduction,
    input: Vec<usize>,
    /// Row-major strides into the output per input axis, 0 on reduced axes.
    strides: Vec<usize>,
    outputs: usize,
    count: usize,
    input_zero: i32,
    output_zero: i32,
    multiplier: Multiplier,
}

impl Reduce {
    /// `axes` may be negative or repeated.
    pub fn prepare<T: Quantized>(
        reduction: Reduction,
        input: &[usize],
        axes: &[i32],
        input_scale: Affine,
        output_scale: Affine,
    ) -> Result<Self> {
        let mut reduced = vec![false; input.len()];
        for &axis in axes {
            let index = if axis < 0 { i64::from(axis) + input.len() as i64 } else { i64::from(axis) };
            let slot = usize::try_from(index).ok().and_then(|i| reduced.get_mut(i));
            *slot.ok_or_else(|| KernelError(format!("axis {axis} of a tensor with {} axes", input.len())))? = true;
        }
        elements(input)?;
        let mut strides = vec![0; input.len()];
        let (mut outputs, mut count) = (1usize, 1usize);
        for axis in (0..input.len()).rev() {
            if reduced[axis] {
                count = count.saturating_mul(input[axis]);
            } else {
                strides[axis] = outputs;
                outputs = outputs.saturating_mul(input[axis]);
            }
        }
        let ratio = f64::from(input_scale.scale) / f64::from(output_scale.scale);
        let multiplier = match reduction {
            Reduction::Mean => Multiplier::from_real(ratio).divided_by(count as u64),
            Reduction::Sum => Multiplier::from_real(ratio),
            Reduction::Max | Reduction::Min => {
                ensure(input_scale == output_scale, || "input and output of a maximum must share one scale".into())?;
                Multiplier::default()
            }
            Reduction::Product => {
                let root = f64::from(output_scale.scale).powf(1.0 / count.max(1) as f64);
                Multiplier::from_real(f64::from(input_scale.scale) / root)
            }
        };
        Ok(Self {
            reduction,
            input: input.to_vec(),
            strides,
            outputs,
            count,
            input_zero: input_scale.zero_point,
            output_zero: output_scale.zero_point,
            multiplier,
        })
    }

    /// Reduces `input`; `output` has one value per combination of kept axes.
    pub fn run<T: Quantized>(&self, input: &[T], output: &mut [T]) -> Result<()> {
        ensure(input.len() == elements(&self.input)? && output.len() == self.outputs, || {
            format!("{} values do not reduce to {}", input.len(), output.len())
        })?;
        if input.is_empty() {
            // Nothing to fold: the runtimes leave their initial values.
            output.fill(match self.reduction {
                Reduction::Max => T::saturate(T::MIN),
                Reduction::Min => T::saturate(T::MAX),
                Reduction::Mean | Reduction::Sum | Reduction::Product => T::default(),
            });
            return Ok(());
        }
        match self.reduction {
            Reduction::Max => self.fold(input, output, T::saturate(T::MIN), std::cmp::Ord::max),
            Reduction::Min => self.fold(input, output, T::saturate(T::MAX), std::cmp::Ord::min),
            Reduction::Mean | Reduction::Sum => {
                let mut sums = vec![0i32; self.outputs];
                self.fold(input, &mut sums, 0, |sum, x| sum.wrapping_add(x.get()));
                // The correction is computed in 64 bits, then cut.
                let offset = i64::from(self.input_zero).wrapping_mul(self.count as i64);
                for (o, &sum) in output.iter_mut().zip(&sums) {
                    let centred = i64::from(sum).wrapping_sub(offset) as i32;
                    *o = T::saturate(self.multiplier.apply(centred).wrapping_add(self.output_zero));
                }
            }
            Reduction::Product => {
                let mut products: Vec<Option<i32>> = vec![None; self.outputs];
                self.fold(input, &mut products, None, |product, x| {
                    let x = x.get().wrapping_sub(self.input_zero);
                    Some(match product {
                        None => x,
                        Some(p) => self.multiplier.apply_i64(i64::from(p) * i64::from(x)),
                    })
                });
                for (o, product) in output.iter_mut().zip(products) {
                    let scaled = self.multiplier.apply_i64(i64::from(product.unwrap_or(0)));
                    *o = T::saturate(scaled.wrapping_add(self.output_zero));
                }
            }
        }
        Ok(())
    }

    /// Folds inputs into `outputs` in row-major order of the input.
    fn fold<T: Copy, A: Copy>(&self, input: &[T], outputs: &mut [A], start: A, f: impl Fn(A, T) -> A) {
        outputs.fill(start);
        let Some((&last, outer)) = self.input.split_last() else {
            outputs[0] = f(outputs[0], input[0]);
            return;
        };
        let inner_stride = self.strides[self.input.len() - 1];
        let mut index = vec![0usize; outer.len()];
        let mut at = 0usize;
        for row in input.chunks(last) {
            if inner_stride == 0 {
                outputs[at] = row.iter().fold(outputs[at], |acc, &x| f(acc, x));
            } else {
                for (out, &x) in outputs[at..at + last].iter_mut().zip(row) {
                    *out = f(*out, x);
                }
            }
            for axis in (0..outer.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < outer[axis] {
                    break;
                }
                at -= self.strides[axis] * outer[axis];
                index[axis] = 0;
            }
        }
    }
}
