//! The ONNX reader: any bytes give a module or a diagnostic, and the verifier judges every module that comes out.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use octet_frontend_onnx as _;
use octet_ir::{Diagnostics, text, verify};
use octet_plugin::{FrontendEntry, Import, ImportOptions, Registry};

fuzz_target!(|bytes: &[u8]| {
    let frontends = Registry::<FrontendEntry>::collect().expect("the registry is sound");
    let frontend = frontends.get("onnx").expect("the ONNX reader is linked").frontend;
    let options = ImportOptions::default();
    let read = frontend.read(Bytes::copy_from_slice(bytes), &Import::alone(&options), &mut Diagnostics::default());
    let Ok(module) = read else { return };
    if verify::verify(&module).is_ok() {
        let _ = text::print(&module);
    }
});
