//! Models as WebAssembly, in the engine: part of a graph that runs as a plugin, and models that remember.

use std::path::{Path, PathBuf};
use std::process::Command;

use octet::ir::{Constant, Diagnostics, Module};
use octet::{Interpreter, Tensor};
use octet_backend_wasm::{Simd, WasmOptions};
use octet_graphgen::{Profile, Runtime, generate, random_inputs};
use octet_plugin_host::Model;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The command, which must succeed.
fn octet(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octet"));
    command.args(arguments).env("OCTET_CACHE", folder.join("cache")).env("OCTET_PLUGINS", "").current_dir(folder);
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "octet {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Splits a model file at a region, and runs the rest with the region as a plugin: every output has the bytes of the whole model.
fn split_runs_like_the_whole(folder: &Path, model: &str, region: &str, inputs: &[&str]) {
    let split = folder.join(format!("split-{}", region.replace('.', "_")));
    std::fs::create_dir_all(&split).expect("a folder");
    let path = |name: &str| split.join(name).display().to_string();
    let (kernel, graph, whole, parts) = (path("region.wasm"), path("region-graph.tflite"), path("whole.npz"), path("parts.npz"));
    octet(folder, &["compile", model, "-o", &kernel, "--target", "wasm", "--kernel", region, "--quiet"]);
    octet(folder, &[&["run", model, "-o", &whole], inputs].concat());
    octet(folder, &[&["run", &graph, "-o", &parts, "--plugin", &kernel], inputs].concat());
    let listed = octet(folder, &["list", "plugins", "--plugin", &kernel]);
    assert!(listed.contains("octet.kernel 1"), "{listed}");
    let read = |file: &str| std::fs::read(file).expect("an output");
    assert!(!read(&whole).is_empty() && read(&whole) == read(&parts), "{model}: {region}");
    let same = octet(
        folder,
        &[&["compare", model, &graph, "--plugin", &kernel, "--max-error", "0", "--data", inputs[1]][..], &inputs[2..]].concat(),
    );
    assert!(!same.is_empty());
}

#[test]
fn a_region_runs_as_a_plugin_with_the_bytes_of_the_whole() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path();
    let example = |name: &str| root().join("docs/examples").join(name).display().to_string();
    let (calibration, test) = (example("digits_calibration.npz"), example("digits_test.npz"));
    let quantized = folder.join("digits_int8.tflite").display().to_string();
    let scale = ["--preprocess", "scale=1/255"];
    octet(
        folder,
        &[&["compile", &example("digits.tflite"), "-o", &quantized, "--quantize", "int8-only", "--data", &calibration], &scale[..]]
            .concat(),
    );
    for region in ["max_pool_2d", "reshape..softmax"] {
        split_runs_like_the_whole(folder, &quantized, region, &["--input", &test, scale[0], scale[1]]);
    }
}

#[test]
fn zoo_regions_run_as_plugins() {
    let Some(zoo) = octet_peers::zoo() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let model: PathBuf = zoo.join("peers/kws.tf.int8io.tflite");
    let module = octet::load(&model).expect("the zoo reads");
    let input = place.path().join("inputs.npy");
    let samples: Vec<Tensor> = (0..4).map(|seed| tensors(&module, seed).remove(0)).collect();
    let shape = [&[samples.len()], &samples[0].shape[1..]].concat();
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.bytes.iter().copied()).collect();
    let mut file = std::fs::File::create(&input).expect("a file");
    octet::write_npy(&Tensor { elem: samples[0].elem, shape, bytes }, &mut file).expect("writes");
    let (model, input) = (model.display().to_string(), input.display().to_string());
    for region in ["average_pool_2d..softmax", "fully_connected"] {
        split_runs_like_the_whole(place.path(), &model, region, &["--input", &input]);
    }
}

/// Random inputs of a module.
fn tensors(module: &Module, seed: u64) -> Vec<Tensor> {
    let types = module.main().inputs().iter().map(|&v| module.main().value(v).ty());
    let tensor = |(constant, ty): (Constant, &octet::ir::Type)| Tensor {
        elem: ty.elem,
        shape: ty.shape.dims().to_vec(),
        bytes: constant.bytes().to_vec(),
    };
    random_inputs(module, seed).into_iter().zip(types).map(tensor).collect()
}

/// Outputs of the interpreter for one sample.
fn interpreted(interpreter: &mut Interpreter, inputs: &[Tensor]) -> Vec<Vec<u8>> {
    for (detail, tensor) in interpreter.input_details().iter().zip(inputs) {
        interpreter.set_tensor(detail.index, tensor).expect("an input");
    }
    interpreter.invoke().expect("runs");
    let outputs = interpreter.output_details();
    outputs.iter().map(|o| interpreter.get_tensor(o.index).expect("an output").bytes).collect()
}

/// The same of a module in the engine.
fn ran(model: &mut Model, inputs: &[Tensor]) -> Vec<Vec<u8>> {
    for (index, tensor) in inputs.iter().enumerate() {
        model.set_input(index, &tensor.bytes).expect("an input");
    }
    model.invoke().expect("runs");
    (0..model.output_bytes().len()).map(|index| model.output(index).expect("an output").to_vec()).collect()
}

/// One model in the engine: what it keeps between runs and forgets by `reset` is what the interpreter keeps. Answers whether the second sample's
/// outputs hang on the first, or None where generated code has no kernel.
fn remembers(name: &str, module: &Module) -> Option<bool> {
    let mut interpreter = Interpreter::new(module, Default::default()).ok()?;
    interpreter.allocate_tensors().ok()?;
    let samples: Vec<Vec<Tensor>> = (0..4).map(|seed| tensors(module, seed)).collect();
    let wanted: Vec<_> = samples.iter().map(|s| interpreted(&mut interpreter, s)).collect();
    interpreter.reset_variable_tensors();
    let fresh = interpreted(&mut interpreter, &samples[1]);
    for simd in [Simd::None, Simd::Strict] {
        let options = WasmOptions { simd, ..WasmOptions::default() };
        let bytes = match octet_backend_wasm::write(module, &options, &mut Diagnostics::default()) {
            Ok(bytes) => bytes,
            Err(refused) => {
                assert!(refused.0.iter().all(|d| d.code.starts_with("LOP") || d.code.starts_with("WGN")), "{name}: {refused}");
                return None;
            }
        };
        let mut model = Model::load(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        for round in 0..2 {
            for (at, (inputs, wanted)) in samples.iter().zip(&wanted).enumerate() {
                assert_eq!(&ran(&mut model, inputs), wanted, "{name} ({}): sample {at} of round {round}", simd.name());
            }
            model.reset().expect("resets");
        }
        assert_eq!(ran(&mut model, &samples[1]), fresh, "{name} ({}): after reset", simd.name());
    }
    Some(fresh != wanted[1])
}

#[test]
fn states_are_kept_and_forgotten_as_the_interpreter_does() {
    for mnemonic in ["svdf", "unidirectional_sequence_lstm"] {
        let profile = Profile { control_flow: false, max_elements: 128, ..Profile::int8().on(Runtime::Tflm).only(&[mnemonic]).ops(2) };
        let ran: Vec<bool> = (0..40).filter_map(|seed| remembers(&format!("{mnemonic} {seed}"), &generate(seed, &profile))).collect();
        let remember = ran.iter().filter(|r| **r).count();
        println!("{mnemonic}: {} models ran, {remember} remember", ran.len());
        assert!(remember >= 20, "{mnemonic}: {remember} of {} models remember: the test tests little", ran.len());
    }
}
