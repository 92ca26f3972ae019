//! What the tests of passes share: running pipelines on text, and comparing what two modules compute.

use octet_eval::{Interpreter, Options};
use octet_ir::{Diagnostic, ElementType, Module, text, verify};
use octet_passes::rewrite::{Rewrite, rewrite_module};
use octet_plugin::{DataSource, Dataset, Observer, Tensor};

/// Opens no data set: the passes here take none.
pub(crate) struct NoData;

impl DataSource for NoData {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        Err(Diagnostic::error("DAT000", format!("there is no data set '{name}'")))
    }
}

/// Lets every patch through.
pub(crate) struct Quiet;

impl Observer for Quiet {
    fn report(&mut self, _: Diagnostic) {}
    fn progress(&mut self, _: usize, _: usize, _: &'static str) {}
    fn may_patch(&mut self, _: &str, _: &str) -> bool {
        true
    }
}

/// A verified module.
pub(crate) fn read(source: &str) -> Module {
    let module = text::parse(source, &Default::default()).unwrap_or_else(|e| panic!("{e}\n{source}"));
    verify::verify(&module).unwrap_or_else(|e| panic!("{e}\n{source}"));
    module
}

/// The text of a module, renumbered.
pub(crate) fn printed(mut module: Module) -> String {
    module.compact();
    text::print(&module).text
}

/// What one rewrite makes of a module.
pub(crate) fn rewritten(rewrite: &dyn Rewrite, before: &str) -> Module {
    let mut module = read(before);
    rewrite_module("test", &mut module, &[rewrite], &mut Quiet).expect("patches fit");
    verify::verify(&module).unwrap_or_else(|e| panic!("{}: {e}", rewrite.name()));
    module
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn tensor(&mut self, elem: ElementType, shape: &[usize]) -> Tensor {
        let count: usize = shape.iter().product();
        let bytes = match elem {
            // Tenths between -8 and 8, zeros among them.
            ElementType::F32 => (0..count).flat_map(|_| ((self.next() % 161) as f32 / 10.0 - 8.0).to_le_bytes()).collect(),
            ElementType::I32 => (0..count).flat_map(|_| ((self.next() % 201) as i32 - 100).to_le_bytes()).collect(),
            ElementType::Bool => (0..count).map(|_| (self.next() & 1) as u8).collect(),
            other => (0..other.byte_len(count).expect("fixed size")).map(|_| self.next() as u8).collect(),
        };
        Tensor { elem, shape: shape.to_vec(), bytes }
    }
}

/// Runs a module on seeded inputs, dynamic axes `dynamic` long.
fn outputs(module: &Module, seed: u64, dynamic: usize) -> Vec<Tensor> {
    let mut interpreter = Interpreter::new(module, Options::default()).expect("an interpreter");
    let mut random = Random(seed);
    let inputs = module.main().inputs().to_vec();
    let details = interpreter.input_details();
    let mut tensors = Vec::new();
    for (detail, input) in details.iter().zip(inputs) {
        let ty = module.main().ty(input);
        let size = |axis: usize| if ty.shape.dynamic(axis).is_some() { dynamic } else { ty.shape.dims()[axis] };
        let shape: Vec<usize> = (0..ty.shape.rank()).map(size).collect();
        interpreter.resize_tensor_input(detail.index, &shape).expect("resizes");
        tensors.push((detail.index, random.tensor(ty.elem, &shape)));
    }
    interpreter.allocate_tensors().unwrap_or_else(|e| panic!("{e}\n{}", text::print(module).text));
    for (index, tensor) in tensors {
        interpreter.set_tensor(index, &tensor).expect("fits");
    }
    interpreter.invoke().unwrap_or_else(|e| panic!("{e}\n{}", text::print(module).text));
    let outputs = interpreter.output_details();
    outputs.iter().map(|o| interpreter.get_tensor(o.index).expect("an output")).collect()
}

/// That two modules compute the same: integers to the bit, reals up to the rounding of folded constants.
pub(crate) fn assert_same_numbers(before: &Module, after: &Module) {
    for seed in 0..8 {
        for dynamic in [1, 3] {
            let (a, b) = (outputs(before, seed, dynamic), outputs(after, seed, dynamic));
            assert_eq!(a.len(), b.len());
            for (a, b) in a.iter().zip(&b) {
                assert_eq!((a.elem, &a.shape), (b.elem, &b.shape));
                if a.elem == ElementType::F32 {
                    assert_close(&floats(a), &floats(b));
                } else {
                    assert_eq!(a.bytes, b.bytes, "{}\n{}", text::print(before).text, text::print(after).text);
                }
            }
        }
    }
}

/// That two modules of bytes compute the same up to so many levels.
pub(crate) fn assert_same_within(before: &Module, after: &Module, levels: u8) {
    for seed in 0..64 {
        for (a, b) in outputs(before, seed, 1).iter().zip(&outputs(after, seed, 1)) {
            assert_eq!((a.elem, &a.shape), (b.elem, &b.shape));
            let apart = a.bytes.iter().zip(&b.bytes).map(|(x, y)| x.cast_signed().abs_diff(y.cast_signed())).max();
            assert!(apart.is_none_or(|n| n <= levels), "off by {apart:?} levels\n{}", text::print(before).text);
        }
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect()
}

/// A few units in the last place of the largest element.
fn assert_close(a: &[f32], b: &[f32]) {
    let largest = a.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (x, y) in a.iter().zip(b) {
        let same = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 16.0 * f32::EPSILON * largest;
        assert!(same, "{x} became {y}, the largest element is {largest}\n{a:?}\n{b:?}");
    }
}
