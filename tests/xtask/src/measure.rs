//! One process, measured: wall time, and the most memory that it held.

use std::process::{Command, Stdio};
use std::time::Instant;

use wait4::Wait4;

use crate::run::Outcome;

/// What a process took.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// Seconds from before it was started until it had ended.
    pub(crate) seconds: f64,
    /// Seconds of processor time, of all its threads: what counts where a machine does other things besides.
    pub(crate) cpu_seconds: f64,
    /// Its peak resident set in MiB, from the kernel's account of it (`wait4`).
    pub(crate) peak_mib: f64,
}

/// Runs a process to its end and measures it; its output goes nowhere. Fails if it does.
pub(crate) fn process(command: &mut Command) -> Outcome<Cost> {
    let (cost, succeeded) = watched(command)?;
    if succeeded { Ok(cost) } else { Err(format!("{command:?} failed")) }
}

/// Runs a process to its end, measures it, and says whether it succeeded; its output goes nowhere.
pub(crate) fn watched(command: &mut Command) -> Outcome<(Cost, bool)> {
    let told = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().map_err(|e| format!("{told}: {e}"))?;
    let ended = child.wait4().map_err(|e| format!("{told}: {e}"))?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = (ended.rusage.utime + ended.rusage.stime).as_secs_f64();
    let peak_mib = ended.rusage.maxrss as f64 / f64::from(1 << 20);
    Ok((Cost { seconds, cpu_seconds, peak_mib }, ended.status.success()))
}

/// The middle value; of an even number, the mean of the middle two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(low), Some(high)) if sorted.len().is_multiple_of(2) => (low + high) / 2.0,
        (_, Some(value)) => *value,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
