//! The peers that Octet is tested against (LiteRT, TensorFlow Lite Micro, litert-quantizer, TensorFlow), as child
//! processes: a list of jobs goes to `peers.py`, one answer for each comes back.
//!
//! It never judges an answer, never installs anything (`cargo xtask setup` does), and knows nothing of Octet's crates,
//! so that the tasks can use it without building the compiler.

mod array;
mod paths;
mod process;

pub use array::{Array, Element, read_npz, write_npz};
pub use paths::{environment_folder, full_environment_folder, onnx2tf_environment_folder, workspace_root, zoo};
pub use process::{Answer, Peers};
