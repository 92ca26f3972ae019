//! Files that are broken, by accident or on purpose: the reader gives a diagnostic, never a panic, and takes no more
//! memory than the file's size allows. What it takes is run, and keeps within the interpreter's limit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use flatbuffers::FlatBufferBuilder;
use octet_frontend_tflite as _;
use octet_ir::verify::verify;
use octet_ir::{Diagnostics, Module};
use octet_plugin::{FrontendEntry, Import, ImportOptions, Registry};
use octet_tests::attempt::{MEMORY_LIMIT, attempt};
use octet_tests::{models, mutate};
use octet_tflite_schema as schema;
use peak_alloc::PeakAlloc;
use schema::{
    BufferT, BuiltinOperator, ModelT, OperatorCodeT, OperatorT, QuantizationParametersT, SignatureDefT, SubGraphT, TensorMapT, TensorT,
    TensorType,
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes of memory for each byte of a file, and what reading takes at any rate. An op of twelve bytes becomes a typed
/// op with operands and a location.
const MEMORY_FACTOR: usize = 100;
const MEMORY_BASE: usize = 8 << 20;

/// Bytes of memory for each byte that the interpreter may take for tensors: the tables of kernels and packed weights.
const RUN_FACTOR: usize = 32;

/// Damaged copies of the examples, and of the zoo's files.
const MUTATIONS: u64 = 10_000;
const MANY_MUTATIONS: u64 = 100_000;

fn read(bytes: Vec<u8>) -> Result<Module, Diagnostics> {
    let frontends = Registry::<FrontendEntry>::collect().expect("the registry is sound");
    let frontend = frontends.get("tflite").expect("the TFLite reader is linked").frontend;
    let options = ImportOptions::default();
    frontend.read(Bytes::from(bytes), &Import::alone(&options), &mut Diagnostics::default())
}

/// Reads a file and, as every user of a module does, verifies it; what is sound is run. The answer says whether it was taken.
fn survive(name: &str, bytes: Vec<u8>) -> bool {
    let size = bytes.len();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let taken = catch_unwind(AssertUnwindSafe(|| read(bytes).ok().filter(|module| verify(module).is_ok())));
    let peak = MEMORY.peak_usage().saturating_sub(before);
    let allowed = size * MEMORY_FACTOR + MEMORY_BASE;
    assert!(peak <= allowed, "{name}: {size} bytes of file took {peak} bytes of memory, {allowed} are allowed");
    let taken = taken.unwrap_or_else(|_| panic!("{name}: the reader panicked"));
    let Some(module) = taken else { return false };
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    catch_unwind(AssertUnwindSafe(|| attempt(&module))).unwrap_or_else(|_| panic!("{name}: the interpreter panicked"));
    let peak = MEMORY.peak_usage().saturating_sub(before);
    let allowed = allowed + MEMORY_LIMIT * RUN_FACTOR;
    assert!(peak <= allowed, "{name}: {size} bytes of file took {peak} bytes of memory to run, {allowed} are allowed");
    true
}

/// Reads a file that must be refused with at least one error.
fn refused(name: &str, bytes: Vec<u8>) {
    assert!(!survive(name, bytes), "{name}: was taken");
}

/// A table of the object form, which cannot be written as a literal outside its crate.
fn make<T: Default>(set: impl FnOnce(&mut T)) -> T {
    let mut made = T::default();
    set(&mut made);
    made
}

fn tensor(shape: &[i32], buffer: u32) -> TensorT {
    make(|t: &mut TensorT| {
        t.shape = Some(shape.to_vec());
        t.type_ = TensorType::FLOAT32;
        t.buffer = buffer;
        t.name = Some("t".into());
    })
}

/// One RELU from tensor 0 to tensor 1.
fn sound() -> ModelT {
    let op = make(|t: &mut OperatorT| {
        t.inputs = Some(vec![0]);
        t.outputs = Some(vec![1]);
    });
    let graph = make(|t: &mut SubGraphT| {
        t.tensors = Some(vec![tensor(&[1, 4], 0), tensor(&[1, 4], 0)]);
        t.inputs = Some(vec![0]);
        t.outputs = Some(vec![1]);
        t.operators = Some(vec![op]);
    });
    make(|t: &mut ModelT| {
        t.version = 3;
        t.operator_codes = Some(vec![make(|t: &mut OperatorCodeT| {
            t.deprecated_builtin_code = 19;
            t.builtin_code = BuiltinOperator::RELU;
            t.version = 1;
        })]);
        t.subgraphs = Some(vec![graph]);
        t.buffers = Some(vec![BufferT::default()]);
    })
}

fn bytes(model: &ModelT) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let root = model.pack(&mut builder);
    schema::finish_model_buffer(&mut builder, root);
    builder.finished_data().to_vec()
}

/// A change to a sound model.
type Change = fn(&mut ModelT);

fn graph(model: &mut ModelT) -> &mut SubGraphT {
    model.subgraphs.as_mut().and_then(|g| g.first_mut()).expect("a graph")
}

fn first_tensor(model: &mut ModelT) -> &mut TensorT {
    graph(model).tensors.as_mut().and_then(|t| t.first_mut()).expect("a tensor")
}

fn first_op(model: &mut ModelT) -> &mut OperatorT {
    graph(model).operators.as_mut().and_then(|o| o.first_mut()).expect("an op")
}

#[test]
fn the_sound_model_is_taken() {
    assert!(survive("sound", bytes(&sound())));
}

#[test]
fn contradictions_are_refused() {
    let cases: [(&str, Change); 21] = [
        ("sparse blocks that pile up", |m| sparse(m, 200_000)),
        ("no graph", |m| m.subgraphs = None),
        ("an input past the tensors", |m| graph(m).inputs = Some(vec![7])),
        ("a negative input", |m| graph(m).inputs = Some(vec![-2])),
        ("an output past the tensors", |m| graph(m).outputs = Some(vec![i32::MAX])),
        ("an output that nothing defines", |m| graph(m).operators = None),
        ("an operand past the tensors", |m| first_op(m).inputs = Some(vec![2])),
        ("a result past the tensors", |m| first_op(m).outputs = Some(vec![2])),
        ("an op code past the codes", |m| first_op(m).opcode_index = 1),
        ("an op that reads what it writes", |m| first_op(m).inputs = Some(vec![1])),
        ("an op without operands", |m| first_op(m).inputs = None),
        ("two definitions of a tensor", |m| {
            let op = first_op(m).clone();
            graph(m).operators.as_mut().expect("ops").push(op);
        }),
        ("an op that writes an input", |m| first_op(m).outputs = Some(vec![0])),
        ("a shape whose product overflows", |m| first_tensor(m).shape = Some(vec![i32::MAX; 8])),
        ("a negative dimension", |m| first_tensor(m).shape = Some(vec![1, -4])),
        ("a buffer past the buffers", |m| first_tensor(m).buffer = 9),
        ("a constant of the wrong size", |m| {
            m.buffers.as_mut().expect("buffers").push(make(|t: &mut BufferT| {
                t.data = Some(vec![0; 3]);
            }));
            graph(m).tensors.as_mut().expect("tensors").push(tensor(&[2], 1));
            first_op(m).inputs = Some(vec![2]);
        }),
        ("a buffer past the file", |m| {
            m.buffers.as_mut().expect("buffers").push(make(|t: &mut BufferT| {
                t.offset = 1 << 40;
                t.size = 8;
            }));
            graph(m).tensors.as_mut().expect("tensors").push(tensor(&[2], 1));
            first_op(m).inputs = Some(vec![2]);
        }),
        ("a scale that is no number", |m| quantize(m, f32::NAN, 0)),
        ("a scale without end", |m| quantize(m, f32::INFINITY, 0)),
        ("a zero point outside the type", |m| quantize(m, 0.5, 4000)),
    ];
    for (name, change) in cases {
        let mut model = sound();
        change(&mut model);
        refused(name, bytes(&model));
    }
}

/// A constant of two elements in so many blocks of one.
fn sparse(model: &mut ModelT, blocks: i32) {
    model.buffers.as_mut().expect("buffers").push(make(|t: &mut BufferT| t.data = Some(vec![0; 8])));
    let mut constant = tensor(&[2], 1);
    let dense = |size: i32| {
        make(|t: &mut schema::DimensionMetadataT| {
            t.format = schema::DimensionType::DENSE;
            t.dense_size = size;
        })
    };
    constant.sparsity = Some(Box::new(make(|t: &mut schema::SparsityParametersT| {
        t.traversal_order = Some((0..=blocks).collect());
        t.block_map = Some((0..blocks).map(|_| 0).collect());
        t.dim_metadata = Some(std::iter::once(2).chain((0..blocks).map(|_| 1)).map(dense).collect());
    })));
    graph(model).tensors.as_mut().expect("tensors").push(constant);
    first_op(model).inputs = Some(vec![2]);
}

fn quantize(model: &mut ModelT, scale: f32, zero_point: i64) {
    for tensor in graph(model).tensors.as_mut().expect("tensors") {
        tensor.type_ = TensorType::INT8;
        tensor.quantization = Some(Box::new(make(|t: &mut QuantizationParametersT| {
            t.scale = Some(vec![scale]);
            t.zero_point = Some(vec![zero_point]);
        })));
    }
}

/// Odd, but no contradiction: whatever the reader says, it says it without a panic.
#[test]
fn oddities_are_survived() {
    let cases: [(&str, Change); 8] = [
        ("a model without anything", |m| *m = ModelT::default()),
        ("no buffers", |m| m.buffers = None),
        ("another version", |m| m.version = u32::MAX),
        ("an op that nobody knows", |m| {
            m.operator_codes.as_mut().and_then(|c| c.first_mut()).expect("a code").builtin_code = BuiltinOperator(30_000);
        }),
        ("a type that nobody knows", |m| first_tensor(m).type_ = TensorType(99)),
        ("a signature of tensors that are not there", |m| {
            let map = make(|t: &mut TensorMapT| {
                t.name = Some("x".into());
                t.tensor_index = 77;
            });
            m.signature_defs = Some(vec![make(|t: &mut SignatureDefT| {
                t.inputs = Some(vec![map]);
                t.signature_key = Some("s".into());
                t.subgraph_index = 9;
            })]);
        }),
        ("a shape without ranks", |m| first_tensor(m).shape = None),
        ("a thousand dimensions", |m| first_tensor(m).shape = Some(vec![1; 1000])),
    ];
    for (name, change) in cases {
        let mut model = sound();
        change(&mut model);
        survive(name, bytes(&model));
    }
}

/// The notes on a file that is taken.
fn notes(name: &str, model: &ModelT) -> Vec<String> {
    let frontends = Registry::<FrontendEntry>::collect().expect("the registry is sound");
    let frontend = frontends.get("tflite").expect("the TFLite reader is linked").frontend;
    let (options, mut notes) = (ImportOptions::default(), Diagnostics::default());
    let module = frontend.read(Bytes::from(bytes(model)), &Import::alone(&options), &mut notes).unwrap_or_else(|e| panic!("{name}: {e}"));
    verify(&module).unwrap_or_else(|e| panic!("{name}: {e}"));
    notes.0.iter().map(ToString::to_string).collect()
}

/// Old writers give every tensor an empty vector for a buffer.
#[test]
fn empty_buffers_define_nothing_that_something_else_defines() {
    let empty = || make(|t: &mut BufferT| t.data = Some(Vec::new()));
    for (name, shapes, buffers) in [
        ("an unused tensor", [[1, 4], [1, 4], [0, 2]], [0, 0, 0]),
        ("an input and a result", [[0, 2], [0, 2], [0, 2]], [0, 0, 0]),
        ("buffers of their own", [[0, 2], [0, 2], [0, 2]], [1, 2, 2]),
    ] {
        let mut model = sound();
        model.buffers = Some(vec![empty(), empty(), empty()]);
        // The unused one stands first or last.
        for order in [[0, 1, 2], [2, 0, 1]] {
            let body = graph(&mut model);
            body.tensors = Some(order.iter().map(|&i| tensor(&shapes[i], buffers[i])).collect());
            let at = |i: usize| order.iter().position(|&o| o == i).and_then(|p| i32::try_from(p).ok()).expect("a place");
            body.inputs = Some(vec![at(0)]);
            body.outputs = Some(vec![at(1)]);
            let op = first_op(&mut model);
            (op.inputs, op.outputs) = (Some(vec![at(0)]), Some(vec![at(1)]));
            assert_eq!(notes(name, &model), [""; 0], "{name}");
        }
    }
}

/// Biases of older converters name the axis of their filter, which they do not have: TFLite Micro's own person detection is such a file.
#[test]
fn scales_of_a_bias_lie_along_its_only_axis() {
    for (scales, sound_ones) in [(4, true), (3, false)] {
        let mut model = sound();
        let mut bias = tensor(&[4], 0);
        bias.type_ = TensorType::INT32;
        bias.quantization = Some(Box::new(make(|q: &mut QuantizationParametersT| {
            q.scale = Some(vec![0.5; scales]);
            q.quantized_dimension = 3;
        })));
        graph(&mut model).tensors.as_mut().expect("tensors").push(bias);
        let last = 2;
        graph(&mut model).inputs.as_mut().expect("inputs").push(last);
        if sound_ones {
            let module = read(bytes(&model)).expect("a model");
            assert!(octet_ir::text::print(&module).text.contains("4 !q<i32, axis 0, [0.5, 0.5, 0.5, 0.5]>"));
        } else {
            refused("three scales of four", bytes(&model));
        }
    }
}

#[test]
fn what_is_left_out_is_told() {
    let mut model = sound();
    assert_eq!(notes("sound", &model), [""; 0]);
    model.metadata_buffer = Some(vec![0]);
    let op = first_op(&mut model);
    op.custom_options = Some(vec![1, 2]);
    op.mutating_variable_inputs = Some(vec![true]);
    let told = notes("left out", &model).join("\n");
    for part in ["metadata_buffer (1)", "custom_options of builtin operators (1)", "mutating_variable_inputs", "TFL021"] {
        assert!(told.contains(part) || told.contains(&part.replace(" (1)", "")), "{part} in {told}");
    }
    let mut model = sound();
    let mut unused = tensor(&[1, 4], 0);
    unused.quantization = Some(Box::new(make(|t: &mut QuantizationParametersT| t.scale = Some(vec![0.0]))));
    graph(&mut model).tensors.as_mut().expect("tensors").push(unused);
    let told = notes("a scale of 0", &model).join("\n");
    assert!(told.contains("TFL008"), "{told}");
    first_op(&mut model).inputs = Some(vec![2]);
    refused("a scale of 0 that an operator reads", bytes(&model));
}

#[test]
fn a_million_operators_fit_the_memory() {
    let mut model = sound();
    let op = make(|t: &mut OperatorT| {
        t.inputs = Some(vec![0]);
        t.outputs = Some(vec![1]);
    });
    graph(&mut model).operators = Some(vec![op; 1_000_000]);
    refused("a million definitions of one tensor", bytes(&model));
}

/// Tables may be shared in a flatbuffer: a small file can seem to hold gigabytes.
#[test]
fn shared_tables_do_not_multiply() {
    let mut builder = FlatBufferBuilder::new();
    let wide = tensor(&[1; 20_000], 0).pack(&mut builder);
    let tensors = builder.create_vector(&vec![wide; 20_000]);
    let graph = schema::SubGraph::create(&mut builder, &schema::SubGraphArgs { tensors: Some(tensors), ..Default::default() });
    let graphs = builder.create_vector(&[graph]);
    let root = schema::Model::create(&mut builder, &schema::ModelArgs { version: 3, subgraphs: Some(graphs), ..Default::default() });
    schema::finish_model_buffer(&mut builder, root);
    survive("one wide tensor 20000 times", builder.finished_data().to_vec());
}

#[test]
fn every_cut_of_an_example_is_survived() {
    let whole = std::fs::read(models::example("sine.tflite")).expect("the example is there");
    for length in 0..whole.len() {
        refused(&format!("cut at {length}"), whole[..length].to_vec());
    }
    refused("not a model", b"PK\x03\x04 this is no flatbuffer at all".to_vec());
}

fn mutations(files: &[std::path::PathBuf], count: u64) {
    let originals: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).expect("read")).collect();
    let mut taken = 0;
    for (seed, (original, file)) in (0..count).zip(originals.iter().zip(files).cycle()) {
        let name = format!("{}, seed {seed}", file.display());
        taken += usize::from(survive(&name, mutate::mutate(original, seed)));
    }
    // Where nothing is taken, or everything, the damage tries nothing.
    let all = usize::try_from(count).unwrap_or(usize::MAX);
    assert!(taken > all / 100 && taken < all, "{taken} of {count} damaged files were taken");
}

#[test]
fn mutated_examples_are_survived() {
    mutations(&[models::example("sine.tflite"), models::example("digits.tflite")], MUTATIONS);
}

#[test]
fn zoo_mutated_files_are_survived() {
    let Some(files) = models::zoo_models() else { return };
    mutations(&files, MANY_MUTATIONS);
}
