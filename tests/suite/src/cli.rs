//! The `octet` command, as the shell runs it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The command's binary: `$OCTET_BIN` (which `cargo xtask test` sets), or the one beside the running test's.
///
/// # Panics
/// If there is none: `cargo build` makes it.
#[must_use]
pub fn binary() -> PathBuf {
    let found = match std::env::var_os("OCTET_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let test = std::env::current_exe().unwrap_or_default();
            test.ancestors().nth(2).unwrap_or(&test).join("octet")
        }
    };
    assert!(found.is_file(), "{} is not there: run `cargo build`", found.display());
    found
}

/// Runs the command to its end.
///
/// # Panics
/// If it cannot be started.
pub fn octet<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    Command::new(binary()).args(arguments).output().expect("the octet command starts")
}

/// Runs the command, which must succeed, and gives what it wrote to standard output.
///
/// # Panics
/// If it fails, with everything that it said.
pub fn octet_ok<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let output = octet(arguments);
    let shown: Vec<_> = arguments.iter().map(|a| a.as_ref().to_string_lossy()).collect();
    assert!(output.status.success(), "octet {}: {}\n{}", shown.join(" "), output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
