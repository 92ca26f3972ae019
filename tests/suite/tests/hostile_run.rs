//! Sound graphs that meet hostile numbers: sizes, indices and axes that are known only when the model runs, and constants that make a small
//! file ask for much. The interpreter computes or refuses; it never panics, hangs, or takes memory past its limit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use octet_ir::{Module, text, verify::verify};
use octet_tests::attempt::{Attempt, MEMORY_LIMIT, attempt, attempt_with};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Numbers that sizes, indices and axes go wrong at.
const HARD: [i64; 9] = [0, 1, 7, -1, i32::MAX as i64, i32::MIN as i64, 1 << 62, i64::MAX, i64::MIN];

/// Graphs whose inputs of type `INT` are hostile; other inputs are ones.
const GRAPHS: [(&str, &str); 37] = [
    ("tile", "%0: 1x3x4 f32, %1: 3 INT) {\n %2 = tile(%0, %1) : * f32\n return %2"),
    ("tile nothing", "%0: 0x3x0 f32, %1: 3 INT) {\n %2 = tile(%0, %1) : * f32\n return %2"),
    ("broadcast_to", "%0: 1x3x4 f32, %1: 3 INT) {\n %2 = broadcast_to(%0, %1) : * f32\n return %2"),
    ("reshape", "%0: 1x3x4 f32, %1: 3 INT) {\n %2 = reshape(%0, %1) : * f32\n return %2"),
    ("transpose", "%0: 1x3x4 f32, %1: 3 INT) {\n %2 = transpose(%0, %1) : * f32\n return %2"),
    ("expand_dims", "%0: 1x3x4 f32, %1: 1 INT) {\n %2 = expand_dims(%0, %1) : * f32\n return %2"),
    ("pad", "%0: 1x3x4 f32, %1: 3x2 INT) {\n %2 = pad(%0, %1) : * f32\n return %2"),
    ("pad_v2", "%0: 1x3x4 f32, %1: 3x2 INT, %2: f32) {\n %3 = pad_v2(%0, %1, %2) : * f32\n return %3"),
    ("mirror_pad", "%0: 1x3x4 f32, %1: 3x2 INT) {\n %2 = mirror_pad(%0, %1) {mode = reflect} : * f32\n return %2"),
    ("fill", "%0: 2 INT, %1: f32) {\n %2 = fill(%0, %1) : * f32\n return %2"),
    ("range", "%0: INT, %1: INT, %2: INT) {\n %3 = range(%0, %1, %2) : * INT\n return %3"),
    ("one_hot", "%0: 4 INT, %1: i32, %2: f32, %3: f32) {\n %4 = one_hot(%0, %1, %2, %3) {axis = -1} : * f32\n return %4"),
    ("one_hot depth", "%0: 4 i32, %1: INT, %2: f32, %3: f32) {\n %4 = one_hot(%0, %1, %2, %3) {axis = -1} : * f32\n return %4"),
    ("gather", "%0: 3x4 f32, %1: 2 INT) {\n %2 = gather(%0, %1) : * f32\n return %2"),
    ("gather_nd", "%0: 3x4 f32, %1: 2x2 INT) {\n %2 = gather_nd(%0, %1) : * f32\n return %2"),
    ("scatter_nd", "%0: 2x1 INT, %1: 2 f32, %2: 1 INT) {\n %3 = scatter_nd(%0, %1, %2) : * f32\n return %3"),
    ("sparse_to_dense", "%0: 1x1 INT, %1: 1 INT, %2: 1 f32, %3: f32) {\n %4 = sparse_to_dense(%0, %1, %2, %3) : * f32\n return %4"),
    ("embedding_lookup", "%0: 2 INT, %1: 3x4 f32) {\n %2 = embedding_lookup(%0, %1) : * f32\n return %2"),
    ("slice", "%0: 1x3x4 f32, %1: 3 INT, %2: 3 INT) {\n %3 = slice(%0, %1, %2) : * f32\n return %3"),
    ("strided_slice", "%0: 1x3x4 f32, %1: 3 INT, %2: 3 INT, %3: 3 INT) {\n %4 = strided_slice(%0, %1, %2, %3) : * f32\n return %4"),
    ("split", "%0: INT, %1: 2x4 f32) {\n %2, %3 = split(%0, %1) {num_splits = 2} : * f32, * f32\n return %2, %3"),
    ("split_v", "%0: 2x4 f32, %1: 2 INT, %2: i32) {\n %3, %4 = split_v(%0, %1, %2) {num_splits = 2} : * f32, * f32\n return %3, %4"),
    ("dynamic_update_slice", "%0: 3x4 f32, %1: 1x2 f32, %2: 2 INT) {\n %3 = dynamic_update_slice(%0, %1, %2) : 3x4 f32\n return %3"),
    ("reverse_v2", "%0: 3x4 f32, %1: 1 INT) {\n %2 = reverse_v2(%0, %1) : 3x4 f32\n return %2"),
    ("reverse_sequence", "%0: 2x4 f32, %1: 2 INT) {\n %2 = reverse_sequence(%0, %1) {seq_dim = 1, batch_dim = 0} : 2x4 f32\n return %2"),
    ("mean", "%0: 3x4 f32, %1: 1 INT) {\n %2 = mean(%0, %1) : * f32\n return %2"),
    ("cumsum", "%0: 3x4 f32, %1: INT) {\n %2 = cumsum(%0, %1) : 3x4 f32\n return %2"),
    ("arg_max", "%0: 3x4 f32, %1: INT) {\n %2 = arg_max(%0, %1) : * i32\n return %2"),
    ("topk_v2", "%0: 3x4 f32, %1: INT) {\n %2, %3 = topk_v2(%0, %1) : * f32, * i32\n return %2, %3"),
    ("segment_sum", "%0: 2x4 f32, %1: 2 INT) {\n %2 = segment_sum(%0, %1) : * f32\n return %2"),
    ("unsorted_segment_sum", "%0: 2x4 f32, %1: 2 INT, %2: i32) {\n %3 = unsorted_segment_sum(%0, %1, %2) : * f32\n return %3"),
    ("unsorted_segment_sum count", "%0: 2x4 f32, %1: 2 i32, %2: INT) {\n %3 = unsorted_segment_sum(%0, %1, %2) : * f32\n return %3"),
    ("resize_bilinear", "%0: 1x2x2x1 f32, %1: 2 INT) {\n %2 = resize_bilinear(%0, %1) : * f32\n return %2"),
    ("resize_nearest_neighbor", "%0: 1x2x2x1 f32, %1: 2 INT) {\n %2 = resize_nearest_neighbor(%0, %1) : * f32\n return %2"),
    ("space_to_batch_nd", "%0: 1x2x2x1 f32, %1: 2 INT, %2: 2x2 INT) {\n %3 = space_to_batch_nd(%0, %1, %2) : * f32\n return %3"),
    ("batch_to_space_nd", "%0: 4x2x2x1 f32, %1: 2 INT, %2: 2x2 INT) {\n %3 = batch_to_space_nd(%0, %1, %2) : * f32\n return %3"),
    (
        "transpose_conv",
        "%0: 4 INT, %1: 1x2x2x1 f32, %2: 1x2x2x1 f32) {\n %3 = transpose_conv(%0, %1, %2) {stride = [1, 1]} : * f32\n return %3",
    ),
];

fn module(source: &str) -> Option<Module> {
    let module = text::parse(&format!("octet.ir 1\n{source}"), &bytes::Bytes::new()).unwrap_or_else(|e| panic!("{source}: {e}"));
    verify(&module).is_ok().then_some(module)
}

/// Nothing that an attempt does may panic, or take more than a few times the limit.
fn bounded(name: &str, run: impl FnOnce() -> Attempt) -> Attempt {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let attempt = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| panic!("{name}: panicked"));
    let peak = MEMORY.peak_usage().saturating_sub(before);
    assert!(peak <= MEMORY_LIMIT * 32, "{name}: took {peak} bytes under a limit of {MEMORY_LIMIT}");
    attempt
}

#[test]
fn numbers_that_come_while_the_model_runs_are_survived() {
    let (mut ran, mut refused) = (0, 0);
    for (name, graph) in GRAPHS {
        let mut taken = 0;
        for elem in ["i32", "i64"] {
            let Some(module) = module(&format!("graph @m({}\n}}\n", graph.replace("INT", elem))) else { continue };
            taken += 1;
            // The hostile number everywhere, or at one place among ones; inputs that are not hostile hold ones either way.
            for value in HARD {
                for place in [None, Some(0), Some(1), Some(2), Some(3)] {
                    let mut seen = 0;
                    let feed = |position: usize, bytes: &mut [u8]| {
                        let ty = module.main().ty(module.main().inputs()[position]);
                        let hostile = ty.elem.to_string() == elem;
                        let width = ty.elem.bits().expect("a width") / 8;
                        for element in bytes.chunks_exact_mut(width) {
                            let number = if hostile && place.is_none_or(|place| place == seen) { value } else { 1 };
                            seen += usize::from(hostile);
                            if ty.elem.is_float() {
                                element.copy_from_slice(&1f32.to_le_bytes());
                            } else {
                                element.copy_from_slice(&number.to_le_bytes()[..width]);
                            }
                        }
                    };
                    match bounded(&format!("{name} of {elem} {value} at {place:?}"), || attempt_with(&module, feed)) {
                        Attempt::Ran => ran += 1,
                        Attempt::Refused(_) => refused += 1,
                        Attempt::TooLong => panic!("{name} has a loop"),
                    }
                }
            }
        }
        assert!(taken > 0, "{name} is no sound graph");
    }
    assert!(ran > 300 && refused > 300, "{ran} ran, {refused} were refused");
}

/// The refusal of a graph, as text; empty when it ran.
fn outcome(source: &str) -> String {
    let module = module(source).unwrap_or_else(|| panic!("not sound: {source}"));
    match bounded(source, || attempt(&module)) {
        Attempt::Ran => String::new(),
        Attempt::Refused(errors) => errors.to_string(),
        Attempt::TooLong => panic!("too long: {source}"),
    }
}

#[test]
fn small_graphs_that_ask_for_much_are_refused() {
    for (what, source) in [
        (
            "a resized image",
            "graph @m(%0: 1x2x2x1 f32) {\n %1 = const [2147483647, 1] : 2 i32\n %2 = resize_bilinear(%0, %1) : 1x2147483647x1x1 f32\n return %2\n}\n",
        ),
        (
            "a resized image without channels",
            "graph @m(%0: 1x2x2x0 f32) {\n %1 = const [2147483647, 1] : 2 i32\n %2 = resize_bilinear(%0, %1) : 1x2147483647x1x0 f32\n return %2\n}\n",
        ),
        (
            "products of a transposed convolution",
            "graph @m(%0: 1x64x64x1 f32, %3: 1x64x64x1 f32) {\n \
             %1 = const [1, 64, 64, 1] : 4 i32\n %2 = transpose_conv(%1, %3, %0) {stride = [1, 1]} : 1x64x64x1 f32\n return %2\n}\n",
        ),
    ] {
        let text = outcome(source);
        assert!(text.contains("EVL006"), "{what}: {text}");
    }
}

#[test]
fn dilations_past_the_image_are_computed() {
    for (op, elem) in
        [("conv_2d", "f32"), ("depthwise_conv_2d", "f32"), ("conv_2d", "!q<i8, 0.5:0>"), ("depthwise_conv_2d", "!q<i8, 0.5:0>")]
    {
        for dilation in [100, 100_000, if elem == "f32" { i32::MAX } else { (1 << 24) - 1 }] {
            let one = if elem == "f32" { "1.0" } else { "1" };
            let text = outcome(&format!(
                "graph @m(%0: 1x4x4x1 {elem}) {{\n %1 = const splat({one}) : 1x3x3x1 {elem}\n \
                 %2 = {op}(%0, %1) {{dilation = [{dilation}, {dilation}]}} : 1x4x4x1 {elem}\n return %2\n}}\n"
            ));
            assert_eq!(text, "", "{op} of {elem} dilated by {dilation}");
        }
    }
}
