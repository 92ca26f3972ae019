//! The zoo's ONNX networks import and verify; those that cannot yet say why.

use std::path::Path;

use octet_frontend_onnx::read;
use octet_ir::verify;
use octet_plugin::{Import, ImportOptions};

#[test]
fn zoo_networks_import() {
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/zoo");
    let mut found = 0;
    for name in
        ["mlperf-tiny/kws", "mlperf-tiny/resnet8", "mlperf-tiny/vww96", "ours/mnist_cnn", "ours/mnist_dw", "ours/gen_mobilenet_96_dynbatch"]
    {
        let Ok(bytes) = std::fs::read(zoo.join(name).with_extension("onnx")) else { continue };
        let options = ImportOptions::default();
        let module =
            read(bytes.into(), &Import::alone(&options), &mut octet_ir::Diagnostics::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        verify::verify(&module).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(module.main().ty(module.main().inputs()[0]).shape.is_dynamic(), "{name} keeps its batch");
        found += 1;
    }
    assert!(found == 6 || !zoo.exists(), "{found} networks of the zoo");
}

#[test]
fn what_is_no_model_is_told() {
    let options = ImportOptions::default();
    for bytes in [&b""[..], b"\x08\x07", b"not protobuf at all"] {
        let error = read(bytes.to_vec().into(), &Import::alone(&options), &mut octet_ir::Diagnostics::default()).unwrap_err();
        assert_eq!(error.0[0].code, "ONX001");
    }
}
