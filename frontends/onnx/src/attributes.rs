//! A node with typed access to its attributes.

use crate::proto::{AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto};

/// Why a node cannot be lowered: one sentence.
pub(crate) type Refusal = String;

/// A node of the graph and the opset version that gives it its meaning.
pub(crate) struct Node<'n> {
    pub(crate) proto: &'n NodeProto,
    /// Opset version of the node's domain.
    pub(crate) version: i64,
}

impl<'n> Node<'n> {
    fn find(&self, name: &str) -> Option<&'n AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    /// An integer attribute.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.find(name).map(|a| a.i)
    }

    /// An integer attribute or its default.
    pub(crate) fn int_or(&self, name: &str, default: i64) -> i64 {
        self.int(name).unwrap_or(default)
    }

    /// A flag.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.int(name) == Some(1)
    }

    /// A float attribute or its default.
    pub(crate) fn float_or(&self, name: &str, default: f32) -> f32 {
        self.find(name).map_or(default, |a| a.f)
    }

    /// A float attribute.
    pub(crate) fn float(&self, name: &str) -> Option<f32> {
        self.find(name).map(|a| a.f)
    }

    /// An integer list.
    pub(crate) fn ints(&self, name: &str) -> Option<&'n [i64]> {
        self.find(name).map(|a| a.ints.as_slice())
    }

    /// A float list.
    pub(crate) fn floats(&self, name: &str) -> Option<&'n [f32]> {
        self.find(name).map(|a| a.floats.as_slice())
    }

    /// A string, or the default when it is missing or not UTF-8.
    pub(crate) fn text_or(&self, name: &str, default: &'n str) -> &'n str {
        self.find(name).and_then(|a| std::str::from_utf8(&a.s).ok()).filter(|s| !s.is_empty()).unwrap_or(default)
    }

    /// A tensor.
    pub(crate) fn tensor(&self, name: &str) -> Option<&'n TensorProto> {
        self.find(name)?.t.as_ref()
    }

    /// A sparse tensor.
    pub(crate) fn sparse_tensor(&self, name: &str) -> Option<&'n SparseTensorProto> {
        self.find(name)?.sparse_tensor.as_ref()
    }

    /// A nested graph.
    pub(crate) fn graph(&self, name: &str) -> Option<&'n GraphProto> {
        self.find(name)?.g.as_ref()
    }

    /// A list of strings; what is not UTF-8 becomes empty.
    pub(crate) fn strings(&self, name: &str) -> Vec<String> {
        let all = self.find(name).map(|a| a.strings.as_slice()).unwrap_or_default();
        all.iter().map(|s| std::str::from_utf8(s).unwrap_or_default().to_owned()).collect()
    }

    /// Whether the attribute stands there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Number of outputs that stand there.
    pub(crate) fn output_count(&self) -> usize {
        self.proto.output.len()
    }

    /// Whether output `index` is wanted.
    pub(crate) fn wants(&self, index: usize) -> bool {
        self.proto.output.get(index).is_some_and(|o| !o.is_empty())
    }
}
