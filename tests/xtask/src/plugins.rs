//! `cargo xtask plugins`: third parties' plugins and hostile ones, with the WebAssembly engine, which no other step builds.
//!
//! The overhead is that of the command that users run: its release build with a plugin and without, in turns. The plugin is the frozen one of tests/fixtures,
//! which asks for every operation once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use octet_peers::{workspace_root, zoo};

use crate::measure::{median, process};
use crate::octet::target;
use crate::report::{Table, verdict, write_page};
use crate::run::{Outcome, cargo, command, output, run};
use crate::setup::debian;

/// The plugin that is measured.
const PLUGIN: &str = "plugins/host/tests/fixtures/pass-0.1.0.wasm";
/// Its pass.
const PASS: &str = "fuse-log-softmax";
/// Operations of the large graph.
const OPERATIONS: usize = 10_000;
/// Rounds of each contender.
const ROUNDS: usize = 21;

/// The crates that see the engine. They are always selected together: cargo then settles on one set of features, and builds the engine once.
const ENGINE: [&str; 6] =
    ["--package", "octet", "--package", "octet-plugin-host", "--features", "octet-plugin-host/engine,octet/wasm-plugins"];

/// cargo on those crates. In release, which users have and which is measured; so there is one build of the engine.
fn engine(task: &[&str], what: &[&str]) -> Command {
    cargo(&[task, &["--quiet", "--release"], &ENGINE, what].concat())
}

/// Builds the program that runs models in the engine, and gives its path.
pub(crate) fn run_model() -> Outcome<PathBuf> {
    run(&mut engine(&["build"], &["--example", "run_model"]))?;
    Ok(target().join("release/examples/run_model"))
}

/// Lints what the engine's feature adds, builds and runs the examples by their own instructions, and attacks the sandbox. `full` also runs the long tests.
pub(crate) fn plugins(full: bool) -> Outcome {
    // What the examples' own instructions ask for.
    debian(&["clang", "lld"], &["clang", "wasm-ld"])?;
    debian(&["nodejs", "npm"], &["node", "npm"])?;
    run(&mut cargo(&[&["clippy", "--quiet"][..], &ENGINE, &["--all-targets", "--", "-D", "warnings"]].concat()))?;
    run(&mut cargo(&["test", "--package", "acme-passes"]))?;
    let tests: &[&str] = if full { &["--", "--nocapture", "--include-ignored"] } else { &["--", "--nocapture"] };
    run(&mut engine(&["test"], &[&["--lib", "--tests"], tests].concat()))
}

/// Measures overhead and attacks, and prints the table, or writes it into docs/generated/plugins.md.
pub(crate) fn measure(write: bool) -> Outcome {
    let (overhead, missed) = overhead()?;
    let body = format!("{overhead}\n{}", attacks()?);
    if write {
        write_page("plugins.md", "WebAssembly plugins: what they cost", "cargo xtask plugins --write", &body)?;
    } else {
        println!("{body}");
    }
    if missed { Err("a bar is missed".into()) } else { Ok(()) }
}

/// Milliseconds that a plugin adds to a command, and whether a bar is missed.
fn overhead() -> Outcome<(String, bool)> {
    run(&mut engine(&["build"], &["--bin", "octet"]))?;
    let octet = target().join("release/octet");
    let scratch = target().join("plugins");
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let chain = scratch.join("chain.ir");
    std::fs::write(&chain, large_graph()).map_err(|e| format!("{}: {e}", chain.display()))?;
    let mut contenders = vec![("walk of 10,000 operations, warm cache", chain, false, 50.0)];
    match zoo() {
        Some(zoo) => {
            let vww = zoo.join("mlperf-tiny/vww96.tflite");
            contenders.push(("pass that changes nothing over vww96, warm cache", vww.clone(), false, 5.0));
            contenders.push(("pass that changes nothing over vww96, cold cache", vww, true, 100.0));
        }
        None => println!("skipped: vww96, because there is no model zoo"),
    }
    let mut table = Table::new(&["what", "without, ms", "with, ms", "adds, ms", "bar, ms", ""]);
    let mut missed = false;
    for (what, model, cold, bar) in contenders {
        let cache = scratch.join("cache");
        let opt = |pipeline: &str| opt(&octet, &model, pipeline, &cache, &scratch);
        let (mut without, mut with, mut adds) = (Vec::new(), Vec::new(), Vec::new());
        // The first round fills caches and is not counted.
        for round in 0..=ROUNDS {
            if cold && cache.exists() {
                std::fs::remove_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
            }
            let plain = process(&mut opt("dce"))?.cpu_seconds * 1e3;
            let plugged = process(opt(&format!("dce,{PASS}")).arg("--plugin").arg(workspace_root().join(PLUGIN)))?.cpu_seconds * 1e3;
            if round > 0 {
                without.push(plain);
                with.push(plugged);
                adds.push(plugged - plain);
            }
        }
        let added = median(&adds);
        missed |= added >= bar;
        let number = |v: f64| format!("{v:.1}");
        table.row(vec![what.into(), number(median(&without)), number(median(&with)), number(added), number(bar), verdict(added < bar)]);
    }
    let note = format!(
        "Processor time of `octet opt` with a plugin and without, medians of {ROUNDS} rounds in turns; loading the plugin is in it, and checking its answer."
    );
    Ok((format!("## Overhead\n\n{note}\n\n{}", table.text()), missed))
}

/// `octet opt`, with nothing of the user's in it.
fn opt(octet: &Path, model: &Path, pipeline: &str, cache: &Path, scratch: &Path) -> Command {
    let mut opt = command(octet, &["opt", "--quiet"]);
    opt.arg(model).args(["--pipeline", pipeline, "-o"]).arg(scratch.join("out.ir"));
    opt.env("OCTET_CACHE", cache).env("OCTET_PLUGINS", "");
    opt
}

/// A chain of operations as text.
fn large_graph() -> String {
    let mut text = String::from("octet.ir 1\ngraph @main(%0: 4 f32) {\n");
    for i in 0..OPERATIONS {
        let _ = writeln!(text, "  %{} = abs(%{i}) : 4 f32", i + 1);
    }
    let _ = writeln!(text, "  return %{OPERATIONS}\n}}");
    text
}

/// How many attacks there are, how long the slowest took, and the most memory that they held together.
fn attacks() -> Outcome<String> {
    let listed = output(&mut engine(&["test"], &["--no-run", "--message-format", "json"]))?;
    let binary = executable(&listed).ok_or("cargo names no test binary")?;
    let said = output(&mut command(&binary, &["attacks", "--nocapture", "--test-threads", "1"]))?;
    let all: Vec<(f64, &str)> = said.lines().filter_map(attack).collect();
    let slowest = all.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0)).ok_or("no attack ran")?;
    let cost = process(&mut command(&binary, &["attacks", "--test-threads", "1"]))?;
    let idle = process(&mut command(&binary, &["nothing is called so"]))?;
    let mut table = Table::new(&["", ""]);
    let rows = [
        ("hostile plugins", all.len().to_string()),
        ("ending in the diagnostic of their fault", all.len().to_string()),
        ("slowest, ms", format!("{:.0} ({})", slowest.0, slowest.1)),
        ("peak memory of all of them in one process, MiB", format!("{:.0}", cost.peak_mib)),
        ("of that, the process without any, MiB", format!("{:.0}", idle.peak_mib)),
    ];
    rows.into_iter().for_each(|(what, value)| table.row(vec![what.into(), value]));
    let note = "Each has the limits of the tests: 20 million instructions, 32 MiB of memory, 4 MiB of output. A release build.";
    Ok(format!("## Attacks\n\n{note}\n\n{}", table.text()))
}

/// A line `attack: NAME: CODE, MILLISECONDS ms`.
fn attack(line: &str) -> Option<(f64, &str)> {
    let (name, rest) = line.split_once("attack: ")?.1.split_once(": ")?;
    Some((rest.split_once(", ")?.1.strip_suffix(" ms")?.parse().ok()?, name))
}

/// The sandbox's test binary among cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    let message = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
    let ours =
        |m: &serde_json::Value| m["target"]["name"] == "plugins" && m["package_id"].as_str().is_some_and(|id| id.contains("plugins/host"));
    messages.lines().filter_map(message).filter(ours).filter_map(|m| m.get("executable")?.as_str().map(PathBuf::from)).next_back()
}
