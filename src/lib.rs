//! Octet: a quantizing compiler for edge machine learning.
//!
//! Octet reads a trained model, optimizes and quantizes it, and writes what the edge runs; its interpreter gives the bits that the device will give.
//! This crate is the library behind the `octet` command:
//!
//! ```
//! use octet::{Compiler, Interpreter, Mode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples");
//! # let out = std::env::temp_dir().join(format!("octet-doc-{}.tflite", std::process::id()));
//! // Read, quantize, write.
//! let float = octet::load(format!("{examples}/sine.tflite"))?;
//! let compiled = Compiler::new()
//!     .quantize(Mode::Int8Only)
//!     .data(format!("{examples}/sine_calibration.npy"))
//!     .compile(&float)?;
//! octet::save(&compiled.module, &out)?;
//!
//! // Run what was written: allocate, set, invoke, get.
//! let mut interpreter = Interpreter::new(&octet::load(&out)?, Default::default())?;
//! interpreter.allocate_tensors()?;
//! let input = interpreter.input_details().remove(0);
//! let output = interpreter.output_details().remove(0);
//! let (scale, zero_point) = input.quantization;
//! let angle = (std::f32::consts::FRAC_PI_2 / scale).round() as i64 + zero_point;
//! interpreter.elements_mut::<i8>(input.index)?[0] = i8::try_from(angle)?;
//! interpreter.invoke()?;
//! let (scale, zero_point) = output.quantization;
//! let sine = (i64::from(interpreter.elements::<i8>(output.index)?[0]) - zero_point) as f32 * scale;
//! assert!((sine - 1.0).abs() < 0.1, "{sine}");
//! # std::fs::remove_file(&out)?;
//! # Ok(())
//! # }
//! ```
//!
//! # A command of your own
//!
//! A crate that registers passes, frontends, backends or kernels through [`plugin`] is found by the command when it is linked:
//!
//! ```no_run
//! // use acme_passes as _;
//! fn main() -> std::process::ExitCode {
//!     octet::main()
//! }
//! ```

use std::path::Path;

pub use octet_cli::driver::{Compiled, Compiler, load};
pub use octet_cli::{Exit, main, run};
pub use octet_data::{Preprocess, map_file, read_arrays, write_npy, write_npz};
pub use octet_eval::{Interpreter, SignatureRunner, TensorDetails};
pub use octet_ir::{Diagnostic, Diagnostics, Module};
pub use octet_passes::Pipeline;
pub use octet_passes::quantize::{Io, Mode};
pub use octet_plugin::Tensor;

pub use octet_cli as cli;
pub use octet_data as data;
pub use octet_eval as eval;
pub use octet_ir as ir;
pub use octet_passes as passes;
pub use octet_plugin as plugin;
pub use octet_targets as targets;

/// Writes a module as `.tflite`; the file appears whole or not at all.
///
/// # Errors
/// What the format cannot hold, or why the file cannot be written. [`cli::driver::save`] writes with any registered backend.
pub fn save(module: &Module, path: impl AsRef<Path>) -> Result<(), Diagnostics> {
    let destination = octet_cli::driver::Destination::new(path.as_ref())?;
    octet_cli::driver::save(module, "tflite", Vec::new(), &destination, &mut Diagnostics::default()).map(drop)
}
