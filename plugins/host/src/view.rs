//! What a plugin sees of a graph, and what it may say.

use std::sync::Arc;

use octet_ir::{Attr, Diagnostic, EntityId, Graph, GraphId, Module, OpId, Operation, Severity, SourceLocation, Use, ValueDef, ValueId};
use wasmtime::component::Resource;

use crate::bindings::octet::plugin::host;
use crate::bindings::octet::plugin::types::{self, Origin};
use crate::edits::op_location;
use crate::limits::{Exceeded, Limits, Meter};

/// Most bytes of a constant that one call copies.
const CHUNK: usize = 1 << 20;

/// The type behind the handle of a graph. There is one graph in a store, so it holds nothing.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct GraphView;

/// What one store holds.
pub(crate) struct State {
    pub(crate) meter: Meter,
    /// The module and the graph that is looked at; nothing while a plugin describes itself.
    pub(crate) scene: Option<Scene>,
    /// What the plugin said.
    pub(crate) said: Vec<Diagnostic>,
    /// Bytes that it may still say.
    pub(crate) breath: usize,
}

/// A graph of a module.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) module: Arc<Module>,
    pub(crate) graph: GraphId,
}

impl Scene {
    fn graph(&self) -> Option<&Graph> {
        self.module.get_graph(self.graph)
    }

    /// A plugin's diagnostic as one of ours.
    pub(crate) fn diagnostic(&self, code: &'static str, said: types::Diagnostic) -> Diagnostic {
        let mut location = SourceLocation::default();
        if let Some(graph) = self.graph() {
            location.graph = Some(graph.name().to_owned()).filter(|n| !n.is_empty());
            location.op = said.op.and_then(|op| op_location(graph, op));
            let value = said.value.map(|v| ValueId::from_index(v as usize));
            location.tensor = value.filter(|v| graph.get_value(*v).is_some()).map(|v| graph.value_name(v));
        }
        let mut diagnostic = Diagnostic::error(code, said.message).at(location);
        diagnostic.severity = match said.severity {
            types::Severity::Note => Severity::Note,
            types::Severity::Warning => Severity::Warning,
            types::Severity::Error => Severity::Error,
        };
        diagnostic.help = said.help;
        diagnostic
    }
}

impl State {
    pub(crate) fn new(limits: &Limits, scene: Option<Scene>) -> Self {
        Self { meter: Meter::new(*limits), scene, said: Vec::new(), breath: limits.output.min(CHUNK) }
    }

    fn graph(&self) -> wasmtime::Result<&Graph> {
        self.scene.as_ref().and_then(Scene::graph).ok_or_else(|| wasmtime::Error::msg("there is no graph to look at"))
    }

    fn say(&mut self, said: types::Diagnostic) -> wasmtime::Result<()> {
        // Each has a cost of its own, so that empty ones are counted too.
        let size = said.message.len().saturating_add(said.help.as_ref().map_or(0, String::len)).saturating_add(256);
        self.breath = self.breath.checked_sub(size).ok_or_else(|| Exceeded("it has more to say than anybody would read".into()))?;
        let diagnostic = match &self.scene {
            Some(scene) => scene.diagnostic("PLG023", said),
            None => Diagnostic::note("PLG023", said.message),
        };
        self.said.push(diagnostic);
        Ok(())
    }
}

fn number(id: impl EntityId) -> u32 {
    u32::try_from(id.index()).unwrap_or(u32::MAX)
}

fn value_info(graph: &Graph, id: ValueId) -> Option<types::Value> {
    let value = graph.get_value(id)?;
    let (origin, producer) = match value.def() {
        ValueDef::Input(_) => (Origin::Input, None),
        ValueDef::Constant(_) => (Origin::Constant, None),
        ValueDef::Result { op, .. } => (Origin::Computed, Some(number(op))),
        ValueDef::Variable => (Origin::Variable, None),
        ValueDef::Unbound => (Origin::Unbound, None),
    };
    let reader = |user: &Use| match user {
        Use::Operand { op, .. } => Some(number(*op)),
        Use::Output(_) => None,
    };
    let shape = &value.ty().shape;
    Some(types::Value {
        ty: value.ty().to_string(),
        element: value.ty().elem.name().to_owned(),
        sizes: shape.is_ranked().then(|| shape.dims().iter().map(|&d| d as u64).collect()),
        origin,
        producer,
        readers: value.uses().iter().filter_map(reader).collect(),
        is_output: value.is_output(),
        name: value.loc().name().map(str::to_owned),
    })
}

fn operation_info(operation: &Operation) -> types::Operation {
    let attributes = operation.op().attributes().unwrap_or_default();
    types::Operation {
        mnemonic: operation.op().mnemonic().to_owned(),
        attributes: if attributes.is_empty() { String::new() } else { Attr::Map(attributes).to_string() },
        operands: operation.operands().iter().map(|v| v.map(number)).collect(),
        results: operation.results().iter().copied().map(number).collect(),
    }
}

impl types::Host for State {}

impl host::Host for State {
    fn report(&mut self, diagnostic: types::Diagnostic) -> wasmtime::Result<()> {
        // An error is an answer of `run`; here it would not stop anything.
        let severity = if diagnostic.severity == types::Severity::Error { types::Severity::Warning } else { diagnostic.severity };
        self.say(types::Diagnostic { severity, ..diagnostic })
    }

    fn log(&mut self, message: String) -> wasmtime::Result<()> {
        self.say(types::Diagnostic { severity: types::Severity::Note, message, op: None, value: None, help: None })
    }
}

impl host::HostGraph for State {
    fn name(&mut self, _: Resource<GraphView>) -> wasmtime::Result<String> {
        Ok(self.graph()?.name().to_owned())
    }

    fn ops(&mut self, _: Resource<GraphView>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.graph()?.ops().map(|(id, _)| number(id)).collect())
    }

    fn op(&mut self, _: Resource<GraphView>, op: u32) -> wasmtime::Result<Option<types::Operation>> {
        Ok(self.graph()?.get_op(OpId::from_index(op as usize)).map(operation_info))
    }

    fn value(&mut self, _: Resource<GraphView>, value: u32) -> wasmtime::Result<Option<types::Value>> {
        Ok(value_info(self.graph()?, ValueId::from_index(value as usize)))
    }

    fn inputs(&mut self, _: Resource<GraphView>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.graph()?.inputs().iter().copied().map(number).collect())
    }

    fn outputs(&mut self, _: Resource<GraphView>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.graph()?.outputs().iter().copied().map(number).collect())
    }

    fn constant_length(&mut self, _: Resource<GraphView>, value: u32) -> wasmtime::Result<Option<u64>> {
        Ok(self.constant(value)?.map(|bytes| bytes.len() as u64))
    }

    fn constant_bytes(&mut self, _: Resource<GraphView>, value: u32, offset: u64, length: u32) -> wasmtime::Result<Option<Vec<u8>>> {
        let part = |bytes: &[u8]| {
            let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let end = begin.saturating_add(usize::try_from(length).unwrap_or(usize::MAX).min(CHUNK)).min(bytes.len());
            bytes.get(begin..end).unwrap_or_default().to_vec()
        };
        Ok(self.constant(value)?.map(part))
    }

    fn drop(&mut self, _: Resource<GraphView>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl State {
    fn constant(&self, value: u32) -> wasmtime::Result<Option<&[u8]>> {
        let graph = self.graph()?;
        let Some(ValueDef::Constant(id)) = graph.get_value(ValueId::from_index(value as usize)).map(octet_ir::Value::def) else {
            return Ok(None);
        };
        Ok(self.scene.as_ref().and_then(|s| s.module.get_constant(id)).map(|c| &c.bytes()[..]))
    }
}
