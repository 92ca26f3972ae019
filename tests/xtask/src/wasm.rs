//! `cargo xtask wasm`: generated WebAssembly in wasmtime, in Node and in headless Chromium. Every integer network of the zoo runs in every build on inputs
//! whose outputs TensorFlow Lite Micro computed; bytes have to be equal. A page that the compiler wrote recognises digits that are drawn in the browser.
//!
//! A relaxed build runs where its probe says that the engine is exact; elsewhere it has to say so, and the strict build takes its place.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use octet_peers::{Array, Element, Peers, read_npz, workspace_root, write_npz, zoo};
use serde_json::{Value, json};

use crate::report::{Table, write_page};
use crate::run::{Outcome, cargo, command, output, run};
use crate::setup::{debian, setup};

/// What runs modules, as Debian calls it.
const PACKAGES: [&str; 2] = ["chromium", "nodejs"];
const BUILDS: [&str; 3] = ["strict", "none", "relaxed"];
const SAMPLES: usize = 20;
/// Bytes that a module may have more than the file that it was made of.
const MORE: u64 = 20 * 1024;
/// Bytes that TensorFlow Lite Micro gets.
const ARENA: usize = 4 << 20;

/// A compiled network with its inputs and what is expected.
struct Case {
    name: String,
    source: PathBuf,
    modules: BTreeMap<&'static str, PathBuf>,
    inputs: PathBuf,
    wanted: Vec<u8>,
}

/// Runs all networks whose names contain one of `names`, or all.
pub(crate) fn wasm(names: &[String], write: bool) -> Outcome {
    let Some(zoo) = zoo() else { return Err("there is no model zoo (../shared/zoo, or $OCTET_ZOO)".into()) };
    setup(false)?;
    debian(&PACKAGES, &["node", "chromium"])?;
    run(&mut cargo(&["build", "--quiet", crate::octet::LIGHT, "--package", "octet", "--bin", "octet"]))?;
    let octet = crate::octet::target().join("debug/octet");
    let scratch = crate::octet::target().join("wasm");
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let cases = cases(&octet, &zoo, &scratch, names)?;

    let mut jobs = Vec::new();
    let mut places = Vec::new();
    for case in &cases {
        for build in BUILDS {
            let out = scratch.join(format!("{}.{build}.out", case.name));
            jobs.push(json!({"model": case.modules[build], "inputs": case.inputs, "outputs": out, "samples": SAMPLES}));
            places.push(out);
        }
    }
    let mut wrong = Vec::new();
    let mut cells: Vec<Vec<String>> = cases.iter().map(|c| vec![c.name.clone(), sizes(c, &mut wrong)]).collect();
    type Runner = fn(&[Value]) -> Outcome<Vec<Value>>;
    let runners: [(&str, Runner); 3] = [("wasmtime", wasmtime), ("Node", node), ("Chromium", chromium)];
    for (engine, runner) in runners {
        for place in &places {
            // What an earlier engine wrote must not count.
            let _ = std::fs::remove_file(place);
        }
        let answers = runner(&jobs)?;
        for ((case, cells), (answers, outs)) in
            cases.iter().zip(&mut cells).zip(answers.chunks(BUILDS.len()).zip(places.chunks(BUILDS.len())))
        {
            for ((build, answer), out) in BUILDS.iter().zip(answers).zip(outs) {
                cells.push(match judged(answer, out, &case.wanted) {
                    Ok(true) => "equal".into(),
                    Ok(false) if *build == "relaxed" => "strict instead".into(),
                    Ok(false) => {
                        wrong.push(format!("{} {build} in {engine}: refused", case.name));
                        "**refused**".into()
                    }
                    Err(why) => {
                        wrong.push(format!("{} {build} in {engine}: {why}", case.name));
                        "**differs**".into()
                    }
                });
            }
        }
    }
    let mut head = vec!["network".to_owned(), "bytes (.tflite)".to_owned()];
    head.extend(runners.iter().flat_map(|(engine, _)| BUILDS.map(|b| format!("{engine} {b}"))));
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    cells.into_iter().for_each(|row| table.row(row));
    let drawn = if names.is_empty() { demo(&octet, &scratch, write, &mut wrong)? } else { String::new() };
    let version = |program: &str| output(&mut command(program, &["--version"])).map(|v| v.trim().to_owned()).unwrap_or_default();
    let body = format!(
        "`equal` says that the outputs of {SAMPLES} random inputs have every bit of TensorFlow Lite Micro's. `strict instead` says that the engine has no \
         exact relaxed dot product on this machine, which the module's probe told before it ran: the loader takes the strict build then. Engines: wasmtime, \
         Node {}, {}. Sizes are those of the strict build, and in brackets of the file that it was made of. wasmparser validates every module before \
         wasmtime runs it.\n\n{}\n{drawn}\n{} findings.\n",
        version("node"),
        version("chromium"),
        table.text(),
        wrong.len()
    );
    println!("{body}");
    if write {
        write_page("wasm.md", "Generated WebAssembly", "cargo xtask wasm --write", &body)?;
    }
    if wrong.is_empty() && !cases.is_empty() { Ok(()) } else { Err(format!("{} findings\n{}", wrong.len(), wrong.join("\n"))) }
}

/// The bytes of a case, and whether there are too many.
fn sizes(case: &Case, wrong: &mut Vec<String>) -> String {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
    let (ours, theirs) = (size(&case.modules["strict"]), size(&case.source));
    if ours > theirs + MORE {
        wrong.push(format!("{}: {ours} bytes, more than {theirs} and {MORE}", case.name));
    }
    format!("{ours} ({theirs})")
}

/// Whether the outputs are right; false where the engine refused the module.
fn judged(answer: &Value, out: &Path, wanted: &[u8]) -> Result<bool, String> {
    if answer["refused"].is_string() {
        return Ok(false);
    }
    if let Some(why) = answer["error"].as_str() {
        return Err(why.to_owned());
    }
    let found = std::fs::read(out).map_err(|e| e.to_string())?;
    if found == wanted {
        return Ok(true);
    }
    let different = found.iter().zip(wanted).filter(|(a, b)| a != b).count();
    Err(format!("{different} of {} bytes differ, {} came", wanted.len(), found.len()))
}

/// Every network of the zoo whose inputs and outputs are all int8 or all int16.
fn cases(octet: &Path, zoo: &Path, scratch: &Path, names: &[String]) -> Outcome<Vec<Case>> {
    let mut files = Vec::new();
    for folder in ["mlperf-tiny", "peers", "tflm"] {
        let entries = std::fs::read_dir(zoo.join(folder)).map_err(|e| format!("{folder}: {e}"))?;
        files.extend(entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "tflite")));
    }
    files.sort();
    let (mut cases, mut jobs, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for source in files {
        let name = source.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !names.is_empty() && !names.iter().any(|n| name.contains(n.as_str())) {
            continue;
        }
        let mut modules = BTreeMap::new();
        for build in BUILDS {
            let out = scratch.join(format!("{name}.{build}.wasm"));
            let arguments = ["--target", "wasm", "--simd", build, "--quiet"];
            // What has no kernels is not of integers, or its refusal is tested elsewhere.
            if output(command(octet, &["compile"]).arg(&source).arg("-o").arg(&out).args(arguments)).is_ok() {
                modules.insert(build, out);
            }
        }
        let Some(strict) = modules.get("strict").filter(|_| modules.len() == BUILDS.len()) else { continue };
        let told = description(strict)?;
        let tensors = |kind: &str| told[kind].as_array().cloned().unwrap_or_default();
        let integer = |t: &Value| matches!(t["dtype"].as_str(), Some("int8" | "int16"));
        if !tensors("inputs").iter().chain(&tensors("outputs")).all(integer) {
            continue;
        }
        let (arrays, bytes) = random_inputs(&tensors("inputs"))?;
        let (inputs, npz, answer) =
            (scratch.join(format!("{name}.in")), scratch.join(format!("{name}.in.npz")), scratch.join(format!("{name}.out.npz")));
        std::fs::write(&inputs, bytes).map_err(|e| e.to_string())?;
        write_npz(&npz, &arrays)?;
        jobs.push(json!({"op": "tflm", "model": source, "inputs": npz, "out": answer, "arena": ARENA}));
        answers.push((answer, tensors("outputs").len()));
        cases.push(Case { name, source, modules, inputs, wanted: Vec::new() });
    }
    let told = Peers::find()?.run(&jobs)?;
    let mut kept = Vec::new();
    for ((mut case, told), (answer, outputs)) in cases.into_iter().zip(told).zip(answers) {
        if !told.ok {
            println!("{}: TensorFlow Lite Micro does not take it: {}", case.name, told.error.lines().last().unwrap_or_default());
            continue;
        }
        let arrays = read_npz(&answer)?;
        for sample in 0..SAMPLES {
            for output in 0..outputs {
                let array = arrays.get(&format!("o{output}")).ok_or_else(|| format!("{}: no output {output}", case.name))?;
                case.wanted.extend(array.sample(sample).ok_or_else(|| format!("{}: no sample {sample}", case.name))?);
            }
        }
        kept.push(case);
    }
    Ok(kept)
}

/// The custom section `octet`, which comes last.
fn description(module: &Path) -> Outcome<Value> {
    let bytes = std::fs::read(module).map_err(|e| format!("{}: {e}", module.display()))?;
    let start = b"{\"format\":";
    let at = bytes.windows(start.len()).rposition(|w| w == start).ok_or_else(|| format!("{}: no description", module.display()))?;
    serde_json::from_slice(&bytes[at..]).map_err(|e| format!("{}: {e}", module.display()))
}

/// Random inputs over their whole range: by number for the peers, and all bytes sample by sample for ours.
fn random_inputs(tensors: &[Value]) -> Outcome<(BTreeMap<String, Array>, Vec<u8>)> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut arrays = BTreeMap::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let dims = tensor["shape"].as_array().ok_or("no shape")?;
        let dims: Vec<usize> = dims.iter().filter_map(Value::as_u64).filter_map(|d| usize::try_from(d).ok()).collect();
        let element = if tensor["dtype"] == "int16" { Element::I16 } else { Element::I8 };
        let count = SAMPLES * dims.iter().product::<usize>() * element.size();
        let bytes = (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[4]
            })
            .collect();
        arrays.insert(index.to_string(), Array { element, shape: [vec![SAMPLES], dims].concat(), bytes });
    }
    let sample = |at: usize| (0..tensors.len()).filter_map(|i| arrays[&i.to_string()].sample(at)).flatten().copied().collect::<Vec<u8>>();
    let bytes = (0..SAMPLES).flat_map(sample).collect();
    Ok((arrays, bytes))
}

/// Hands text to a child process and takes its answer.
fn ask(mut child: Command, text: &str) -> Outcome<String> {
    let name = child.get_program().to_string_lossy().into_owned();
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|e| format!("{name}: {e}"))?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    let text = text.to_owned();
    // Another thread writes, so that neither side waits for the other.
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(|e| format!("{name}: {e}"))?;
    writer.join().map_err(|_| "a thread failed")?.map_err(|e| format!("{name}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn script(name: &str, jobs: &[Value]) -> Outcome<Vec<Value>> {
    let path = workspace_root().join("tests/wasm").join(name);
    let text = ask(command("node", &[path]), &Value::from(jobs).to_string())?;
    let answers: Vec<Value> = serde_json::from_str(&text).map_err(|e| format!("{name}: {e}"))?;
    if answers.len() == jobs.len() { Ok(answers) } else { Err(format!("{name}: {} answers to {} jobs", answers.len(), jobs.len())) }
}

fn node(jobs: &[Value]) -> Outcome<Vec<Value>> {
    script("run.mjs", jobs)
}

fn chromium(jobs: &[Value]) -> Outcome<Vec<Value>> {
    script("chromium.mjs", jobs)
}

fn wasmtime(jobs: &[Value]) -> Outcome<Vec<Value>> {
    in_wasmtime(&crate::plugins::run_model()?, jobs)
}

/// Jobs through the example of `octet-plugin-host`.
pub(crate) fn in_wasmtime(program: &Path, jobs: &[Value]) -> Outcome<Vec<Value>> {
    let mut text = String::new();
    for job in jobs {
        let field = |name: &str| job[name].as_str().map_or_else(|| job[name].as_u64().unwrap_or(0).to_string(), ToOwned::to_owned);
        text += &format!("{}\n", ["model", "inputs", "outputs", "samples", "rounds"].map(field).join("\t"));
    }
    let told = ask(command::<&str>(program, &[]), &text)?;
    let answer = |line: &str| {
        let mut fields = line.split('\t');
        let kind = fields.next().unwrap_or_default();
        let rest: Vec<&str> = fields.collect();
        let number = |i: usize| rest.get(i).and_then(|t| t.parse::<f64>().ok());
        if kind == "ok" { json!({"load": number(0), "ms": number(1)}) } else { json!({kind: rest.join(" ")}) }
    };
    let answers: Vec<Value> = told.lines().map(answer).collect();
    if answers.len() == jobs.len() { Ok(answers) } else { Err(format!("run_model: {} answers to {} jobs", answers.len(), jobs.len())) }
}

/// Digits as lines in a square of 280 pixels.
fn digits() -> Vec<(&'static str, Value)> {
    let ring: Vec<[f64; 2]> = (0..=24)
        .map(|i| {
            let angle = f64::from(i) * std::f64::consts::TAU / 24.0;
            [140.0 + 60.0 * angle.sin(), 140.0 - 85.0 * angle.cos()]
        })
        .collect();
    vec![
        ("0", json!([ring])),
        ("1", json!([[[150, 50], [140, 140], [132, 230]]])),
        ("7", json!([[[75, 65], [140, 62], [205, 60], [170, 130], [140, 190], [120, 235]]])),
    ]
}

/// The demonstration page of the example network: digits are drawn, and the answers read.
fn demo(octet: &Path, scratch: &Path, write: bool, wrong: &mut Vec<String>) -> Outcome<String> {
    let examples = workspace_root().join("docs/examples");
    let out = scratch.join("digits.wasm");
    let mut compile = command(octet, &["compile"]);
    compile.arg(examples.join("digits.tflite")).arg("-o").arg(&out).args(["--target", "wasm", "--emit-demo", "--quantize", "int8-only"]);
    run(compile.arg("--data").arg(examples.join("digits_calibration.npz")).args(["--preprocess", "scale=1/255", "--quiet"]))?;
    let picture = if write { workspace_root().join("docs/generated/wasm-demo.png") } else { scratch.join("demo.png") };
    let digits = digits();
    let jobs: Vec<Value> = digits
        .iter()
        .map(|(digit, stroke)| {
            let screenshot = if *digit == "7" { json!(picture) } else { Value::Null };
            json!({"page": scratch.join("digits-demo.html"), "stroke": stroke, "screenshot": screenshot})
        })
        .collect();
    let answers = chromium(&jobs)?;
    let mut told = Vec::new();
    for ((digit, _), answer) in digits.iter().zip(&answers) {
        let found = answer["answer"].as_str().unwrap_or_default();
        if found != *digit {
            wrong.push(format!("the page sees '{found}' where {digit} was drawn {}", answer["error"].as_str().unwrap_or_default()));
        }
        told.push(format!("drawn {digit}, read '{found}'"));
    }
    Ok(format!("The demonstration page in Chromium: {}.\n\n![The page with a digit drawn](wasm-demo.png)\n", told.join("; ")))
}
