//! What single ONNX operators mean, where that is easily got wrong: expected numbers are ONNX Runtime's.

use std::path::Path;

use octet::ir::{Diagnostics, ElementType, Op};
use octet::plugin::ImportOptions;
use octet::{Compiler, Interpreter, Mode, Module, Tensor};
use octet_tests::onnx::{Attribute, Model};

/// ONNX's numbers of element types.
const FLOAT: i64 = 1;
const UINT8: i64 = 2;
const INT32: i64 = 6;
const FLOAT16: i64 = 10;

/// The import of a model, with the notes that it made.
fn import(model: &Model, options: &ImportOptions) -> Result<(Module, Diagnostics), Diagnostics> {
    let mut notes = Diagnostics::default();
    let file = model.file().into();
    let module = octet::cli::driver::read(&file, Path::new("model.onnx"), options, &mut notes)?;
    octet::ir::verify::verify(&module)?;
    Ok((module, notes))
}

fn module(model: &Model) -> Module {
    import(model, &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}")).0
}

/// The first output for one input.
fn run(module: &Module, elem: ElementType, shape: &[usize], bytes: Vec<u8>) -> Tensor {
    let mut interpreter = Interpreter::new(module, Default::default()).unwrap();
    let input = interpreter.input_details().remove(0).index;
    let output = interpreter.output_details().remove(0).index;
    interpreter.resize_tensor_input(input, shape).unwrap();
    interpreter.allocate_tensors().unwrap();
    interpreter.set_tensor(input, &Tensor { elem, shape: shape.to_vec(), bytes }).unwrap();
    interpreter.invoke().unwrap();
    interpreter.get_tensor(output).unwrap()
}

fn reals(tensor: &Tensor) -> Vec<f32> {
    assert_eq!(tensor.elem, ElementType::F32);
    tensor.bytes.as_chunks().0.iter().map(|c| f32::from_le_bytes(*c)).collect()
}

fn real_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[track_caller]
fn close(found: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(found.len(), wanted.len());
    for (k, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!((f - w).abs() <= tolerance * w.abs().max(1e-6), "element {k}: {f} instead of {w}");
    }
}

/// The type of the result is the base's; a fraction in the exponent still counts.
#[test]
fn integers_raised_to_reals_are_raised_before_they_are_cut() {
    let mut m = Model::new(1);
    m.typed_input("x", INT32, &["4"]);
    m.reals("exponent", &[4], &[0.5, 2.0, 1.5, 0.5]);
    m.node("Pow", &["x", "exponent"], &["y"], &[]);
    m.output("y", &[4]);
    let x: Vec<u8> = [4i32, 3, 4, 10].iter().flat_map(|v| v.to_le_bytes()).collect();
    let y = run(&module(&m), ElementType::I32, &[4], x);
    let y: Vec<i32> = y.bytes.as_chunks().0.iter().map(|c| i32::from_le_bytes(*c)).collect();
    assert_eq!(y, [2, 9, 8, 3]);
}

/// TFLite has no RELU of plain integers: the larger of the number and 0.
#[test]
fn relu_of_integers_is_a_maximum() {
    let mut m = Model::new(1);
    m.typed_input("x", INT32, &["3"]);
    m.node("Relu", &["x"], &["y"], &[]);
    m.output("y", &[3]);
    let module = module(&m);
    assert!(!module.main().ops().any(|(_, op)| matches!(op.op(), Op::Unary(_))));
    let bytes = |values: [i32; 3]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(run(&module, ElementType::I32, &[3], bytes([-5, 0, 7])).bytes, bytes([0, 0, 7]));
}

/// Sizes are computed in single precision: 10 times 0.7 is 7, though 0.7 in single precision is less.
#[test]
fn resize_computes_sizes_in_single_precision() {
    for (scale, wanted) in [(0.7, 7), (2.3, 23), (0.3, 3), (1.7, 17)] {
        let mut m = Model::new(1);
        m.input("x", &[1, 1, 10, 10]);
        m.reals("scales", &[4], &[1.0, 1.0, scale, scale]);
        m.node("Resize", &["x", "", "scales"], &["y"], &[("mode", Attribute::Text("linear"))]);
        m.output("y", &[1, 1, wanted, wanted]);
        let module = module(&m);
        let shape = &module.main().ty(module.main().outputs()[0]).shape;
        assert_eq!(shape.dims()[2..], [wanted as usize; 2], "scale {scale}");
    }
}

/// A single result of `pytorch_half_pixel` stands at the first element, not before it.
#[test]
fn one_result_of_pytorch_half_pixel_stands_at_the_first_element() {
    let mut m = Model::new(1);
    m.input("x", &[1, 1, 1, 4]);
    m.ints("sizes", &[1, 1, 1, 1]);
    let modes = [("mode", Attribute::Text("cubic")), ("coordinate_transformation_mode", Attribute::Text("pytorch_half_pixel"))];
    m.node("Resize", &["x", "", "", "sizes"], &["y"], &modes);
    m.output("y", &[1, 1, 1, 1]);
    let y = run(&module(&m), ElementType::F32, &[1, 1, 1, 4], real_bytes(&[3.0, -1.0, 2.0, 5.0]));
    close(&reals(&y), &[3.0], 1e-6);
}

/// Mish in three operators: for very negative numbers the sum in softplus would round away most of what counts.
#[test]
fn mish_in_parts_keeps_small_numbers() {
    let mut m = Model::new(1);
    m.input("x", &[3]);
    m.node("Softplus", &["x"], &["s"], &[]);
    m.node("Tanh", &["s"], &["t"], &[]);
    m.node("Mul", &["x", "t"], &["y"], &[]);
    m.output("y", &[3]);
    let y = run(&module(&m), ElementType::F32, &[3], real_bytes(&[-10.0, 1.0, 30.0]));
    close(&reals(&y), &[-4.539_89e-4, 0.865_098_4, 30.0], 1e-5);
}

/// A network of half precision is computed in single, with conversions at its ends alone.
#[test]
fn half_precision_is_computed_in_single() {
    let mut m = Model::new(1);
    m.typed_input("x", FLOAT16, &["1", "1", "2", "2"]);
    let half = |values: &[f32]| values.iter().flat_map(|&v| half_bits(v).to_le_bytes()).collect::<Vec<u8>>();
    m.initializer("w", &[2, 1, 1, 1], FLOAT16, &half(&[2.0, -1.0]));
    m.initializer("b", &[2], FLOAT16, &half(&[0.5, 1.0]));
    m.node("Conv", &["x", "w", "b"], &["c"], &[]);
    m.node("Relu", &["c"], &["r"], &[]);
    m.node("GlobalAveragePool", &["r"], &["y"], &[]);
    m.output("y", &[1, 2, 1, 1]);
    let compiled = Compiler::new().compile(&module(&m)).unwrap_or_else(|e| panic!("{e}")).module;
    let casts = compiled.main().ops().filter(|(_, op)| matches!(op.op(), Op::Cast(_))).count();
    assert_eq!(casts, 2);
    let y = run(&compiled, ElementType::F16, &[1, 1, 2, 2], half(&[1.0, 2.0, -3.0, 0.25]));
    assert_eq!(y.bytes, half(&[2.0, 1.1875]));
}

/// The bits of a number that half precision holds exactly and that is not tiny.
fn half_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = ((bits >> 23 & 0xff) as i32 - 127 + 15) as u16;
    if value == 0.0 { 0 } else { (bits >> 16 & 0x8000) as u16 | exponent << 10 | (bits >> 13 & 0x3ff) as u16 }
}

/// One operator between QuantizeLinear and DequantizeLinear of one scale, as quantized models have them.
fn between(build: impl FnOnce(&mut Model)) -> Model {
    let mut m = Model::new(1);
    m.input("x", &[1, 2, 4, 4]);
    m.reals("s", &[], &[0.05]);
    m.initializer("z", &[], UINT8, &[100]);
    m.node("QuantizeLinear", &["x", "s", "z"], &["q"], &[]);
    build(&mut m);
    m.node("DequantizeLinear", &["q2", "s", "z"], &["y"], &[]);
    m.output("y", &[]);
    m
}

/// Operators that move integers keep their scale: the model is integer without any data, and says the same.
#[test]
fn quantized_values_keep_their_scale_where_they_are_moved() {
    let pair = |k| Attribute::Ints(vec![k, k]);
    let models = [
        between(|m| m.node("Transpose", &["q"], &["q2"], &[("perm", Attribute::Ints(vec![0, 2, 3, 1]))])),
        between(|m| m.node("MaxPool", &["q"], &["q2"], &[("kernel_shape", pair(2)), ("strides", pair(2))])),
        between(|m| m.node("Concat", &["q", "q"], &["q2"], &[("axis", Attribute::Int(1))])),
        between(|m| m.node("Flatten", &["q"], &["q2"], &[])),
        between(|m| {
            m.ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]);
            m.node("Pad", &["q", "pads", "z"], &["q2"], &[]);
        }),
        between(|m| {
            m.ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]);
            // Without a value, the integer 0 stands there: -5.
            m.node("Pad", &["q", "pads"], &["q2"], &[]);
        }),
    ];
    let x: Vec<f32> = (0..32).map(|k| (k * 7 % 32) as f32 * 0.05 - 0.8).collect();
    let mut firsts = Vec::new();
    for model in &models {
        let module = module(model);
        let float = reals(&run(&module, ElementType::F32, &[1, 2, 4, 4], real_bytes(&x)));
        let integer = Compiler::new().quantize(Mode::Int8Only).compile(&module).unwrap_or_else(|e| panic!("{e}")).module;
        let graph = integer.main();
        let scales = |v| graph.ty(v).quant.as_deref().map(|q| (q.scales().to_vec(), q.zero_points().to_vec()));
        // u8 with a zero point of 100 is i8 with one of -28.
        assert_eq!(scales(graph.outputs()[0]), Some((vec![0.05], vec![-28])));
        let quantized: Vec<u8> = x.iter().map(|v| ((v / 0.05).round_ties_even() as i64 - 28) as i8 as u8).collect();
        let found = run(&integer, ElementType::I8, &[1, 2, 4, 4], quantized);
        let found: Vec<f32> = found.bytes.iter().map(|&b| 0.05 * (f32::from(b.cast_signed()) + 28.0)).collect();
        close(&found, &float, 1e-4);
        firsts.push(float[0]);
    }
    close(&firsts[4..], &[0.0, -5.0], 1e-6);
}

/// Microsoft's quantized operators compute what the real ones do between their scales.
#[test]
fn quantized_operators_of_microsoft_are_read() {
    let mut m = Model::new(1);
    m.input("x", &[1, 2, 2, 2]);
    m.reals("s", &[], &[0.1]);
    m.initializer("z", &[], UINT8, &[128]);
    m.reals("t", &[], &[1.0 / 256.0]);
    m.initializer("o", &[], UINT8, &[0]);
    m.node("QuantizeLinear", &["x", "s", "z"], &["q"], &[]);
    m.node_of("com.microsoft", "QLinearSigmoid", &["q", "s", "z", "t", "o"], &["g"], &[]);
    m.node_of("com.microsoft", "QLinearLeakyRelu", &["q", "s", "z", "s", "z"], &["l"], &[("alpha", Attribute::Float(0.5))]);
    m.node_of("com.microsoft", "QLinearConcat", &["s", "z", "g", "t", "o", "l", "s", "z"], &["c"], &[("axis", Attribute::Int(1))]);
    let window = [("kernel_shape", Attribute::Ints(vec![2, 2]))];
    m.node_of("com.microsoft", "QLinearAveragePool", &["c", "s", "z", "s", "z"], &["p"], &window);
    m.node("DequantizeLinear", &["p", "s", "z"], &["y"], &[]);
    m.output("y", &[1, 4, 1, 1]);
    let x = [1.0, -1.0, 2.0, 0.0, -2.0, -4.0, 1.0, 2.0];
    let y = reals(&run(&module(&m), ElementType::F32, &[1, 2, 2, 2], real_bytes(&x)));
    close(&y, &[0.6, 0.4, 0.6, 0.0], 1e-5);
}

/// Weights of four bits in blocks, the low half of a byte first; the last block of a row reaches beyond it.
#[test]
fn weights_of_four_bits_in_blocks_are_read() {
    let mut m = Model::new(1);
    m.input("x", &[1, 18]);
    let bytes: Vec<u8> = (0..32u8).map(|k| k.wrapping_mul(37) ^ 0x5a).collect();
    m.initializer("w", &[2, 2, 8], UINT8, &bytes);
    m.reals("s", &[4], &[0.5, 0.25, 1.0, 2.0]);
    m.initializer("z", &[2], UINT8, &[0x38, 0xa1]);
    let sizes = [("K", 18), ("N", 2), ("bits", 4), ("block_size", 16)].map(|(name, size)| (name, Attribute::Int(size)));
    m.node_of("com.microsoft", "MatMulNBits", &["x", "w", "s", "z"], &["y"], &sizes);
    m.output("y", &[1, 2]);
    let x: Vec<f32> = (0..18).map(|k| (k % 5) as f32 - 1.0).collect();
    let y = reals(&run(&module(&m), ElementType::F32, &[1, 18], real_bytes(&x)));
    close(&y, &[7.0, 84.0], 1e-6);
}

/// What is computed for a convolution with a stride does not hang on the size that stood for an open one.
#[test]
fn open_sizes_of_images_stay_open_where_they_decide_nothing() {
    let mut m = Model::new(1);
    m.typed_input("x", FLOAT, &["N", "1", "H", "W"]);
    m.reals("w", &[1, 1, 3, 3], &[1.0; 9]);
    m.node("Conv", &["x", "w"], &["c"], &[("pads", Attribute::Ints(vec![1; 4])), ("strides", Attribute::Ints(vec![2, 2]))]);
    m.node("MaxPool", &["c"], &["y"], &[("kernel_shape", Attribute::Ints(vec![2, 2])), ("strides", Attribute::Ints(vec![2, 2]))]);
    m.output("y", &[]);
    let module = Compiler::new().compile(&module(&m)).unwrap_or_else(|e| panic!("{e}")).module;
    let y = run(&module, ElementType::F32, &[1, 1, 4, 4], real_bytes(&(0..16).map(|k| k as f32).collect::<Vec<_>>()));
    assert_eq!((y.shape.as_slice(), reals(&y)), ([1, 1, 1, 1].as_slice(), vec![90.0]));
}

fn codes(found: &Diagnostics) -> Vec<&'static str> {
    found.0.iter().map(|d| d.code).collect()
}

/// The last of an open number of steps cannot be named: the size must be given, and then it is.
#[test]
fn open_sizes_that_decide_are_asked_for() {
    let mut m = Model::new(1);
    m.typed_input("x", FLOAT, &["N", "T", "2"]);
    m.ints("last", &[-1]);
    m.node("Gather", &["x", "last"], &["y"], &[("axis", Attribute::Int(1))]);
    m.output("y", &[]);
    let refused = import(&m, &ImportOptions::default()).unwrap_err();
    assert_eq!(codes(&refused), ["ONX015"]);
    assert_eq!(refused.0[0].help.as_deref(), Some("give --dim 'T=SIZE'"));
    let options = ImportOptions { dims: vec![("T".into(), 3)], ..ImportOptions::default() };
    let (module, notes) = import(&m, &options).unwrap_or_else(|e| panic!("{e}"));
    assert!(notes.0.is_empty() && module.main().ty(module.main().inputs()[0]).shape.dynamic(0).is_some());
    let y = run(&module, ElementType::F32, &[1, 3, 2], real_bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    assert_eq!(reals(&y), [5.0, 6.0]);
}

/// A pool that does not fit into one pixel is no error of its own where the sizes are what is missing.
#[test]
fn open_sizes_are_told_instead_of_what_follows_from_them() {
    let mut m = Model::new(1);
    m.typed_input("x", FLOAT, &["N", "1", "?", "?"]);
    m.node("MaxPool", &["x"], &["p"], &[("kernel_shape", Attribute::Ints(vec![3, 3]))]);
    m.reals("scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
    m.node("Resize", &["p", "", "scales"], &["y"], &[]);
    m.node("Unique", &["x"], &["u"], &[]);
    m.output("y", &[]);
    let refused = import(&m, &ImportOptions::default()).unwrap_err();
    assert_eq!(codes(&refused), ["ONX015", "ONX010"], "{refused}");
    assert_eq!(refused.0[0].help.as_deref(), Some("give --shape 'x=1x1x?x?', with numbers for the ?"));
    assert!(refused.0[1].message.starts_with("Unique"), "{refused}");
    let options = ImportOptions { dims: vec![("?".into(), 1)], ..ImportOptions::default() };
    let refused = import(&m, &options).unwrap_err();
    assert!(codes(&refused) == ["ONX003"] && !refused.to_string().contains("'?="), "{refused}");
}

/// A batch that decides is taken as 1, which is told; one that does not stays open, also where its axis moves.
#[test]
fn a_batch_stays_open_or_is_told_to_be_one() {
    let batch = |operator: &str, attributes: &[(&str, Attribute)], axes: &[i64]| {
        let mut m = Model::new(1);
        m.typed_input("x", FLOAT, &["N", "2", "3"]);
        m.ints("axes", axes);
        let inputs: &[&str] = if axes.is_empty() { &["x"] } else { &["x", "axes"] };
        m.node(operator, inputs, &["y"], attributes);
        m.output("y", &[]);
        m
    };
    let six: Vec<f32> = (0..12).map(|k| k as f32).collect();
    for (model, wanted) in [
        (batch("Unsqueeze", &[], &[0]), vec![1, 2, 2, 3]),
        (batch("Flatten", &[("axis", Attribute::Int(2))], &[]), vec![4, 3]),
        (batch("Flatten", &[("axis", Attribute::Int(0))], &[]), vec![1, 12]),
        (batch("ArgMax", &[("axis", Attribute::Int(1))], &[]), vec![2, 1, 3]),
    ] {
        let (module, notes) = import(&model, &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        assert!(notes.0.is_empty(), "{notes}");
        assert_eq!(run(&module, ElementType::F32, &[2, 2, 3], real_bytes(&six)).shape, wanted);
    }
    let (module, notes) = import(&batch("Split", &[("axis", Attribute::Int(0))], &[]), &ImportOptions::default()).unwrap();
    assert_eq!((codes(&notes), module.main().ty(module.main().inputs()[0]).shape.is_dynamic()), (vec!["ONX015"], false));
}
