//! `octet inspect`: what a model file holds.

use std::path::{Path, PathBuf};

use clap::Args;
use octet_edgetpu::Package;
use octet_edgetpu::package::Kind;
use octet_ir::{EntityId, Graph, GraphId, Module, Operation, Value, ValueDef, ValueId};
use serde_json::json;

use crate::args::Importing;
use crate::details;
use crate::exit::{Exit, Failure};
use crate::macs::macs;
use crate::table::{Table, bytes, count, name};
use crate::terminal::Terminal;

/// Show what a model holds: graphs, inputs and outputs, operations, tensors, signatures, metadata
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The model: .tflite, .onnx or IR text
    model: PathBuf,
    #[command(flatten)]
    importing: Importing,
    /// As JSON; tensors as tf.lite.Interpreter's get_tensor_details() gives them
    #[arg(long)]
    json: bool,
    /// Also a table of all tensors
    #[arg(long)]
    tensors: bool,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let module = super::load(&arguments.model, &arguments.importing, terminal)?;
    let size = std::fs::metadata(&arguments.model).map(|m| m.len()).unwrap_or(0);
    if arguments.json {
        let mut value = json!({
            "file": arguments.model.display().to_string(),
            "bytes": size,
            "description": module.description,
            "constant_bytes": constant_bytes(&module),
            "graphs": graphs_json(&module),
            "signatures": details::signatures(&module),
            "metadata": module.metadata.iter().map(|m| json!({"name": m.name, "bytes": m.bytes.len()})).collect::<Vec<_>>(),
        });
        let packages = octet_edgetpu::packages(&module);
        if !packages.is_empty() {
            value["edgetpu"] = packages.into_iter().map(|(index, package)| package_json(index, &package)).collect();
        }
        terminal.print_json(&value)?;
    } else {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut text = shown(&module, &arguments.model.display().to_string(), size, arguments.tensors);
        let packages = octet_edgetpu::packages(&module);
        if packages.is_empty() && named_compiled(&arguments.model) {
            text.push_str("not compiled: no operation is an edgetpu-custom-op; edgetpu_compiler, or a delegate, takes this graph\n");
        }
        for (index, package) in packages {
            text.push_str(&shown_package(index, &package));
        }
        terminal.print(&text)?;
    }
    Ok(Exit::Success)
}

/// Every graph as JSON.
pub(crate) fn graphs_json(module: &Module) -> serde_json::Value {
    let graph = |(id, graph): (GraphId, &Graph)| {
        let tensors = |ids: &[ValueId]| ids.iter().map(|&v| details::tensor(graph, v)).collect::<Vec<_>>();
        let operations: Vec<_> = graph.ops().enumerate().map(|(index, (_, op))| operation_json(graph, index, op)).collect();
        json!({
            "name": graph.name(),
            "index": id.index(),
            "inputs": tensors(graph.inputs()),
            "outputs": tensors(graph.outputs()),
            "operations": operations,
            "tensors": graph.values().map(|(v, _)| details::tensor(graph, v)).collect::<Vec<_>>(),
            "macs": graph.ops().map(|(_, op)| macs(graph, op)).sum::<u64>(),
            "parameters": parameters(graph, graph.values()),
        })
    };
    module.graphs().map(graph).collect()
}

fn operation_json(graph: &Graph, index: usize, op: &Operation) -> serde_json::Value {
    let ids = |list: &[ValueId]| list.iter().map(|v| v.index()).collect::<Vec<_>>();
    let attributes = op.op().attributes().unwrap_or_default();
    json!({
        "index": index,
        "name": op_name(op),
        "inputs": op.operands().iter().map(|o| o.map_or(-1, |v| i64::try_from(v.index()).unwrap_or(-1))).collect::<Vec<_>>(),
        "outputs": ids(op.results()),
        "intermediates": ids(op.intermediates()),
        "attributes": attributes.iter().map(|(k, v)| (k.clone(), json!(v.to_string()))).collect::<serde_json::Map<_, _>>(),
        "macs": macs(graph, op),
        "parameters": parameters(graph, operands(graph, op)),
    })
}

/// Whether a file is called as edgetpu_compiler calls what it writes.
fn named_compiled(model: &Path) -> bool {
    model.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("_edgetpu"))
}

/// What a compiled operation carries.
fn package_json(index: usize, package: &Package) -> serde_json::Value {
    let mut value = json!(package);
    value["operation"] = json!(index);
    value["cached_parameter_bytes"] = json!(package.cached_bytes());
    value["streamed_parameter_bytes"] = json!(package.streamed_bytes());
    value
}

/// The same for people.
fn shown_package(index: usize, package: &Package) -> String {
    let (cached, streamed) = (package.cached_bytes(), package.streamed_bytes());
    let mut out = format!(
        "op {index}: compiled for the Edge TPU by {}, runtime {} or later, package {}, parameters {} cached and {} streamed\n",
        package.compiler_version,
        package.min_runtime_version,
        bytes(package.bytes),
        bytes(cached),
        bytes(streamed)
    );
    let mut table = Table::new(&["executable", "chip", ">parameters", ">instructions", ">scratch", "inputs", "outputs"]);
    let layers = |layers: &[octet_edgetpu::package::Layer]| {
        let one = |l: &octet_edgetpu::package::Layer| format!("{} [{}x{}x{}]", name(&l.name), l.shape[0], l.shape[1], l.shape[2]);
        layers.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    for e in &package.executables {
        let kind = match e.kind {
            Kind::StandAlone => "stand-alone",
            Kind::ParameterCaching => "parameter-caching",
            Kind::ExecutionOnly => "execution-only",
            Kind::Unknown => "unknown",
        };
        let scratch = usize::try_from(e.scratch_bytes).unwrap_or(0);
        table.row([
            kind.to_owned(),
            e.chip.clone(),
            bytes(e.parameter_bytes),
            bytes(e.instruction_bytes),
            bytes(scratch),
            layers(&e.inputs),
            layers(&e.outputs),
        ]);
    }
    out.push_str(&table.text(2));
    out.push_str("  The file does not say which operations of the original these were.\n");
    out
}

/// The name that TFLite users know.
fn op_name(op: &Operation) -> String {
    match op.op() {
        octet_ir::Op::Custom(custom) => custom.name.clone(),
        octet_ir::Op::Opaque(opaque) => opaque.name.to_uppercase(),
        other => other.mnemonic().to_uppercase(),
    }
}

fn operands<'g>(graph: &'g Graph, op: &'g Operation) -> impl Iterator<Item = (ValueId, &'g Value)> {
    op.operands().iter().flatten().filter_map(|v| Some((*v, graph.get_value(*v)?)))
}

/// Elements of the constants among values.
fn parameters<'g>(_: &Graph, values: impl Iterator<Item = (ValueId, &'g Value)>) -> u64 {
    let constants = values.filter(|(_, v)| matches!(v.def(), ValueDef::Constant(_)));
    constants.map(|(_, v)| u64::try_from(v.ty().shape.elements()).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
}

fn constant_bytes(module: &Module) -> usize {
    module.constants().map(|(_, c)| c.bytes().len()).sum()
}

fn shown(module: &Module, file: &str, size: usize, tensors: bool) -> String {
    let mut out = format!("{file}: {}, of which constants {}\n", bytes(size), bytes(constant_bytes(module)));
    if !module.description.is_empty() {
        out.push_str(&format!("description: {}\n", module.description.escape_debug()));
    }
    for (id, graph) in module.graphs() {
        out.push_str(&graph_shown(id, graph, tensors));
    }
    for signature in &module.signatures {
        let list = |pairs: &[(String, usize)]| pairs.iter().map(|(name, n)| format!("{name} = {n}")).collect::<Vec<_>>().join(", ");
        let (key, graph) = (&signature.key, signature.graph.index());
        out.push_str(&format!(
            "signature {key}: graph {graph}, inputs {}, outputs {}\n",
            list(&signature.inputs),
            list(&signature.outputs)
        ));
    }
    for entry in &module.metadata {
        out.push_str(&format!("metadata {}: {}\n", entry.name, bytes(entry.bytes.len())));
    }
    out
}

fn graph_shown(id: GraphId, graph: &Graph, tensors: bool) -> String {
    let title = if graph.name().is_empty() { String::new() } else { format!(" '{}'", graph.name()) };
    let total: u64 = graph.ops().map(|(_, op)| macs(graph, op)).sum();
    let mut out = format!(
        "graph {}{title}: {} operations, {} parameters, {} MACs\n",
        id.index(),
        graph.op_count(),
        count(parameters(graph, graph.values())),
        count(total)
    );
    let mut ends = Table::new(&["", ">tensor", "name", "type", "quantization"]);
    for (kind, ids) in [("input", graph.inputs()), ("output", graph.outputs())] {
        for &value in ids {
            let ty = graph.ty(value);
            ends.row([
                kind.to_owned(),
                value.index().to_string(),
                graph.value_name(value),
                plain_type(graph, value),
                details::quantization(ty),
            ]);
        }
    }
    out.push_str(&ends.text(2));
    let mut ops = Table::new(&[">#", "operation", "result", "attributes", ">params", ">MACs", "reads", "writes"]);
    for (index, (_, op)) in graph.ops().enumerate() {
        let reads = op.operands().iter().map(|o| o.map_or("-".to_owned(), |v| v.index().to_string())).collect::<Vec<_>>().join(" ");
        let writes = op.results().iter().map(|v| v.index().to_string()).collect::<Vec<_>>().join(" ");
        let result = op.results().first().map_or_else(String::new, |&v| plain_type(graph, v));
        let attributes = op.op().attributes().unwrap_or_default();
        let attributes = attributes.iter().map(|(k, v)| shortened(&format!("{k}={v}"))).collect::<Vec<_>>().join(" ");
        let (params, macs) = (parameters(graph, operands(graph, op)), macs(graph, op));
        let number = |n: u64| if n == 0 { "-".to_owned() } else { count(n) };
        ops.row([index.to_string(), op_name(op), result, attributes, number(params), number(macs), reads, writes]);
    }
    if !ops.is_empty() {
        out.push_str(&ops.text(2));
    }
    if tensors {
        let mut all = Table::new(&[">tensor", "name", "is", "type", ">bytes", "quantization"]);
        for (id, value) in graph.values() {
            let is = match value.def() {
                ValueDef::Input(_) => "input",
                ValueDef::Constant(_) => "constant",
                ValueDef::Result { .. } => "result",
                ValueDef::Variable => "variable",
                ValueDef::Unbound => "unbound",
            };
            let size = value.ty().byte_len().map_or("-".to_owned(), |n| n.to_string());
            let quantization = details::quantization(value.ty());
            all.row([id.index().to_string(), name(&graph.value_name(id)), is.into(), plain_type(graph, id), size, quantization]);
        }
        out.push_str(&all.text(2));
    }
    out
}

/// Type without quantization, as NumPy names it: `int8 [1, 28, 28, 1]`.
fn plain_type(graph: &Graph, value: ValueId) -> String {
    let ty = graph.ty(value);
    let dims: Vec<String> = ty
        .shape
        .dims()
        .iter()
        .enumerate()
        .map(|(a, d)| if ty.shape.dynamic(a).is_some() { format!("?{d}") } else { d.to_string() })
        .collect();
    let shape = if ty.shape.is_ranked() { dims.join(", ") } else { "unknown rank".to_owned() };
    format!("{} [{shape}]", ty.elem.numpy_name())
}

/// Custom options can be long.
fn shortened(text: &str) -> String {
    const MOST: usize = 48;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST - 3).chain("...".chars()).collect() }
}
