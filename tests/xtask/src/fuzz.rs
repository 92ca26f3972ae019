//! `cargo xtask fuzz`: every fuzz target for a given time, with cargo-fuzz on the nightly toolchain.

use std::path::PathBuf;

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
        let seeds = seeds(&target)?;
        println!("fuzz: {target}, {seconds} s");
        run(command("rustup", &["run", "nightly"])
            .arg(&fuzzer)
            .args(["fuzz", "run", "--fuzz-dir", "tests/fuzz", &target])
            .args([&corpus(&target)?, &seeds])
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .args(["-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1"]))?;
    }
    Ok(())
}

/// Where a target keeps what it found worth keeping.
fn corpus(target: &str) -> Outcome<PathBuf> {
    fresh(workspace_root().join("tests/fuzz/corpus").join(target))
}

/// Files that a target starts from: small models for the readers, texts for the text form.
fn seeds(target: &str) -> Outcome<PathBuf> {
    const LARGEST: u64 = 64 << 10;
    let root = workspace_root();
    let ending = if target == "text" { "ir" } else { target };
    let mut folders = vec![root.join("docs/examples"), root.join("tests/cases")];
    folders.extend(octet_peers::zoo());
    let seeds = fresh(root.join("target/fuzz-seeds").join(target))?;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) && path.metadata().is_ok_and(|m| m.len() <= LARGEST) {
                let name = path.to_string_lossy().replace(['/', '\\'], "_");
                std::fs::copy(&path, seeds.join(name)).map_err(|e| format!("{}: {e}", path.display()))?;
            }
        }
    }
    Ok(seeds)
}

fn fresh(folder: PathBuf) -> Outcome<PathBuf> {
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
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
