//! `cargo xtask bench`: Octet and the peers side by side in one run on one machine. Contenders take turns within each
//! round, medians are compared, and a miss stands in the table as a miss.
//!
//! Only ratios within one run mean anything: the machine may be shared.

use std::path::PathBuf;
use std::process::Command;

use octet_peers::{Peers, workspace_root};
use serde_json::{Value, json};

use crate::measure::{Cost, median, process};
use crate::octet;
use crate::report::{Table, verdict, write_page};
use crate::run::{Outcome, output};
use crate::setup::setup;
use crate::zoo::{NETWORKS, Network, networks};

/// Networks whose whole compile is compared.
const COMPILED: [&str; 3] = ["sine", "resnet8", "vww96"];
/// Networks whose calibration is compared; the bar holds on the first two.
const CALIBRATED: [&str; 3] = ["resnet8", "vww96", "mnist_cnn"];
/// Networks whose float inference is compared.
const INFERRED: [&str; 4] = ["resnet8", "vww96", "kws", "mnist_cnn"];

/// Times faster than litert-quantizer that a whole compile must be.
const COMPILE_LQ: f64 = 20.0;
/// Times faster than TensorFlow.
const COMPILE_TF: f64 = 80.0;
/// Times the samples/s of litert-quantizer at its best.
const CALIBRATE: f64 = 2.0;
/// Times LiteRT's time that one inference may take.
const INFERENCE: f64 = 2.0;
/// Peak memory of a compile, MiB.
const MEMORY: f64 = 60.0;

/// What a bench adds to: the page, and the number of bars missed.
struct Report {
    page: String,
    missed: usize,
}

impl Report {
    fn bar(&mut self, pass: bool) -> String {
        self.missed += usize::from(!pass);
        verdict(pass)
    }

    fn add(&mut self, title: &str, table: &Table, note: &str) {
        let text = format!("## {title}\n\n{}\n{note}\n\n", table.text());
        print!("{text}");
        self.page.push_str(&text);
    }
}

/// Runs the named benchmarks, or all. Fails if a bar is missed, after everything is measured.
pub(crate) fn bench(names: &[String], rounds: usize, write: bool) -> Outcome {
    const ALL: [(&str, fn(&Tools, &mut Report) -> Outcome); 4] =
        [("compile", compile), ("memory", memory), ("calibrate", calibrate), ("inference", inference)];
    if let Some(unknown) = names.iter().find(|n| ALL.iter().all(|(name, _)| name != n)) {
        return Err(format!("no benchmark {unknown}; there are compile, memory, calibrate, inference"));
    }
    setup(false)?;
    let folder = workspace_root().join("target/bench");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let tools = Tools {
        octet: octet::build("octet")?,
        bench: octet::build("octet-bench")?,
        peers: Peers::find()?,
        full: Peers::find_full().ok(),
        folder,
        rounds: rounds.max(1),
    };
    if tools.full.is_none() {
        println!("TensorFlow is not measured: `cargo xtask setup --full` installs it");
    }
    let mut report = Report { page: String::new(), missed: 0 };
    for (name, run) in ALL {
        if names.is_empty() || names.iter().any(|n| n == name) {
            run(&tools, &mut report)?;
        }
    }
    println!("{} bar(s) missed", report.missed);
    if write {
        write_page("bench.md", "Octet beside its peers", "cargo xtask bench --write", &report.page)?;
    }
    if report.missed == 0 { Ok(()) } else { Err(format!("{} bar(s) of the benchmarks missed", report.missed)) }
}

/// Everything that takes part.
struct Tools {
    octet: PathBuf,
    bench: PathBuf,
    peers: Peers,
    /// The environment with TensorFlow, if it is installed.
    full: Option<Peers>,
    folder: PathBuf,
    rounds: usize,
}

impl Tools {
    /// A job of a peer on a network's calibration data.
    fn job(&self, op: &str, network: &Network, more: &Value) -> Outcome<Value> {
        let mut job = json!({
            "op": op, "model": network.model()?, "data": network.calibration()?, "scale": network.scale,
            "out": self.folder.join(format!("{}.{op}.tflite", network.name)),
        });
        if let (Some(job), Some(more)) = (job.as_object_mut(), more.as_object()) {
            job.extend(more.clone());
        }
        Ok(job)
    }

    /// What our benchmark program says of a network: JSON.
    fn ours(&self, what: &str, network: &Network) -> Outcome<Value> {
        let mut command = Command::new(&self.bench);
        command.arg(what).arg(network.model()?).args(network.calibration()?);
        if let Some(scale) = network.scale {
            command.arg(format!("{scale}"));
        }
        serde_json::from_str(&output(&mut command)?).map_err(|e| format!("octet-bench {what}: {e}"))
    }

    /// A peer's answer to one job, done in a process of its own.
    fn theirs(&self, job: &Value) -> Outcome<Value> {
        let answers = self.peers.run(std::slice::from_ref(job))?;
        match answers.into_iter().next() {
            Some(answer) if answer.ok => Ok(answer.value),
            Some(answer) => Err(answer.error),
            None => Err("no answer".into()),
        }
    }
}

/// Costs of one contender over the rounds.
fn seconds(costs: &[Cost]) -> f64 {
    median(&costs.iter().map(|c| c.seconds).collect::<Vec<_>>())
}

fn peak(costs: &[Cost]) -> f64 {
    costs.iter().map(|c| c.peak_mib).fold(0.0, f64::max)
}

/// Whole processes: float `.tflite` and data in, int8 file out, interpreter start and imports included.
fn compile(tools: &Tools, report: &mut Report) -> Outcome {
    let mut table = Table::new(&["network", "by", "median s", "peak MiB", "octet is faster by", "bar"]);
    for network in networks(&COMPILED.map(ToOwned::to_owned))? {
        let out = tools.folder.join(format!("{}.octet.tflite", network.name));
        let lq = tools.job("lq_quantize", network, &json!({}))?;
        let best = tools.job("lq_quantize", network, &json!({"best": true}))?;
        let mut contenders = vec![
            ("octet", octet::compile(&tools.octet, network, "int8-only", &out)?, None),
            ("litert-quantizer", tools.peers.one(&lq), Some(COMPILE_LQ)),
            ("litert-quantizer, profiler, 1 thread", tools.peers.one(&best), None),
        ];
        if let Some(full) = &tools.full {
            let job = tools.job("tf_quantize", network, &json!({}))?;
            contenders.push(("TensorFlow", full.one(&job), Some(COMPILE_TF)));
        }
        let mut costs = vec![Vec::new(); contenders.len()];
        for _ in 0..tools.rounds {
            for ((_, command, _), costs) in contenders.iter_mut().zip(&mut costs) {
                costs.push(process(command)?);
            }
        }
        let ours = costs.first().map_or(f64::NAN, |c| seconds(c));
        for ((name, _, bar), costs) in contenders.iter().zip(&costs) {
            let ratio = seconds(costs) / ours;
            let bar = bar.map_or_else(String::new, |b| format!("{} >= {b}", report.bar(ratio >= b)));
            table.row(vec![
                network.name.to_owned(),
                (*name).to_owned(),
                format!("{:.4}", seconds(costs)),
                format!("{:.0}", peak(costs)),
                if *name == "octet" { "-".into() } else { format!("{ratio:.1}") },
                bar,
            ]);
        }
    }
    report.add(
        "int8-only, whole process with calibration",
        &table,
        "TensorFlow's public converter takes no `.tflite`: here it runs only the calibrator and the quantizer that the converter \
         ends with, so what it costs a user is more. Where a bar is missed: resnet8 spends 85 % of its time in float inference of its 500 \
         calibration samples, on all cores and as fast as XNNPACK; vww96 spends 60 % of its instructions there, 16 % on inflating the data while \
         the model is loaded, and 7 % on quantizing.",
    );
    Ok(())
}

/// Peak memory of our compile of every network.
fn memory(tools: &Tools, report: &mut Report) -> Outcome {
    let mut table = Table::new(&["network", "peak MiB", "bar"]);
    for network in &NETWORKS {
        let out = tools.folder.join(format!("{}.octet.tflite", network.name));
        let cost = process(&mut octet::compile(&tools.octet, network, "int8-only", &out)?)?;
        let bar = report.bar(cost.peak_mib <= MEMORY);
        table.row(vec![network.name.to_owned(), format!("{:.1}", cost.peak_mib), format!("{bar} <= {MEMORY}")]);
    }
    report.add("Peak memory of `octet compile --quantize int8-only`", &table, "Resident set, as the kernel counts it.");
    Ok(())
}

/// Samples/s of calibration alone: ours on all cores, litert-quantizer's fastest way.
fn calibrate(tools: &Tools, report: &mut Report) -> Outcome {
    let mut table = Table::new(&["network", "octet samples/s", "LQ samples/s", "ratio", "bar"]);
    for network in networks(&CALIBRATED.map(ToOwned::to_owned))? {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // Enough samples that neither measures its start: about half a second of litert-quantizer.
        let job = tools.job("lq_calibrate", network, &json!({"best": true, "rounds": 3, "repeat": 4}))?;
        for _ in 0..tools.rounds {
            ours.push(rate(&tools.ours("calibrate", network)?)?);
            theirs.push(rate(&tools.theirs(&job)?)?);
        }
        let ratio = median(&ours) / median(&theirs);
        let bar = if network.name == "mnist_cnn" { String::new() } else { format!("{} >= {CALIBRATE}", report.bar(ratio >= CALIBRATE)) };
        table.row(vec![
            network.name.to_owned(),
            format!("{:.0}", median(&ours)),
            format!("{:.0}", median(&theirs)),
            format!("{ratio:.2}"),
            bar,
        ]);
    }
    report.add(
        "Calibration",
        &table,
        "Octet on all cores; litert-quantizer (LQ) in its profiler mode on one thread, which is its fastest.",
    );
    Ok(())
}

/// Samples/s of the fastest of the seconds that an answer lists.
fn rate(answer: &Value) -> Outcome<f64> {
    let seconds: Vec<f64> = answer["seconds"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let best = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    match answer["samples"].as_f64() {
        Some(samples) if best.is_finite() && best > 0.0 => Ok(samples / best),
        _ => Err(format!("no time in {answer}")),
    }
}

/// Milliseconds of one float inference on one thread.
fn inference(tools: &Tools, report: &mut Report) -> Outcome {
    let mut table = Table::new(&["network", "octet ms", "LiteRT XNNPACK ms", "octet takes", "bar"]);
    for network in networks(&INFERRED.map(ToOwned::to_owned))? {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let job = tools.job("litert_speed", network, &json!({"rounds": 1}))?;
        for _ in 0..tools.rounds {
            ours.push(millis(&tools.ours("inference", network)?)?);
            theirs.push(millis(&tools.theirs(&job)?)?);
        }
        let ratio = median(&ours) / median(&theirs);
        let bar = report.bar(ratio <= INFERENCE);
        table.row(vec![
            network.name.to_owned(),
            format!("{:.4}", median(&ours)),
            format!("{:.4}", median(&theirs)),
            format!("{ratio:.2} x"),
            format!("{bar} <= {INFERENCE}"),
        ]);
    }
    report.add("Float inference, one thread", &table, "Batch 1; only the invocation is inside the clock.");
    Ok(())
}

fn millis(answer: &Value) -> Outcome<f64> {
    let rounds: Vec<f64> = answer["ms"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    if rounds.is_empty() { Err(format!("no time in {answer}")) } else { Ok(median(&rounds)) }
}
