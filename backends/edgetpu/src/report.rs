//! The report in the layout of edgetpu_compiler, for people's scripts, with lines of our own only behind its end.
//!
//! Memory is predicted, and the report says so. The text is that of `edgetpu_compiler -s`, without its version and time-out.

use std::fmt::Write;
use std::time::Duration;

use crate::mapping::{Mapping, Row};
use crate::memory::Cache;

/// What the head of a report says of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// What made the report.
    pub maker: String,
    /// File name of the model.
    pub input: String,
    /// Bytes of the model.
    pub input_bytes: usize,
    /// File name of what was written, where something was.
    pub output: Option<String>,
    /// Bytes of it.
    pub output_bytes: usize,
    /// File name of the operation log, where one is written.
    pub log: Option<String>,
}

/// A size as edgetpu_compiler writes it: `0.00B`, `4.37MiB`.
pub fn size(bytes: usize) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS.get(unit).copied().unwrap_or_default())
}

/// What edgetpu_compiler says first: that it has compiled so many models, and how long it took.
pub fn begins(models: usize, time: Duration) -> String {
    let models = if models == 1 { "Model" } else { "Models" };
    format!("{models} compiled successfully in {} ms.\n\n", time.as_millis())
}

/// What it says last.
pub const ENDS: &str = "\nCompilation succeeded!\n";

/// What edgetpu_compiler prints of a model on the terminal; with `operations`, the table too (its option `-s`).
pub fn terminal(head: &Head, mapping: &Mapping, cache: &Cache, operations: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_terminal(&mut out, head, mapping, cache, operations);
    out
}

fn write_terminal(out: &mut String, head: &Head, mapping: &Mapping, cache: &Cache, operations: bool) -> std::fmt::Result {
    let counts = mapping.counts();
    writeln!(out, "Input model: {}", head.input)?;
    writeln!(out, "Input size: {}", size(head.input_bytes))?;
    if let Some(output) = &head.output {
        writeln!(out, "Output model: {output}")?;
        writeln!(out, "Output size: {}", size(head.output_bytes))?;
    }
    writeln!(out, "On-chip memory used for caching model parameters: {}", size(cache.used))?;
    writeln!(out, "On-chip memory remaining for caching model parameters: {}", size(cache.remaining()))?;
    writeln!(out, "Off-chip memory used for streaming uncached model parameters: {}", size(cache.streamed))?;
    writeln!(out, "Number of {} subgraphs: {}", mapping.title, mapping.clusters)?;
    writeln!(out, "Total number of operations: {}", mapping.rows.len())?;
    if let Some(log) = &head.log {
        writeln!(out, "Operation log: {log}")?;
    }
    if counts.cpu > 0 {
        writeln!(
            out,
            "\nModel successfully compiled but not all operations are supported by the {0}. A percentage of the model will instead run on the CPU, \
             which is slower. If possible, consider updating your model to use only operations supported by the {0}. For details, visit \
             g.co/coral/model-reqs.",
            mapping.title
        )?;
        writeln!(out, "Number of operations that will run on {}: {}", mapping.title, counts.mapped)?;
        writeln!(out, "Number of operations that will run on CPU: {}", counts.cpu)?;
    }
    if operations {
        writeln!(out)?;
        table(out, mapping)?;
    }
    Ok(())
}

/// The text of `NAME_edgetpu.log`.
pub fn log(head: &Head, mapping: &Mapping) -> String {
    let mut out = String::new();
    let _ = write_log(&mut out, head, mapping);
    out
}

fn write_log(out: &mut String, head: &Head, mapping: &Mapping) -> std::fmt::Result {
    writeln!(out, "{}", head.maker)?;
    writeln!(out, "Input: {}", head.input)?;
    if let Some(output) = &head.output {
        writeln!(out, "Output: {output}")?;
    }
    writeln!(out)?;
    table(out, mapping)
}

/// Operators by name and status, in the order in which they are first met.
fn table(out: &mut String, mapping: &Mapping) -> std::fmt::Result {
    writeln!(out, "{:<31}{:<11}Status\n", "Operator", "Count")?;
    let mut kinds: Vec<(&str, &str, usize)> = Vec::new();
    for row in &mapping.rows {
        let kind = if row.custom { "CUSTOM" } else { row.name.as_str() };
        match kinds.iter_mut().find(|(name, status, _)| (*name, *status) == (kind, row.status.as_str())) {
            Some((.., count)) => *count += 1,
            None => kinds.push((kind, &row.status, 1)),
        }
    }
    for (name, status, count) in kinds {
        writeln!(out, "{name:<31}{count:<11}{status}")?;
    }
    Ok(())
}

/// A row for each operation: index, name, where it runs, its bytes if they are asked for, and why.
pub fn rows(mapping: &Mapping, parameters: bool) -> String {
    let mut out = String::new();
    let width = mapping.rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0).max("operation".len());
    let wide = mapping.title.chars().count().max("runs on".len());
    let bytes = |text: &str| if parameters { format!("{text:>10}  ") } else { String::new() };
    let _ = writeln!(out, "{:>5}  {:<width$}  {:<wide$}  {}reason", "#", "operation", "runs on", bytes("parameters"));
    for row in &mapping.rows {
        let place = if row.mapped { mapping.title.as_str() } else { "CPU" };
        let bytes = bytes(&if row.parameters.on_chip == 0 { "-".to_owned() } else { size(row.parameters.on_chip) });
        let line = format!("{:>5}  {:<width$}  {place:<wide$}  {bytes}{}", row.index, row.name, reasons(row, mapping));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn reasons(row: &Row, mapping: &Mapping) -> String {
    let mut text = row.reason(&mapping.rows);
    if let Some(fix) = row.fix().filter(|_| !row.mapped && (row.blocked_by.is_none() || !row.findings.is_empty())) {
        text.push_str(&format!(" ({fix})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_written_as_users_know_them() {
        assert_eq!([0, 576, 67_584, 8_388_608].map(size), ["0.00B", "576.00B", "66.00KiB", "8.00MiB"]);
    }
}
