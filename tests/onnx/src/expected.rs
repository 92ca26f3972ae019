//! The expected failures: `expected_failures.tsv`, a line for each road of each case, with the reason. The list only shrinks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use octet_peers::workspace_root;

use crate::outcome::Outcome;

/// The two ways that a case takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Road {
    Executor,
    LiteRt,
}

impl Road {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Executor => "executor",
            Self::LiteRt => "litert",
        }
    }
}

/// Reasons by road and case.
pub(crate) type Failures = BTreeMap<(String, &'static str), String>;

fn path() -> PathBuf {
    workspace_root().join("tests/onnx/expected_failures.tsv")
}

/// The list as it stands in the tree.
pub(crate) fn read() -> Failures {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let mut found = Failures::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let mut cells = line.splitn(3, '\t');
        let (Some(case), Some(road), reason) = (cells.next(), cells.next(), cells.next()) else { continue };
        let road = if road == Road::Executor.name() { Road::Executor } else { Road::LiteRt };
        found.insert((case.to_owned(), road.name()), reason.unwrap_or_default().to_owned());
    }
    found
}

/// Writes the list.
pub(crate) fn write(failures: &Failures) -> Result<(), String> {
    let mut text = String::from(
        "# Cases of ONNX's suite that fail, and why. `cargo xtask onnx --bless` drops those that pass and never adds one that passed before.\n",
    );
    for ((case, road), reason) in failures {
        text.push_str(&format!("{case}\t{road}\t{reason}\n"));
    }
    std::fs::write(path(), text).map_err(|e| format!("{}: {e}", path().display()))
}

/// The reason of a failure on one line, or nothing for what passed.
pub(crate) fn reason(outcome: &Outcome) -> Option<String> {
    if *outcome == Outcome::Passed {
        return None;
    }
    let (word, why) = outcome.parts();
    let why = why.replace(&workspace_root().display().to_string(), "");
    let why: String = why.replace(['\t', '\n'], " ").chars().take(180).collect();
    Some(format!("{word}: {why}").trim_end_matches([':', ' ']).to_owned())
}
