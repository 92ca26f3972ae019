//! Markdown tables, on the terminal and in docs/generated.

use std::fmt::Write as _;

use octet_peers::workspace_root;

use crate::run::{Outcome, command, output};

/// A Markdown table that is padded to be read as plain text too.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row; a bar, which would end a cell, becomes a slash.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(|cell| cell.replace('|', "/")).collect());
    }

    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> =
            (0..columns).map(|c| self.rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for (i, row) in self.rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "| {cell:<width$} ");
            }
            text.push_str("|\n");
            if i == 0 {
                for width in &widths {
                    let _ = write!(text, "|-{}-", "-".repeat(*width));
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

/// PASS or MISS.
pub(crate) fn verdict(pass: bool) -> String {
    if pass { "PASS" } else { "**MISS**" }.to_owned()
}

/// Writes a generated page: its title, when and from which command it was made, and the body.
pub(crate) fn write_page(name: &str, title: &str, task: &str, body: &str) -> Outcome {
    let date = output(&mut command("date", &["-u", "+%Y-%m-%d"]))?;
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let folder = workspace_root().join("docs/generated");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let text = format!("# {title}\n\nMade by `{task}` on {} ({cores} cores).\n\n{body}", date.trim());
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
