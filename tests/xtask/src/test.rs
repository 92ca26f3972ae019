//! `cargo xtask test`: prepares what the tests need and runs all of them, step by step. A failing step does not keep
//! the others from running; the last line counts the steps.

use std::time::Instant;

use octet_peers::{environment_folder, zoo};

use crate::octet::LIGHT;
use crate::run::{Outcome, cargo, command, output, run, succeeds};
use crate::{bench, checks, fuzz, octet, onnx, plugins, schema, setup, table, wasm};

/// What a step came to.
enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// One step: its name, and what it does.
type Step = (&'static str, Box<dyn FnOnce() -> Verdict>);

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(()) => Self::Passed,
            Err(reason) => Self::Failed(reason),
        }
    }
}

/// Runs the steps whose name contains `only`.
pub(crate) fn test(full: bool, only: Option<&str>) -> Outcome {
    setup::setup(full)?;
    setup::debian(&["nodejs"], &["node"])?;
    let mut told = Vec::new();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, step) in steps(full) {
        if only.is_some_and(|part| !name.contains(part)) {
            continue;
        }
        println!("\n=== {name}");
        let start = Instant::now();
        let verdict = step();
        let seconds = start.elapsed().as_secs_f64();
        told.push(match verdict {
            Verdict::Passed => {
                passed += 1;
                format!("{name:<14} passed   {seconds:>6.1} s")
            }
            Verdict::Failed(reason) => {
                failed += 1;
                println!("{name}: {reason}");
                format!("{name:<14} FAILED   {seconds:>6.1} s   {}", reason.lines().next().unwrap_or_default())
            }
            Verdict::Skipped(reason) => {
                skipped += 1;
                format!("{name:<14} skipped            {reason}")
            }
        });
    }
    println!("\n=== summary");
    for line in told {
        println!("{line}");
    }
    println!("steps: {passed} passed, {failed} failed, {skipped} skipped");
    match (failed, passed) {
        (0, 0) => Err("no step ran".into()),
        (0, _) => Ok(()),
        _ => Err(format!("{failed} of the steps failed")),
    }
}

fn steps(full: bool) -> Vec<Step> {
    fn step(name: &'static str, run: impl FnOnce() -> Verdict + 'static) -> Step {
        (name, Box::new(run))
    }
    let mut steps = vec![
        step("format", || run(&mut cargo(&["fmt", "--all", "--check"])).into()),
        step("tidy", || checks::tidy::check().into()),
        step("edges", || checks::edges::check().into()),
        step("licences", || checks::licences::check().into()),
        step("schema", || schema::schema(true).into()),
        step("clippy", || run(&mut cargo(&["clippy", "--quiet", "--workspace", LIGHT, "--all-targets", "--", "-D", "warnings"])).into()),
        step("doc tests", || run(&mut cargo(&["test", "--quiet", "--workspace", LIGHT, "--doc"])).into()),
        step("tests", move || tests(full).into()),
        step("plugins", move || plugins::plugins(full).into()),
        step("onnx", || onnx::onnx(["--edge", "--no-litert"].into_iter(), None).into()),
        step("docs", || run(cargo(&["doc", "--quiet", "--workspace", LIGHT, "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings")).into()),
        step("wasm32", wasm32),
    ];
    if full {
        steps.push(step("onnx in full", || onnx::onnx(std::iter::empty(), None).into()));
        steps.push(step("wasm", || with_zoo(|| wasm::wasm(&[], false))));
        steps.push(step("table", || with_zoo(|| table::table(&[], false))));
        steps.push(step("bench", || with_zoo(|| bench::bench(&[], 5, false))));
        steps.push(step("fuzz", || fuzz::fuzz(300, None).into()));
    }
    steps
}

/// Unit and integration tests. Tests that need the zoo have `zoo_` in their name, and are told as skipped without it;
/// those of full runs are `#[ignore]`d.
fn tests(full: bool) -> Outcome {
    let zoo = zoo().is_some();
    if !zoo {
        println!("skipped: the tests named zoo_*, because there is no model zoo (../shared/zoo, or $OCTET_ZOO)");
    }
    let mut command = if succeeds(&mut cargo(&["nextest", "--version"])) {
        let mut nextest = cargo(&["nextest", "run", "--workspace", LIGHT, "--no-fail-fast", "--hide-progress-bar"]);
        nextest.args(["--status-level", "slow"]);
        nextest.args(["--run-ignored", if full { "all" } else { "default" }]);
        if !zoo {
            nextest.args(["-E", "not test(/zoo_/)"]);
        }
        nextest
    } else {
        let mut plain = cargo(&["test", "--quiet", "--workspace", LIGHT, "--no-fail-fast", "--all-targets", "--"]);
        if full {
            plain.arg("--include-ignored");
        }
        if !zoo {
            plain.args(["--skip", "zoo_"]);
        }
        plain
    };
    if full {
        command.env("OCTET_FULL", "1");
    }
    // The tests of the command start the binary that users start, not the harness that tests make of it.
    run(&mut cargo(&["build", "--quiet", LIGHT, "--package", "octet", "--bin", "octet"]))?;
    run(command.env("OCTET_PEERS", environment_folder()).env("OCTET_BIN", octet::target().join("debug/octet")))
}

/// `octet-ir` must keep building for wasm32; told as skipped where that target's library is not installed.
fn wasm32() -> Verdict {
    const TARGET: &str = "wasm32-unknown-unknown";
    let installed = output(&mut command("rustc", &["--print", "target-libdir", "--target", TARGET]))
        .is_ok_and(|folder| std::path::Path::new(folder.trim()).is_dir());
    if installed {
        run(&mut cargo(&["build", "--quiet", "--package", "octet-ir", "--target", TARGET])).into()
    } else {
        Verdict::Skipped(format!("no standard library for {TARGET}: rustup target add {TARGET}"))
    }
}

fn with_zoo(step: impl FnOnce() -> Outcome) -> Verdict {
    if zoo().is_some() { step().into() } else { Verdict::Skipped("no model zoo".into()) }
}
