//! What is gathered of a tensor while a model runs: extremes, and counts of values between them.
//!
//! Everything merges exactly (minimum, maximum, sums of integers), so that the result does not depend on how many threads gathered it.

use octet_eval::float::vector::vectorized;

use super::floor::MASKED;
use crate::quantize::Bounds;

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

/// Counts of values by magnitude: 128 bins for each power of two down to 2^-23 of the largest magnitude, on either side of a bin for zero and what
/// is smaller still. A bin next to any end that could be chosen is thus no wider than a step of int8, however far out the extremes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
}

/// Bits of a float below those that number its bin.
const BELOW: u32 = 23 - 7;
/// Bins on one side of zero.
const SIDE: usize = 24 << 7;

/// Number of the first bin's magnitude, less one: magnitudes up to there count as zero.
fn base(bounds: Bounds) -> usize {
    magnitude_bin(bounds.magnitude()).saturating_sub(SIDE)
}

fn magnitude_bin(v: f32) -> usize {
    usize::try_from(v.abs().to_bits() >> BELOW).unwrap_or(usize::MAX)
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; 2 * SIDE + 1] }
    }

    /// Counts values; what lies outside `bounds` counts at its ends.
    pub(super) fn add(&mut self, values: &[f32], bounds: Bounds) {
        let base = base(bounds);
        for &v in values {
            let v = if v.is_nan() { 0.0 } else { v.clamp(bounds.lo, bounds.hi) };
            let from_zero = magnitude_bin(v).saturating_sub(base).min(SIDE);
            self.counts[if v < 0.0 { SIDE - from_zero } else { SIDE + from_zero }] += 1;
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
        let base = base(bounds);
        let all = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        all.map(move |(index, &count)| {
            let (lower, upper) = edges(index, base, bounds);
            (if index == SIDE { 0.0 } else { f64::midpoint(lower, upper) }, count)
        })
    }

    /// The lower edge of the bin below which at most `count` values lie.
    pub(super) fn lower_edge(&self, bounds: Bounds, count: u64) -> f64 {
        let index = beyond(self.counts.iter().enumerate(), count);
        index.map_or(f64::from(bounds.lo), |index| edges(index, base(bounds), bounds).0)
    }

    /// The upper edge of the bin above which at most `count` values lie.
    pub(super) fn upper_edge(&self, bounds: Bounds, count: u64) -> f64 {
        let index = beyond(self.counts.iter().enumerate().rev(), count);
        index.map_or(f64::from(bounds.hi), |index| edges(index, base(bounds), bounds).1)
    }
}

/// The first bin at which more than `count` values have been seen.
fn beyond<'a>(bins: impl Iterator<Item = (usize, &'a u64)>, count: u64) -> Option<usize> {
    let mut seen = 0;
    for (index, &here) in bins {
        seen += here;
        if seen > count {
            return Some(index);
        }
    }
    None
}

/// Where a bin begins and ends, within the bounds.
fn edges(index: usize, base: usize, bounds: Bounds) -> (f64, f64) {
    let magnitude =
        |bin: usize| f64::from(f32::from_bits(u32::try_from((base + bin) << BELOW).unwrap_or(u32::MAX).min(f32::MAX.to_bits())));
    let (lower, upper) = match index.cmp(&SIDE) {
        std::cmp::Ordering::Less => (-magnitude(SIDE - index + 1), -magnitude(SIDE - index)),
        std::cmp::Ordering::Equal => (-magnitude(1), magnitude(1)),
        std::cmp::Ordering::Greater => (magnitude(index - SIDE), magnitude(index - SIDE + 1)),
    };
    let (lo, hi) = (f64::from(bounds.lo), f64::from(bounds.hi));
    (lower.clamp(lo, hi), upper.clamp(lo, hi))
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
        let bounds = Bounds { lo: 0.5, hi: 2048.0 };
        let mut histogram = Histogram::new();
        histogram.add(&[0.5, 10.5, 11.5, 2000.5, 2048.0], bounds);
        assert_eq!((histogram.lower_edge(bounds, 0), histogram.upper_edge(bounds, 0)), (0.5, 2048.0));
        assert_eq!((histogram.lower_edge(bounds, 1), histogram.upper_edge(bounds, 1)), (10.5, 2008.0));
        assert_eq!(histogram.total(), 5);
    }

    #[test]
    fn far_extremes_hide_nothing() {
        for extreme in [1e3f32, 1e5, 1e6, f32::MAX] {
            let bounds = Bounds { lo: -extreme, hi: extreme };
            let mut histogram = Histogram::new();
            let bulk: Vec<f32> = (-1000..=1000).map(|i| i as f32 / 400.0).collect();
            histogram.add(&bulk, bounds);
            histogram.add(&[-extreme, extreme], bounds);
            let (lo, hi) = (histogram.lower_edge(bounds, 1), histogram.upper_edge(bounds, 1));
            // 2^-23 of the largest float is far above all of the bulk.
            let known = extreme < 1e7;
            assert_eq!((-2.52..=-2.5).contains(&lo) && (2.5..=2.52).contains(&hi), known, "{extreme}: {lo} to {hi}");
            assert_eq!((histogram.lower_edge(bounds, 0), histogram.upper_edge(bounds, 0)), (f64::from(-extreme), f64::from(extreme)));
            assert_eq!(histogram.bins(bounds).map(|(_, count)| count).sum::<u64>(), 2003);
        }
    }
}
