//! The judges themselves: the peers' driver gives what the runtimes compute, and survives their crashes.

use octet_tests::compare::difference;
use octet_tests::{inputs, judges, models, peers};
use serde_json::json;

#[test]
fn runtimes_agree_on_a_float_model() {
    let judges = judges();
    let model = models::example("sine.tflite");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let details = judges.run(&[json!({"op": "details", "model": model})]).unwrap().remove(0);
    assert!(details.ok, "{}", details.error);
    let given = inputs::random(&details.value, 8, 1).unwrap();
    peers::write_npz(&file("in.npz"), &given).unwrap();
    let job = |op: &str| {
        json!({"op": op, "model": model, "inputs": file("in.npz"), "out": file(&format!("{op}.npz")),
               "tensors": "all", "resolver": "reference"})
    };
    for answer in judges.run(&[job("litert"), job("tflm")]).unwrap() {
        assert!(answer.ok, "{}", answer.error);
    }
    let (litert, tflm) = (peers::read_npz(&file("litert.npz")).unwrap(), peers::read_npz(&file("tflm.npz")).unwrap());
    assert_eq!(litert.len(), 4, "one output, and the outputs of three ops");
    assert_eq!(litert.keys().collect::<Vec<_>>(), tflm.keys().collect::<Vec<_>>());
    for (name, expected) in &litert {
        octet_tests::compare::close(expected, &tflm[name], 8, 1e-6).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn a_bad_job_costs_only_itself() {
    let judges = judges();
    let model = models::example("sine.tflite");
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.tflite");
    std::fs::write(&broken, &std::fs::read(&model).unwrap()[..1000]).unwrap();
    let answers = judges
        .run(&[
            json!({"op": "details", "model": broken}),
            json!({"op": "abort"}),
            json!({"op": "no such op"}),
            json!({"op": "details", "model": model}),
        ])
        .unwrap();
    let told: Vec<(bool, bool)> = answers.iter().map(|a| (a.ok, a.crashed)).collect();
    assert_eq!(told, [(false, false), (false, true), (false, false), (true, false)]);
}

#[test]
fn the_example_digits_are_what_the_script_draws() {
    let folder = tempfile::tempdir().unwrap();
    let python = judges().program("python");
    let status = std::process::Command::new(python).arg(models::example("make_digits.py")).arg(folder.path()).status().unwrap();
    assert!(status.success());
    for name in ["digits_calibration.npz", "digits_test.npz"] {
        let drawn = peers::read_npz(&folder.path().join(name)).unwrap();
        let kept = peers::read_npz(&models::example(name)).unwrap();
        assert_eq!(drawn.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
        for (key, array) in &kept {
            assert_eq!(difference(array, &drawn[key]), None, "{name}: {key}");
        }
    }
}

#[test]
fn the_example_network_reads_the_example_digits() {
    let job = json!({
        "op": "measure", "float": models::example("digits.tflite"), "models": [],
        "data": models::example("digits_test.npz"), "scale": 1.0 / 255.0, "metric": "accuracy",
    });
    let answer = judges().run(&[job]).unwrap().remove(0);
    assert!(answer.ok, "{}", answer.error);
    assert!(answer.value["float_metric"].as_f64().unwrap() > 0.95, "{}", answer.value);
}

/// The measuring code gives the figures that were measured when the zoo was made.
#[test]
fn zoo_measured_figures_come_out_again() {
    let Some(zoo) = peers::zoo() else { return };
    let model = |name: &str| zoo.join("peers").join(format!("{name}.tf.int8io.tflite"));
    let job = |float: &str, name: &str, metric: &str| {
        json!({
            "op": "measure", "float": zoo.join(float), "models": [model(name)], "metric": metric,
            "data": zoo.join("data").join(format!("{name}_test.npz")),
        })
    };
    let answers = judges()
        .run(&[
            job("ours/sine.tflite", "sine", "mse"),
            job("mlperf-tiny/kws.tflite", "kws", "accuracy"),
            job("mlperf-tiny/resnet8.tflite", "resnet8", "accuracy"),
        ])
        .unwrap();
    for (answer, sqnr) in answers.iter().zip([25.5, 27.5, 20.8]) {
        assert!(answer.ok, "{}", answer.error);
        let found = answer.value["models"][0]["sqnr"].as_f64().unwrap();
        assert!((found - sqnr).abs() <= 0.051, "{sqnr} dB expected: {}", answer.value);
    }
    let kws = &answers[1].value["models"][0];
    assert!((kws["metric"].as_f64().unwrap() - 0.9056).abs() < 5e-5, "{kws}");
}
