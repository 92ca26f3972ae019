//! `cargo xtask bench wasm`: generated WebAssembly beside LiteRT.js and onnxruntime-web in Node, and beside LiteRT with XNNPACK on the
//! same machine. One thread, batch 1,
//! one run of everything; of each contender the least time of many short batches, since other work on the machine only ever adds to it.

use std::path::{Path, PathBuf};

use octet_peers::{Peers, workspace_root, zoo};
use serde_json::{Value, json};

use crate::report::{Table, verdict, write_page};
use crate::run::{Outcome, cargo, command, output, run};
use crate::setup::{debian, setup};
use crate::wasm::{in_wasmtime, script};

/// Batches of each contender.
const ROUNDS: u64 = 1000;
/// Times LiteRT.js's time that ours may take in Node.
const LITERT_JS: f64 = 1.0;
/// Times faster than onnxruntime-web that ours must be.
const ORT: f64 = 5.0;
/// Times native LiteRT's time that ours may take in wasmtime.
const NATIVE: f64 = 3.0;
/// Milliseconds to compile and instantiate a module in Node.
const LOAD: f64 = 10.0;
/// Bytes that a module may have more than the file that it was made of.
const MORE: u64 = 20 * 1024;

/// MLPerf Tiny's own int8 files: name, file, data in the zoo, shape of the input.
const NETWORKS: [(&str, &str, &str, [usize; 4]); 3] = [
    ("vww96", "vww_96_int8", "vww96_calibration.npz", [1, 96, 96, 3]),
    ("resnet8", "pretrainedResnet_quant", "resnet8_calibration.npz", [1, 32, 32, 3]),
    ("kws", "kws_ref_model", "kws_calibration.npz", [1, 49, 10, 1]),
];

/// Measures, prints and with `write` writes docs/generated/bench-wasm.md. Fails if a bar is missed.
pub(crate) fn bench(write: bool) -> Outcome {
    let Some(zoo) = zoo() else { return Err("there is no model zoo (../shared/zoo, or $OCTET_ZOO)".into()) };
    setup(false)?;
    debian(&["nodejs", "npm"], &["node", "npm"])?;
    let modules = javascript()?;
    run(&mut cargo(&["build", "--quiet", crate::octet::LIGHT, "--package", "octet", "--bin", "octet"]))?;
    let run_model = crate::plugins::run_model()?;
    let octet = crate::octet::target().join("debug/octet");
    let scratch = crate::octet::target().join("wasm");
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let mut missed = 0usize;
    let mut bar = |pass: bool, what: String| {
        missed += usize::from(!pass);
        format!("{} {what}", verdict(pass))
    };
    let mut table = Table::new(&["network", "engine", "by", "ms", "ratio", "bar"]);
    let mut files = Table::new(&["network", "bytes", ".tflite", "bar", "load in Node, ms", "bar"]);
    for (name, file, data, shape) in NETWORKS {
        let source = zoo.join("mlperf-tiny").join(format!("{file}.tflite"));
        let strict = compile(&octet, &source, &scratch, name, "strict")?;
        let relaxed = compile(&octet, &source, &scratch, name, "relaxed")?;
        let ours = timed(&scratch, &[&strict, &relaxed])?;
        let node = script("run.mjs", &ours)?;
        let wasmtime = in_wasmtime(&run_model, &ours)?;
        let litert_js = json!({"peer": "litert", "modules": modules, "model": source, "shape": shape, "dtype": "int8", "rounds": ROUNDS});
        let litert_js = ms(script("peers.mjs", &[litert_js])?.first())?;
        let native = json!({
            "op": "litert_speed", "model": source, "data": zoo.join("data").join(data), "scale": Value::Null, "threads": 1, "rounds": 5,
        });
        let native = Peers::find()?.run(&[native])?;
        let native = native
            .first()
            .filter(|a| a.ok)
            .ok_or_else(|| format!("LiteRT does not run: {}", native.first().map(|a| a.error.as_str()).unwrap_or_default()))?;
        let native = native.value["ms"].as_array().into_iter().flatten().filter_map(Value::as_f64).fold(f64::INFINITY, f64::min);
        let best = node.iter().filter_map(|a| a["ms"].as_f64()).fold(f64::INFINITY, f64::min);
        for (build, answer) in ["strict", "relaxed"].iter().zip(&node) {
            let by = format!("octet, {build}");
            match answer["ms"].as_f64() {
                Some(ms) => table.row(vec![name.into(), "Node".into(), by, format!("{ms:.4}"), String::new(), String::new()]),
                None => table.row(vec![name.into(), "Node".into(), by, "refused".into(), String::new(), String::new()]),
            }
        }
        let ratio = best / litert_js;
        let judged = bar(ratio <= LITERT_JS, format!("octet <= {LITERT_JS} x"));
        table.row(vec![name.into(), "Node".into(), "LiteRT.js".into(), format!("{litert_js:.4}"), format!("{ratio:.2} x"), judged]);
        let best = wasmtime.iter().filter_map(|a| a["ms"].as_f64()).fold(f64::INFINITY, f64::min);
        table.row(vec![name.into(), "wasmtime".into(), "octet".into(), format!("{best:.4}"), String::new(), String::new()]);
        let ratio = best / native;
        let judged = bar(ratio <= NATIVE, format!("octet <= {NATIVE} x"));
        table.row(vec![name.into(), "native".into(), "LiteRT, XNNPACK".into(), format!("{native:.4}"), format!("{ratio:.2} x"), judged]);
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        let (bytes, theirs) = (size(&strict), size(&source));
        let load = node.first().and_then(|a| a["load"].as_f64()).unwrap_or(f64::INFINITY);
        let small = bar(bytes <= theirs + MORE, format!("<= .tflite + {MORE}"));
        let quick = bar(load <= LOAD, format!("<= {LOAD}"));
        files.row(vec![name.into(), bytes.to_string(), theirs.to_string(), small, format!("{load:.2}"), quick]);
    }
    let source = zoo.join("ours/gen_mobilenet_96_qdq.onnx");
    let module = scratch.join("mobilenet_96.wasm");
    run(command(&octet, &["compile"]).arg(&source).arg("-o").arg(&module).args([
        "--target",
        "wasm",
        "--quantize",
        "int8-only",
        "--quiet",
    ]))?;
    let ours = ms(script("run.mjs", &timed(&scratch, &[&module])?)?.first())?;
    let ort = json!({"peer": "ort", "modules": modules, "model": source, "shape": [1, 3, 96, 96], "rounds": ROUNDS / 5});
    let ort = ms(script("peers.mjs", &[ort])?.first())?;
    let name = "MobileNet 96, QDQ";
    table.row(vec![name.into(), "Node".into(), "octet, strict".into(), format!("{ours:.4}"), String::new(), String::new()]);
    let judged = bar(ort / ours >= ORT, format!("octet {ORT} x faster"));
    table.row(vec![name.into(), "Node".into(), "onnxruntime-web".into(), format!("{ort:.4}"), format!("{:.2} x", ort / ours), judged]);
    let version = output(&mut command("node", &["--version"]))?;
    let body = format!(
        "One thread, batch 1, all in one run, Node {}. Times are the least of {ROUNDS} short batches of one run each (LiteRT: the least of the medians of five \
         rounds). `refused` says that this Node has no exact relaxed dot product on this machine.\n\n## One inference\n\n{}\n## Files\n\n{}\n\
         {missed} bars are missed.\n",
        version.trim(),
        table.text(),
        files.text()
    );
    println!("{body}");
    if write {
        write_page("bench-wasm.md", "Generated WebAssembly beside its peers", "cargo xtask bench wasm --write", &body)?;
    }
    if missed == 0 { Ok(()) } else { Err(format!("{missed} bar(s) missed")) }
}

/// The peers' JavaScript packages, installed as the lock file pins them.
fn javascript() -> Outcome<PathBuf> {
    let folder = crate::octet::target().join("peers-js");
    let stamp = folder.join("octet-lock.json");
    let source = workspace_root().join("tests/wasm");
    let lock = std::fs::read_to_string(source.join("package-lock.json")).map_err(|e| format!("package-lock.json: {e}"))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == lock) {
        return Ok(folder);
    }
    println!("setup: tests/wasm/package-lock.json -> {}", folder.display());
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
    }
    run(command("npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]).current_dir(&folder))?;
    std::fs::write(&stamp, lock).map_err(|e| format!("{}: {e}", stamp.display()))?;
    Ok(folder)
}

fn compile(octet: &Path, source: &Path, scratch: &Path, name: &str, build: &str) -> Outcome<PathBuf> {
    let out = scratch.join(format!("bench.{name}.{build}.wasm"));
    run(command(octet, &["compile"]).arg(source).arg("-o").arg(&out).args(["--target", "wasm", "--simd", build, "--quiet"]))?;
    Ok(out)
}

/// Jobs that time modules on whatever their inputs hold.
fn timed(scratch: &Path, modules: &[&PathBuf]) -> Outcome<Vec<Value>> {
    let nothing = scratch.join("bench.in");
    std::fs::write(&nothing, []).map_err(|e| e.to_string())?;
    let job = |m: &&PathBuf| json!({"model": m, "inputs": nothing, "outputs": scratch.join("bench.out"), "samples": 0, "rounds": ROUNDS});
    Ok(modules.iter().map(job).collect())
}

fn ms(answer: Option<&Value>) -> Outcome<f64> {
    let answer = answer.ok_or("no answer")?;
    answer["ms"].as_f64().ok_or_else(|| format!("no time in {answer}"))
}
