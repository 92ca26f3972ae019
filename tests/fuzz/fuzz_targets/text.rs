//! The text form: any bytes parse or give a diagnostic; what parses prints, and the print parses to the same print.

#![no_main]

use libfuzzer_sys::fuzz_target;
use octet_ir::{text, verify};

fuzz_target!(|source: &str| {
    let Ok(module) = text::parse(source, &Default::default()) else { return };
    let _ = verify::verify(&module);
    let printed = text::print(&module);
    let again = text::parse(&printed.text, &printed.blobs).expect("what was printed parses");
    assert_eq!(text::print(&again).text, printed.text);
});
