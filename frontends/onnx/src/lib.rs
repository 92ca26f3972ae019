//! ONNX in: protobuf to IR.
//!
//! [`OnnxFrontend`] decodes the file, inlines its functions, and lowers node by node: every operator becomes an IR operation or a short
//! composition of them, chosen by (domain, operator, opset version). What is constant is evaluated at once, with the kernels that
//! would run it later, because most operators are static only once their shape, axes or bounds are known.
//!
//! Tensors keep the layout that the file declares: operators on images get explicit transposes around them, which a pass cancels.
//! An operator that cannot be lowered is reported with all others at once. This crate never opens a file: external data comes
//! through the caller, which confines it to the model's folder.

mod attributes;
mod constants;
mod import;
mod lower;
mod proto;
mod scope;
mod tensor;

use bytes::Bytes;
use octet_ir::{Diagnostic, Diagnostics, Module};
use prost::Message;

/// Choices that the file leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Shapes of inputs, by name: `--shape name=1x3x224x224`.
    pub shapes: Vec<(String, Vec<usize>)>,
    /// Sizes of symbolic dimensions, by name: `--dim N=1`.
    pub dims: Vec<(String, usize)>,
}

/// Reads a model. `siblings` opens files beside it, for external data; it is asked for plain relative paths only.
pub fn import(bytes: Bytes, options: &ImportOptions, siblings: &dyn Fn(&str) -> Result<Bytes, Diagnostic>) -> Result<Module, Diagnostics> {
    let model = proto::ModelProto::decode(bytes).map_err(|e| Diagnostic::error("ONX001", format!("this is not an ONNX model: {e}")))?;
    import::model(&model, options, siblings)
}
