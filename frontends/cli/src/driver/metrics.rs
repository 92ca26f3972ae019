//! How far two runs are apart.

/// What one sample adds to a comparison. Sums of different samples are added in the order of the samples, so that results do not depend on threads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// Elements.
    pub elements: u64,
    /// Sum of a squared.
    pub signal: f64,
    /// Sum of b squared.
    pub other: f64,
    /// Sum of products.
    pub product: f64,
    /// Sum of squared differences.
    pub noise: f64,
    /// Largest absolute difference; NaN if one side is.
    pub max: f64,
    /// Whether both have their largest element at the same place; counts only where there are several elements.
    pub same_top: bool,
}

impl Difference {
    /// Compares two tensors of one sample, as real numbers. `None` when they have different numbers of elements.
    pub fn new(a: &[f64], b: &[f64]) -> Option<Self> {
        if a.len() != b.len() {
            return None;
        }
        let mut out = Self { elements: a.len() as u64, same_top: argmax(a) == argmax(b), ..Self::default() };
        for (&x, &y) in a.iter().zip(b) {
            out.signal += x * x;
            out.other += y * y;
            out.product += x * y;
            let d = if x == y { 0.0 } else { x - y };
            out.noise += d * d;
            out.max = if d.abs() > out.max || d.is_nan() { d.abs() } else { out.max };
        }
        Some(out)
    }
}

/// The position of the largest element, the first of equal ones.
pub fn argmax(values: &[f64]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (at, &value) in values.iter().enumerate() {
        if best.is_none_or(|(_, b)| value > b) {
            best = Some((at, value));
        }
    }
    best.map(|(at, _)| at)
}

/// A comparison over all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    samples: u64,
    sum: Difference,
    same_top: u64,
}

impl Comparison {
    /// Adds a sample.
    pub fn add(&mut self, sample: &Difference) {
        self.samples += 1;
        self.sum.elements += sample.elements;
        self.sum.signal += sample.signal;
        self.sum.other += sample.other;
        self.sum.product += sample.product;
        self.sum.noise += sample.noise;
        self.sum.max = if self.sum.max.is_nan() || sample.max.is_nan() { f64::NAN } else { self.sum.max.max(sample.max) };
        self.same_top += u64::from(sample.same_top);
    }

    /// Samples compared.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Signal to quantization noise ratio, `10 log10(sum a^2 / sum (a - b)^2)` in dB over all elements of all samples: infinite where all are
    /// equal, NaN where one side holds NaN.
    pub fn sqnr(&self) -> f64 {
        if self.sum.noise == 0.0 { f64::INFINITY } else { 10.0 * (self.sum.signal / self.sum.noise).log10() }
    }

    /// Largest absolute difference.
    pub fn max_error(&self) -> f64 {
        self.sum.max
    }

    /// Cosine of the angle between all elements of a and all of b; 1 where both are zero.
    pub fn cosine(&self) -> f64 {
        let lengths = (self.sum.signal * self.sum.other).sqrt();
        if self.sum.noise == 0.0 { 1.0 } else { self.sum.product / lengths }
    }

    /// The part of samples whose largest element is at the same place; `None` where a sample has one element.
    pub fn top1_agreement(&self) -> Option<f64> {
        (self.sum.elements > self.samples && self.samples > 0).then(|| self.same_top as f64 / self.samples as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels() {
        let mut c = Comparison::default();
        c.add(&Difference::new(&[10.0, 0.0], &[9.0, 0.0]).unwrap());
        assert!((c.sqnr() - 20.0).abs() < 1e-9);
        assert_eq!((c.max_error(), c.top1_agreement()), (1.0, Some(1.0)));
        assert!((c.cosine() - 1.0).abs() < 1e-9);
        c.add(&Difference::new(&[1.0, 2.0], &[2.0, 1.0]).unwrap());
        assert_eq!(c.top1_agreement(), Some(0.5));
        c.add(&Difference::new(&[1.0], &[f64::NAN]).unwrap());
        assert!(c.sqnr().is_nan() && c.max_error().is_nan());
        assert_eq!(Difference::new(&[1.0], &[]), None);
    }

    #[test]
    fn the_first_of_equal_is_the_largest() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(argmax(&[]), None);
    }
}
