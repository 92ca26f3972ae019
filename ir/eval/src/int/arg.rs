//! ARG_MAX and ARG_MIN: the first index of the extreme value along an axis (`reference/arg_min_max.h`).

use super::{Result, ensure};

/// Writes one index per outer and inner position of `[outer, axis, inner]`; `better(candidate, best)` decides.
pub fn arg_extreme<T: Copy, O>(
    [outer, axis, inner]: [usize; 3],
    input: &[T],
    output: &mut [O],
    better: impl Fn(T, T) -> bool,
    store: impl Fn(usize) -> O,
) -> Result<()> {
    ensure(input.len() == outer * axis * inner && output.len() == outer * inner && (axis > 0 || output.is_empty()), || {
        format!("{} inputs and {} outputs do not fit [{outer}, {axis}, {inner}]", input.len(), output.len())
    })?;
    for o in 0..outer {
        for i in 0..inner {
            let at = |a: usize| input[(o * axis + a) * inner + i];
            let mut best = 0;
            for a in 1..axis {
                if better(at(a), at(best)) {
                    best = a;
                }
            }
            output[o * inner + i] = store(best);
        }
    }
    Ok(())
}
