//! The zoo's ONNX networks import and verify; those that cannot yet say why.

use std::path::Path;

use octet_frontend_onnx::{ImportOptions, import};
use octet_ir::{Diagnostic, verify};

#[test]
fn zoo_networks_import() {
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/zoo");
    let mut read = 0;
    for name in
        ["mlperf-tiny/kws", "mlperf-tiny/resnet8", "mlperf-tiny/vww96", "ours/mnist_cnn", "ours/mnist_dw", "ours/gen_mobilenet_96_dynbatch"]
    {
        let Ok(bytes) = std::fs::read(zoo.join(name).with_extension("onnx")) else { continue };
        let none = |path: &str| Err(Diagnostic::error("TST001", format!("no file '{path}'")));
        let module = import(bytes.into(), &ImportOptions::default(), &none).unwrap_or_else(|e| panic!("{name}: {e}"));
        verify::verify(&module).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(module.main().ty(module.main().inputs()[0]).shape.is_dynamic(), "{name} keeps its batch");
        read += 1;
    }
    assert!(read == 6 || !zoo.exists(), "{read} networks of the zoo");
}

#[test]
fn what_is_no_model_is_told() {
    let none = |path: &str| Err(Diagnostic::error("TST001", format!("no file '{path}'")));
    for bytes in [&b""[..], b"\x08\x07", b"not protobuf at all"] {
        let error = import(bytes.to_vec().into(), &ImportOptions::default(), &none).unwrap_err();
        assert_eq!(error.0[0].code, "ONX001");
    }
}
