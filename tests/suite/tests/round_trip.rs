//! A file that is read and written again is the same model: to LiteRT, and to a reader that is not ours.

use std::path::{Path, PathBuf};

use octet_tests::cli::octet_ok;
use octet_tests::compare::difference;
use octet_tests::{inputs, judges, models, peers};
use serde_json::{Value, json};

/// Inputs that each model is run on before and after.
const SAMPLES: usize = 3;

/// One file before and after.
struct Pair {
    name: String,
    before: PathBuf,
    after: PathBuf,
}

fn write_again(files: &[PathBuf], folder: &Path) -> Vec<Pair> {
    let pair = |before: &PathBuf| {
        let name = before.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let after = folder.join(&name);
        octet_ok(&["compile".as_ref(), before.as_os_str(), "-o".as_ref(), after.as_os_str(), "--pipeline".as_ref(), "none".as_ref()]);
        Pair { name, before: before.clone(), after }
    };
    files.iter().map(pair).collect()
}

/// Everything in the files but numbering and padding.
fn structures(pairs: &[Pair]) -> Vec<String> {
    let jobs: Vec<Value> = pairs.iter().flat_map(|p| [&p.before, &p.after]).map(|path| json!({"op": "structure", "model": path})).collect();
    let answers = judges().run(&jobs).expect("the judges answer");
    let mut findings = Vec::new();
    for (pair, both) in pairs.iter().zip(answers.chunks(2)) {
        let [before, after] = both else { panic!("an answer is missing") };
        assert!(before.ok, "{}: {}", pair.name, before.error);
        if !after.ok {
            findings.push(format!("{}: {}", pair.name, after.error));
            continue;
        }
        let (mut a, mut b) = (before.value.clone(), after.value.clone());
        forget_redundancies(&mut a, &mut b);
        first_difference("", &a, &b, &mut findings, &pair.name);
    }
    findings
}

/// Takes out what a writer may change because the rest of the file says it: versions of ops (the writer gives the right
/// ones, some converters do not), the range of a tensor that has a scale and a zero point, and a shape that the file
/// left out and the op determines.
fn forget_redundancies(before: &mut Value, after: &mut Value) {
    for structure in [&mut *before, &mut *after] {
        for graph in structure["graphs"].as_array_mut().into_iter().flatten() {
            for op in graph["operators"].as_array_mut().into_iter().flatten() {
                op["version"] = Value::Null;
            }
            for tensor in graph["tensors"].as_array_mut().into_iter().flatten() {
                if let Some(quantization) = tensor["quantization"].as_object_mut().filter(|q| q.contains_key("scale")) {
                    quantization.remove("min");
                    quantization.remove("max");
                }
            }
        }
    }
    let graphs = after["graphs"].as_array_mut().into_iter().flatten();
    for (a, b) in before["graphs"].as_array_mut().into_iter().flatten().zip(graphs) {
        let tensors = b["tensors"].as_array_mut().into_iter().flatten();
        for (a, b) in a["tensors"].as_array_mut().into_iter().flatten().zip(tensors) {
            if a["shape"] == json!([]) && a["data"].is_null() {
                a["shape"] = b["shape"].clone();
            }
        }
    }
}

/// Adds where two values first differ, at most one finding a file.
fn first_difference(at: &str, a: &Value, b: &Value, findings: &mut Vec<String>, name: &str) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) if x.keys().eq(y.keys()) => {
            x.iter().any(|(key, value)| first_difference(&format!("{at}.{key}"), value, &y[key], findings, name))
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().any(|(i, (x, y))| first_difference(&format!("{at}[{i}]"), x, y, findings, name))
        }
        _ if a == b => false,
        _ => {
            let shown = |v: &Value| v.to_string().chars().take(160).collect::<String>();
            findings.push(format!("{name}: {at}: {} became {}", shown(a), shown(b)));
            true
        }
    }
}

/// Runs both files of each pair in LiteRT, with its default delegate and with the reference kernels.
fn outputs(pairs: &[Pair], folder: &Path) -> Vec<String> {
    let judges = judges();
    let asked: Vec<Value> = pairs.iter().map(|p| json!({"op": "details", "model": p.before, "allocate": false})).collect();
    let details = judges.run(&asked).expect("the judges answer");
    let mut jobs = Vec::new();
    let mut files = Vec::new();
    for (pair, detail) in pairs.iter().zip(&details) {
        assert!(detail.ok, "{}: {}", pair.name, detail.error);
        if models::is_for_edgetpu(&pair.before) || pair.name.starts_with("audio_preprocessor") {
            continue; // LiteRT has no kernel for their custom ops
        }
        let data = folder.join(format!("{}.npz", pair.name));
        peers::write_npz(&data, &inputs::random(&detail.value, SAMPLES, 4).expect("inputs")).expect("written");
        for resolver in ["xnnpack", "reference"] {
            for path in [&pair.before, &pair.after] {
                let out = folder.join(format!("{}.npz", files.len()));
                jobs.push(json!({"op": "litert", "model": path, "inputs": data, "out": out, "resolver": resolver}));
                files.push((pair, out));
            }
        }
    }
    let answers = judges.run(&jobs).expect("the judges answer");
    let mut findings = Vec::new();
    for (both, answers) in files.chunks(2).zip(answers.chunks(2)) {
        let ([(pair, before), (_, after)], [a, b]) = (both, answers) else { panic!("an answer is missing") };
        assert!(a.ok, "{}: {}", pair.name, a.error);
        if !b.ok {
            findings.push(format!("{}: {}", pair.name, b.error));
            continue;
        }
        let (expected, found) = (peers::read_npz(before).expect("read"), peers::read_npz(after).expect("read"));
        for (output, array) in &expected {
            match found.get(output) {
                Some(other) => findings.extend(difference(array, other).map(|d| format!("{}: {output}: {d}", pair.name))),
                None => findings.push(format!("{}: {output} is missing", pair.name)),
            }
        }
    }
    findings
}

fn check(files: &[PathBuf]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pairs = write_again(files, folder.path());
    let mut findings = structures(&pairs);
    findings.extend(outputs(&pairs, folder.path()));
    assert!(findings.is_empty(), "{} finding(s):\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn examples_survive() {
    check(&[models::example("sine.tflite"), models::example("digits.tflite")]);
}

#[test]
fn zoo_files_survive() {
    let Some(files) = models::zoo_models() else { return };
    assert!(files.len() > 70, "the zoo has {} files", files.len());
    check(&files);
}
