//! Ways to choose a tensor's range from what was seen of it. A new one is a type, its trait and one line in [`METHODS`].

use octet_ir::Diagnostic;

use super::statistics::Histogram;
use crate::quantize::{Bounds, Params, Width};

/// What was seen of one tensor over the whole data set.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Smallest and largest value.
    pub bounds: Bounds,
    /// Counts of values in between, for methods that ask for them.
    pub histogram: Option<&'a Histogram>,
}

/// Chooses ranges.
pub trait Method: Send + Sync {
    /// Whether it needs counts of values: a second run over the data.
    fn needs_histogram(&self) -> bool {
        false
    }

    /// The range of a tensor: within what was seen, or all of it.
    fn range(&self, seen: &Seen<'_>) -> Bounds;
}

/// A method that users can name.
pub struct MethodEntry {
    /// Its name, before the colon.
    pub name: &'static str,
    /// One sentence on what it does; says what stands after the colon.
    pub summary: &'static str,
    /// Makes it from what stands after the colon.
    create: fn(Option<&str>) -> Result<Box<dyn Method>, String>,
}

/// Every method, by name.
pub const METHODS: &[MethodEntry] = &[
    MethodEntry {
        name: "min-max",
        summary: "The smallest and the largest value of the whole data set.",
        create: |argument| argument.map_or_else(|| Ok(Box::new(MinMax) as Box<dyn Method>), |a| Err(format!("min-max takes no '{a}'"))),
    },
    MethodEntry {
        name: "mse",
        summary: "The range whose int8 quantization has the least mean squared error.",
        create: |argument| argument.map_or_else(|| Ok(Box::new(Mse) as Box<dyn Method>), |a| Err(format!("mse takes no '{a}'"))),
    },
    MethodEntry {
        name: "percentile",
        summary: "percentile:P keeps P percent of the values at either end, such as percentile:99.99.",
        create: |argument| {
            let percent = argument.and_then(|a| a.parse::<f64>().ok()).filter(|p| (50.0..=100.0).contains(p));
            percent
                .map(|p| Box::new(Percentile(p)) as Box<dyn Method>)
                .ok_or_else(|| "percentile needs a number from 50 to 100 after a colon".into())
        },
    },
];

/// The method that a text such as `percentile:99.9` names (`CAL001` when there is none).
pub fn method(text: &str) -> Result<Box<dyn Method>, Diagnostic> {
    let (name, argument) = match text.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (text, None),
    };
    let known = || METHODS.iter().map(|m| m.name).collect::<Vec<_>>().join(", ");
    let entry = METHODS.iter().find(|m| m.name == name);
    let entry = entry.ok_or_else(|| {
        Diagnostic::error("CAL001", format!("there is no calibration method '{name}'")).with_note(format!("there are: {}", known()))
    })?;
    (entry.create)(argument).map_err(|why| Diagnostic::error("CAL001", why))
}

/// Everything that was seen.
struct MinMax;

impl Method for MinMax {
    fn range(&self, seen: &Seen<'_>) -> Bounds {
        seen.bounds
    }
}

/// All but the outermost values.
struct Percentile(f64);

impl Method for Percentile {
    fn needs_histogram(&self) -> bool {
        true
    }

    fn range(&self, seen: &Seen<'_>) -> Bounds {
        let Some(histogram) = seen.histogram else { return seen.bounds };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        let outside = (histogram.total() as f64 * (1.0 - self.0 / 100.0)) as u64;
        #[expect(clippy::cast_possible_truncation, reason = "edges lie between two floats")]
        let (lo, hi) = (histogram.lower_edge(seen.bounds, outside) as f32, histogram.upper_edge(seen.bounds, outside) as f32);
        Bounds::new(lo, hi).unwrap_or(seen.bounds)
    }
}

/// The least squared error: either end is drawn in by steps while that helps.
struct Mse;

impl Mse {
    /// Steps between nothing and the whole range.
    const STEPS: u32 = 64;

    /// Sum of squared errors of the histogram's values, quantized for a range.
    fn error(histogram: &Histogram, seen: Bounds, range: Bounds) -> f64 {
        let params = Params::for_activation(range, Width::I8);
        let (scale, zero_point) = (f64::from(params.scale), params.zero_point as f64);
        let squared = |(value, count): (f64, u64)| {
            let q = ((value / scale).round() + zero_point).clamp(-128.0, 127.0);
            let error = value - (q - zero_point) * scale;
            error * error * count as f64
        };
        histogram.bins(seen).map(squared).sum()
    }
}

impl Method for Mse {
    fn needs_histogram(&self) -> bool {
        true
    }

    fn range(&self, seen: &Seen<'_>) -> Bounds {
        let Some(histogram) = seen.histogram else { return seen.bounds };
        let whole = seen.bounds.with_zero();
        let shrunk = |low: u32, high: u32| Bounds {
            lo: whole.lo * (low as f32 / Self::STEPS as f32),
            hi: whole.hi * (high as f32 / Self::STEPS as f32),
        };
        let mut best = (Self::error(histogram, seen.bounds, whole), Self::STEPS, Self::STEPS);
        // Both ends together first, then each by itself around what was found.
        for step in (Self::STEPS / 4)..Self::STEPS {
            best = better(best, (Self::error(histogram, seen.bounds, shrunk(step, step)), step, step));
        }
        for step in (Self::STEPS / 4)..=Self::STEPS {
            best = better(best, (Self::error(histogram, seen.bounds, shrunk(step, best.2)), step, best.2));
        }
        for step in (Self::STEPS / 4)..=Self::STEPS {
            best = better(best, (Self::error(histogram, seen.bounds, shrunk(best.1, step)), best.1, step));
        }
        shrunk(best.1, best.2)
    }
}

/// The one with the smaller error; of equals the first.
fn better(a: (f64, u32, u32), b: (f64, u32, u32)) -> (f64, u32, u32) {
    if b.0 < a.0 { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100,000 values that fall off quickly, and one far out.
    fn long_tail() -> (Histogram, Bounds) {
        let bounds = Bounds { lo: -1.0, hi: 100.0 };
        let mut histogram = Histogram::new();
        let values: Vec<f32> = (0..100_000).map(|i| (i % 1000) as f32 / 1000.0 * 2.0 - 1.0).collect();
        histogram.add(&values, bounds);
        histogram.add(&[100.0], bounds);
        (histogram, bounds)
    }

    #[test]
    fn names_and_arguments() {
        for good in ["min-max", "mse", "percentile:99.99", "percentile:100"] {
            assert!(method(good).is_ok(), "{good}");
        }
        for bad in ["", "minmax", "min-max:1", "percentile", "percentile:x", "percentile:10", "mse:"] {
            assert!(method(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_outlier_is_cut_off_where_that_is_asked_for() {
        let (histogram, bounds) = long_tail();
        let seen = Seen { bounds, histogram: Some(&histogram) };
        assert_eq!(method("min-max").unwrap().range(&seen), bounds);
        assert_eq!(method("percentile:100").unwrap().range(&seen), bounds);
        let percentile = method("percentile:99.99").unwrap().range(&seen);
        assert!(percentile.hi < 1.1 && percentile.lo == -1.0, "{percentile:?}");
        let mse = method("mse").unwrap().range(&seen);
        assert!(Mse::error(&histogram, bounds, mse) <= Mse::error(&histogram, bounds, bounds), "{mse:?}");
        assert!(mse.hi < 100.0);
    }
}
