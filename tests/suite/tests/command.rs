//! What the `octet` command says and does: transcripts as snapshots, exit codes, and what is left on disk.
//!
//! A transcript is the exit code, standard output and standard error; names of temporary folders are replaced. Read a changed snapshot before
//! accepting it: it is the interface.

use std::path::Path;
use std::process::Output;

use octet_tests::cli::octet;
use octet_tests::models::example;
use octet_tests::peers::{Array, Element, read_npz, write_npz};
use std::collections::BTreeMap;
use tempfile::TempDir;

/// An input that the signature leaves out would hold zeros, and a label that is no class would count as wrong.
#[test]
fn inputs_and_labels_that_mean_nothing_are_refused() {
    let bench = Bench::new();
    let two = "octet.ir 1\nsignature \"f\" = @0(\"x\" = 1) -> (\"y\" = 0)\ngraph @m(%0: 1x2 f32 loc(\"a\"), %1: 1x2 f32 loc(\"b\")) {\n  \
               %2 = sub(%0, %1) : 1x2 f32 loc(\"y\")\n  return %2\n}\n";
    let model = bench.write("m.ir", two);
    let ones = Array::from_f32(&[1, 2], &[1.0; 2]);
    let data = bench.arrays("x.npz", &[("a", ones.clone()), ("b", ones)]);
    let said = bench.transcript(&["run", &model, "--signature", "f", "--input", &data]);
    assert!(said.contains("CLI002") && said.contains("leaves out an input"), "{said}");
    for label in [2i64, -1] {
        let labels = bench.arrays("y.npz", &[("y", Array { element: Element::I64, shape: vec![1], bytes: label.to_le_bytes().to_vec() })]);
        let said = bench.transcript(&["compare", &model, &model, "--data", &data, "--labels", &labels]);
        assert!(said.contains("DAT012") && said.contains("is no class"), "{said}");
    }
}

/// A folder of its own for a test, which runs commands in it.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.folder.path().join(name), content).unwrap();
        self.path(name)
    }

    fn arrays(&self, name: &str, arrays: &[(&str, Array)]) -> String {
        let arrays: BTreeMap<String, Array> = arrays.iter().map(|(n, a)| ((*n).to_owned(), a.clone())).collect();
        write_npz(Path::new(&self.path(name)), &arrays).unwrap();
        self.path(name)
    }

    /// Names of all files, sorted.
    fn files(&self) -> Vec<String> {
        self.files_under("")
    }

    fn files_under(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn transcript(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = octet(arguments);
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&format!("{}/", self.folder.path().display()), "");
            timeless(&text).replace(&format!("{}/", example("").display().to_string().trim_end_matches('/')), "")
        };
        let mut out = format!("exit code {}\n", status.code().unwrap_or(-1));
        for (name, bytes) in [("stdout", &stdout), ("stderr", &stderr)] {
            if !bytes.is_empty() {
                out.push_str(&format!("--- {name}\n{}", text(bytes)));
            }
        }
        out
    }
}

/// The text with `N ms` for how long compiling took.
fn timeless(text: &str) -> String {
    let line = |line: &str| match line.split_once("compiled successfully in ") {
        Some((before, _)) => format!("{before}compiled successfully in N ms.\n"),
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

fn sine() -> String {
    example("sine.tflite").display().to_string()
}

const RELU: &str = "octet.ir 1\ngraph @main(%0: 1x4 f32 loc(\"x\")) {\n  %1 = relu(%0) : 1x4 f32 loc(\"y\")\n  return %1\n}\n";

/// Checks a transcript, and that the command left exactly these files.
macro_rules! transcript {
    ($bench:expr, $arguments:expr, $files:expr) => {
        let files: &[&str] = &$files;
        insta::assert_snapshot!($bench.transcript(&$arguments));
        assert_eq!($bench.files(), files);
    };
}

#[test]
fn inspects_a_model() {
    let bench = Bench::new();
    transcript!(bench, ["inspect", &sine()], []);
    transcript!(bench, ["inspect", "--tensors", &bench.write("m.ir", RELU)], ["m.ir"]);
}

#[test]
fn runs_samples() {
    let bench = Bench::new();
    let model = bench.write("m.ir", RELU);
    let data = bench.arrays("x.npz", &[("x", Array::from_f32(&[2, 4], &[-1.0, 0.5, 2.0, -3.0, 4.0, 0.0, -0.25, 1.0]))]);
    transcript!(bench, ["run", &model, "--input", &data, "--quiet"], ["m.ir", "x.npz"]);
    let out = bench.path("y.npz");
    assert_eq!(bench.transcript(&["run", &model, "--input", &data, "-o", &out, "--quiet"]), "exit code 0\n");
    let read = read_npz(Path::new(&out)).unwrap();
    assert_eq!(read["y"], Array::from_f32(&[2, 4], &[0.0, 0.5, 2.0, 0.0, 4.0, 0.0, 0.0, 1.0]));
    let scaled = ["run", &model, "--input", &data, "--preprocess", "scale=2,mean=1:2:3:4", "-o", &out, "--quiet"];
    assert_eq!(bench.transcript(&scaled), "exit code 0\n");
    assert_eq!(read_npz(Path::new(&out)).unwrap()["y"].to_f32().unwrap()[..4], [0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn integers_go_in_and_out_as_they_are() {
    let bench = Bench::new();
    let quantized = "octet.ir 1\ngraph @main(%0: 1x2 !q<i8, 0.5:-3> loc(\"x\")) {\n  \
        %1 = relu(%0) : 1x2 !q<i8, 0.5:-3> loc(\"y\")\n  return %1\n}\n";
    let model = bench.write("m.ir", quantized);
    let raw = bench.arrays("raw.npz", &[("x", Array::from_i8(&[1, 2], &[-10, 5]))]);
    let real = bench.arrays("real.npz", &[("x", Array::from_f32(&[1, 2], &[-3.5, 4.0]))]);
    let out = bench.path("y.npz");
    assert_eq!(bench.transcript(&["run", &model, "--input", &raw, "-o", &out, "--quiet"]), "exit code 0\n");
    assert_eq!(read_npz(Path::new(&out)).unwrap()["y"], Array::from_i8(&[1, 2], &[-3, 5]));
    assert_eq!(bench.transcript(&["run", &model, "--input", &real, "-o", &out, "--dequantize", "--quiet"]), "exit code 0\n");
    assert_eq!(read_npz(Path::new(&out)).unwrap()["y"], Array::from_f32(&[1, 2], &[0.0, 4.0]));
    insta::assert_snapshot!(bench.transcript(&["run", &model, "--input", &real, "--quiet"]));
}

#[test]
fn compares_two_models() {
    let bench = Bench::new();
    let a = bench.write("a.ir", RELU);
    let b = bench.write("b.ir", RELU.replace("relu(", "relu6("));
    let data = bench.arrays("x.npz", &[("x", Array::from_f32(&[2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]))]);
    transcript!(bench, ["compare", &a, &b, "--data", &data, "--per-tensor", "--quiet"], ["a.ir", "b.ir", "x.npz"]);
    transcript!(bench, ["compare", &a, &b, "--data", &data, "--min-sqnr", "40", "--quiet"], ["a.ir", "b.ir", "x.npz"]);
    transcript!(bench, ["compare", &a, &a, "--data", &data, "--min-sqnr", "40", "--json", "--quiet"], ["a.ir", "b.ir", "x.npz"]);
}

/// A quantized layer of `units` by 4, with the names of its own.
fn layer(name: &str, units: usize) -> String {
    let weights: Vec<String> = (0..units * 4).map(|i| (i % 7).to_string()).collect();
    let bias: Vec<String> = (0..units).map(|i| i.to_string()).collect();
    format!(
        "octet.ir 1\ngraph @main(%0: 1x4 !q<i8, 0.1:0> loc(\"{name}/x\")) {{\n  %1 = const [{}] : {units}x4 !q<i8, 0.02>\n  \
         %2 = const [{}] : {units} !q<i32, 0.002>\n  %3 = fully_connected(%0, %1, %2) : 1x{units} !q<i8, 0.1:-3> loc(\"{name}/y\")\n  return %3\n}}\n",
        weights.join(", "),
        bias.join(", "),
    )
}

/// Models that are compiled together share the memory for parameters, the first ones first; each has its file, log and place in the report.
#[test]
fn compiles_models_together() {
    let bench = Bench::new();
    let models = [("first", 60), ("second", 70), ("third", 8)].map(|(name, units)| bench.write(&format!("{name}.ir"), layer(name, units)));
    let [first, second, third] = &models;
    let (out, report) = (bench.path("out"), bench.path("report.json"));
    let together = ["compile", first, second, third, "--target", "edgetpu", "-o", &out, "--parameter-memory", "1200", "--report", &report];
    let there = ["first.ir", "out", "report.json", "second.ir", "third.ir"];
    transcript!(bench, together, there);
    let mut written: Vec<String> =
        std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    written.sort();
    assert_eq!(
        written,
        [
            "first_edgetpu.log",
            "first_edgetpu.tflite",
            "second_edgetpu.log",
            "second_edgetpu.tflite",
            "third_edgetpu.log",
            "third_edgetpu.tflite"
        ]
    );
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let figures = |field: &str| -> Vec<u64> {
        let models = report["models"].as_array().unwrap().iter();
        models.map(|m| m["edgetpu"]["memory"][field].as_u64().unwrap()).collect()
    };
    // 60 and 70 units are padded to 64 and 128, with 4 bytes for each bias: 512, 1024 and 512 bytes. The second does not fit; the third does.
    assert_eq!(figures("on_chip_used"), [512, 0, 512]);
    assert_eq!(figures("off_chip_streamed"), [0, 1024, 0]);
    assert_eq!(figures("on_chip_capacity"), [1200, 688, 688]);
    assert_eq!(report["models"][1]["edgetpu"]["memory"]["shared_by"].as_array().map(Vec::len), Some(3));
    // What makes no sense together, and a model that fails: nothing is written then.
    let other = bench.path("other");
    let same = bench.folder.path().join("out").join("first.ir");
    std::fs::write(&same, layer("same", 4)).unwrap();
    let same = same.display().to_string();
    transcript!(bench, ["compile", first, &same, "--target", "edgetpu", "-o", &other], there);
    transcript!(bench, ["compile", first, second, "-o", &other], there);
    transcript!(bench, ["compile", first, second, "--target", "edgetpu", "--num-segments", "2", "-o", &other], there);
    let float = bench.write("float.ir", RELU);
    let there = ["first.ir", "float.ir", "other", "out", "report.json", "second.ir", "third.ir"];
    transcript!(bench, ["compile", first, &float, "--target", "edgetpu", "-o", &other], there);
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
}

/// Only Coral's own layout speaks of its memory; other accelerators get a sentence and the rows.
#[test]
fn checks_other_accelerators() {
    let bench = Bench::new();
    let model = bench.write("layer.ir", layer("dense", 4));
    let float = bench.write("relu.ir", RELU);
    let there = ["layer.ir", "relu.ir"];
    transcript!(bench, ["check", &model, "--target", "cmsis-nn"], there);
    transcript!(bench, ["check", &float, "--target", "xnnpack-int8"], there);
    transcript!(bench, ["check", &model, "--target", "litert"], there);
}

#[test]
fn checks_a_target() {
    let bench = Bench::new();
    let model = bench.write("m.ir", RELU);
    let profile =
        bench.write("mini.toml", "name = 'mini'\ntitle = 'Mini'\nsource = 'a test'\n[[op]]\nops = ['relu']\ntypes = ['i8 -> i8']\n");
    transcript!(bench, ["check", &model, "--target", &profile], ["m.ir", "mini.toml"]);
    transcript!(bench, ["check", &model, "--target", "tflm", "--json"], ["m.ir", "mini.toml"]);
    transcript!(bench, ["check", &model, "--target", "nothing"], ["m.ir", "mini.toml"]);
}

#[test]
fn optimizes_ir() {
    let bench = Bench::new();
    let twice = RELU.replace("return %1", "%2 = relu(%1) : 1x4 f32 loc(\"z\")\n  return %2");
    let model = bench.write("m.ir", twice);
    transcript!(bench, ["opt", &model, "--pipeline", "canonicalize"], ["m.ir"]);
    transcript!(bench, ["opt", &model, "--pipeline", "canonicalise"], ["m.ir"]);
    transcript!(bench, ["opt", &model, "--pipeline", "fold{"], ["m.ir"]);
    let out = bench.path("out.ir");
    assert_eq!(bench.transcript(&["opt", &sine(), "-o", &out, "--quiet"]), "exit code 0\n");
    assert_eq!(bench.files(), ["m.ir", "out.ir", "out.ir.bin"]);
    assert_eq!(
        bench
            .transcript(&[
                "compare",
                &sine(),
                &out,
                "--data",
                &example("sine_test.npz").display().to_string(),
                "--min-sqnr",
                "300",
                "--quiet"
            ])
            .lines()
            .next(),
        Some("exit code 0")
    );
}

#[test]
fn bad_models_are_told() {
    let bench = Bench::new();
    let float = std::fs::read(sine()).unwrap();
    let out = bench.path("out.tflite");
    let cut = bench.write("cut.tflite", &float[..1000]);
    let text = bench.write("text.tflite", "not a model");
    let ir = bench.write("bad.ir", RELU.replace("relu(%0)", "relu(%7)"));
    let files = ["bad.ir", "cut.tflite", "text.tflite"];
    transcript!(bench, ["compile", &bench.path("none.tflite"), "-o", &out], files);
    transcript!(bench, ["compile", &text, "-o", &out], files);
    transcript!(bench, ["compile", &ir, "-o", &out], files);
    let told = bench.transcript(&["compile", &cut, "-o", &out]);
    assert!(told.starts_with("exit code 1\n--- stderr\nerror[TFL"), "{told}");
    assert_eq!(bench.files(), files);
    transcript!(bench, ["inspect", &text, "--message-format", "json"], files);
}

#[test]
fn bad_data_are_told() {
    let bench = Bench::new();
    let model = bench.write("m.ir", RELU);
    let shape = bench.arrays("shape.npz", &[("x", Array::from_f32(&[2, 3], &[0.0; 6]))]);
    let nan = bench.arrays("nan.npz", &[("x", Array::from_f32(&[2, 4], &[0.0, 0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0]))]);
    let two = bench.arrays("two.npz", &[("a", Array::from_f32(&[1, 4], &[0.0; 4])), ("b", Array::from_f32(&[1, 4], &[0.0; 4]))]);
    let files = ["m.ir", "nan.npz", "shape.npz", "two.npz"];
    transcript!(bench, ["run", &model, "--input", &shape], files);
    transcript!(bench, ["run", &model, "--input", &nan, "-o", &bench.path("out.npz")], files);
    transcript!(bench, ["run", &model, "--input", &two], files);
    transcript!(bench, ["run", &model, "--input", &two, "--preprocess", "scale=1/0"], files);
    transcript!(bench, ["run", &model, "--input", &two, "--preprocess", "other:scale=2"], files);
}

#[test]
fn what_is_given_in_vain_is_told() {
    let bench = Bench::new();
    let model = bench.write("m.ir", RELU);
    let data = bench.arrays("x.npz", &[("x", Array::from_f32(&[2, 4], &[0.0; 8]))]);
    let files = ["m.ir", "x.npz"];
    transcript!(
        bench,
        ["compile", &model, "-o", &bench.path("o.tflite"), "--data", &data, "--preprocess", "scale=2"],
        ["m.ir", "o.tflite", "x.npz"]
    );
    std::fs::remove_file(bench.path("o.tflite")).unwrap();
    transcript!(bench, ["run", &model, "--input", &data, "--preprocess", "scale=2", "--preprocess", "mean=1"], files);
    // A fixed batch gives several rows of scores a sample: there is no class for each.
    let batch =
        bench.write("b.ir", "octet.ir 1\ngraph @main(%0: 2x4 f32 loc(\"x\")) {\n  %1 = relu(%0) : 2x4 f32 loc(\"y\")\n  return %1\n}\n");
    let four = bench.arrays("four.npz", &[("x", Array::from_f32(&[4, 4], &[0.0; 16]))]);
    let zeros = Array { element: Element::I64, shape: vec![2], bytes: vec![0; 16] };
    let labels = bench.arrays("y.npz", &[("y", zeros)]);
    transcript!(bench, ["compare", &batch, &batch, "--data", &four, "--labels", &labels], ["b.ir", "four.npz", "m.ir", "x.npz", "y.npz"]);
}

#[test]
fn one_array_goes_into_an_npy() {
    let bench = Bench::new();
    let two = "octet.ir 1\ngraph @main(%0: 1x4 f32 loc(\"x\")) {\n  %1 = relu(%0) : 1x4 f32 loc(\"y\")\n  \
               %2 = neg(%0) : 1x4 f32 loc(\"z\")\n  return %1, %2\n}\n";
    let (one, two) = (bench.write("one.ir", RELU), bench.write("two.tflite", two));
    let data = bench.arrays("x.npz", &[("x", Array::from_f32(&[2, 4], &[1.0; 8]))]);
    let out = bench.path("out.npy");
    transcript!(bench, ["run", &two, "--input", &data, "-o", &out], ["one.ir", "two.tflite", "x.npz"]);
    let told = bench.transcript(&["run", &one, "--input", &data, "-o", &out, "--quiet"]);
    assert!(told.starts_with("exit code 0\n"), "{told}");
    let array = std::fs::read(&out).unwrap();
    assert!(array.starts_with(b"\x93NUMPY") && array.ends_with(&[1.0f32.to_le_bytes(); 8].concat()));
}

#[test]
fn names_that_mean_nothing_are_refused() {
    let bench = Bench::new();
    let model = bench.write("m.ir", RELU);
    let data = bench.arrays("x.npz", &[("x", Array::from_f32(&[2, 4], &[1.0; 8]))]);
    transcript!(bench, ["run", &model, "--input", &data, "-o", &bench.path("out.csv")], ["m.ir", "x.npz"]);
    transcript!(bench, ["check", &sine(), "--target", "edgetpu", "--intermediate-tensors", "nosuch"], ["m.ir", "x.npz"]);
}

#[test]
fn outputs_that_cannot_be_written_are_told_first() {
    let bench = Bench::new();
    // The model does not exist either: the output is looked at before it.
    transcript!(bench, ["compile", "none.tflite", "-o", &bench.path("no/folder/out.tflite")], []);
    transcript!(bench, ["compile", "none.tflite", "-o", &bench.path("")], []);
    transcript!(bench, ["opt", "none.tflite", "-o", "/dev/null"], []);
}

#[test]
fn wrong_arguments_are_told() {
    let bench = Bench::new();
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("o"), "--quantize", "int9"], []);
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("o"), "--quantize", "int8"], []);
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("o"), "--target", "c99"], []);
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("o"), "--target", "tflite{speed = fast}"], []);
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("o"), "--emit-test"], []);
    transcript!(bench, ["compare", &sine(), &sine()], []);
    transcript!(bench, ["run", &sine(), "--input", "x.npy", "--signature", "main"], []);
}

#[test]
fn outputs_are_named_like_what_is_written() {
    let bench = Bench::new();
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("sine.wasm")], []);
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("sine.tflite"), "--target", "wasm"], []);
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("sine.c"), "--target", "c"], []);
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("sine.onnx")], []);
    transcript!(bench, ["compile", &sine(), "-o", &bench.path("sine.ir")], []);
}

#[test]
fn files_beside_a_module_have_its_name() {
    let bench = Bench::new();
    for name in ["one.wasm", "two.wasm"] {
        let told = bench.transcript(&["compile", &sine(), "-o", &bench.path(name), "--target", "wasm", "--emit-loader", "--quiet"]);
        assert_eq!(told, "exit code 0\n");
    }
    for file in ["one.wasm", "two.wasm", "one-loader/model.strict.wasm", "two-loader/octet.js", "two-loader/package.json"] {
        assert!(Path::new(&bench.path(file)).is_file(), "{file}");
    }
    let page = bench.path("page.wasm");
    let told = bench.transcript(&["compile", &sine(), "-o", &page, "--target", "wasm", "--emit-demo"]);
    assert!(told.contains("error[WGN006]: the page runs models of one picture, and this model takes"), "{told}");
    let told = bench.transcript(&["compile", &sine(), "-o", &page, "--target", "wasm", "--kernel", "relu", "--emit-demo"]);
    assert!(told.contains("error[WGN001]: a kernel of a region comes without loader and page"), "{told}");
    assert!(!Path::new(&page).exists());
}

#[test]
fn arguments_of_other_converters_are_translated() {
    let bench = Bench::new();
    let out = bench.path("o.tflite");
    transcript!(bench, ["compile", &sine(), "-o", &out, "--representative_dataset", "x.npy"], []);
    transcript!(bench, ["compile", &sine(), "-o", &out, "--inference-input-type=int8"], []);
}

#[test]
fn bytes_that_feed_floats_are_told() {
    let bench = Bench::new();
    let model = bench.write("m.ir", RELU);
    let bytes = Array { element: Element::U8, shape: vec![2, 4], bytes: vec![0, 1, 2, 3, 252, 253, 254, 255] };
    let data = bench.arrays("x.npz", &[("x", bytes)]);
    let told = bench.transcript(&["run", &model, "--input", &data]);
    assert!(told.contains("note[DAT032]: the input 'x' gets these uint8 data as they are, 0 to 255"), "{told}");
    let told = bench.transcript(&["run", &model, "--input", &data, "--preprocess", "scale=1"]);
    assert!(told.starts_with("exit code 0") && !told.contains("DAT032"), "{told}");
}

#[test]
fn compiles_in_every_mode() {
    let bench = Bench::new();
    let data = example("sine_calibration.npy").display().to_string();
    for mode in ["dynamic-range", "float16", "int8", "int8-only", "int16x8"] {
        let out = bench.path(&format!("{mode}.tflite"));
        let told = bench.transcript(&["compile", &sine(), "-o", &out, "--quantize", mode, "--data", &data, "--quiet"]);
        assert!(told.starts_with("exit code 0\n"), "{mode}: {told}");
        let test = example("sine_test.npz").display().to_string();
        let told = bench.transcript(&["compare", &sine(), &out, "--data", &test, "--min-sqnr", "20", "--quiet"]);
        assert!(told.starts_with("exit code 0\n"), "{mode}: {told}");
    }
}

#[test]
fn int8_only_is_kept_or_refused() {
    let bench = Bench::new();
    // No runtime has an integer FLOOR_MOD of reals.
    let model = bench.write(
        "m.ir",
        "octet.ir 1\ngraph @main(%0: 1x4 f32 loc(\"x\")) {\n  %1 = floor_mod(%0, %0) : 1x4 f32 loc(\"y\")\n  return %1\n}\n",
    );
    let data = bench.arrays("x.npz", &[("x", Array::from_f32(&[2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]))]);
    let (out, report) = (bench.path("out.tflite"), bench.path("report.json"));
    let arguments = ["compile", &model, "-o", &out, "--quantize", "int8-only", "--data", &data, "--report", &report, "--quiet"];
    transcript!(bench, arguments, ["m.ir", "report.json", "x.npz"]);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!((&report["written"], &report["errors"]), (&serde_json::json!(false), &serde_json::json!(1)));
}

#[test]
fn lists_and_completes() {
    let bench = Bench::new();
    for what in ["passes", "frontends", "backends", "kernels", "ops", "targets", "plugins"] {
        let told = bench.transcript(&["list", what]);
        assert!(told.starts_with("exit code 0\n--- stdout\n"), "{told}");
        assert!(serde_json::from_slice::<serde_json::Value>(&octet(&["list", what, "--json"]).stdout).unwrap().is_array());
    }
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(octet(&["completions", shell]).stdout.len() > 1000, "{shell}");
    }
}

/// Integers that the reference takes as they are stand for real numbers, and those go into the other model, whatever its scale.
#[test]
fn compare_feeds_both_models_the_same_numbers() {
    let bench = Bench::new();
    let quantized = |ty: &str| RELU.replace("1x4 f32", &format!("1x4 !q<{ty}>"));
    let signed = bench.write("a.ir", quantized("i8, 0.5:-3"));
    let unsigned = bench.write("b.ir", quantized("u8, 0.5:125"));
    let float = bench.write("c.ir", RELU);
    let i8s = bench.arrays("i8.npz", &[("x", Array::from_i8(&[2, 4], &[-128, -3, 0, 1, 5, 100, 127, 7]))]);
    let bytes = Array { element: Element::U8, shape: vec![2, 4], bytes: vec![0, 125, 128, 129, 133, 228, 255, 135] };
    let u8s = bench.arrays("u8.npz", &[("x", bytes)]);
    for (a, b, data) in [
        (&signed, &unsigned, &i8s),
        (&unsigned, &signed, &u8s),
        (&signed, &float, &i8s),
        (&unsigned, &float, &u8s),
        (&signed, &signed, &i8s),
    ] {
        let told = bench.transcript(&["compare", a, b, "--data", data, "--max-error", "0"]);
        assert!(told.starts_with("exit code 0\n") && !told.contains("DAT032"), "{a} {b}: {told}");
    }
}

#[test]
fn compare_pairs_outputs_by_name() {
    let bench = Bench::new();
    let model = |outputs: &str| {
        format!(
            "octet.ir 1\ngraph @main(%0: 1x4 f32 loc(\"x\")) {{\n  %1 = tanh(%0) : 1x4 f32 loc(\"one\")\n  \
             %2 = abs(%0) : 1x4 f32 loc(\"two\")\n  return {outputs}\n}}\n"
        )
    };
    let (a, b) = (bench.write("a.ir", model("%1, %2")), bench.write("b.ir", model("%2, %1")));
    let other = bench.write("c.ir", model("%1, %2").replace("\"two\"", "\"three\""));
    let data = bench.arrays("x.npz", &[("x", Array::from_f32(&[2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -7.0, 8.0]))]);
    for (b, note) in [
        (&b, Some("the models give their outputs in different orders: they are paired by name")),
        (&other, Some("outputs are paired by position: 'two' of the reference with 'three'")),
        (&a, None),
    ] {
        let told = bench.transcript(&["compare", &a, b, "--data", &data, "--max-error", "0"]);
        assert!(told.starts_with("exit code 0\n"), "{b}: {told}");
        assert!(note.map_or(!told.contains("paired"), |note| told.contains(&format!("note[CLI007]: {note}"))), "{b}: {told}");
    }
}

#[test]
fn a_report_does_not_replace_another_file() {
    let bench = Bench::new();
    let model = bench.write("m.ir", RELU);
    let report = bench.path("o.tflite");
    // Another way to write the same path.
    let out = format!("{}/../{}/o.tflite", bench.folder.path().display(), bench.folder.path().file_name().unwrap().to_string_lossy());
    let told = bench.transcript(&["compile", &model, "-o", &out, "--report", &report]);
    assert!(
        told.starts_with("exit code 2\n") && told.contains("error[CLI002]: the report would replace another file of this command"),
        "{told}"
    );
    let told = bench.transcript(&["compile", &model, "-o", &out, "--report", &model]);
    assert!(told.starts_with("exit code 2\n") && told.contains("CLI002"), "{told}");
    assert_eq!(std::fs::read_to_string(&model).unwrap(), RELU);
    // A file in the folder that a target fills.
    std::fs::create_dir(bench.path("c")).unwrap();
    let source = bench.path("c/model.c");
    let told = bench.transcript(&["compile", &model, "-o", &bench.path("c"), "--target", "c", "--report", &source]);
    assert!(told.contains("CLI002") && !told.starts_with("exit code 0\n"), "{told}");
    // The log beside what an accelerator runs.
    let quantized = bench.write("q.ir", layer("q", 4));
    let (out, log) = (bench.path("q.tflite"), bench.path("q.log"));
    let told = bench.transcript(&["compile", &quantized, "-o", &out, "--target", "edgetpu", "--report", &log]);
    assert!(told.starts_with("exit code 2\n") && told.contains("CLI002"), "{told}");
}

/// The table of operations tells what the given compiler makes of each; where the compiler fails nothing is written.
#[test]
fn a_compiler_measures_the_code_of_operations() {
    let bench = Bench::new();
    let quantized = bench.write("q.ir", layer("q", 4));
    let compile = |cc: &str, out: &str, target: &str| {
        bench.transcript(&["compile", &quantized, "-o", &bench.path(out), "--target", target, "--cc", cc])
    };
    let told = compile("cc -Os", "c", "c");
    assert!(told.starts_with("exit code 0\n"), "{told}");
    let table = bench.files_under("c").into_iter().find(|name| name.ends_with("_operations.md")).expect("a table");
    let text = std::fs::read_to_string(bench.path(&format!("c/{table}"))).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let code = |line: &str| cells(line)[4].parse::<u64>().unwrap_or_else(|_| panic!("no bytes of code in {line}"));
    let mut rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #"));
    let total = rows.clone().next_back().map(code).expect("a total");
    let largest = rows.by_ref().map(code).inspect(|bytes| assert!(*bytes > 0, "{text}")).max();
    assert!(largest <= Some(total) && total < 20_000, "{text}");
    let built = text.split("all of the code has ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|n| n.parse::<u64>().ok());
    assert!(built.is_some_and(|bytes| bytes > 0), "{text}");
    for (cc, why) in [
        ("no-such-compiler -Os", "does not run"),
        ("cc --no-such-option", "ended with"),
        ("true", "wrote no object file"),
        (" ", "names no compiler"),
    ] {
        let told = compile(cc, "failed", "c");
        assert!(!told.starts_with("exit code 0\n") && told.contains("CLI013") && told.contains(why), "{cc}: {told}");
        assert!(!bench.files().contains(&"failed".to_owned()), "{cc}");
    }
    let told = compile("cc", "o.tflite", "tflite");
    assert!(told.starts_with("exit code 2\n") && told.contains("--cc needs --target c"), "{told}");
}
