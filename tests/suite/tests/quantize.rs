//! What the quantizer promises about real networks, judged by LiteRT on the zoo's test data.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use octet_tests::cli::{octet, octet_ok};
use octet_tests::{judges, models, peers};
use serde_json::{Value, json};

fn compile(model: &Path, data: Option<&Path>, scale: Option<&str>, mode: &str, out: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["compile".into(), model.into(), "-o".into(), out.into(), "--quantize".into(), mode.into()];
    if let Some(data) = data {
        arguments.extend(["--data".into(), data.into()]);
    }
    if let Some(scale) = scale {
        arguments.extend(["--preprocess".into(), format!("scale={scale}").into()]);
    }
    arguments
}

/// What a "measure" job says of one model against its float model.
fn measure(float: &Path, model: &Path, data: &Path, scale: Option<f64>, metric: &str) -> (Value, Value) {
    let job = json!({"op": "measure", "float": float, "models": [model], "data": data, "scale": scale, "metric": metric});
    let answer = judges().run(&[job]).expect("the judges answer").remove(0);
    assert!(answer.ok, "{}", answer.error);
    let found = answer.value["models"][0].clone();
    assert!(found["error"].is_null(), "{found}");
    (answer.value, found)
}

#[test]
fn the_examples_become_integer_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cases = [
        ("sine", "sine_calibration.npy", "sine_test.npz", None, "mse", 25.0),
        ("digits", "digits_calibration.npz", "digits_test.npz", Some("0.00392156862"), "accuracy", 38.0),
    ];
    for (name, calibration, test, scale, metric, least) in cases {
        let model = models::example(&format!("{name}.tflite"));
        let out = folder.path().join(format!("{name}.tflite"));
        octet_ok(&compile(&model, Some(&models::example(calibration)), scale, "int8-only", &out));
        let scale = scale.map(|s| s.parse().expect("a number"));
        let (float, found) = measure(&model, &out, &models::example(test), scale, metric);
        assert_eq!((&found["input"], &found["output"]), (&json!("int8"), &json!("int8")), "{found}");
        let sqnr = found["sqnr"].as_f64().expect("an SQNR");
        assert!(sqnr >= least, "{name}: {sqnr} dB");
        if metric == "accuracy" {
            let lost = float["float_metric"].as_f64().expect("a metric") - found["metric"].as_f64().expect("a metric");
            assert!(lost <= 0.01, "{name}: lost {lost} of its accuracy");
        }
    }
}

/// int8-only is at least as good and as small as the converter's own file, to a tenth of a decibel.
#[test]
fn zoo_int8_only_measures_up_to_the_converter() {
    let Some(zoo) = peers::zoo() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let networks = [
        ("ours", "sine", "npy", None),
        ("ours", "slides", "npy", None),
        ("ours", "mnist_cnn", "npz", Some("0.00392156862")),
        ("ours", "mnist_dw", "npz", Some("0.00392156862")),
        ("mlperf-tiny", "resnet8", "npz", None),
        ("mlperf-tiny", "kws", "npz", None),
        ("mlperf-tiny", "vww96", "npz", Some("0.00392156862")),
    ];
    let mut jobs = Vec::new();
    for (part, name, ending, scale) in networks {
        let model = zoo.join(part).join(format!("{name}.tflite"));
        let family = if name.starts_with("mnist") { "mnist" } else { name };
        let out = folder.path().join(format!("{name}.tflite"));
        octet_ok(&compile(&model, Some(&zoo.join(format!("data/{family}_calibration.{ending}"))), scale, "int8-only", &out));
        jobs.push(json!({
            "op": "measure", "float": model, "models": [out, zoo.join(format!("peers/{name}.tf.int8io.tflite"))],
            "data": zoo.join(format!("data/{family}_test.npz")), "scale": scale.map(|s| s.parse::<f64>().expect("a number")),
        }));
    }
    let mut findings = Vec::new();
    for ((_, name, ..), answer) in networks.iter().zip(judges().run(&jobs).expect("the judges answer")) {
        assert!(answer.ok, "{name}: {}", answer.error);
        let number = |model: usize, key: &str| answer.value["models"][model][key].as_f64().unwrap_or(f64::NAN);
        let (sqnr, theirs) = (number(0, "sqnr"), number(1, "sqnr"));
        let (bytes, allowed) = (number(0, "bytes"), number(1, "bytes"));
        if !(sqnr >= theirs - 0.1 && bytes <= allowed) {
            findings.push(format!("{name}: {sqnr:.2} dB and {bytes} bytes, the converter has {theirs:.2} dB and {allowed} bytes"));
        }
        let float = answer.value["float_bytes"].as_f64().unwrap_or(0.0);
        if matches!(*name, "sine" | "slides") && bytes >= float {
            findings.push(format!("{name}: {bytes} bytes, the float file has {float}"));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// A network with quantize/dequantize pairs keeps exactly the scales that training found.
#[test]
fn zoo_trained_scales_are_kept() {
    let Some(zoo) = peers::zoo() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = zoo.join("ours/mnist_qat.tflite");
    let out = folder.path().join("qat.tflite");
    octet_ok(&compile(&model, None, None, "int8-only", &out));
    let data = zoo.join("data/mnist_test.npz");
    let (float, found) = measure(&model, &out, &data, Some(1.0 / 255.0), "accuracy");
    let (_, converter) = measure(&model, &zoo.join("peers/mnist_qat.tf.io8.sm.tflite"), &data, Some(1.0 / 255.0), "accuracy");
    assert!(found["sqnr"].as_f64() >= converter["sqnr"].as_f64(), "{found} {converter}");
    assert_eq!(float["float_metric"], found["metric"], "{found}");
    let (before, after) = (scales(&model), scales(&out));
    // Softmax has the scale that the specification fixes; biases have the product of two scales that were found.
    let fixed: BTreeSet<String> = ["0.00390625".to_owned()].into();
    let foreign: Vec<_> = after.iter().filter(|s| !before.contains(*s) && !fixed.contains(*s)).collect();
    assert!(foreign.is_empty(), "scales that training did not find: {foreign:?}");
}

/// Scales of every tensor of a file but its 32-bit biases, as text.
fn scales(model: &Path) -> BTreeSet<String> {
    let answer = judges().run(&[json!({"op": "structure", "model": model})]).expect("the judges answer").remove(0);
    assert!(answer.ok, "{}", answer.error);
    let graphs = answer.value["graphs"].as_array().cloned().unwrap_or_default();
    let tensors = graphs.iter().flat_map(|g| g["tensors"].as_array().cloned().unwrap_or_default());
    tensors
        .filter(|t| t["type"] != "INT32")
        .flat_map(|t| t["quantization"]["scale"].as_array().cloned().unwrap_or_default())
        .map(|s| s.to_string())
        .collect()
}

/// The contract of int8-only: where an op cannot be integer there is no file, and the report names it.
#[test]
fn zoo_what_cannot_be_integer_is_refused() {
    let Some(zoo) = peers::zoo() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("refused.tflite");
    let model = zoo.join("tflm/audio_preprocessor_float.tflite");
    let data = folder.path().join("silence.npy");
    // One sample of 480 zeros; the operators that refuse do so before anything is run.
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{:<117}\n", "{'descr': '<i2', 'fortran_order': False, 'shape': (1, 480), }").bytes());
    bytes.extend([0; 960]);
    std::fs::write(&data, bytes).expect("writes");
    let output = octet(&compile(&model, Some(&data), None, "int8-only", &out));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(!out.exists(), "a refused model leaves no file");
    assert!(told.contains("SignalWindow"), "the report names the op: {told}");
}

/// Same input, same bytes, on any number of threads.
#[test]
fn compiling_twice_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = models::example("digits.tflite");
    let data = models::example("digits_calibration.npz");
    let bytes = |name: &str, threads: &str| {
        let out: PathBuf = folder.path().join(name);
        let arguments = compile(&model, Some(&data), Some("0.00392156862"), "int8-only", &out);
        let status = std::process::Command::new(octet_tests::cli::binary())
            .args(&arguments)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .expect("the octet command starts");
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        std::fs::read(out).expect("the file is there")
    };
    let one = bytes("one.tflite", "1");
    assert!(one == bytes("again.tflite", "1"), "two runs differ");
    assert!(one == bytes("four.tflite", "4"), "four threads differ from one");
}
