//! ONNX networks, the zoo's and some that are written here, against ONNX Runtime and against the TFLite files of the same networks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use octet::ir::Op;
use octet::plugin::ImportOptions;
use octet::{Compiled, Compiler, Mode, Module, Preprocess};
use octet_tests::batch::{Batch, Ran, Runtime, Wanted};
use octet_tests::compare::sqnr;
use octet_tests::onnx::{Attribute, Model};
use octet_tests::{judges, peers};
use peers::{Array, read_npz, write_npz};
use serde_json::json;

/// One network: its file below the zoo, the shape of one input, and import options.
struct Network {
    file: &'static str,
    shape: &'static [usize],
    /// Whether inputs are pictures in [0, 1] rather than centred values.
    positive: bool,
}

const FLOAT: &[Network] = &[
    Network { file: "ours/sine.onnx", shape: &[1, 1], positive: true },
    Network { file: "ours/mnist_cnn.onnx", shape: &[1, 28, 28, 1], positive: true },
    Network { file: "ours/mnist_dw.onnx", shape: &[1, 28, 28, 1], positive: true },
    Network { file: "mlperf-tiny/resnet8.onnx", shape: &[1, 32, 32, 3], positive: true },
    Network { file: "mlperf-tiny/kws.onnx", shape: &[1, 49, 10, 1], positive: false },
    Network { file: "mlperf-tiny/vww96.onnx", shape: &[1, 96, 96, 3], positive: true },
    Network { file: "ours/gen_mobilenet_96.onnx", shape: &[1, 3, 96, 96], positive: true },
    Network { file: "ours/gen_mobilenet_96_dynbatch.onnx", shape: &[1, 3, 96, 96], positive: true },
    Network { file: "ours/gen_shuffle_head_64.onnx", shape: &[1, 3, 64, 64], positive: true },
    Network { file: "ours/gen_gru_kws.onnx", shape: &[1, 49, 40], positive: false },
    Network { file: "ours/gen_transformer_block.onnx", shape: &[1, 32, 64], positive: false },
    Network { file: "onnx/ch_ppocr_mobile_v2.0_cls_infer.onnx", shape: &[1, 3, 48, 192], positive: false },
];

const SAMPLES: usize = 8;

/// Numbers that look random and are the same everywhere.
fn data(shape: &[usize], samples: usize, positive: bool) -> Array {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let dims: Vec<usize> = std::iter::once(samples).chain(shape.iter().copied()).collect();
    let count = dims.iter().product();
    let values: Vec<f32> = (0..count).map(|_| if positive { next() } else { 2.0 * (next() + next() - 1.0) }).collect();
    Array::from_f32(&dims, &values)
}

fn load(zoo: &Path, network: &Network) -> Module {
    let file = zoo.join(network.file);
    // Shapes that the file leaves open are those of the data.
    let description = octet_frontend_onnx::describe(std::fs::read(&file).unwrap().into()).unwrap();
    let input = &description.inputs[0];
    let shapes = if input.shape.is_none() { vec![(input.name.clone(), network.shape.to_vec())] } else { Vec::new() };
    let options = ImportOptions { shapes, ..ImportOptions::default() };
    octet::cli::driver::load_with(&file, &options).unwrap_or_else(|e| panic!("{}: {e}", network.file))
}

/// What ONNX Runtime computes for each network on its data.
fn reference(zoo: &Path, folder: &Path, networks: &[(&str, Array)]) -> Vec<BTreeMap<String, Array>> {
    let out = |i: usize| folder.join(format!("ort{i}.npz"));
    let mut jobs = Vec::new();
    for (i, (file, inputs)) in networks.iter().enumerate() {
        let given = folder.join(format!("in{i}.npz"));
        write_npz(&given, &BTreeMap::from([("0".to_owned(), inputs.clone())])).unwrap();
        jobs.push(json!({"op": "onnxruntime", "model": zoo.join(file), "inputs": given, "out": out(i)}));
    }
    let answers = judges().run(&jobs).unwrap();
    for ((file, _), answer) in networks.iter().zip(&answers) {
        assert!(answer.ok, "{file}: {}", answer.error);
    }
    (0..networks.len()).map(|i| read_npz(&out(i)).unwrap()).collect()
}

fn compiled(zoo: &Path, network: &Network) -> Compiled {
    Compiler::new().threads(1).compile(&load(zoo, network)).unwrap_or_else(|e| panic!("{}: {e}", network.file))
}

#[test]
fn zoo_networks_compute_what_onnx_runtime_computes() {
    let Some(zoo) = peers::zoo() else { return };
    let folder = tempfile::tempdir().unwrap();
    let given: Vec<(&str, Array)> = FLOAT.iter().map(|n| (n.file, data(n.shape, SAMPLES, n.positive))).collect();
    let expected = reference(&zoo, folder.path(), &given);
    let mut batch = Batch::new();
    for (index, (network, (_, inputs))) in FLOAT.iter().zip(&given).enumerate() {
        let path = folder.path().join(format!("{index}.tflite"));
        octet::save(&compiled(&zoo, network).module, &path).unwrap_or_else(|e| panic!("{}: {e}", network.file));
        let inputs = batch.inputs(&index.to_string(), &BTreeMap::from([("0".to_owned(), inputs.clone())]));
        batch.add(Runtime::LiteRt, &path, &inputs, Wanted::Outputs);
    }
    for ((network, expected), ran) in FLOAT.iter().zip(&expected).zip(batch.run(&judges())) {
        let Ran::Done(found) = ran else { panic!("{}: LiteRT refuses: {ran:?}", network.file) };
        let (a, b) = (expected["o0"].to_f32().unwrap(), found["o0"].to_f32().unwrap());
        assert_eq!(a.len(), b.len(), "{}", network.file);
        let largest = a.iter().fold(0f32, |m, v| m.max(v.abs()));
        let error = a.iter().zip(&b).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(error <= 1e-5 * largest, "{}: off by {error} where the largest value is {largest}", network.file);
    }
}

#[test]
fn zoo_networks_keep_no_transpose_inside() {
    let Some(zoo) = peers::zoo() else { return };
    // Those whose transposes are part of what the network says (attention's heads, the shuffle of channels, time first) keep them.
    let own = ["gen_shuffle_head_64", "gen_gru_kws", "gen_transformer_block"];
    for network in FLOAT.iter().filter(|n| !own.iter().any(|o| n.file.contains(o))) {
        let module = compiled(&zoo, network).module;
        let graph = module.main();
        let inside = graph.ops().filter(|(_, op)| {
            // One that only turns an input from the file's layout is not inside.
            matches!(op.op(), Op::Transpose(_)) && op.operand(0).is_none_or(|v| !graph.inputs().contains(&v))
        });
        assert_eq!(inside.count(), 0, "{}", network.file);
    }
}

/// Both roads to int8, on the same data.
#[test]
fn zoo_int8_is_as_good_from_onnx_as_from_tflite() {
    let Some(zoo) = peers::zoo() else { return };
    let rows: [(&str, &str, &str, Option<&str>); 6] = [
        ("ours/sine", "sine_calibration.npy", "sine_test.npz", None),
        ("ours/mnist_cnn", "mnist_calibration.npz", "mnist_test.npz", Some("scale=0.00392156862")),
        ("ours/mnist_dw", "mnist_calibration.npz", "mnist_test.npz", Some("scale=0.00392156862")),
        ("mlperf-tiny/resnet8", "resnet8_calibration.npz", "resnet8_test.npz", None),
        ("mlperf-tiny/kws", "kws_calibration.npz", "kws_test.npz", None),
        ("mlperf-tiny/vww96", "vww96_calibration.npz", "vww96_test.npz", Some("scale=0.00392156862")),
    ];
    for (name, calibration, _, preprocess) in rows {
        let compile = |file: PathBuf| {
            let module = octet::load(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let compiler = Compiler::new().quantize(Mode::Int8Only).data(zoo.join("data").join(calibration).display().to_string());
            let compiler = preprocess.into_iter().fold(compiler, |c, p| c.preprocess(p.parse::<Preprocess>().unwrap()));
            compiler.compile(&module).unwrap_or_else(|e| panic!("{}: {e}", file.display())).module
        };
        let [float, quantized] = [zoo.join(format!("{name}.tflite")), zoo.join(format!("{name}.onnx"))];
        let (ours, theirs) = (compile(quantized), compile(float.clone()));
        let reference = octet::load(&float).unwrap();
        let inputs = data(reference.main().ty(reference.main().inputs()[0]).shape.dims(), 32, name != "mlperf-tiny/kws");
        let [expected, ours, theirs] = [&reference, &ours, &theirs].map(|m| outputs(m, &inputs));
        let (ours, theirs) = (sqnr(&expected, &ours), sqnr(&expected, &theirs));
        assert!(ours >= theirs - 0.5, "{name}: {ours:.2} dB from ONNX, {theirs:.2} dB from TFLite");
    }
}

/// The reals that a module computes for the samples, integers quantized and dequantized with the module's own parameters.
fn outputs(module: &Module, inputs: &Array) -> Vec<f64> {
    let mut interpreter = octet::Interpreter::new(module, Default::default()).unwrap();
    interpreter.allocate_tensors().unwrap();
    let (input, output) = (interpreter.input_details().remove(0), interpreter.output_details().remove(0));
    let mut all = Vec::new();
    for sample in 0..inputs.shape[0] {
        let values: Vec<f32> = inputs.sample(sample).unwrap().as_chunks().0.iter().map(|c| f32::from_le_bytes(*c)).collect();
        let bytes = if input.dtype == octet::ir::ElementType::I8 {
            let (scale, zero_point) = input.quantization;
            values.iter().map(|v| ((v / scale).round_ties_even() as i64 + zero_point).clamp(-128, 127) as i8 as u8).collect()
        } else {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        };
        let tensor = octet::Tensor { elem: input.dtype, shape: inputs.shape[1..].to_vec(), bytes };
        interpreter.set_tensor(input.index, &tensor).unwrap();
        interpreter.invoke().unwrap();
        let result = interpreter.get_tensor(output.index).unwrap();
        if result.elem == octet::ir::ElementType::I8 {
            let (scale, zero_point) = output.quantization;
            all.extend(result.bytes.iter().map(|&b| f64::from(scale) * (i64::from(b.cast_signed()) - zero_point) as f64));
        } else {
            all.extend(result.bytes.as_chunks().0.iter().map(|c| f64::from(f32::from_le_bytes(*c))));
        }
    }
    all
}

/// Networks that were quantized as ONNX: all integer, the file's scales, ONNX Runtime's choice of class.
#[test]
fn zoo_quantized_networks_keep_their_scales() {
    let Some(zoo) = peers::zoo() else { return };
    let folder = tempfile::tempdir().unwrap();
    let inputs = data(&[1, 3, 96, 96], 100, true);
    let files = ["ours/gen_mobilenet_96_qdq.onnx", "ours/gen_mobilenet_96_qoperator.onnx"];
    let expected = reference(&zoo, folder.path(), &files.map(|f| (f, inputs.clone())));
    for (file, expected) in files.iter().zip(&expected) {
        let source = octet::load(zoo.join(file)).unwrap();
        let module = Compiler::new().quantize(Mode::Int8Only).compile(&source).unwrap_or_else(|e| panic!("{file}: {e}")).module;
        let graph = module.main();
        let reals = graph.values().filter(|(_, v)| v.ty().elem == octet::ir::ElementType::F32).count();
        assert_eq!(reals, 0, "{file}: everything is integer");
        // Every scale of an activation is one that the file states.
        let stated: Vec<f32> = source.main().values().filter_map(|(_, v)| v.ty().quant.as_deref()?.per_tensor()).map(|(s, _)| s).collect();
        for (_, op) in graph.ops() {
            // The kernel prescribes the scale of a softmax.
            let prescribed = matches!(op.op(), Op::Softmax(_));
            for &result in op.results().iter().filter(|_| !prescribed) {
                let (scale, _) = graph.ty(result).quant.as_deref().and_then(octet::ir::Quantization::per_tensor).expect("quantized");
                assert!(stated.contains(&scale), "{file}: {} gives scale {scale}, which the file does not have", op.op().mnemonic());
            }
        }
        let found = outputs(&module, &inputs);
        let wanted: Vec<f64> = expected["o0"].to_f32().unwrap().into_iter().map(f64::from).collect();
        let same = found.chunks(10).zip(wanted.chunks(10)).filter(|(a, b)| top(a) == top(b)).count();
        assert!(same == 100, "{file}: the same class for {same} of 100 inputs");
    }
}

fn top(values: &[f64]) -> Option<usize> {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]).then(b.cmp(&a)))
}

/// A recurrent layer over 20 steps of 8 numbers and a classifier.
fn recurrent(operator: &str, gates: i64, more: &[(&str, Attribute)]) -> Model {
    let mut m = Model::new(3);
    let hidden = 16;
    m.input("x", &[1, 20, 8]);
    m.weights("w", &[1, gates * hidden, 8], 0.6);
    m.weights("r", &[1, gates * hidden, hidden], 0.4);
    m.weights("b", &[1, 2 * gates * hidden], 0.2);
    m.weights("classes", &[hidden, 6], 0.7);
    m.ints("flat", &[1, hidden]);
    m.node("Transpose", &["x"], &["steps"], &[("perm", Attribute::Ints(vec![1, 0, 2]))]);
    let attributes = [&[("hidden_size", Attribute::Int(hidden))], more].concat();
    m.node(operator, &["steps", "w", "r", "b"], &["", "last"], &attributes);
    m.node("Reshape", &["last", "flat"], &["features"], &[]);
    m.node("MatMul", &["features", "classes"], &["y"], &[]);
    m.output("y", &[1, 6]);
    m
}

/// A transformer block whose mask hides what comes later with minus infinity.
fn transformer() -> Model {
    let (length, width, heads) = (16i64, 32i64, 4i64);
    let mut m = Model::new(5);
    m.input("x", &[1, length, width]);
    m.ints("split", &[1, length, heads, width / heads]);
    m.ints("joined", &[1, length, width]);
    m.reals("scale", &[], &[1.0 / (8f32).sqrt()]);
    let seen = |at: i64| if at % length > at / length { f32::NEG_INFINITY } else { 0.0 };
    m.reals("mask", &[1, 1, length, length], &(0..length * length).map(seen).collect::<Vec<_>>());
    for name in ["q", "k", "v"] {
        let [weights, product, split, turned] = ["w", "p", "s", "t"].map(|part| format!("{name}_{part}"));
        m.weights(&weights, &[width, width], 0.4);
        m.node("MatMul", &["x", &weights], &[&product], &[]);
        m.node("Reshape", &[&product, "split"], &[&split], &[]);
        let order = if name == "k" { vec![0, 2, 3, 1] } else { vec![0, 2, 1, 3] };
        m.node("Transpose", &[&split], &[&turned], &[("perm", Attribute::Ints(order))]);
    }
    m.node("MatMul", &["q_t", "k_t"], &["products"], &[]);
    m.node("Mul", &["products", "scale"], &["scores"], &[]);
    m.node("Add", &["scores", "mask"], &["masked"], &[]);
    m.node("Softmax", &["masked"], &["weights"], &[("axis", Attribute::Int(-1))]);
    m.node("MatMul", &["weights", "v_t"], &["heads"], &[]);
    m.node("Transpose", &["heads"], &["back"], &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))]);
    m.node("Reshape", &["back", "joined"], &["attention"], &[]);
    m.node("Add", &["x", "attention"], &["sum"], &[]);
    m.reals("gain", &[width], &[1.0; 32]);
    m.reals("offset", &[width], &[0.1; 32]);
    m.node("LayerNormalization", &["sum", "gain", "offset"], &["normal"], &[("epsilon", Attribute::Float(1e-5))]);
    m.weights("up", &[width, 2 * width], 0.3);
    m.weights("down", &[2 * width, width], 0.2);
    m.node("MatMul", &["normal", "up"], &["wide"], &[]);
    m.node("Gelu", &["wide"], &["active"], &[]);
    m.node("MatMul", &["active", "down"], &["narrow"], &[]);
    m.node("Add", &["normal", "narrow"], &["y"], &[]);
    m.output("y", &[1, length, width]);
    m
}

/// Grouped convolutions with a shuffle of channels between them.
fn shuffle_head() -> Model {
    let mut m = Model::new(7);
    m.input("x", &[1, 3, 24, 24]);
    m.weights("stem", &[8, 3, 3, 3], 0.4);
    let pads = ("pads", Attribute::Ints(vec![1, 1, 1, 1]));
    m.node("Conv", &["x", "stem"], &["a"], &[pads.clone(), ("strides", Attribute::Ints(vec![2, 2]))]);
    m.node("Relu", &["a"], &["b"], &[]);
    m.weights("first", &[16, 4, 1, 1], 0.6);
    m.node("Conv", &["b", "first"], &["c"], &[("group", Attribute::Int(2))]);
    m.ints("groups", &[1, 2, 8, 12, 12]);
    m.ints("channels", &[1, 16, 12, 12]);
    m.node("Reshape", &["c", "groups"], &["d"], &[]);
    m.node("Transpose", &["d"], &["e"], &[("perm", Attribute::Ints(vec![0, 2, 1, 3, 4]))]);
    m.node("Reshape", &["e", "channels"], &["f"], &[]);
    m.weights("second", &[16, 8, 3, 3], 0.3);
    m.node("Conv", &["f", "second"], &["g"], &[pads, ("group", Attribute::Int(2))]);
    m.node("HardSwish", &["g"], &["h"], &[]);
    m.node("GlobalAveragePool", &["h"], &["i"], &[]);
    m.node("Flatten", &["i"], &["j"], &[]);
    m.weights("classes", &[16, 5], 0.8);
    m.node("Gemm", &["j", "classes"], &["y"], &[]);
    m.output("y", &[1, 5]);
    m
}

/// Float as ONNX Runtime computes it, int8 throughout with the direction of the float results.
#[test]
fn written_networks_reach_int8() {
    let networks: [(&str, Model, &[usize]); 5] = [
        ("gru", recurrent("GRU", 3, &[("linear_before_reset", Attribute::Int(1))]), &[1, 20, 8]),
        ("gru_reset_first", recurrent("GRU", 3, &[]), &[1, 20, 8]),
        ("lstm", recurrent("LSTM", 4, &[]), &[1, 20, 8]),
        ("transformer", transformer(), &[1, 16, 32]),
        ("shuffle_head", shuffle_head(), &[1, 3, 24, 24]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut given = Vec::new();
    for (name, model, shape) in &networks {
        std::fs::write(folder.path().join(format!("{name}.onnx")), model.file()).unwrap();
        given.push((format!("{name}.onnx"), data(shape, 32, false)));
    }
    let files: Vec<(&str, Array)> = given.iter().map(|(file, inputs)| (file.as_str(), inputs.clone())).collect();
    let expected = reference(folder.path(), folder.path(), &files);
    for (((name, ..), (file, inputs)), expected) in networks.iter().zip(&given).zip(&expected) {
        let module = octet::load(folder.path().join(file)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let float = Compiler::new().threads(1).compile(&module).unwrap_or_else(|e| panic!("{name}: {e}")).module;
        let wanted: Vec<f64> = expected["o0"].to_f32().unwrap().into_iter().map(f64::from).collect();
        let found = outputs(&float, inputs);
        let largest = wanted.iter().fold(0f64, |m, v| m.max(v.abs()));
        let error = wanted.iter().zip(&found).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(wanted.len() == found.len() && error <= 1e-5 * largest, "{name}: off by {error} where the largest value is {largest}");
        let samples = folder.path().join(format!("{name}.npz"));
        let name_of = module.main().value_name(module.main().inputs()[0]);
        write_npz(&samples, &BTreeMap::from([(name_of, inputs.clone())])).unwrap();
        let compiler = Compiler::new().quantize(Mode::Int8Only).data(samples.display().to_string());
        let integer = compiler.compile(&module).unwrap_or_else(|e| panic!("{name}: {e}")).module;
        let found = outputs(&integer, inputs);
        let similar = cosine(&wanted, &found);
        assert!(similar > 0.99, "{name}: cosine {similar:.4} in int8");
    }
}

/// The LSTM as one operation, from fresh states for every sample: what ONNX Runtime computes, and its direction in int8.
#[test]
fn an_lstm_that_keeps_its_state_is_one_operation() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lstm.onnx"), recurrent("LSTM", 4, &[]).file()).unwrap();
    let inputs = data(&[1, 20, 8], 32, false);
    let expected = reference(folder.path(), folder.path(), &[("lstm.onnx", inputs.clone())]).remove(0);
    let wanted: Vec<f64> = expected["o0"].to_f32().unwrap().into_iter().map(f64::from).collect();
    let options = ImportOptions { keep_state: true, ..ImportOptions::default() };
    let module = octet::cli::driver::load_with(folder.path().join("lstm.onnx"), &options).unwrap();
    let samples = folder.path().join("samples.npz");
    write_npz(&samples, &BTreeMap::from([(module.main().value_name(module.main().inputs()[0]), inputs.clone())])).unwrap();
    let float = Compiler::new().threads(1).compile(&module).unwrap().module;
    let compiler = Compiler::new().quantize(Mode::Int8Only).data(samples.display().to_string());
    let integer = compiler.compile(&module).unwrap_or_else(|e| panic!("{e}")).module;
    for (module, least) in [(&float, 0.999_999), (&integer, 0.99)] {
        let layers = module.main().ops().filter(|(_, op)| matches!(op.op(), Op::UnidirectionalSequenceLstm(_))).count();
        assert_eq!(layers, 1);
        assert!(module.main().ops().count() < 12, "one operation and what surrounds it");
        let found: Vec<f64> = (0..inputs.shape[0])
            .flat_map(|sample| {
                let one =
                    Array { shape: [&[1], &inputs.shape[1..]].concat(), bytes: inputs.sample(sample).unwrap().to_vec(), ..inputs.clone() };
                outputs(module, &one)
            })
            .collect();
        let similar = cosine(&wanted, &found);
        assert!(similar > least, "cosine {similar:.6}");
    }
}

/// A network with a dynamic batch, float and int8: with the batch given, and with it left open.
#[test]
fn zoo_dynamic_batch_is_given_or_stays() {
    let Some(zoo) = peers::zoo() else { return };
    let file = zoo.join("ours/gen_mobilenet_96_dynbatch.onnx");
    let folder = tempfile::tempdir().unwrap();
    let samples = folder.path().join("samples.npz");
    write_npz(&samples, &BTreeMap::from([("x".to_owned(), data(&[1, 3, 96, 96], 8, true))])).unwrap();
    for (dims, open) in [(vec![("N".to_owned(), 1)], false), (Vec::new(), true)] {
        let module = octet::cli::driver::load_with(&file, &ImportOptions { dims, ..ImportOptions::default() }).unwrap();
        for mode in [None, Some(Mode::Int8Only)] {
            let compiler = mode.into_iter().fold(Compiler::new().data(samples.display().to_string()), Compiler::quantize);
            let module = compiler.compile(&module).unwrap_or_else(|e| panic!("{e}")).module;
            let graph = module.main();
            for &value in graph.inputs().iter().chain(graph.outputs()) {
                assert_eq!(graph.ty(value).shape.dynamic(0).is_some(), open, "{}", graph.value_name(value));
            }
        }
    }
}

/// The zoo's hard cases: a recurrent layer, attention, and channels that are shuffled.
#[test]
fn zoo_gru_transformer_and_shuffle_reach_int8() {
    let Some(zoo) = peers::zoo() else { return };
    let folder = tempfile::tempdir().unwrap();
    let networks: Vec<&Network> =
        FLOAT.iter().filter(|n| ["gru", "transformer", "shuffle"].iter().any(|part| n.file.contains(part))).collect();
    assert_eq!(networks.len(), 3);
    for (index, network) in networks.into_iter().enumerate() {
        let module = load(&zoo, network);
        let inputs = data(network.shape, 32, network.positive);
        let samples = folder.path().join(format!("{index}.npz"));
        let name = module.main().value_name(module.main().inputs()[0]);
        write_npz(&samples, &BTreeMap::from([(name, inputs.clone())])).unwrap();
        let compiler = Compiler::new().quantize(Mode::Int8Only).data(samples.display().to_string());
        let integer = compiler.compile(&module).unwrap_or_else(|e| panic!("{}: {e}", network.file)).module;
        let similar = cosine(&outputs(&module, &inputs), &outputs(&integer, &inputs));
        assert!(similar > 0.99, "{}: cosine {similar:.4} in int8", network.file);
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}
