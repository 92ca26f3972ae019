//! ONNX in: protobuf to IR.
//!
//! [`OnnxFrontend`] decodes the file, inlines its functions, and lowers node by node: every operator becomes an IR operation or a short
//! composition of them, chosen by (domain, operator, opset version). What is constant is evaluated at once, with the kernels that
//! would run it later, because most operators are static only once their shape, axes or bounds are known.
//!
//! Tensors keep the layout that the file declares: operators on images get explicit transposes around them, which a pass cancels.
//! An operator that cannot be lowered is reported with all others at once. This crate never opens a file: external data comes
//! through the caller, which confines it to the model's folder.

mod adapt;
mod attributes;
mod build;
mod constants;
mod dynamic;
mod import;
mod lower;
mod open;
mod proto;
mod scope;
mod tensor;

use std::collections::BTreeSet;

use bytes::Bytes;
use octet_ir::{Diagnostic, Diagnostics, Module};
use octet_plugin::{Frontend, Import, register_frontend};
use prost::Message;

/// Reads a model. External data comes through `import`, which is asked for plain relative paths only; `notes` get what the file leaves
/// open and could not stay so.
///
/// # Errors
/// Everything that is wrong with the file, and every operator that cannot be lowered, at once.
pub fn read(bytes: Bytes, import: &Import<'_>, notes: &mut Diagnostics) -> Result<Module, Diagnostics> {
    let model = proto::ModelProto::decode(bytes).map_err(|e| Diagnostic::error("ONX001", format!("this is not an ONNX model: {e}")))?;
    import::model(&model, import, notes)
}

/// An input of a model, as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its sizes, where all are numbers.
    pub shape: Option<Vec<usize>>,
}

/// What a model file says of itself, without importing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Inputs that no initializer fills, in order.
    pub inputs: Vec<Port>,
    /// Operators of the main graph, `domain::Name` where the domain is not ONNX's own.
    pub operators: BTreeSet<String>,
}

/// Describes a model without importing it.
///
/// # Errors
/// `ONX001` when the bytes are no model.
pub fn describe(bytes: Bytes) -> Result<Description, Diagnostic> {
    let model = proto::ModelProto::decode(bytes).map_err(|e| Diagnostic::error("ONX001", format!("this is not an ONNX model: {e}")))?;
    let graph = model.graph.unwrap_or_default();
    let is_filled = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    let inputs = graph.input.iter().filter(|i| !is_filled(&i.name));
    let inputs = inputs.map(|i| Port { name: i.name.clone(), shape: open::declared_sizes(i) }).collect();
    let named = |n: &proto::NodeProto| match n.domain.as_str() {
        "" | "ai.onnx" => n.op_type.clone(),
        domain => format!("{domain}::{}", n.op_type),
    };
    Ok(Description { inputs, operators: graph.node.iter().map(named).collect() })
}

/// Reads a file of one tensor (`TensorProto`), as test suites store inputs and outputs: its name and elements.
///
/// # Errors
/// What is wrong with the file.
pub fn read_tensor(bytes: Bytes) -> Result<(String, octet_plugin::Tensor), Diagnostic> {
    let proto = proto::TensorProto::decode(bytes).map_err(|e| Diagnostic::error("ONX001", format!("this is not an ONNX tensor: {e}")))?;
    let options = octet_plugin::ImportOptions::default();
    let (ty, constant) = tensor::read(&proto, Import::alone(&options).siblings)?;
    Ok((proto.name, octet_plugin::Tensor { elem: ty.elem, shape: ty.shape.dims().to_vec(), bytes: constant.bytes().to_vec() }))
}

/// The registered frontend `onnx`.
#[derive(Clone, Copy, Debug)]
pub struct OnnxFrontend;

impl Frontend for OnnxFrontend {
    fn extensions(&self) -> &'static [&'static str] {
        &["onnx"]
    }

    /// The format has no magic number: a file begins with the IR version (field 1) and a field that the format knows.
    fn recognizes(&self, head: &[u8]) -> bool {
        matches!(head, [0x08, 3..=32, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..])
    }

    fn takes_options(&self) -> bool {
        true
    }

    fn read(&self, bytes: Bytes, import: &Import<'_>, notes: &mut Diagnostics) -> Result<Module, Diagnostics> {
        read(bytes, import, notes)
    }
}

register_frontend!("onnx", "ONNX models, float and quantized.", &OnnxFrontend);
