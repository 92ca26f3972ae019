//! The TFLite reader: any bytes give a module or a diagnostic, the verifier judges every module that comes out, and what it finds sound is
//! run.

#![no_main]

#[path = "../../suite/src/attempt.rs"]
mod attempt;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use octet_frontend_tflite as _;
use octet_ir::{Diagnostics, text, verify};
use octet_plugin::{FrontendEntry, Import, ImportOptions, Registry};

fuzz_target!(|bytes: &[u8]| {
    let frontends = Registry::<FrontendEntry>::collect().expect("the registry is sound");
    let frontend = frontends.get("tflite").expect("the TFLite reader is linked").frontend;
    let options = ImportOptions::default();
    let read = frontend.read(Bytes::copy_from_slice(bytes), &Import::alone(&options), &mut Diagnostics::default());
    let Ok(module) = read else { return };
    if verify::verify(&module).is_ok() {
        let _ = text::print(&module);
        let _ = attempt::attempt(&module);
    }
});
