//! Options that every pass made of rewrites takes, and the choice of rewrites that they make.

use octet_ir::Diagnostic;
use serde::Deserialize;

use super::Rewrite;

/// Which of a pass's rewrites run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Selection {
    /// Only these; empty means all.
    pub(crate) only: Vec<String>,
    /// All but these.
    pub(crate) except: Vec<String>,
}

/// The rewrites that `selection` leaves of `all`, in the order of `all`. A name that no rewrite of the pass has is an error (`PAS002`).
pub(crate) fn select(pass: &str, all: &[&'static dyn Rewrite], selection: &Selection) -> Result<Vec<&'static dyn Rewrite>, Diagnostic> {
    let named = |name: &String| all.iter().any(|r| r.name() == name);
    if let Some(unknown) = selection.only.iter().chain(&selection.except).find(|name| !named(name)) {
        let known: Vec<&str> = all.iter().map(|r| r.name()).collect();
        return Err(Diagnostic::error("PAS002", format!("options of pass '{pass}': it has no rewrite '{unknown}'"))
            .with_note(format!("there are: {}", known.join(", "))));
    }
    let chosen = |r: &&&'static dyn Rewrite| {
        let listed = |names: &[String]| names.iter().any(|n| n == r.name());
        (selection.only.is_empty() || listed(&selection.only)) && !listed(&selection.except)
    };
    Ok(all.iter().filter(chosen).copied().collect())
}
