//! `octet inspect` tells of every tensor what LiteRT's interpreter tells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use octet_tests::cli::octet_ok;
use octet_tests::{judges, models};
use serde_json::{Value, json};

/// A detail in one form: a scale as the nearest `f32`, and the shape of a dynamic axis from the signature.
fn normal(detail: &Value) -> Value {
    let numbers = |v: &Value| v.as_array().map(|a| a.iter().map(|n| json!(n.as_f64().map(|n| n as f32))).collect::<Vec<_>>());
    let parameters = &detail["quantization_parameters"];
    let signature = detail["shape_signature"].as_array().filter(|s| !s.is_empty()).cloned();
    json!({
        "name": detail["name"],
        "shape": detail["shape"],
        "shape_signature": signature.map_or_else(|| detail["shape"].clone(), Value::from),
        "dtype": detail["dtype"],
        "quantization": numbers(&detail["quantization"]),
        "scales": numbers(&parameters["scales"]),
        "zero_points": numbers(&parameters["zero_points"]),
        "quantized_dimension": parameters["quantized_dimension"],
    })
}

/// Whether both say the same. A shape that the file leaves out LiteRT knows only after allocation.
fn agree(theirs: &Value, ours: &Value) -> bool {
    let mut ours = ours.clone();
    if theirs["shape"] == json!([]) {
        ours["shape"] = json!([]);
        ours["shape_signature"] = json!([]);
    }
    *theirs == ours
}

/// Tensors that have a name of their own.
fn by_name(details: &Value) -> BTreeMap<String, Vec<Value>> {
    let mut named: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for detail in details.as_array().into_iter().flatten() {
        named.entry(detail["name"].as_str().unwrap_or_default().to_owned()).or_default().push(normal(detail));
    }
    named
}

fn check(files: &[PathBuf]) {
    let jobs: Vec<Value> = files.iter().map(|path| json!({"op": "details", "model": path, "allocate": false})).collect();
    let answers = judges().run(&jobs).expect("the judges answer");
    let (mut findings, mut compared) = (Vec::new(), 0);
    for (path, answer) in files.iter().zip(answers) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !answer.ok {
            // LiteRT opens no model whose custom operations it does not know.
            assert!(answer.error.contains("custom") || answer.error.contains("Op"), "{name}: {}", answer.error);
            continue;
        }
        let told: Value = serde_json::from_str(&inspect(path)).expect("JSON");
        let ours = &told["graphs"][0];
        for side in ["inputs", "outputs"] {
            let list = |v: &Value| v.as_array().into_iter().flatten().map(normal).collect::<Vec<_>>();
            let (theirs, ours) = (list(&answer.value[side]), list(&ours[side]));
            if theirs != ours {
                findings.push(format!("{name}: {side}: LiteRT has {theirs:?}, octet {ours:?}"));
            }
        }
        let theirs = by_name(&answer.value["tensors"]);
        for (tensor, ours) in by_name(&ours["tensors"]) {
            // Some LiteRT lists under no name, or makes while it runs.
            let Some(theirs) = theirs.get(&tensor).filter(|t| t.len() == ours.len()) else { continue };
            compared += ours.len();
            if !theirs.iter().zip(&ours).all(|(theirs, ours)| agree(theirs, ours)) {
                findings.push(format!("{name}: tensor '{tensor}': LiteRT has {theirs:?}, octet {ours:?}"));
            }
        }
    }
    assert!(findings.is_empty(), "{} of {compared} differ\n{}", findings.len(), findings[..findings.len().min(20)].join("\n"));
    assert!(compared >= 10 * files.len(), "only {compared} tensors of {} files were compared", files.len());
}

fn inspect(path: &Path) -> String {
    octet_ok(&["inspect".as_ref(), path.as_os_str(), "--json".as_ref()])
}

#[test]
fn examples_are_told_as_litert_tells_them() {
    check(&["sine.tflite", "digits.tflite"].map(models::example));
}

#[test]
fn zoo_models_are_told_as_litert_tells_them() {
    let Some(files) = models::zoo_models() else { return };
    check(&files);
}
