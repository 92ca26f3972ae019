//! What every interpreter of one module shares: the module itself, its constants in aligned
//! memory, and the names of its resource variables.

use std::collections::BTreeMap;

use bytes::Bytes;
use octet_ir::{Diagnostic, EntityId, Graph, Module, Op, ValueDef};
use octet_plugin::{KernelEntry, Registry};

use crate::buffer::Buffer;
use crate::data::sparse::densify;

/// The bytes of a constant, aligned for every element type.
#[derive(Clone, Debug)]
pub(super) enum ConstantData {
    /// The model's own bytes, which happen to be aligned.
    Shared(Bytes),
    /// An aligned (or densified) copy.
    Owned(Buffer),
}

impl ConstantData {
    fn new(bytes: &Bytes) -> Self {
        if bytes.as_ptr().addr().is_multiple_of(16) { Self::Shared(bytes.clone()) } else { Self::Owned(Buffer::copy_of(bytes)) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Owned(buffer) => buffer.bytes(),
        }
    }
}

/// A module made ready to be planned and run.
pub(super) struct Program {
    pub(super) module: Module,
    /// Per graph and value.
    pub(super) constants: Vec<Vec<Option<ConstantData>>>,
    /// Numbers of the resource variables by container and name.
    pub(super) variables: BTreeMap<(String, String), usize>,
    /// Kernels of custom ops.
    pub(super) kernels: Registry<KernelEntry>,
}

impl Program {
    pub(super) fn new(module: &Module) -> Result<Self, Diagnostic> {
        let mut constants = Vec::new();
        let mut variables = BTreeMap::new();
        // Equal constants of several graphs share one copy.
        let mut aligned: BTreeMap<usize, ConstantData> = BTreeMap::new();
        for (_, graph) in module.graphs() {
            let mut of_graph = vec![None; graph.value_capacity()];
            for (id, value) in graph.values() {
                let ValueDef::Constant(constant) = value.def() else { continue };
                let bytes = module.constant(constant).bytes();
                of_graph[id.index()] = Some(match value.sparsity() {
                    Some(sparsity) => {
                        let dense = densify(bytes, sparsity, value.ty()).map_err(|why| {
                            Diagnostic::error("EVL008", format!("the sparse constant is malformed: {why}")).on_tensor(graph.value_name(id))
                        })?;
                        ConstantData::Owned(dense)
                    }
                    None => aligned.entry(constant.index()).or_insert_with(|| ConstantData::new(bytes)).clone(),
                });
            }
            constants.push(of_graph);
            name_variables(graph, &mut variables);
        }
        Ok(Self { module: module.clone(), constants, variables, kernels: Registry::collect()? })
    }
}

fn name_variables(graph: &Graph, variables: &mut BTreeMap<(String, String), usize>) {
    for (_, operation) in graph.ops() {
        if let Op::VarHandle(op) = operation.op() {
            let next = variables.len();
            variables.entry((op.container.clone(), op.shared_name.clone())).or_insert(next);
        }
    }
}
