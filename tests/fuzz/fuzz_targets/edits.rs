//! Edit lists of plugins: whatever they say, nothing panics; what the verifier accepts the text form carries and the interpreter takes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use octet_eval::{Interpreter, Options};
use octet_plugin_host::edits::trial::{Trial, trial};

fuzz_target!(|data: &[u8]| {
    let mut choices = data;
    let Trial::Sound(module) = trial(&mut choices) else { return };
    // What cannot run is refused in words.
    let Ok(mut interpreter) = Interpreter::new(&module, Options::default()) else { return };
    if interpreter.allocate_tensors().is_ok() {
        drop(interpreter.invoke());
    }
});
