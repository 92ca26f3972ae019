//! What is gathered of a tensor while a model runs: extremes, and counts of values between them.
//!
//! Everything merges exactly (minimum, maximum, sums of integers), so that the result does not depend on how many threads gathered it.

use octet_eval::float::vector::vectorized;

use super::floor::MASKED;
use crate::quantize::Bounds;

/// Bins of a histogram.
const BINS: usize = 2048;

/// Smallest and largest value so far, and whether one was not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extremes {
    lo: f32,
    hi: f32,
    finite: bool,
    /// Whether minus infinity was seen where it may stand.
    masked: bool,
    /// The smallest of the rows' largest values.
    row: f32,
}

impl Default for Extremes {
    fn default() -> Self {
        Self { lo: f32::INFINITY, hi: f32::NEG_INFINITY, finite: true, masked: false, row: f32::INFINITY }
    }
}

impl Extremes {
    /// Adds values; answers whether all of them are finite.
    pub(super) fn add(&mut self, values: &[f32]) -> bool {
        const LANES: usize = 32;
        let (mut lo, mut hi, mut poison) = ([self.lo; LANES], [self.hi; LANES], [0.0f32; LANES]);
        let (chunks, rest) = values.as_chunks::<LANES>();
        vectorized(
            #[inline(always)]
            || {
                for chunk in chunks {
                    for lane in 0..LANES {
                        let v = chunk[lane];
                        lo[lane] = if v < lo[lane] { v } else { lo[lane] };
                        hi[lane] = if v > hi[lane] { v } else { hi[lane] };
                        // Zero for every finite value, NaN for the others.
                        poison[lane] += v * 0.0;
                    }
                }
            },
        );
        for (lane, &v) in rest.iter().enumerate() {
            lo[lane] = if v < lo[lane] { v } else { lo[lane] };
            hi[lane] = if v > hi[lane] { v } else { hi[lane] };
            poison[lane] += v * 0.0;
        }
        self.lo = lo.into_iter().fold(self.lo, f32::min);
        self.hi = hi.into_iter().fold(self.hi, f32::max);
        let finite = poison.into_iter().all(|p| p == 0.0);
        self.finite &= finite;
        finite
    }

    /// Adds values among which minus infinity may stand; answers whether all others are finite.
    pub(super) fn add_masked(&mut self, values: &[f32]) -> bool {
        let mut finite = true;
        for &v in values {
            if v == f32::NEG_INFINITY {
                self.masked = true;
            } else {
                (self.lo, self.hi) = (self.lo.min(v), self.hi.max(v));
                finite &= v.is_finite();
            }
        }
        self.finite &= finite;
        finite
    }

    /// Notes the largest value of each row of `length` values; rows that are masked throughout do not count.
    pub(super) fn add_rows(&mut self, values: &[f32], length: usize) {
        let largest = values.chunks(length.max(1)).map(|row| row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        self.row = largest.filter(|&largest| largest >= MASKED).fold(self.row, f32::min);
    }

    /// Adds what another thread gathered.
    pub(super) fn merge(&mut self, other: &Self) {
        self.lo = self.lo.min(other.lo);
        self.hi = self.hi.max(other.hi);
        self.finite &= other.finite;
        self.masked |= other.masked;
        self.row = self.row.min(other.row);
    }

    /// The range; `None` when nothing was seen or something was not finite.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        if self.finite && !self.masked { Bounds::new(self.lo, self.hi) } else { None }
    }

    /// The range of what is raised to a floor, if the value has one.
    pub(super) fn bounds_above(&self, floor: Option<f32>) -> Option<Bounds> {
        match floor {
            Some(floor) if self.finite => {
                let lo = if self.masked { floor } else { self.lo.max(floor) };
                Bounds::new(lo, self.hi.max(floor))
            }
            Some(_) => None,
            None => self.bounds(),
        }
    }

    /// The largest value, of those that are no masks.
    pub(super) fn largest(&self) -> Option<f32> {
        (self.finite && self.hi.is_finite()).then_some(self.hi)
    }

    /// The smallest of the rows' largest values.
    pub(super) fn row(&self) -> Option<f32> {
        self.row.is_finite().then_some(self.row)
    }
}

/// Counts of values in equal bins between two extremes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; BINS] }
    }

    /// Counts values; what lies outside `bounds` counts at its ends.
    pub(super) fn add(&mut self, values: &[f32], bounds: Bounds) {
        let width = bounds.hi - bounds.lo;
        let factor = if width > 0.0 && width.is_finite() { BINS as f32 / width } else { 0.0 };
        for &v in values {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; negative and NaN give 0")]
            let bin = ((v - bounds.lo) * factor) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
    }

    /// How many values there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The middle of each bin that is not empty, with its count, in rising order.
    pub fn bins(&self, bounds: Bounds) -> impl DoubleEndedIterator<Item = (f64, u64)> + '_ {
        let (lo, step) = (f64::from(bounds.lo), (f64::from(bounds.hi) - f64::from(bounds.lo)) / BINS as f64);
        let middles = self.counts.iter().enumerate().map(move |(i, &count)| (lo + (i as f64 + 0.5) * step, count));
        middles.filter(|(_, count)| *count > 0)
    }

    /// The lower edge of the bin below which at most `count` values lie.
    pub(super) fn lower_edge(&self, bounds: Bounds, count: u64) -> f64 {
        self.edge(bounds, count, self.counts.iter()).0
    }

    /// The upper edge of the bin above which at most `count` values lie.
    pub(super) fn upper_edge(&self, bounds: Bounds, count: u64) -> f64 {
        let (from_above, _) = self.edge(bounds, count, self.counts.iter().rev());
        f64::from(bounds.hi) - (from_above - f64::from(bounds.lo))
    }

    fn edge<'a>(&self, bounds: Bounds, count: u64, counts: impl Iterator<Item = &'a u64>) -> (f64, u64) {
        let (lo, step) = (f64::from(bounds.lo), (f64::from(bounds.hi) - f64::from(bounds.lo)) / BINS as f64);
        let mut seen = 0;
        for (index, &here) in counts.enumerate() {
            if seen + here > count {
                return (lo + index as f64 * step, seen);
            }
            seen += here;
        }
        (lo, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_of_any_length() {
        for length in [1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..length).map(|i| ((i * 7919) % 101) as f32 - 50.0).collect();
            let mut extremes = Extremes::default();
            assert!(extremes.add(&values));
            assert_eq!(extremes.bounds(), Bounds::of(&values), "{length}");
        }
        assert_eq!(Extremes::default().bounds(), None);
    }

    #[test]
    fn what_is_not_finite_is_noticed_anywhere() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 15, 16, 18] {
                let mut values = [1.0f32; 19];
                values[at] = bad;
                let mut extremes = Extremes::default();
                assert!(!extremes.add(&values), "{bad} at {at}");
                assert_eq!(extremes.bounds(), None);
            }
        }
    }

    #[test]
    fn edges_leave_out_no_more_than_asked() {
        let bounds = Bounds { lo: 0.0, hi: 2048.0 };
        let mut histogram = Histogram::new();
        histogram.add(&[0.5, 10.5, 11.5, 2000.5, 2048.0], bounds);
        assert_eq!((histogram.lower_edge(bounds, 0), histogram.upper_edge(bounds, 0)), (0.0, 2048.0));
        assert_eq!((histogram.lower_edge(bounds, 1), histogram.upper_edge(bounds, 1)), (10.0, 2001.0));
        assert_eq!(histogram.total(), 5);
    }
}
