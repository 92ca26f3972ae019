//! TFLite files through the IR and back: what is read is what was there, and what is written says the same.

use bytes::Bytes;
use octet_backend_tflite::{WriteOptions, write};
use octet_frontend_tflite::read;
use octet_ir::Module;
use octet_ir::verify::verify;
use octet_tests::models;

/// Reads a sound file.
fn open(name: &str, bytes: &Bytes) -> Module {
    let module = read(bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
    verify(&module).unwrap_or_else(|why| panic!("{name}: {why}"));
    module
}

/// Everything that a file says survives, at any size at which constants leave the flatbuffer.
fn round_trip(name: &str, bytes: &Bytes) {
    let module = open(name, bytes);
    let has_constants = module.constants().any(|(_, c)| !c.bytes().is_empty());
    for largest_flatbuffer in [None, Some(0)] {
        let options = WriteOptions { ranges: true, largest_flatbuffer, ..WriteOptions::default() };
        let encoded = write(&module, &options).unwrap_or_else(|why| panic!("{name}: {why}"));
        let outside = encoded.parts().len() > 1;
        assert!(if largest_flatbuffer.is_some() { outside || !has_constants } else { !outside }, "{name}: parts of the file");
        assert_eq!(encoded.len(), encoded.parts().iter().map(Bytes::len).sum::<usize>());
        let written = encoded.into_bytes();
        let again = open(name, &written);
        assert!(again == module, "{name}: the module changed on the way through a file");
        let twice = write(&again, &options).unwrap().into_bytes();
        assert!(twice == written, "{name}: writing twice gives other bytes");
    }
}

#[test]
fn examples_survive() {
    for name in ["sine.tflite", "digits.tflite"] {
        round_trip(name, &std::fs::read(models::example(name)).unwrap().into());
    }
}

#[test]
fn zoo_models_survive() {
    for path in models::zoo_models().unwrap_or_default() {
        round_trip(&path.display().to_string(), &std::fs::read(&path).unwrap().into());
    }
}

/// Ours is the smaller file, and without names it is smaller still.
#[test]
fn zoo_files_only_shrink() {
    for path in models::zoo_models().unwrap_or_default() {
        let name = path.display();
        let bytes = Bytes::from(std::fs::read(&path).unwrap());
        let module = open(&name.to_string(), &bytes);
        let ours = write(&module, &WriteOptions::default()).unwrap().len();
        let stripped = write(&module, &WriteOptions { strip_names: true, ..WriteOptions::default() }).unwrap().len();
        assert!(ours <= bytes.len() && stripped <= ours, "{name}: {} bytes, ours {ours}, without names {stripped}", bytes.len());
    }
}
