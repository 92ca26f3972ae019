//! Every float network of the zoo, legalised: what is mapped, what stays on the CPU, and what legalisation costs.

use std::path::{Path, PathBuf};

use octet_peers::Peers;
use serde_json::{Value, json};

use super::{Page, SQNR_SLACK, check, compile};
use crate::bench_onnx;
use crate::report::Table;
use crate::run::{Outcome, command, output};
use crate::zoo::{HELLO, NETWORKS, Network, TRAINED};

/// A network: int8-only without legalisation, legalised, and what they are measured with.
struct Pair {
    name: String,
    plain: PathBuf,
    legal: PathBuf,
    /// What measures both.
    job: Value,
}

impl Pair {
    fn new(name: &str, folder: &Path) -> Self {
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        Self { name: name.to_owned(), plain: file("int8.tflite"), legal: file("tflite"), job: Value::Null }
    }

    fn models(&self) -> [&PathBuf; 2] {
        [&self.plain, &self.legal]
    }
}

/// All of them; gives the files that were made.
pub(super) fn networks(octet: &Path, peers: &Peers, zoo: &Path, folder: &Path, page: &mut Page) -> Outcome<Vec<PathBuf>> {
    let mut pairs = Vec::new();
    for network in NETWORKS.iter().chain([&TRAINED, &HELLO]) {
        pairs.push(tflite(octet, network, folder)?);
    }
    pairs.push(recurrent(octet, peers, zoo, folder)?);
    for network in &bench_onnx::NETWORKS {
        pairs.push(onnx(octet, peers, zoo, network, folder)?);
    }
    let runs = pairs.iter().map(|pair| json!({"op": "runs", "model": pair.legal, "samples": 4}));
    let jobs: Vec<Value> = pairs.iter().map(|pair| pair.job.clone()).chain(runs).collect();
    let answers = peers.run(&jobs)?;
    let (measured, ran) = answers.split_at(pairs.len());
    let mut table = Table::new(&[
        "network",
        "operations",
        "mappable",
        "on the CPU",
        "SQNR int8-only",
        "SQNR legalised",
        "LiteRT and TFLM differ by",
        "bar",
    ]);
    for ((pair, measured), ran) in pairs.iter().zip(measured).zip(ran) {
        let found = check(octet, &pair.legal, "edgetpu")?;
        let rows = found["operators"].as_array().cloned().unwrap_or_default();
        let cpu: Vec<&Value> = rows.iter().filter(|o| o["mapped"] != true).collect();
        let sqnr = |index: usize| {
            let model = &measured.value["models"][index];
            (measured.ok && model["error"].is_null() && model.is_object()).then(|| model["sqnr"].as_f64().unwrap_or(f64::INFINITY))
        };
        let (before, after) = (sqnr(0), sqnr(1));
        let kept = before.zip(after).is_some_and(|(b, a)| a >= b - SQNR_SLACK);
        let shown = |s: Option<f64>| s.map_or("-".to_owned(), |s| if s.is_finite() { format!("{s:.2}") } else { "equal".into() });
        let differ = if ran.ok { ran.value["most"].to_string() } else { ran.error.lines().last().unwrap_or_default().to_owned() };
        let named = cpu.iter().all(|o| o["reason"].as_str().is_some_and(|r| !r.is_empty()));
        let asked = if cpu.is_empty() { "all mappable" } else { "the rest named" };
        let known = super::KNOWN_MISSES.iter().find(|(n, _)| *n == pair.name).map(|(_, why)| *why);
        let bar = page.bar(kept && ran.ok && named, &format!("{asked}, runs in both, SQNR within 0.5 dB"), known);
        let mappable = format!("{} %", 100 * (rows.len() - cpu.len()) / rows.len().max(1));
        table.row(vec![pair.name.clone(), rows.len().to_string(), mappable, remainder(&cpu), shown(before), shown(after), differ, bar]);
    }
    page.section(
        "Networks",
        "The zoo's float networks (those that end in .onnx from ONNX), `octet compile --target edgetpu`, and int8-only without legalisation; SQNR in dB \
         against the float network in LiteRT or ONNX Runtime, on at most 500 samples; levels by which LiteRT's reference kernels and TFLite Micro \
         differ at most on random inputs. Of what stays on the CPU, operations that are not taken come first, each by its index and \
         with its reason, then those that they block. The audio \
         preprocessor is no network: its operations are custom ones on 16-bit integers, and it stays as it is.",
        &table,
    );
    Ok(pairs.iter().flat_map(Pair::models).cloned().collect())
}

/// What stays on the CPU: causes with their reasons, then the indices that they block.
fn remainder(cpu: &[&Value]) -> String {
    let (blocked, causes): (Vec<&Value>, Vec<&Value>) =
        cpu.iter().copied().partition(|o| o["status"] == "More than one subgraph is not supported");
    let mut parts: Vec<String> = Vec::new();
    for row in causes {
        let constraint = row["constraints"][0].as_str().or(row["reason"].as_str()).unwrap_or_default();
        parts.push(format!("{} {}: {}", row["index"], row["name"].as_str().unwrap_or_default(), constraint.trim_end_matches('.')));
    }
    if !blocked.is_empty() {
        let names: Vec<String> = blocked.iter().map(|o| format!("{} {}", o["index"], o["name"].as_str().unwrap_or_default())).collect();
        parts.push(format!("blocked by them: {}", names.join(", ")));
    }
    parts.join("; ")
}

fn tflite(octet: &Path, network: &Network, folder: &Path) -> Outcome<Pair> {
    let mut pair = Pair::new(network.name, folder);
    compile(octet, network, None, &pair.plain)?;
    compile(octet, network, Some("edgetpu"), &pair.legal)?;
    pair.job = json!({"op": "measure", "float": network.model()?, "models": pair.models(), "data": network.test()?, "scale": network.scale,
        "metric": Value::Null, "limit": 500});
    Ok(pair)
}

/// `octet compile` of any model with any data, both ways.
fn both(octet: &Path, model: &Path, arguments: &[String], pair: &Pair) -> Outcome {
    for (target, out) in [("tflite", &pair.plain), ("edgetpu", &pair.legal)] {
        let mut compile = command(octet, &["compile", "--quiet", "--quantize", "int8-only", "--target", target]);
        output(compile.arg(model).arg("-o").arg(out).args(arguments))?;
    }
    Ok(())
}

/// The recurrent network, which reads digits row by row.
fn recurrent(octet: &Path, peers: &Peers, zoo: &Path, folder: &Path) -> Outcome<Pair> {
    let mut pair = Pair::new("trained_lstm", folder);
    let model = zoo.join("tflm/trained_lstm.tflite");
    let rows = |part: &str| folder.join(format!("digits.{part}.npy"));
    let jobs = ["calibration", "test"].map(|part| {
        let data = zoo.join("data").join(format!("mnist_{part}.npz"));
        json!({"op": "reshaped", "data": data, "scale": crate::zoo::UNIT, "shape": [28, 28], "limit": 500, "out": rows(part)})
    });
    if let Some(failed) = peers.run(&jobs)?.iter().find(|a| !a.ok) {
        return Err(failed.error.clone());
    }
    both(octet, &model, &["--data".into(), rows("calibration").display().to_string()], &pair)?;
    pair.job = json!({"op": "measure", "float": model, "models": pair.models(), "data": rows("test"), "scale": Value::Null,
        "metric": Value::Null, "limit": 500});
    Ok(pair)
}

fn onnx(octet: &Path, peers: &Peers, zoo: &Path, network: &bench_onnx::Network, folder: &Path) -> Outcome<Pair> {
    let name = format!("{}.onnx", network.name());
    let mut pair = Pair::new(&name, folder);
    let model = zoo.join(format!("{}.onnx", network.file));
    let data = folder.join(format!("{name}.data"));
    std::fs::create_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
    let input = bench_onnx::prepare(peers, zoo, network, &model, &data)?;
    let calibration = data.join("calibration.npy").display().to_string();
    both(octet, &model, &["--data".into(), calibration, "--shape".into(), format!("{input}={}", network.sizes())], &pair)?;
    pair.job = json!({"op": "onnx_measure", "model": model, "test": data.join("test.npy"), "models": pair.models()});
    Ok(pair)
}
