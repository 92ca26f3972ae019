//! Vela, Arm's compiler for Ethos-U, beside the profile `ethos-u55`: the same operations on the CPU, and why not where they differ.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use octet_peers::{Answer, Peers};
use serde_json::{Value, json};

use super::{Page, check};
use crate::report::Table;
use crate::run::{Outcome, cargo, run};

/// Random graphs of each kind; Vela answers on some of them.
const RANDOM: usize = 160;
/// Random graphs that Vela must have answered on.
const ANSWERED: usize = 100;
/// Most characters of a reason.
const TOLD: usize = 110;

/// Where the graphs come from.
const KINDS: [(&str, &str); 3] = [
    ("zoo", "the zoo's files, and what is compiled from its networks"),
    ("random", "random int8 graphs of all operations"),
    ("npu", "random int8 graphs of operations that the NPU has"),
];

/// What was counted of a kind.
#[derive(Clone, Copy, Default)]
struct Counts {
    files: usize,
    same: usize,
    other: usize,
    whole: usize,
    /// Files that the profile calls fully mappable, of which Vela left something to the CPU.
    broken: usize,
}

fn kind(model: &Path, random: &Path) -> usize {
    let name = model.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    match model.starts_with(random) {
        true if name.starts_with("npu") => 2,
        true => 1,
        false => 0,
    }
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    files.filter(|p| p.extension().is_some_and(|e| e == "tflite")).collect()
}

/// What Vela says of our files, and what the profile says of them.
pub(super) fn vela(octet: &Path, peers: &Peers, zoo: &Path, folder: &Path, files: &[PathBuf], page: &mut Page) -> Outcome {
    let random = folder.join("random");
    if random.exists() {
        std::fs::remove_dir_all(&random).map_err(|e| format!("{}: {e}", random.display()))?;
    }
    std::fs::create_dir_all(&random).map_err(|e| format!("{}: {e}", random.display()))?;
    let mut write = cargo(&["test", "--quiet", "--package", "octet-tests", "--test", "edgetpu", "--", "--ignored", "write_random_graphs"]);
    run(write.env("OCTET_RANDOM_GRAPHS", &random).env("OCTET_RANDOM_COUNT", RANDOM.to_string()))?;
    let mut models: Vec<PathBuf> = files.to_vec();
    for part in ["mlperf-tiny", "coral", "peers", "ours", "tflm"] {
        // Of the peers' files, the integer ones: what is in float runs on no accelerator.
        let fits = |p: &PathBuf| {
            let name = p.to_string_lossy();
            !name.ends_with("_edgetpu.tflite") && (part != "peers" || name.contains("int8io"))
        };
        models.extend(listed(&zoo.join(part)).into_iter().filter(fits));
    }
    models.extend(listed(&random));
    models.sort();
    let jobs: Vec<Value> =
        models.iter().map(|m| json!({"op": "vela", "model": m, "accelerator": "ethos-u55-128", "seconds": 120})).collect();
    // Vela uses one core.
    let (first, second) = jobs.split_at(jobs.len() / 2);
    let answers = std::thread::scope(|scope| {
        let other = scope.spawn(|| peers.run(second));
        let mut answers = peers.run(first)?;
        answers.extend(other.join().map_err(|_| "a thread ended early".to_owned())??);
        Ok::<_, String>(answers)
    })?;
    let mut differences = Table::new(&["model", "operation", "Vela", "profile", "reason"]);
    let mut counts = [Counts::default(); KINDS.len()];
    let mut silent: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for (model, answer) in models.iter().zip(&answers) {
        let at = kind(model, &random);
        let Some(counts) = counts.get_mut(at) else { continue };
        counts.files += 1;
        if !answer.ok {
            *silent.entry((at, class(&answer.error))).or_default() += 1;
            continue;
        }
        let found = check(octet, model, "ethos-u55")?;
        let different = compare(model, &found, answer, &mut differences);
        let on_cpu = answer.value["cpu"].as_array().is_some_and(|cpu| !cpu.is_empty());
        counts.whole += usize::from(found["legal"] == true && !on_cpu);
        counts.broken += usize::from(found["legal"] == true && on_cpu);
        if different { counts.other += 1 } else { counts.same += 1 }
    }
    let mut summary = Table::new(&["graphs", "files", "answered", "same operations", "others", "whole on the NPU by both", "bar"]);
    for ((name, about), c) in KINDS.iter().zip(&counts) {
        let answered = c.same + c.other;
        let enough = *name == "zoo" || answered >= ANSWERED;
        let bar = page.bar(c.broken == 0 && enough, "nothing that the profile takes whole stays on the CPU", None);
        let numbers = [c.files, answered, c.same, c.other, c.whole].map(|n| n.to_string());
        summary.row(std::iter::once((*about).to_owned()).chain(numbers).chain([bar]).collect());
    }
    page.section(
        "Vela",
        "Vela 5.2 for ethos-u55-128: which operations it leaves to the CPU, beside those that the profile `ethos-u55` does. What Vela computes at \
         compile time or drops (state that nobody reads) is not in its file and stands as NPU.",
        &summary,
    );
    page.section("Where Vela and the profile differ", "Every operation; an empty table means that there is none.", &differences);
    let mut reasons = Table::new(&["graphs", "files", "Vela"]);
    for ((at, class), count) in &silent {
        reasons.row(vec![KINDS.get(*at).map_or("", |k| k.0).to_owned(), count.to_string(), class.clone()]);
    }
    page.section(
        "Where Vela gives no answer",
        "Files on which it ends without writing one, by how it ends: its own errors and crashes, on float graphs, on operations whose names its two \
         front ends share (LOGICAL_AND, NOT_EQUAL), and on 4-bit weights (SIGFPE).",
        &reasons,
    );
    Ok(())
}

/// An error without the names of tensors.
fn class(error: &str) -> String {
    let plain: String = error.split('\'').step_by(2).collect::<Vec<_>>().join("..");
    let last = plain.lines().last().unwrap_or_default();
    last.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(TOLD).collect()
}

/// Adds a row for each operation that runs elsewhere; answers whether there was one.
fn compare(model: &Path, found: &Value, answer: &Answer, differences: &mut Table) -> bool {
    let on_cpu: Vec<&str> = answer.value["cpu"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let name = model.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let mut different = false;
    for row in found["operators"].as_array().into_iter().flatten() {
        let tensor = row["tensor"].as_str().unwrap_or_default();
        let (theirs, ours) = (!on_cpu.contains(&tensor), row["mapped"] == true);
        if theirs == ours {
            continue;
        }
        different = true;
        let reason = row["reason"].as_str().or(answer.value["reasons"][tensor].as_str()).unwrap_or("Vela gives none");
        let place = |npu: bool| if npu { "NPU" } else { "CPU" }.to_owned();
        let operation = format!("{} {}", row["index"], row["name"].as_str().unwrap_or_default());
        differences.row(vec![name.clone(), operation, place(theirs), place(ours), reason.chars().take(TOLD).collect()]);
    }
    different
}
