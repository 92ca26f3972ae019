//! `cargo xtask edgetpu`: what is predicted of accelerators, held against compiled models, runtimes and Arm's compiler.
//!
//! Every figure is measured in the same run; a miss stands in the page as a miss.

mod networks;
mod vela;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use octet_peers::{Peers, workspace_root, zoo};
use serde_json::{Value, json};

use crate::octet;
use crate::report::{Table, verdict, write_page};
use crate::run::{Outcome, command, output};
use crate::setup::setup;
use crate::zoo::{NETWORKS, Network};

/// By how much predicted parameter memory may differ from a compiled model's.
const MEMORY: f64 = 0.01;
/// How far legalisation may bring the SQNR down, dB.
const SQNR_SLACK: f64 = 0.5;
/// By how much the heaviest segment may exceed the mean; more than that is fine where no cuts do better.
const IMBALANCE: f64 = 15.0;

/// Bars that are known to be missed, and why. One that is met again must leave the list.
const KNOWN_MISSES: [(&str, &str); 2] = [
    (
        "keras_lstm_mnist_ptq",
        "gates, dense layer and SOFTMAX are there byte for byte, 16256; the other 28288 are tables of ones that move rows of the unrolled LSTM, and \
         zeros of its first output, which the compiler lays out as it sees fit",
    ),
    (
        "split_concat",
        "it has no weights; three tables of 64 bytes move channels, after CONCATENATION and SPLIT were merged, and do not say of which",
    ),
];

/// Text of a page, and the bars that were missed.
#[derive(Default)]
struct Page {
    text: String,
    /// Those that are known to be, too.
    missed: usize,
    /// Bars that are missed and not known to be, or known to be and met.
    unexpected: usize,
}

impl Page {
    fn section(&mut self, title: &str, about: &str, table: &Table) {
        let text = format!("## {title}\n\n{about}\n\n{}\n", table.text());
        print!("{text}");
        self.text.push_str(&text);
    }

    /// PASS or MISS with what was asked; a known miss with its reason.
    fn bar(&mut self, pass: bool, asked: &str, known: Option<&str>) -> String {
        self.missed += usize::from(!pass);
        self.unexpected += usize::from(pass == known.is_some());
        match known.filter(|_| !pass) {
            Some(why) => format!("{} {asked}: {why}", verdict(pass)),
            None => format!("{} {asked}", verdict(pass)),
        }
    }
}

/// Measures and prints; with `write` into docs/generated/edgetpu.md too. Fails if a bar is missed that is not known to be.
pub(crate) fn edgetpu(write: bool) -> Outcome {
    setup(false)?;
    let zoo = zoo().ok_or("no model zoo: neither ../shared/zoo nor $OCTET_ZOO")?;
    let peers = Peers::find()?;
    let octet = octet::build("octet")?;
    let folder = workspace_root().join("target/edgetpu");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut page = Page::default();
    compiled_pairs(&octet, &zoo, &mut page)?;
    let files = networks::networks(&octet, &peers, &zoo, &folder, &mut page)?;
    segments(&octet, &peers, &zoo, &folder, &mut page)?;
    vela::vela(&octet, &peers, &zoo, &folder, &files, &mut page)?;
    let told = format!("{} bar(s) missed, {} otherwise than is known", page.missed, page.unexpected);
    println!("{told}");
    if write {
        write_page("edgetpu.md", "Accelerators", "cargo xtask edgetpu --write", &page.text)?;
    }
    if page.unexpected == 0 { Ok(()) } else { Err(told) }
}

/// `octet check --json`, whose exit code says whether everything is mapped.
fn check(octet: &Path, model: &Path, target: &str) -> Outcome<Value> {
    let mut check = command(octet, &["check", "--target", target, "--json", "--quiet"]);
    let done = check.arg(model).output().map_err(|e| format!("octet check: {e}"))?;
    let told = || format!("octet check {}: {}", model.display(), String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).map_err(|_| told())
}

/// First result of each operation of a model, by name.
fn results(inspected: &Value) -> Vec<String> {
    let graph = &inspected["graphs"][0];
    let tensors = graph["tensors"].as_array();
    let name = |index: &Value| {
        let tensor = tensors.into_iter().flatten().find(|t| t["index"] == *index);
        tensor.and_then(|t| t["name"].as_str()).unwrap_or_default().to_owned()
    };
    graph["operations"].as_array().into_iter().flatten().map(|o| name(&o["outputs"][0])).collect()
}

fn inspect(octet: &Path, model: &Path) -> Outcome<Value> {
    let text = output(command(octet, &["inspect", "--json", "--quiet"]).arg(model))?;
    serde_json::from_str(&text).map_err(|e| format!("octet inspect {}: {e}", model.display()))
}

/// Models of a folder and what edgetpu_compiler made of them.
fn compiled_pairs(octet: &Path, zoo: &Path, page: &mut Page) -> Outcome {
    let mut table = Table::new(&["model", "operations", "mapped", "same indices", "parameter bytes", "predicted", "bar"]);
    let folder = zoo.join("coral");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?.flatten().map(|e| e.path()).collect();
    files.sort();
    for compiled in files.iter().filter(|p| p.to_string_lossy().ends_with("_edgetpu.tflite")) {
        let name = compiled.file_name().map_or_else(String::new, |n| n.to_string_lossy().replace("_edgetpu.tflite", ""));
        let original = folder.join(format!("{name}.tflite"));
        let (before, after) = (inspect(octet, &original)?, inspect(octet, compiled)?);
        // What the compiled model still computes on the CPU, by the names of results.
        let left: BTreeSet<String> = results(&after).into_iter().collect();
        let on_cpu = |n: &String| left.contains(n) && !compiled_results(&after).contains(n);
        let truth: Vec<bool> = results(&before).iter().map(|n| !on_cpu(n)).collect();
        let found = check(octet, &original, "edgetpu")?;
        let rows = found["operators"].as_array().cloned().unwrap_or_default();
        let predicted: Vec<bool> = rows.iter().map(|o| o["mapped"] == true).collect();
        let sum = |field: &str| after["edgetpu"].as_array().into_iter().flatten().filter_map(|p| p[field].as_u64()).sum::<u64>();
        let bytes = sum("cached_parameter_bytes") + sum("streamed_parameter_bytes");
        let ours = found["memory"]["parameter_bytes"].as_u64().unwrap_or(0);
        let close = (ours as f64 - bytes as f64).abs() <= MEMORY * bytes as f64;
        let known = KNOWN_MISSES.iter().find(|(n, _)| *n == name).map(|(_, why)| *why);
        let same = truth == predicted;
        let mapped = truth.iter().filter(|m| **m).count();
        let bar = page.bar(same && close, "same indices, bytes within 1 %", known);
        let yes = if same { "yes" } else { "no" };
        table.row(vec![name, truth.len().to_string(), mapped.to_string(), yes.into(), bytes.to_string(), ours.to_string(), bar]);
    }
    page.section(
        "Compiled models",
        "What edgetpu_compiler mapped, read from its own files, and what is predicted of the originals. Bytes are those of parameters in the compiled file.",
        &table,
    );
    Ok(())
}

/// Results of the operations that are compiled.
fn compiled_results(inspected: &Value) -> Vec<String> {
    let graph = &inspected["graphs"][0];
    let operations = graph["operations"].as_array();
    let compiled = operations.into_iter().flatten().filter(|o| o["name"] == "edgetpu-custom-op");
    let indices: Vec<&Value> = compiled.flat_map(|o| o["outputs"].as_array().into_iter().flatten()).collect();
    let tensors = graph["tensors"].as_array().into_iter().flatten();
    tensors.filter(|t| indices.contains(&&t["index"])).map(|t| t["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Compiles a network for the accelerator, or int8-only without legalisation.
fn compile(octet: &Path, network: &Network, target: Option<&str>, out: &Path) -> Outcome<String> {
    let mut compile = octet::compile(octet, network, "int8-only", out)?;
    compile.args(target.into_iter().flat_map(|t| ["--target", t]));
    output(&mut compile)
}

/// Segments, in a chain.
fn segments(octet: &Path, peers: &Peers, zoo: &Path, folder: &Path, page: &mut Page) -> Outcome {
    let mut table = Table::new(&["network", "segments", "bytes of parameters", "heaviest over the mean", "equal samples", "bar"]);
    let mut jobs = Vec::new();
    let mut told = Vec::new();
    let named = |name: &str| NETWORKS.iter().find(|n| n.name == name);
    for name in ["vww96", "resnet8", "mobilenet"] {
        for count in [2, 3, 4] {
            let out = folder.join(format!("{name}.cut{count}.tflite"));
            let mut compile = match named(name) {
                Some(network) => octet::compile_telling(octet, network, "int8-only", &out)?,
                None => {
                    let mut compile = command(octet, &["compile"]);
                    compile.arg(zoo.join("coral/mobilenet_v1_0.25_128_quant.tflite")).arg("-o").arg(&out);
                    compile
                }
            };
            let done = compile.args(["--target", "edgetpu", "--num-segments", &count.to_string()]).output();
            let done = done.map_err(|e| format!("octet compile: {e}"))?;
            if !done.status.success() {
                return Err(format!("octet compile {name}: {}", String::from_utf8_lossy(&done.stderr)));
            }
            let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
            let files: Vec<PathBuf> = (0..count).map(|i| folder.join(format!("{name}.cut{count}_segment_{i}_of_{count}.tflite"))).collect();
            jobs.push(json!({"op": "chain", "model": out, "segments": files, "samples": 4}));
            told.push((name, count, stderr));
        }
    }
    let answers = peers.run(&jobs)?;
    for ((name, count, stderr), answer) in told.iter().zip(&answers) {
        let weights: Vec<&str> =
            stderr.lines().filter_map(|l| l.split(" operations, ").nth(1)).filter_map(|l| l.split(' ').next()).collect();
        let percent = stderr.lines().find_map(|l| l.strip_prefix("the heaviest segment is ")).and_then(|l| l.split(' ').next());
        let percent: f64 = percent.and_then(|p| p.parse().ok()).unwrap_or(f64::NAN);
        let equal = if answer.ok { format!("{} of {}", answer.value["equal"], answer.value["samples"]) } else { answer.error.clone() };
        let pass = answer.ok && answer.value["equal"] == answer.value["samples"] && weights.len() == *count && percent.is_finite();
        let proved = stderr.lines().find_map(|l| l.split_once("; ").map(|(_, proof)| proof).filter(|p| p.starts_with("no cuts")));
        let alone = stderr.lines().find(|l| l.contains(" alone is ")).unwrap_or_default();
        let asked = if percent <= IMBALANCE {
            "equal bytes, at most 15 %".to_owned()
        } else {
            format!("equal bytes, and {}; {alone}", proved.unwrap_or("no proof"))
        };
        let pass = pass && (percent <= IMBALANCE || proved == Some("no cuts in any order do better"));
        let bar = page.bar(pass, &asked, None);
        table.row(vec![(*name).to_owned(), count.to_string(), weights.join(", "), format!("{percent:.1} %"), equal, bar]);
    }
    page.section(
        "Segments",
        "`--num-segments N`, run one after the other in LiteRT, beside the whole. Where the heaviest segment is more than 15 % over the mean, all \
         cuts in all orders in which the operations can run were compared, and none does better; the heaviest operation, which cannot be cut, is named.",
        &table,
    );
    Ok(())
}
