//! The tables: totals by suite, and by operator how many of the cases that contain it pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::outcome::Outcome;

/// One case with its outcome on both roads; `None` where LiteRT was left out.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) edge: bool,
    pub(crate) baked: usize,
    pub(crate) operators: BTreeSet<String>,
    pub(crate) executor: Outcome,
    pub(crate) litert: Option<Outcome>,
}

#[derive(Default)]
struct Count {
    cases: usize,
    executor: usize,
    litert: usize,
    baked: usize,
    /// Crashed, hung or wrong on either road.
    bad: usize,
}

impl Count {
    fn add(&mut self, row: &Row) {
        let is_bad = |o: &Outcome| matches!(o, Outcome::Wrong(_) | Outcome::Crashed(_) | Outcome::Hung);
        self.cases += 1;
        self.executor += usize::from(row.executor == Outcome::Passed);
        self.litert += usize::from(row.litert == Some(Outcome::Passed));
        self.baked += usize::from(row.baked > 0);
        self.bad += usize::from(is_bad(&row.executor) || row.litert.as_ref().is_some_and(is_bad));
    }

    fn cells(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let part = |n: usize| format!("{n} ({:.1} %)", 100.0 * n as f64 / self.cases.max(1) as f64);
        format!("{} | {} | {} | {} | {}", self.cases, part(self.executor), part(self.litert), self.baked, self.bad)
    }
}

/// The page's tables as Markdown.
pub(crate) fn tables(rows: &[Row]) -> String {
    let mut out = String::from(
        "| cases | number | interpreter | LiteRT | with inputs baked in | wrong, crashed or hung |\n|---|---|---|---|---|---|\n",
    );
    let mut total = |name: &str, keep: &dyn Fn(&Row) -> bool| {
        let mut count = Count::default();
        rows.iter().filter(|r| keep(r)).for_each(|r| count.add(r));
        let _ = writeln!(out, "| {name} | {} |", count.cells());
    };
    total("relevant at the edge", &|r| r.edge);
    total("all", &|_| true);
    for suite in ["node", "simple", "pytorch-converted", "pytorch-operator", "light"] {
        total(suite, &|r| r.name.starts_with(&format!("{suite}/")) && !r.name.contains("_expanded"));
    }
    total("node, as function bodies", &|r| r.name.contains("_expanded"));
    let mut by: BTreeMap<&str, Count> = BTreeMap::new();
    for row in rows.iter().filter(|r| !r.name.contains("_expanded")) {
        for operator in &row.operators {
            by.entry(operator).or_default().add(row);
        }
    }
    out.push_str("\n| operator | cases with it | interpreter | LiteRT | with inputs baked in | wrong, crashed or hung |\n|---|---|---|---|---|---|\n");
    for (operator, count) in by {
        let _ = writeln!(out, "| {operator} | {} |", count.cells());
    }
    out
}
