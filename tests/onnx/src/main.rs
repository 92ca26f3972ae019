//! ONNX's own backend cases (the 1.22.0 wheel holds the last complete set) through two roads: import and our interpreter, and
//! import, passes, TFLite and LiteRT. Started by `cargo xtask onnx`.
//!
//! Every case runs in a child process under a time limit. A case that fails must stand in `expected_failures.tsv` with its reason, one that passes
//! must not: the list only shrinks.

mod case;
mod compare;
mod expected;
mod litert;
mod outcome;
mod report;
mod wheel;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use octet_peers::workspace_root;

use crate::expected::{Failures, Road};
use crate::outcome::Outcome;
use crate::report::Row;

/// What was asked for.
#[derive(Default)]
struct Arguments {
    /// Only the cases that matter at the edge.
    edge: bool,
    /// Leave out LiteRT.
    no_litert: bool,
    /// Only cases whose name contains this.
    only: Option<String>,
    /// Print every failure.
    failures: bool,
    /// Rewrite the list of expected failures.
    bless: bool,
    /// Write the table into docs/onnx.md.
    write: bool,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--worker" => return told(worker::serve()),
            "--edge" => arguments.edge = true,
            "--no-litert" => arguments.no_litert = true,
            "--failures" => arguments.failures = true,
            "--bless" => arguments.bless = true,
            "--write" => arguments.write = true,
            "--only" => arguments.only = words.next(),
            other => return told(Err(format!("unknown argument {other}"))),
        }
    }
    told(suite(&arguments))
}

fn told(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn suite(arguments: &Arguments) -> Result<(), String> {
    let path = workspace_root().join("tests/onnx/edge_relevant.txt");
    let list = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let edge: BTreeSet<&str> = list.lines().collect();
    let out = wheel::folder().join("files");
    std::fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;

    let mut rows = Vec::new();
    let mut jobs = Vec::new();
    let mut owners = Vec::new();
    let mut worker = worker::Worker::new();
    for case in wheel::cases()? {
        let is_edge = edge.contains(case.name.as_str());
        if (arguments.edge && !is_edge) || arguments.only.as_ref().is_some_and(|part| !case.name.contains(part)) {
            continue;
        }
        let ran = worker.run(&case.model, &case.data, &out.join(case.name.replace(['/', '.'], "-")))?;
        let operators = std::fs::read(&case.model).ok().and_then(|b| octet_frontend_onnx::describe(b.into()).ok());
        for job in ran.jobs {
            owners.push(rows.len());
            jobs.push(job);
        }
        rows.push(Row {
            name: case.name,
            edge: is_edge,
            baked: ran.baked,
            operators: operators.map(|d| d.operators).unwrap_or_default(),
            executor: ran.executor,
            litert: (!arguments.no_litert).then_some(ran.compiled),
        });
    }
    if !arguments.no_litert {
        for (owner, outcome) in owners.into_iter().zip(litert::run(&jobs)?) {
            if let Some(litert) = rows.get_mut(owner).and_then(|r: &mut Row| r.litert.as_mut()) {
                *litert = std::mem::replace(litert, Outcome::Passed).and(outcome);
            }
        }
    }
    let tables = report::tables(&rows);
    println!("{tables}");
    let whole = !arguments.edge && !arguments.no_litert && arguments.only.is_none();
    if arguments.write {
        if !whole {
            return Err("the page holds whole runs only".into());
        }
        write_page(&tables)?;
    }
    judge(arguments, &rows, whole)
}

/// Compares with the list of expected failures.
fn judge(arguments: &Arguments, rows: &[Row], whole: bool) -> Result<(), String> {
    let known = expected::read();
    let mut failing = Failures::new();
    let mut roads: BTreeMap<(String, &'static str), bool> = BTreeMap::new();
    for row in rows {
        let both = [(Road::Executor, Some(&row.executor)), (Road::LiteRt, row.litert.as_ref())];
        for (road, outcome) in both.into_iter().filter_map(|(road, o)| Some((road, o?))) {
            let key = (row.name.clone(), road.name());
            roads.insert(key.clone(), row.edge);
            if let Some(reason) = expected::reason(outcome) {
                if arguments.failures {
                    println!("{}{}\t{}\t{reason}", if row.edge { "" } else { "(not edge) " }, row.name, road.name());
                }
                failing.insert(key, reason);
            }
        }
    }
    if arguments.bless {
        // The first list takes everything; later ones only lose entries.
        let mut list = if known.is_empty() && whole { failing.clone() } else { known.clone() };
        list.retain(|key, reason| match (roads.contains_key(key), failing.get(key)) {
            (true, Some(now)) => {
                reason.clone_from(now);
                true
            }
            (true, None) => false,
            (false, _) => true,
        });
        return expected::write(&list);
    }
    let fresh: Vec<String> =
        failing.iter().filter(|(k, _)| !known.contains_key(*k)).map(|((c, r), why)| format!("{c} ({r}): {why}")).collect();
    let gone: Vec<String> =
        known.keys().filter(|k| roads.contains_key(*k) && !failing.contains_key(*k)).map(|(c, r)| format!("{c} ({r})")).collect();
    if !gone.is_empty() {
        println!("{} expected failures pass now; --bless drops them from the list:\n{}", gone.len(), gone.join("\n"));
    }
    if fresh.is_empty() { Ok(()) } else { Err(format!("{} cases fail that are not on the list:\n{}", fresh.len(), fresh.join("\n"))) }
}

/// Puts the table between the marks of docs/onnx.md.
fn write_page(tables: &str) -> Result<(), String> {
    const BEGIN: &str = "<!-- cargo xtask onnx --write: begin -->\n";
    const END: &str = "<!-- end -->";
    let path = workspace_root().join("docs/onnx.md");
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let page = std::fs::read_to_string(&path).map_err(failed)?;
    let (head, rest) = page.split_once(BEGIN).ok_or("docs/onnx.md has no mark for the table")?;
    let (_, tail) = rest.split_once(END).ok_or("docs/onnx.md has no end mark for the table")?;
    let date = std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]).output().map_err(|e| e.to_string())?;
    let date = String::from_utf8_lossy(&date.stdout);
    let text = format!("{head}{BEGIN}Measured {} by `cargo xtask onnx --write`.\n\n{tables}{END}{tail}", date.trim());
    std::fs::write(&path, text).map_err(failed)
}
