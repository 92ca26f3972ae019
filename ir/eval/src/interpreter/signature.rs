//! Running a graph through a signature: tensors by name.

use octet_ir::{Diagnostic, Diagnostics, EntityId, Signature};
use octet_plugin::Tensor;

use super::details::details;
use super::{Interpreter, TensorDetails};

/// One signature of a module, ready to be called.
pub struct SignatureRunner<'a> {
    interpreter: &'a mut Interpreter,
    signature: Signature,
}

impl<'a> SignatureRunner<'a> {
    pub(super) fn new(interpreter: &'a mut Interpreter, key: Option<&str>) -> Result<Self, Diagnostic> {
        let signatures = &interpreter.module().signatures;
        let found = match (key, signatures.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(key), all) => all.iter().find(|signature| signature.key == key),
        };
        let Some(signature) = found.cloned() else {
            let known: Vec<&str> = signatures.iter().map(|s| s.key.as_str()).collect();
            let message = match key {
                Some(key) => format!("there is no signature '{key}'"),
                None => format!("the module has {} signatures: name one", known.len()),
            };
            return Err(Diagnostic::error("EVL017", message).with_note(format!("there are: {}", known.join(", "))));
        };
        Ok(Self { interpreter, signature })
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.signature.key
    }

    /// Names and details of the inputs.
    #[must_use]
    pub fn input_details(&self) -> Vec<(String, TensorDetails)> {
        let graph = self.interpreter.module().graph(self.signature.graph);
        let types = &self.interpreter.input_types[self.signature.graph.index()];
        let detail = |(name, position): &(String, usize)| {
            let id = *graph.inputs().get(*position)?;
            Some((name.clone(), details(graph, id, types.get(*position))))
        };
        self.signature.inputs.iter().filter_map(detail).collect()
    }

    /// Names and details of the outputs.
    #[must_use]
    pub fn output_details(&self) -> Vec<(String, TensorDetails)> {
        let graph = self.interpreter.module().graph(self.signature.graph);
        let state = self.interpreter.states[self.signature.graph.index()].as_ref();
        let detail = |(name, position): &(String, usize)| {
            let id = *graph.outputs().get(*position)?;
            Some((name.clone(), details(graph, id, state.and_then(|state| state.types[id.index()].as_ref()))))
        };
        self.signature.outputs.iter().filter_map(detail).collect()
    }

    /// Runs the signature's graph on these inputs, resized to fit, and gives the outputs by name.
    pub fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>, Diagnostics> {
        let graph = self.signature.graph;
        for (name, _) in &self.signature.inputs {
            if !inputs.iter().any(|(given, _)| given == name) {
                return Err(Diagnostic::error("EVL018", format!("input '{name}' of signature '{}' is missing", self.key())).into());
            }
        }
        let mut fed = Vec::with_capacity(inputs.len());
        for (name, tensor) in inputs {
            let position = self.signature.inputs.iter().find(|(known, _)| known == name).map(|(_, position)| *position);
            let ids = self.interpreter.module().graph(graph).inputs();
            let Some((position, id)) = position.and_then(|position| Some((position, *ids.get(position)?))) else {
                return Err(Diagnostic::error("EVL018", format!("signature '{}' has no input '{name}'", self.key())).into());
            };
            self.interpreter.resize_input(graph, position, &tensor.shape);
            fed.push((id, *tensor));
        }
        self.interpreter.allocate_graph(graph)?;
        for (id, tensor) in fed {
            self.interpreter.set_graph_tensor(graph, id.index(), tensor)?;
        }
        self.interpreter.run_graph(graph, &mut None)?;
        let outputs = self.interpreter.module().graph(graph).outputs();
        let mut results = Vec::with_capacity(self.signature.outputs.len());
        for (name, position) in &self.signature.outputs {
            let id = outputs.get(*position).ok_or_else(|| Diagnostic::error("EVL018", format!("output '{name}' does not exist")))?;
            results.push((name.clone(), self.interpreter.get_graph_tensor(graph, id.index())?));
        }
        Ok(results)
    }
}
