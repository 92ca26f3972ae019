//! Operations that the IR carries without knowing what they compute.

use super::infer::{InferCx, InferError, Inferred};
use crate::constant::Blob;

op! {
    /// A third party's operation.
    Custom = "custom" [operands..] declared;
    {
        /// Its name.
        name: String = String::new(),
        /// Its version in the source file.
        version: i32 = 1,
        /// Its options, byte for byte.
        options: Blob = Blob::default(),
    }
}

op! {
    /// A TFLite builtin that the IR does not model: code, version and options travel byte for byte.
    Opaque = "opaque" [operands..] declared;
    {
        /// TFLite's name for it.
        name: String = String::new(),
        /// TFLite's builtin operator code.
        builtin_code: i32 = 0,
        /// Its version in the source file.
        version: i32 = 1,
        /// Its options, as the frontend that read them packs them; empty when it has none.
        options: Blob = Blob::default(),
        /// Graphs that its options name.
        graphs: Vec<usize> = Vec::new(),
    }
}

fn declared<T>(_: &T, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    cx.declared_results()
}
