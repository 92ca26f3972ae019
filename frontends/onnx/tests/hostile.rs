//! No file makes the reader panic: mutated bytes, inputs of other ranks, and paths that lead out of the model's folder end in diagnostics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use octet_frontend_onnx::{describe, read};
use octet_ir::{Diagnostic, Diagnostics, verify};
use octet_plugin::{Import, ImportOptions};

/// Small models: the zoo's, and ONNX's own cases where `cargo xtask onnx` has unpacked them.
fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in ["../shared/zoo/ours", "../shared/zoo/mlperf-tiny"] {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten().map(|e| e.path());
        found.extend(entries.filter(|p| p.extension().is_some_and(|e| e == "onnx")));
    }
    for suite in ["node", "simple", "pytorch-converted", "pytorch-operator"] {
        let cases = std::fs::read_dir(root.join("target/onnx/1.22.0").join(suite)).into_iter().flatten().flatten();
        found.extend(cases.map(|e| e.path().join("model.onnx")));
    }
    found.sort();
    found.retain(|p| std::fs::metadata(p).is_ok_and(|m| m.len() < 100_000));
    found
}

/// How many times each model is changed: a hundred times as often where everything is asked for.
fn rounds(few: usize) -> usize {
    if std::env::var_os("OCTET_FULL").is_some() { few * 100 } else { few }
}

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end.max(1)
    }
}

/// Reads, and verifies what comes out; the message of a panic.
fn survives(bytes: &[u8], options: &ImportOptions) -> Result<(), String> {
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        if let Ok(module) = read(Bytes::copy_from_slice(bytes), &Import::alone(options), &mut Diagnostics::default()) {
            let _ = verify::verify(&module);
        }
    }));
    attempt
        .map_err(|p| p.downcast_ref::<String>().cloned().or_else(|| p.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
}

#[test]
fn inputs_of_other_shapes_are_refused_or_fit() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let mut failed = Vec::new();
    for path in models() {
        let bytes = std::fs::read(&path).unwrap();
        let Ok(description) = describe(bytes.clone().into()) else { continue };
        for _ in 0..rounds(8) {
            let mut shape = || (0..numbers.below(6)).map(|_| [0, 1, 2, 3, 5][numbers.below(5)]).collect();
            let shapes = description.inputs.iter().map(|i| (i.name.clone(), shape())).collect();
            let options = ImportOptions { shapes, ..ImportOptions::default() };
            if let Err(why) = survives(&bytes, &options) {
                failed.push(format!("{} with {:?}: {why}", path.display(), options.shapes));
            }
        }
    }
    assert!(failed.is_empty(), "{} panics:\n{}", failed.len(), failed.join("\n"));
}

/// A layer whose parameters have lost axes, which random shapes hit once in a hundred thousand.
#[test]
fn parameters_of_other_ranks_are_refused() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/onnx/1.22.0/node/test_gru_with_initial_bias/model.onnx");
    let Ok(bytes) = std::fs::read(suite) else { return };
    let shape = |name: &str, dims: &[usize]| (name.to_owned(), dims.to_vec());
    let shapes = vec![shape("X", &[1, 3, 5]), shape("W", &[3, 5, 0, 3]), shape("R", &[3, 1, 2]), shape("B", &[3])];
    survives(&bytes, &ImportOptions { shapes, ..ImportOptions::default() }).unwrap();
}

#[test]
fn mutated_files_are_refused_or_fit() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut failed = Vec::new();
    for path in models() {
        let original = std::fs::read(&path).unwrap();
        for round in 0..rounds(6) {
            let mut bytes = original.clone();
            for _ in 0..=numbers.below(4) {
                // Names and structure are at the end of most files, and in all of the small ones.
                let window = bytes.len().min(4096);
                let at = bytes.len() - 1 - numbers.below(window);
                match round % 3 {
                    0 => bytes[at] = u8::try_from(numbers.below(256)).unwrap(),
                    1 => bytes[at] ^= 1 << numbers.below(8),
                    _ => {
                        bytes.remove(at);
                    }
                }
            }
            if let Err(why) = survives(&bytes, &ImportOptions::default()) {
                failed.push(format!("{} round {round}: {why}", path.display()));
            }
        }
    }
    assert!(failed.is_empty(), "{} panics:\n{}", failed.len(), failed.join("\n"));
}

/// A field of protobuf: its number, and bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A model with one initializer of four floats in another file.
fn external(location: &str, offset: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    let tensor = [&[0x08, 4, 0x10, 1][..], &field(8, b"w"), &entry("location", location), &entry("offset", offset), &[0x70, 1]].concat();
    let output = field(12, &field(1, b"w"));
    let graph = [field(2, b"g"), field(5, &tensor), output].concat();
    [&[0x08, 8][..], &field(7, &graph), &field(8, &[0x10, 17])].concat()
}

#[test]
fn external_data_stays_in_the_folder_and_in_the_file() {
    let options = ImportOptions::default();
    let file = |path: &str| match path {
        "w.bin" => Ok(Bytes::from(vec![0u8; 20])),
        other => Err(Diagnostic::error("TST001", format!("asked for '{other}'"))),
    };
    let import = Import { options: &options, siblings: &file };
    let code = |location: &str, offset: &str| {
        read(external(location, offset).into(), &import, &mut Diagnostics::default()).err().map(|e| e.0[0].code)
    };
    assert_eq!(code("w.bin", "4"), None);
    for location in ["../w.bin", "/etc/passwd", "a/../../w.bin", "..\\w.bin", ""] {
        assert_eq!(code(location, "0"), Some("ONX014"), "{location}");
    }
    for offset in ["5", "18446744073709551615", "-1", "x"] {
        assert_eq!(code("w.bin", offset), Some("ONX013"), "{offset}");
    }
}

/// The data of many tensors may stand in one file: that it is missing is said once, and nothing of what follows from it.
#[test]
fn a_missing_file_is_told_once() {
    let options = ImportOptions::default();
    let missing = |path: &str| Err(Diagnostic::error("DAT001", "cannot read").in_file(path));
    let import = Import { options: &options, siblings: &missing };
    let tensor = |name: &[u8]| {
        let location = field(13, &[field(1, b"location"), field(2, b"w.bin")].concat());
        field(5, &[&[0x08, 4, 0x10, 1][..], &field(8, name), &location, &[0x70, 1]].concat())
    };
    let node = field(1, &[field(1, b"a"), field(1, b"b"), field(2, b"y"), field(4, b"Add")].concat());
    let graph = [field(2, b"g"), node, tensor(b"a"), tensor(b"b"), field(12, &field(1, b"y"))].concat();
    let model = [&[0x08, 8][..], &field(7, &graph), &field(8, &[0x10, 17])].concat();
    let errors = read(model.into(), &import, &mut Diagnostics::default()).unwrap_err();
    assert_eq!(errors.0.iter().map(|e| e.code).collect::<Vec<_>>(), ["DAT001"], "{errors}");
}
