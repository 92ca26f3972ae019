//! `NAME_operations.md`: a table of operations with their work and bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use octet_loops::plan::Plan;
use octet_loops::{Arg, BufferKind, Program, Role};

use crate::BUILT;

/// Most characters of an operation's name in the table.
const LABEL: usize = 60;

/// The table: per operation its multiply-accumulates, the bytes of its code where they were measured, of its constants and of the buffers that live while
/// it runs, and its kernels.
pub(crate) fn table(name: &str, program: &Program, regions: &[(String, Plan)], sizes: &BTreeMap<String, u64>) -> String {
    let mut text = format!("# {name}\n\n");
    for (field, plan) in regions {
        let _ =
            writeln!(text, "Memory `{field}`: {} bytes, lower bound {}; {} bytes of the stack.\n", plan.size, plan.lower_bound, plan.stack);
    }
    text.push_str("| # | operation | MACs | code, bytes | weights, bytes | other constants | live bytes | kernels |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    let mut total = [0u64; 3];
    for (index, step) in program.steps.iter().enumerate() {
        let mut constants: Vec<usize> = step.calls.iter().flat_map(|c| &c.args).filter_map(constant).collect();
        constants.sort_unstable();
        constants.dedup();
        let bytes = |weights: bool| -> usize {
            let chosen = constants.iter().filter_map(|&c| program.constants.get(c)).filter(|c| (c.role == Role::Weights) == weights);
            chosen.map(|c| c.data.bytes()).sum()
        };
        let (weights, others) = (bytes(true), bytes(false));
        let live: usize = program
            .buffers
            .iter()
            .enumerate()
            .filter(|(at, b)| {
                b.kind == BufferKind::Arena && regions.iter().any(|(_, p)| p.lives[*at].is_some_and(|l| l.0 <= index && index <= l.1))
            })
            .map(|(_, b)| b.bytes())
            .sum();
        let mut kernels: Vec<&str> = step.calls.iter().map(|c| c.kernel.as_str()).collect();
        kernels.dedup();
        let code = code(program, &kernels, sizes);
        let label = short(&step.label);
        let _ = writeln!(text, "| {index} | {label} | {} | {code} | {weights} | {others} | {live} | {} |", step.macs, kernels.join(", "));
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        for (sum, more) in total.iter_mut().zip([step.macs, wide(weights), wide(others)]) {
            *sum = sum.saturating_add(more);
        }
    }
    let (apart, built) = (sizes.iter().filter(|s| s.0 != BUILT).map(|s| s.1).sum::<u64>(), sizes.get(BUILT));
    let code = if sizes.is_empty() { String::new() } else { apart.to_string() };
    let _ = writeln!(text, "| | total | {} | {code} | {} | {} | | |", total[0], total[1], total[2]);
    text.push_str(&match built {
        Some(built) => format!(
            "\nCode is what the given compiler made of each operation's kernels and what they call, kept apart (`-DOCTET_APART`). Operations share kernels: \
             each counts once in the total, with `{name}_invoke` and `{name}_init`. As it is built without that, where kernels may become part of their \
             callers, all of the code has {built} bytes.\n"
        ),
        None => "\nCode is measured where a compiler is given: `--cc 'arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os'`.\n".to_owned(),
    });
    text
}

/// Bytes of kernels and everything that they call; what has become part of its callers is counted there.
fn code(program: &Program, kernels: &[&str], sizes: &BTreeMap<String, u64>) -> String {
    if sizes.is_empty() {
        return String::new();
    }
    let roots: Vec<String> = kernels.iter().map(|&k| k.to_owned()).collect();
    let all = program.library.ordered(&roots);
    all.iter().filter_map(|f| sizes.get(&f.name)).sum::<u64>().to_string()
}

fn constant(arg: &Arg) -> Option<usize> {
    match arg {
        Arg::Constant { constant, .. } => Some(*constant),
        Arg::Buffer { .. } | Arg::Int(_) | Arg::Backward { .. } => None,
    }
}

/// A label that leaves room for the other columns: converters join the names of everything that they fuse.
fn short(label: &str) -> String {
    let clean = label.replace('|', "/").replace(['\n', '\r'], " ");
    match clean.char_indices().nth(LABEL) {
        Some((end, _)) => format!("{}...", &clean[..end]),
        None => clean,
    }
}
