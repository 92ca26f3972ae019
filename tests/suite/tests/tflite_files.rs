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

/// A depthwise filter of one channel has its one scale along the last axis, and keeps it there.
#[test]
fn one_scale_along_an_axis_stays_there() {
    let text = "octet.ir 1\ngraph @main(%0: 1x4x4x1 !q<i8, 0.5:0>) {\n  %1 = const [1, 2, 3, 4] : 1x2x2x1 !q<i8, axis 3, [0.25]>\n  \
                %2 = depthwise_conv_2d(%0, %1) {padding = valid, depth_multiplier = 1} : 1x3x3x1 !q<i8, 0.5:0>\n  return %2\n}\n";
    let module = octet_ir::text::parse(text, &Bytes::new()).unwrap();
    verify(&module).unwrap();
    let written = write(&module, &WriteOptions::default()).unwrap().into_bytes();
    let again = open("one channel", &written);
    assert!(octet_ir::text::print(&again).text.contains("!q<i8, axis 3, [0.25]>"));
    assert_eq!(write(&again, &WriteOptions::default()).unwrap().into_bytes(), written);
}

/// Thousands of block-wise tensors find the constants with their scales without looking at every other one.
#[test]
fn scales_of_many_blocks_are_written_once() {
    let mut text = "octet.ir 1\ngraph @main(%0: 1x4 f32) {\n".to_owned();
    let count = 4000;
    for n in 1..=count {
        text += &format!("  %{n} = const x\"{:04x}\" : 1x4 !q<i4, block 2, [0.5, {}.0]>\n", n, n % 1000 + 1);
    }
    let outputs: Vec<String> = (1..=count).map(|n| format!("%{n}")).collect();
    text += &format!("  return {}\n}}\n", outputs.join(", "));
    let module = octet_ir::text::parse(&text, &Bytes::new()).unwrap();
    verify(&module).unwrap();
    let written = write(&module, &WriteOptions::default()).unwrap().into_bytes();
    // The input, the weights, and one tensor for each pair of scales.
    assert_eq!(open("many blocks", &written).main().values().count(), 1 + count + 1000);
}
