//! The TFLite reader: it takes every sound file, and for every other one it answers with diagnostics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use octet_ir::verify::verify;
use octet_tests::models;
use octet_tests::mutate::mutate;

#[test]
fn examples_read_and_verify() {
    for name in ["sine.tflite", "digits.tflite"] {
        let bytes = std::fs::read(models::example(name)).unwrap().into();
        let module = octet_frontend_tflite::read(&bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
        verify(&module).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

#[test]
fn zoo_models_read_and_verify() {
    for path in models::zoo_models().unwrap_or_default() {
        let bytes = std::fs::read(&path).unwrap().into();
        let module = octet_frontend_tflite::read(&bytes).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        verify(&module).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    }
}

/// Reads `count` damaged copies of each file; a panic is a failure and prints what brings it back.
fn read_damaged(files: &[std::path::PathBuf], count: u64) {
    for path in files {
        let whole = std::fs::read(path).unwrap();
        let (mut refused, mut sound) = (0, 0);
        for seed in 0..count {
            let damaged = bytes::Bytes::from(mutate(&whole, seed));
            let answer = catch_unwind(AssertUnwindSafe(|| {
                let module = octet_frontend_tflite::read(&damaged)?;
                verify(&module).map(|()| module)
            }));
            match answer {
                Ok(Ok(_)) => sound += 1,
                Ok(Err(found)) => {
                    assert!(found.has_errors() && found.0.iter().all(|d| !d.code.is_empty()), "{}: seed {seed}", path.display());
                    refused += 1;
                }
                Err(_) => panic!("{}: the reader panics on mutate(file, {seed})", path.display()),
            }
        }
        // Damage to weights is no damage to the file's form; damage to tables mostly is.
        assert!(refused > 0, "{}: {sound} damaged copies passed, none was refused", path.display());
    }
}

#[test]
fn damaged_examples_never_panic() {
    read_damaged(&[models::example("sine.tflite"), models::example("digits.tflite")], 500);
}

#[test]
fn zoo_damaged_models_never_panic() {
    read_damaged(&models::zoo_models().unwrap_or_default(), 60);
}

/// A hundred thousand damaged files.
#[test]
#[ignore = "full runs"]
fn zoo_a_hundred_thousand_damaged_models_never_panic() {
    let files = models::zoo_models().unwrap_or_default();
    let each = u64::try_from(100_000usize.div_ceil(files.len().max(1))).unwrap();
    read_damaged(&files, each);
}
