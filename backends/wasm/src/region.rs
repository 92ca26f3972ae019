//! Part of a graph as a kernel: the operations become a WebAssembly module, and the graph gets a custom operation in their place.
//!
//! The module has the fixed form of `docs/wasm-kernel-abi.md`: operands and results with their types stand in the section `octet.kernel`. A whole model without
//! state is such a kernel too.

use std::collections::{BTreeMap, BTreeSet};

use octet_ir::ops::Custom;
use octet_ir::{Diagnostic, Graph, GraphBuilder, GraphId, Module, OpId, Operation, Patch, Type, ValueDef, ValueId, text};

/// A region that is not in the graph, or that no kernel can be.
const REGION: &str = "WGN005";

type Result<T> = std::result::Result<T, Diagnostic>;

fn wrong<T>(why: impl Into<String>) -> Result<T> {
    Err(Diagnostic::error(REGION, why))
}

/// The name of the kernel that computes a module: its graph's name, and what tells it from others.
pub(crate) fn name(module: &Module) -> String {
    let printed = text::print(module);
    // FNV-1a of 32 bits.
    let hash =
        printed.text.bytes().chain(printed.blobs.iter().copied()).fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let plain: String = module.main().name().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(64).collect();
    format!("octet_{plain}_{hash:08x}")
}

/// The section `octet.kernel`; `None` for a module with state, which is no kernel.
pub(crate) fn section(module: &Module) -> Option<String> {
    if module.has_state() {
        return None;
    }
    let graph = module.main();
    let mut text = format!("octet.kernel 1\nname: {}\nversion: {}\nsummary: ", name(module), env!("CARGO_PKG_VERSION"));
    text += &format!("{} operations, compiled by Octet.\n", graph.op_count());
    let line = |kind: &str, value: ValueId| {
        let ty = graph.ty(value);
        format!("{kind}: {}\n", Type { shape: ty.shape.to_static(), ..ty.clone() })
    };
    text.extend(graph.inputs().iter().map(|&v| line("operand", v)));
    text.extend(graph.outputs().iter().map(|&v| line("result", v)));
    Some(text)
}

/// Splits a module: the kernel of a region, and the module that calls it.
///
/// A region is `A..B`, the operations from the one that computes tensor `A` to the one that computes `B` in their order of execution; or
/// one tensor's operation;
/// or one operation by its name in TFLite, if there is one of that name.
pub(crate) fn split(module: &Module, region: &str) -> Result<(Module, Module)> {
    let graph = module.main();
    let ops = operations(graph, region)?;
    let inside: BTreeSet<OpId> = ops.iter().copied().collect();
    let operands = operands(graph, &ops, &inside);
    let results = results(graph, &ops, &inside);
    if results.is_empty() {
        return wrong(format!("nothing reads what the region '{region}' computes"));
    }
    let kernel = kernel(module, &ops, &operands, &results)?;

    let mut rest = module.clone();
    let last = ops.last().copied().map_or_else(|| wrong("the region is empty"), Ok)?;
    let mut patch = Patch::after(graph, last);
    let custom = Custom { name: name(&kernel), version: 1, ..Custom::default() };
    let types = results.iter().map(|&v| (graph.ty(v).clone(), graph.value(v).loc().clone())).collect();
    let new = patch.op(custom, operands.iter().copied().map(Some).collect(), types);
    for (&old, &new) in results.iter().zip(&new) {
        patch.replace(old, new);
    }
    patch
        .apply(&mut rest, GraphId::MAIN)
        .map_err(|e| Diagnostic::error(REGION, format!("the region '{region}' cannot be replaced: {e}")))?;
    Ok((kernel, rest))
}

/// The operations of a region, in order.
fn operations(graph: &Graph, region: &str) -> Result<Vec<OpId>> {
    let all: Vec<OpId> = graph.op_ids();
    let find = |wanted: &str| -> Result<usize> {
        let computes = |op: &OpId| graph.op(*op).results().iter().any(|&v| graph.value_name(v) == wanted);
        if let Some(at) = all.iter().position(computes) {
            return Ok(at);
        }
        let named = |op: &OpId| graph.op(*op).op().mnemonic().eq_ignore_ascii_case(wanted);
        let found: Vec<usize> = (0..all.len()).filter(|&i| named(&all[i])).collect();
        match found.as_slice() {
            [only] => Ok(*only),
            [] => wrong(format!("no operation computes a tensor '{wanted}', and none is called so")),
            many => wrong(format!("{} operations are called {wanted}; name the tensor that one of them computes", many.len())),
        }
    };
    let (first, last) = match region.split_once("..") {
        Some((from, to)) => (find(from.trim())?, find(to.trim())?),
        None => {
            let at = find(region.trim())?;
            (at, at)
        }
    };
    all.get(first..=last)
        .map(<[OpId]>::to_vec)
        .map_or_else(|| wrong(format!("in '{region}' the second operation runs before the first")), Ok)
}

/// What the operations read from outside, constants excepted, in the order in which it is first read.
fn operands(graph: &Graph, ops: &[OpId], inside: &BTreeSet<OpId>) -> Vec<ValueId> {
    let mut found = Vec::new();
    for &value in ops.iter().flat_map(|&op| graph.op(op).operands()).flatten() {
        let outside = match graph.value(value).def() {
            ValueDef::Input(_) => true,
            ValueDef::Result { op, .. } => !inside.contains(&op),
            ValueDef::Constant(_) | ValueDef::Variable | ValueDef::Unbound => false,
        };
        if outside && !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// What others read of the operations' results.
fn results(graph: &Graph, ops: &[OpId], inside: &BTreeSet<OpId>) -> Vec<ValueId> {
    let read = |value: &ValueId| {
        graph.value(*value).uses().iter().any(|user| match user {
            octet_ir::Use::Operand { op, .. } => !inside.contains(op),
            octet_ir::Use::Output(_) => true,
        })
    };
    ops.iter().flat_map(|&op| graph.op(op).results().iter().copied()).filter(read).collect()
}

/// The region as a module of its own.
fn kernel(module: &Module, ops: &[OpId], operands: &[ValueId], results: &[ValueId]) -> Result<Module> {
    let graph = module.main();
    let mut made = Module::new();
    let mut builder = GraphBuilder::new(&mut made, graph.name());
    let mut new: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for &value in operands {
        new.insert(value, builder.input(graph.ty(value).clone(), graph.value(value).loc().clone()));
    }
    for &op in ops {
        let operation: &Operation = graph.op(op);
        let name = operation.op().mnemonic().to_uppercase();
        if !operation.op().graphs().is_empty() || !operation.intermediates().is_empty() || operation.op().has_side_effects() {
            return wrong(format!("{name} cannot be part of a kernel: it has state, side effects or graphs of its own"));
        }
        let mut read = Vec::new();
        for &value in operation.operands() {
            let Some(value) = value else {
                read.push(None);
                continue;
            };
            if let Some(constant) = module.constant_of(graph, value)
                && !new.contains_key(&value)
            {
                let copy = builder.constant(constant.clone(), graph.ty(value).clone(), graph.value(value).loc().clone());
                new.insert(value, copy);
            }
            match new.get(&value) {
                Some(&value) => read.push(Some(value)),
                None => return wrong(format!("{name} has state: {}", graph.value_name(value))),
            }
        }
        let types = operation.results().iter().map(|&v| (graph.ty(v).clone(), graph.value(v).loc().clone())).collect();
        let made = builder.op(operation.op().clone(), &read, types);
        new.extend(operation.results().iter().copied().zip(made));
    }
    for value in results {
        if let Some(&value) = new.get(value) {
            builder.output(value);
        }
    }
    builder.finish();
    Ok(made)
}
