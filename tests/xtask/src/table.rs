//! `cargo xtask table`: every float network of the zoo in every mode, beside what the peers made of it, measured
//! through LiteRT on the same data in the same run.
//!
//! tests/peers/measure.py says what is measured, and how integers are made of the data.

use std::path::{Path, PathBuf};

use octet_peers::{Answer, Peers, workspace_root};
use serde_json::{Value, json};

use crate::octet;
use crate::report::{Table, verdict, write_page};
use crate::run::{Outcome, output};
use crate::setup::setup;
use crate::zoo::{Network, TRAINED, networks};

/// A mode of ours, and what the peers call it.
struct Mode {
    name: &'static str,
    tf: &'static str,
    lq: Option<&'static str>,
}

const MODES: [Mode; 5] = [
    Mode { name: "dynamic-range", tf: "dyn", lq: Some("dyn") },
    Mode { name: "float16", tf: "fp16", lq: None },
    Mode { name: "int8", tf: "int8fb", lq: None },
    Mode { name: "int8-only", tf: "int8io", lq: Some("int8") },
    Mode { name: "int16x8", tf: "i16x8io", lq: None },
];

/// The one mode of the network whose scales training found.
const TRAINED_MODES: [Mode; 1] = [Mode { name: "int8-only", tf: "io8.sm", lq: None }];

/// SQNR of that network against its own float run, dB.
const TRAINED_SQNR: f64 = 51.0;

/// Bars that are known to be missed, and why. One that is met again must leave the list.
const KNOWN_MISSES: [(&str, &str, &str); 1] = [(
    "mnist_qat",
    "int8-only",
    "the converter's own file gives the same bytes, hence the same figure, on these 2000 pictures; 51.0 dB were measured on all 10,000",
)];

/// How far below TensorFlow's SQNR an int8-only file may be, dB.
const SQNR_SLACK: f64 = 0.1;

/// One file of the table: who made it, what it is or why there is none.
struct Entry {
    mode: &'static str,
    maker: &'static str,
    file: Result<PathBuf, String>,
}

/// Compiles, measures and prints; with `write` into docs/generated/table.md too. Fails if a bar is missed.
pub(crate) fn table(models: &[String], write: bool) -> Outcome {
    setup(false)?;
    let trained = models.is_empty() || models.iter().any(|m| m == TRAINED.name);
    let named: Vec<String> = models.iter().filter(|m| *m != TRAINED.name).cloned().collect();
    let mut chosen = if models.is_empty() || !named.is_empty() { networks(&named)? } else { Vec::new() };
    chosen.extend(trained.then_some(&TRAINED));
    let peers = Peers::find()?;
    let octet = octet::build("octet")?;
    let folder = workspace_root().join("target/table");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;

    let mut entries = Vec::new();
    let mut jobs = Vec::new();
    for network in &chosen {
        let files = files(&octet, network, &folder)?;
        let paths: Vec<&Path> = files.iter().filter_map(|e| e.file.as_deref().ok()).collect();
        jobs.push(json!({
            "op": "measure", "float": network.model()?, "models": paths, "data": network.test()?,
            "scale": network.scale, "metric": network.metric,
        }));
        entries.push(files);
    }
    let answers = peers.run(&jobs)?;

    let mut page = String::new();
    let mut missed = 0;
    for ((network, files), answer) in chosen.iter().zip(&entries).zip(&answers) {
        let (text, misses) = section(network, files, answer)?;
        print!("{text}");
        page.push_str(&text);
        missed += misses;
    }
    println!("{missed} bar(s) missed");
    if write {
        write_page("table.md", "The zoo's float networks in every mode", "cargo xtask table --write", &page)?;
    }
    if missed == 0 { Ok(()) } else { Err(format!("{missed} bar(s) of the table missed")) }
}

/// Our files of one network, freshly compiled, and the peers'.
fn files(octet: &Path, network: &Network, folder: &Path) -> Outcome<Vec<Entry>> {
    let mut entries = Vec::new();
    let modes: &[Mode] = if network.name == TRAINED.name { &TRAINED_MODES } else { &MODES };
    for mode in modes {
        let out = folder.join(format!("{}.{}.tflite", network.name, mode.name));
        let ours = output(&mut octet::compile(octet, network, mode.name, &out)?).map(|_| out);
        entries.push(Entry { mode: mode.name, maker: "octet", file: ours });
        for (maker, name) in [("TF", Some(mode.tf)), ("LQ", mode.lq)] {
            if let Some(name) = name {
                let file = network.peer(&maker.to_lowercase(), name)?;
                entries.push(Entry { mode: mode.name, maker, file: file.ok_or_else(|| "refused".to_owned()) });
            }
        }
    }
    Ok(entries)
}

/// What the measurement says of one file.
struct Measured {
    bytes: u64,
    /// dB; infinite where the outputs are equal.
    sqnr: f64,
    metric: Option<f64>,
}

fn measured(answer: &Answer, path: &Path) -> Result<Measured, String> {
    let found = answer.value["models"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|m| m["model"].as_str().is_some_and(|p| Path::new(p) == path))
        .ok_or("not measured")?;
    if let Some(error) = found["error"].as_str() {
        return Err(error.to_owned());
    }
    Ok(Measured {
        bytes: found["bytes"].as_u64().ok_or("no bytes")?,
        sqnr: found["sqnr"].as_f64().unwrap_or(f64::INFINITY),
        metric: found["metric"].as_f64(),
    })
}

/// The table of one network, and how many bars it misses.
fn section(network: &Network, files: &[Entry], answer: &Answer) -> Outcome<(String, usize)> {
    if !answer.ok {
        return Err(format!("{}: {}", network.name, answer.error));
    }
    let float_bytes = answer.value["float_bytes"].as_u64().unwrap_or(0);
    let metric = network.metric.unwrap_or("no labels");
    let mut table = Table::new(&["mode", "made by", "bytes", "SQNR dB", metric, "bar"]);
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
    let float_metric = answer.value.get("float_metric").and_then(Value::as_f64);
    table.row(vec!["float".into(), "-".into(), float_bytes.to_string(), "-".into(), shown(float_metric), String::new()]);
    let mut missed = 0;
    for entry in files {
        let head = vec![entry.mode.to_owned(), entry.maker.to_owned()];
        let result = entry.file.as_ref().map_err(Clone::clone).and_then(|path| measured(answer, path));
        let tf = files
            .iter()
            .find(|e| e.mode == entry.mode && e.maker == "TF")
            .and_then(|e| e.file.as_deref().ok())
            .and_then(|path| measured(answer, path).ok());
        let before = Before { bytes: float_bytes, metric: float_metric };
        let bar = if entry.maker == "octet" { bar(network, entry.mode, &result, tf.as_ref(), &before) } else { None };
        let known = KNOWN_MISSES.iter().find(|(name, mode, _)| (*name, *mode) == (network.name, entry.mode)).map(|(.., why)| *why);
        missed += usize::from(bar.as_ref().is_some_and(|(pass, _)| *pass == known.is_some()));
        let bar = bar.map_or_else(String::new, |(pass, what)| match known {
            Some(why) if !pass => format!("{} {what}: {why}", verdict(pass)),
            _ => format!("{} {what}", verdict(pass)),
        });
        let cells = match &result {
            Ok(m) => {
                let sqnr = if m.sqnr.is_finite() { format!("{:.2}", m.sqnr) } else { "equal".into() };
                vec![m.bytes.to_string(), sqnr, shown(m.metric), bar]
            }
            Err(reason) => {
                let reason = reason.lines().last().unwrap_or_default();
                vec!["-".into(), "-".into(), reason.chars().take(80).collect(), bar]
            }
        };
        table.row([head, cells].concat());
    }
    let samples = answer.value["samples"].as_u64().unwrap_or(0);
    Ok((format!("## {} ({samples} test samples)\n\n{}\n", network.name, table.text()), missed))
}

/// The float network.
struct Before {
    bytes: u64,
    metric: Option<f64>,
}

/// The bar that a file of ours has to pass, if its mode has one on this network, and what it asks.
fn bar(network: &Network, mode: &str, ours: &Result<Measured, String>, tf: Option<&Measured>, float: &Before) -> Option<(bool, String)> {
    let float_bytes = float.bytes;
    let small = matches!(network.name, "sine" | "slides");
    match (mode, ours) {
        ("int8-only", Ok(ours)) if network.name == TRAINED.name => {
            let tf = tf?;
            let pass = ours.sqnr >= TRAINED_SQNR && ours.metric == float.metric && ours.bytes <= tf.bytes;
            Some((pass, format!(">= {TRAINED_SQNR} dB, equal accuracy, <= {} B", tf.bytes)))
        }
        ("int8-only", Ok(ours)) => {
            let tf = tf?;
            let pass = ours.sqnr >= tf.sqnr - SQNR_SLACK && ours.bytes <= tf.bytes;
            let smaller = !small || ours.bytes < float_bytes;
            let more = if small { ", smaller than float" } else { "" };
            Some((pass && smaller, format!(">= {:.2} dB, <= {} B{more}", tf.sqnr - SQNR_SLACK, tf.bytes)))
        }
        ("dynamic-range", Ok(ours)) if small || network.name == "mnist_dw" => {
            Some((ours.bytes < float_bytes, "quantizes what shrinks (TF nothing)".into()))
        }
        ("int16x8", Ok(_)) if network.name == "mnist_dw" => Some((true, "works (TF refuses)".into())),
        (_, Ok(_)) => None,
        (_, Err(_)) => Some((false, "compiles and runs".into())),
    }
}
