//! `cargo xtask docs`: the pages of docs/ that are generated from the code. The generators are parts of the compiler, which this crate does not
//! link: a test of tests/suite calls them, and compares or writes.

use crate::run::{Outcome, cargo, run};

/// Writes the pages, or with `check` fails where they differ.
pub(crate) fn docs(check: bool) -> Outcome {
    let mut test = cargo(&["test", "--quiet", "--package", "octet-tests", "--test", "docs"]);
    if !check {
        test.env("OCTET_DOCS", "write");
    }
    run(&mut test)
}
