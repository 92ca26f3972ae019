//! Edge-TPU-style accelerators: what they run of a graph, what that takes of their memory, and what compiled files hold.
//!
//! The constraints are data, in `octet-targets`' profiles; here is how they add up to a mapping, and the report of it. The executable format is not
//! public and is never written: what the target `edgetpu` writes is the int8 graph that a compiler of that format, or a delegate, takes whole.

mod cursor;
mod cuts;
mod file;
mod flex;
pub mod mapping;
pub mod memory;
pub mod package;
pub mod report;
pub mod segment;

pub use file::FileFacts;
pub use mapping::{Mapping, Options, map};
pub use memory::{Cache, Parameters};
pub use package::{Package, packages};
pub use segment::{Segments, segments};

use octet_backend_tflite::WriteOptions;
use octet_ir::{Diagnostic, Diagnostics, Module, from_attr};
use octet_plugin::{Artifact, Backend, register_backend};

/// The registered backend `edgetpu`: a flatbuffer whose constants lie inside it.
struct EdgetpuBackend(WriteOptions);

impl Backend for EdgetpuBackend {
    fn extensions(&self) -> &'static [&'static str] {
        &["tflite"]
    }

    fn write(&self, module: &Module, _notes: &mut Diagnostics) -> Result<Vec<Artifact>, Diagnostics> {
        let bytes = octet_backend_tflite::write(module, &self.0)?.into_bytes().to_vec();
        let outside = FileFacts::read(&bytes).is_some_and(|facts| facts.outside.contains(&true));
        if outside {
            let message = "the constants are too large for one flatbuffer, and constants outside it are not found by other compilers";
            return Err(Diagnostic::error("EDG002", message).with_help("cut the model into segments: --num-segments").into());
        }
        Ok(vec![Artifact { path: None, bytes }])
    }
}

fn create(options: octet_plugin::Options) -> Result<Box<dyn Backend>, Diagnostic> {
    let options = from_attr(octet_ir::Attr::Map(options)).map_err(|why| Diagnostic::error("EDG003", why.to_string()))?;
    Ok(Box::new(EdgetpuBackend(options)))
}

register_backend!("edgetpu", "TensorFlow Lite flatbuffers in the forms that Edge-TPU-style compilers and delegates take whole.", create);
