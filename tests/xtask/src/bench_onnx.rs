//! `cargo xtask bench onnx`: the road from ONNX to int8 TFLite, beside onnx2tf's on the same files and data, as whole processes.
//!
//! onnx2tf gets a copy of each file, because it writes to its input, and both of its ways to quantize: scales per channel, and where
//! that leaves no file, one scale per tensor. Both results run in LiteRT and are measured against ONNX Runtime.

use std::path::{Path, PathBuf};
use std::process::Command;

use octet_peers::{Peers, onnx2tf_environment_folder, workspace_root};
use serde_json::{Value, json};

use crate::measure::{Cost, median, watched};
use crate::octet;
use crate::report::{Table, verdict, write_page};
use crate::run::{Outcome, command};
use crate::setup;
use crate::zoo::UNIT;

/// Times faster, and times less memory, that we must be.
const FASTER: f64 = 50.0;
const LEANER: f64 = 5.0;

pub(crate) struct Network {
    pub(crate) file: &'static str,
    shape: &'static [usize],
    /// Calibration and test; random numbers where the weights are random too.
    data: Option<[&'static str; 2]>,
    scale: Option<f64>,
}

const fn network(file: &'static str, shape: &'static [usize], data: Option<[&'static str; 2]>, scale: Option<f64>) -> Network {
    Network { file, shape, data, scale }
}

pub(crate) const NETWORKS: [Network; 11] = [
    network("ours/sine", &[1, 1], Some(["sine_calibration.npy", "sine_test.npz"]), None),
    network("ours/mnist_cnn", &[1, 28, 28, 1], Some(["mnist_calibration.npz", "mnist_test.npz"]), Some(UNIT)),
    network("ours/mnist_dw", &[1, 28, 28, 1], Some(["mnist_calibration.npz", "mnist_test.npz"]), Some(UNIT)),
    network("mlperf-tiny/resnet8", &[1, 32, 32, 3], Some(["resnet8_calibration.npz", "resnet8_test.npz"]), None),
    network("mlperf-tiny/kws", &[1, 49, 10, 1], Some(["kws_calibration.npz", "kws_test.npz"]), None),
    network("mlperf-tiny/vww96", &[1, 96, 96, 3], Some(["vww96_calibration.npz", "vww96_test.npz"]), Some(UNIT)),
    network("ours/gen_mobilenet_96", &[1, 3, 96, 96], None, None),
    network("ours/gen_shuffle_head_64", &[1, 3, 64, 64], None, None),
    network("ours/gen_gru_kws", &[1, 49, 40], None, None),
    network("ours/gen_transformer_block", &[1, 32, 64], None, None),
    network("onnx/ch_ppocr_mobile_v2.0_cls_infer", &[1, 3, 48, 192], None, None),
];

/// What one road came to: its costs, and the file that it left.
struct Road {
    costs: Vec<Cost>,
    succeeded: bool,
    file: Option<PathBuf>,
    how: String,
}

/// Measures all networks. Fails if a bar is missed, after everything is measured.
pub(crate) fn bench(rounds: usize, write: bool) -> Outcome {
    setup::setup(false)?;
    setup::onnx2tf()?;
    let (ours, peers) = (octet::build("octet")?, Peers::find()?);
    let zoo = octet_peers::zoo().ok_or("no model zoo: neither ../shared/zoo nor $OCTET_ZOO")?;
    let folder = workspace_root().join("target/bench/onnx");
    let mut table = Table::new(&["network", "by", "s", "peak MiB", "bytes", "SQNR dB", "faster by", "memory less by", "bars"]);
    let mut missed = 0;
    for network in &NETWORKS {
        let name = network.name();
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        // Names have dots of their own.
        let model = zoo.join(format!("{}.onnx", network.file));
        let input = prepare(&peers, &zoo, network, &model, &folder)?;
        let own = compile(&ours, network, &model, &folder, &input, rounds)?;
        let other = onnx2tf(network, &model, &folder, &input)?;
        let files: Vec<&PathBuf> = [&own, &other].into_iter().filter_map(|r| r.file.as_ref()).collect();
        let mut figures = measure(&peers, &model, &folder, &files)?.into_iter();
        let mut rows = Vec::new();
        for road in [&own, &other] {
            rows.push(if road.file.is_some() { figures.next() } else { None });
        }
        missed += add(&mut table, name, [(&own, rows[0].as_ref()), (&other, rows[1].as_ref())]);
    }
    let note = "Whole processes, from the ONNX file and calibration data to a file that is integer throughout; seconds are medians of ours and one run of \
                onnx2tf's. SQNR is against ONNX Runtime, over data that was not calibrated with. A file counts if LiteRT runs it, its inputs \
                and outputs are int8, and it holds no float; *fails* says how onnx2tf ended without one. Where onnx2tf could only give a whole tensor \
                one scale, our file, with a scale for every channel of weights and biases, may be larger: that is what the SQNR costs.";
    let page = format!("{}\n{note}\n", table.text());
    println!("{page}\n{missed} bar(s) missed");
    if write {
        write_page("onnx-bench.md", "From ONNX to int8, beside onnx2tf 2.6.9", "cargo xtask bench onnx --write", &page)?;
    }
    if missed == 0 { Ok(()) } else { Err(format!("{missed} bar(s) missed")) }
}

impl Network {
    /// Its file's name, without the ending.
    pub(crate) fn name(&self) -> &'static str {
        self.file.rsplit('/').next().unwrap_or_default()
    }

    /// The input's shape as `--shape` takes it.
    pub(crate) fn sizes(&self) -> String {
        self.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
    }
}

/// Writes the data; gives the input's name.
pub(crate) fn prepare(peers: &Peers, zoo: &Path, network: &Network, model: &Path, folder: &Path) -> Outcome<String> {
    let data = |index: usize| network.data.map(|d| zoo.join("data").join(d[index]));
    let answer = one(
        peers,
        json!({
            "op": "onnx_prepare", "model": model, "shape": network.shape, "calibration": data(0), "test": data(1), "scale": network.scale,
            "out_calibration": folder.join("calibration.npy"), "out_moved": folder.join("moved.npy"), "out_test": folder.join("test.npy"),
        }),
    )?;
    answer["input"].as_str().map(ToOwned::to_owned).ok_or_else(|| format!("no input in {answer}"))
}

fn measure(peers: &Peers, model: &Path, folder: &Path, files: &[&PathBuf]) -> Outcome<Vec<Value>> {
    let answer = one(peers, json!({"op": "onnx_measure", "model": model, "test": folder.join("test.npy"), "models": files}))?;
    Ok(answer["models"].as_array().cloned().unwrap_or_default())
}

fn one(peers: &Peers, job: Value) -> Outcome<Value> {
    match peers.run(&[job])?.into_iter().next() {
        Some(answer) if answer.ok => Ok(answer.value),
        Some(answer) => Err(answer.error),
        None => Err("no answer".into()),
    }
}

fn compile(octet: &Path, network: &Network, model: &Path, folder: &Path, input: &str, rounds: usize) -> Outcome<Road> {
    let file = folder.join("octet.tflite");
    let mut costs = Vec::new();
    for _ in 0..rounds {
        let mut compile = command(octet, &["compile"]);
        compile.arg(model).arg("-o").arg(&file).args(["--quantize", "int8-only", "--quiet", "--data"]).arg(folder.join("calibration.npy"));
        compile.arg("--shape").arg(format!("{input}={}", network.sizes()));
        costs.push(crate::measure::process(&mut compile)?);
    }
    Ok(Road { costs, succeeded: true, file: Some(file), how: "octet".into() })
}

fn onnx2tf(network: &Network, model: &Path, folder: &Path, input: &str) -> Outcome<Road> {
    let programs = onnx2tf_environment_folder().join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs.clone()).chain(std::env::split_paths(&path))).map_err(|e| e.to_string())?;
    let mut road = Road { costs: Vec::new(), succeeded: false, file: None, how: String::new() };
    for scheme in ["per-channel", "per-tensor"] {
        let (copy, out) = (folder.join("copy.onnx"), folder.join("onnx2tf"));
        std::fs::copy(model, &copy).map_err(|e| format!("{}: {e}", copy.display()))?;
        if out.exists() {
            std::fs::remove_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;
        }
        let sizes: Vec<String> = network.shape.iter().map(ToString::to_string).collect();
        let mut convert = Command::new(programs.join("onnx2tf"));
        convert.current_dir(folder).env("PATH", &path).arg("-i").arg(&copy).arg("-o").arg(&out);
        // It calls inputs differently in its own files.
        convert.args(["-oiqt", "-qt", scheme, "-cind", &input.replace(':', "__")]).arg(folder.join("moved.npy")).args(["[0.0]", "[1.0]"]);
        convert.arg("-ois").arg(format!("{input}:{}", sizes.join(",")));
        let (cost, succeeded) = watched(&mut convert)?;
        let file = out.join("copy_full_integer_quant.tflite");
        road = Road { costs: vec![cost], succeeded, file: file.is_file().then_some(file), how: format!("onnx2tf, {scheme}") };
        if road.file.is_some() {
            break;
        }
    }
    Ok(road)
}

/// Two rows; answers how many bars are missed.
fn add(table: &mut Table, name: &str, roads: [(&Road, Option<&Value>); 2]) -> usize {
    let seconds = |road: &Road| median(&road.costs.iter().map(|c| c.seconds).collect::<Vec<_>>());
    let peak = |road: &Road| road.costs.iter().map(|c| c.peak_mib).fold(0.0, f64::max);
    let figure = |value: Option<&Value>, key: &str| value.and_then(|v| v[key].as_f64());
    let [(own, own_figures), (other, other_figures)] = roads;
    let (faster, leaner) = (seconds(other) / seconds(own), peak(other) / peak(own));
    let ours = (figure(own_figures, "bytes"), figure(own_figures, "sqnr"));
    let theirs = (figure(other_figures, "bytes"), figure(other_figures, "sqnr"));
    let at_least = |a: Option<f64>, b: Option<f64>| b.is_none_or(|b| a.is_some_and(|a| a >= b));
    let works = own_figures.is_some_and(|v| v["error"].is_null());
    let bars = [
        ("time", faster >= FASTER),
        ("memory", leaner >= LEANER),
        ("size", theirs.1.is_none() || at_least(theirs.0, ours.0)),
        ("SQNR", works && at_least(ours.1, theirs.1)),
    ];
    let missed: Vec<&str> = bars.iter().filter(|(_, pass)| !pass).map(|(bar, _)| *bar).collect();
    for (road, value, is_ours) in [(own, own_figures, true), (other, other_figures, false)] {
        let sqnr = match (value, figure(value, "sqnr")) {
            (_, Some(sqnr)) => format!("{sqnr:.2}"),
            (Some(v), None) if v["error"].is_string() => format!("fails: {}", v["error"].as_str().unwrap_or_default()),
            (Some(_), None) => "exact".into(),
            (None, None) => format!("fails: no int8 file{}", if road.succeeded { ", though it reports success" } else { "" }),
        };
        table.row(vec![
            name.to_owned(),
            road.how.clone(),
            format!("{:.3}", seconds(road)),
            format!("{:.0}", peak(road)),
            figure(value, "bytes").map_or_else(|| "-".into(), |b| format!("{b}")),
            sqnr,
            if is_ours { format!("{faster:.0}") } else { String::new() },
            if is_ours { format!("{leaner:.1}") } else { String::new() },
            if is_ours { format!("{} {}", verdict(missed.is_empty()), missed.join(", ")) } else { String::new() },
        ]);
    }
    missed.len()
}
