//! What the tests of the whole compiler share: models, inputs, comparisons. The tests themselves are in `tests/`.
//!
//! Nothing here decides what is right: the real runtimes do, through [`octet_peers`].

pub mod attempt;
pub mod batch;
pub mod cli;
pub mod compare;
pub mod differential;
pub mod generated;
pub mod inputs;
pub mod known;
pub mod models;
pub mod mutate;
pub mod native;
pub mod onnx;
pub mod ours;
pub mod perturb;
pub mod simulate;
pub mod tolerance;
pub mod wasm;

pub use octet_peers as peers;

use octet_peers::Peers;

/// The peers' environment.
///
/// # Panics
/// If it is not there: a test without its judge has failed. `cargo xtask test` prepares it.
#[must_use]
pub fn judges() -> Peers {
    match Peers::find() {
        Ok(peers) => peers,
        Err(reason) => panic!("{reason}"),
    }
}
