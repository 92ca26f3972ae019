//! `cargo xtask fuzz`: every fuzz target for a given time, with cargo-fuzz on the nightly toolchain.

use octet_peers::workspace_root;

use crate::run::{Outcome, cargo, command, run, succeeds};

/// Runs each target for `seconds`; a finding is a failure.
pub(crate) fn fuzz(seconds: u32, only: Option<&str>) -> Outcome {
    let root = workspace_root();
    let targets = targets(only)?;
    let fuzzer = root.join("target/tools/bin/cargo-fuzz");
    if !fuzzer.is_file() {
        println!("fuzz: installing cargo-fuzz into target/tools");
        run(cargo(&["install", "--quiet", "--locked", "cargo-fuzz", "--root"]).arg(root.join("target/tools")))?;
    }
    if !succeeds(&mut command("rustup", &["run", "nightly", "rustc", "--version"])) {
        return Err("cargo-fuzz needs the nightly toolchain: rustup toolchain install nightly".into());
    }
    for target in targets {
        println!("fuzz: {target}, {seconds} s");
        run(command("rustup", &["run", "nightly"])
            .arg(&fuzzer)
            .args(["fuzz", "run", "--fuzz-dir", "tests/fuzz", &target, "--"])
            .arg(format!("-max_total_time={seconds}"))
            .args(["-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1"]))?;
    }
    Ok(())
}

/// Names of the targets, sorted.
fn targets(only: Option<&str>) -> Outcome<Vec<String>> {
    let folder = workspace_root().join("tests/fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()))
        .filter(|name| only.is_none_or(|part| name.contains(part)))
        .collect();
    names.sort();
    if names.is_empty() { Err("no such fuzz target".into()) } else { Ok(names) }
}
