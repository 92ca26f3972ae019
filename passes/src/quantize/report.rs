//! What quantization did, as data: one line per operation and per tensor. The command line prints it; `--json` gives it as it is.

use octet_ir::{Diagnostic, EntityId, Graph, GraphId, Module, Operation, SourceLocation};
use serde::Serialize;

use super::choose::Choice;
use super::classes::Anchor;
use super::options::Mode;
use super::solve::Solution;

/// What happened to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Computed in integers.
    Quantized,
    /// Computed in float.
    Float,
    /// It has nothing to quantize.
    Unchanged,
    /// Its weights are quantized, its activations are float.
    Weights,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpReport {
    /// Name of its graph.
    pub graph: String,
    /// Its number in execution order, before the rewrite.
    pub index: usize,
    /// TFLite's name.
    pub name: String,
    /// Name of its first result.
    pub tensor: Option<String>,
    /// What happened to it.
    pub status: Status,
    /// Why, where that is a question.
    pub reason: Option<String>,
}

impl OpReport {
    /// What happened to the operation that stands at `index` of `graph`.
    pub(super) fn new(graph: &Graph, index: usize, op: &Operation, status: Status, reason: Option<String>) -> Self {
        Self {
            graph: graph.name().to_owned(),
            index,
            name: op.op().mnemonic().to_uppercase(),
            tensor: op.results().first().map(|&r| graph.value_name(r)),
            status,
            reason,
        }
    }

    /// Where it stands.
    pub fn location(&self) -> SourceLocation {
        SourceLocation {
            graph: Some(self.graph.clone()),
            op: Some((self.index, self.name.to_lowercase())),
            tensor: self.tensor.clone(),
            ..SourceLocation::default()
        }
    }
}

/// One tensor that was quantized.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorReport {
    /// Name of its graph.
    pub graph: String,
    /// Its name.
    pub tensor: String,
    /// Element type.
    pub elem: String,
    /// Scales: one, or one per index of `axis`.
    pub scales: Vec<f32>,
    /// Zero points, as many.
    pub zero_points: Vec<i64>,
    /// The quantized axis.
    pub axis: Option<usize>,
    /// The range that was observed.
    pub range: Option<[f32; 2]>,
    /// Where the parameters come from: `range`, `training`, `kernel`.
    pub source: &'static str,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The mode asked for.
    pub mode: Mode,
    /// Every operation in order.
    pub ops: Vec<OpReport>,
    /// Every activation that became integers.
    pub tensors: Vec<TensorReport>,
    /// Facts worth knowing.
    #[serde(skip)]
    pub notes: Vec<Diagnostic>,
}

impl Report {
    /// An empty report.
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, ops: Vec::new(), tensors: Vec::new(), notes: Vec::new() }
    }

    /// Number of operations with a status.
    pub fn count(&self, status: Status) -> usize {
        self.ops.iter().filter(|o| o.status == status).count()
    }

    /// Operations that stay in float although they have real tensors.
    pub fn float_ops(&self) -> impl Iterator<Item = &OpReport> {
        self.ops.iter().filter(|o| o.status == Status::Float)
    }

    /// Describes a solution before it is carried out.
    pub(super) fn of(module: &Module, solution: &Solution, mode: Mode) -> Self {
        let mut report = Self::new(mode);
        for (id, graph) in module.graphs() {
            report.add_ops(id, graph, solution);
            report.add_tensors(id, graph, solution);
        }
        report
    }

    fn add_ops(&mut self, id: GraphId, graph: &Graph, solution: &Solution) {
        for (index, (op_id, op)) in graph.ops().enumerate() {
            let (status, reason) = match solution.choice(id, op_id) {
                Choice::Neutral => (Status::Unchanged, None),
                Choice::Quantized => (Status::Quantized, None),
                Choice::Control => (Status::Unchanged, Some("its graphs are quantized by themselves".into())),
                Choice::Float(why) => (Status::Float, Some(why.clone())),
                Choice::Idle => (Status::Unchanged, Some("it only moves numbers between float operations".into())),
            };
            self.ops.push(OpReport::new(graph, index, op, status, reason));
        }
    }

    fn add_tensors(&mut self, id: GraphId, graph: &Graph, solution: &Solution) {
        for (value, info) in graph.values() {
            let Some(params) = solution.stored(id, graph, value) else { continue };
            let source = match solution.anchor(id, value) {
                Some(Anchor::Trained(_)) => "training",
                Some(Anchor::Kernel(_)) => "kernel",
                Some(Anchor::Range) | None => "range",
            };
            self.tensors.push(TensorReport {
                graph: graph.name().to_owned(),
                tensor: graph.value_name(value),
                elem: solution.goal.width.elem().to_string(),
                scales: vec![params.scale],
                zero_points: vec![params.zero_point],
                axis: None,
                range: info.range().and_then(octet_ir::Range::bounds).map(|(lo, hi)| [lo, hi]),
                source,
            });
        }
    }
}

/// Where a value stands, for messages, given where operations stand ([`Graph::op_positions`]).
pub(super) fn at_value(graph: &Graph, positions: &[usize], value: octet_ir::ValueId) -> SourceLocation {
    let op = graph.producer(value).map(|(id, op)| {
        let index = positions.get(id.index()).copied().unwrap_or(id.index());
        (index, op.op().mnemonic().to_owned())
    });
    SourceLocation { graph: Some(graph.name().to_owned()), op, tensor: Some(graph.value_name(value)), ..SourceLocation::default() }
}
