//! What a mode promises, held against what came out: the types of inputs and outputs, and for `int8-only` those of every operation. A model may
//! hold integers already, of other types than those asked for; what cannot be kept is refused with every reason at once.

use octet_ir::{Diagnostic, Diagnostics, ElementType, Graph, Module, Op, Patch, Quantization, SourceLocation, Type, Use, ValueId, ops};

use super::options::{Io, Mode, QuantizeOptions};
use super::report::{Report, Status, at_value};
use super::solve::entry_graphs;

const KEEPS: &str = "mode int8 keeps such operations in float";

/// `int8-only` is a promise: one error for every operation that the solver left in float.
pub(super) fn refused(report: &Report) -> Result<(), Diagnostics> {
    let broken = report.float_ops().map(|op| {
        let reason = op.reason.clone().unwrap_or_default();
        Diagnostic::error("QNT003", format!("{} cannot be integer: {reason}", op.name)).at(op.location()).with_help(KEEPS)
    });
    all(broken.collect())
}

/// No operation reads or writes a float, and none computes in quantized integers of another type.
pub(super) fn only_int8(module: &Module) -> Result<(), Diagnostics> {
    let mut found = Vec::new();
    for (_, graph) in module.graphs() {
        for (index, (_, op)) in graph.ops().enumerate() {
            let name = op.op().mnemonic();
            let located = |value: ValueId, message: String| {
                let location = SourceLocation {
                    graph: Some(graph.name().to_owned()),
                    op: Some((index, name.to_owned())),
                    tensor: Some(graph.value_name(value)),
                    ..SourceLocation::default()
                };
                Diagnostic::error("QNT003", message).at(location)
            };
            if let Some(value) = op.operands().iter().flatten().chain(op.results()).copied().find(|&v| graph.ty(v).elem.is_float()) {
                let (tensor, elem) = (graph.value_name(value), told(graph.ty(value).elem));
                let message = format!("{} cannot be integer: tensor '{tensor}' is left in {elem}, it has no range", name.to_uppercase());
                found.push(located(value, message).with_help(KEEPS));
            } else if let Some((value, elem)) = other_integers(graph, op.op(), op.results()) {
                let message = format!("{} is quantized to {elem} in the model already, not to int8", name.to_uppercase());
                found.push(located(value, message).with_help("start from the float model"));
            }
        }
    }
    all(found)
}

/// An element type in the words of `--io`.
fn told(elem: ElementType) -> &'static str {
    match elem {
        ElementType::F32 => "float32",
        ElementType::F16 => "float16",
        ElementType::I8 => "int8",
        ElementType::U8 => "uint8",
        ElementType::I16 => "int16",
        other => other.name(),
    }
}

/// A result in quantized integers that int8 kernels do not write. A conversion may: it is how such types meet.
fn other_integers(graph: &Graph, op: &Op, results: &[ValueId]) -> Option<(ValueId, &'static str)> {
    if matches!(op, Op::Quantize(_)) {
        return None;
    }
    let wide =
        results.iter().find(|r| graph.ty(**r).quant.is_some() && matches!(graph.ty(**r).elem, ElementType::U8 | ElementType::I16))?;
    Some((*wide, told(graph.ty(*wide).elem)))
}

/// Gives inputs and outputs that were integer before the type asked for: between int8 and uint8 by a QUANTIZE, which is exact.
///
/// # Errors
/// `QNT005` for each that has another type.
pub(super) fn interface(module: &mut Module, options: &QuantizeOptions) -> Result<(), Diagnostics> {
    let Some(io) = options.io.or((options.mode == Mode::Int8Only).then_some(Io::Int8)) else { return Ok(()) };
    let mut found = Vec::new();
    for id in entry_graphs(module) {
        let graph = module.graph(id);
        let positions = graph.op_positions();
        let mut patch = Patch::at_end(graph);
        patch.allow_retyping();
        let mut refuse = |value: ValueId, what: &str| {
            let message =
                format!("{what} '{}' is {} in the model already, not {}", graph.value_name(value), told(graph.ty(value).elem), io.name());
            let help = match options.io {
                Some(_) => "leave out --io, or start from the float model",
                None => "start from the float model",
            };
            found.push(Diagnostic::error("QNT005", message).at(at_value(graph, &positions, value)).with_help(help));
        };
        for &input in graph.inputs() {
            match fit(graph.ty(input), io) {
                Fit::Fits => {}
                Fit::Shift(outer) => {
                    patch.move_to_start(graph);
                    let inner = patch.op1(ops::Quantize {}, &[input], graph.ty(input).clone(), graph.value(input).loc().clone());
                    for of in graph.value(input).uses() {
                        match *of {
                            Use::Operand { op, operand } => patch.set_operand(op, operand, Some(inner)),
                            Use::Output(index) => patch.set_output(index, inner),
                        }
                    }
                    patch.set_type(input, outer);
                }
                Fit::Other => refuse(input, "input"),
            }
        }
        for (index, &output) in graph.outputs().iter().enumerate() {
            match fit(graph.ty(output), io) {
                Fit::Fits => {}
                Fit::Shift(outer) if !graph.inputs().contains(&output) => {
                    match graph.producer(output) {
                        Some((producer, _)) => patch.move_after(graph, producer),
                        None => patch.move_to_start(graph),
                    }
                    let made = patch.op1(ops::Quantize {}, &[output], outer, graph.value(output).loc().clone());
                    patch.set_output(index, made);
                }
                // An input that is an output too has its new type by now.
                Fit::Shift(_) => patch.set_output(index, output),
                Fit::Other => refuse(output, "output"),
            }
        }
        if found.is_empty() {
            let refused = |e| Diagnostic::error("QNT099", format!("the types of inputs and outputs were refused: {e}"));
            patch.apply(module, id).map_err(|e| Diagnostics::from(refused(e)))?;
        }
    }
    all(found)
}

/// How the type of an input or output stands to the one asked for.
enum Fit {
    Fits,
    /// A QUANTIZE to or from this type is exact.
    Shift(Type),
    Other,
}

fn fit(ty: &Type, io: Io) -> Fit {
    if !ty.elem.is_float() && ty.quant.is_none() || ty.elem == io.elem() {
        return Fit::Fits;
    }
    let Some((scale, zero_point)) = ty.scale_zero_point() else { return Fit::Other };
    let shift = match (ty.elem, io) {
        (ElementType::I8, Io::Uint8) => 128,
        (ElementType::U8, Io::Int8) => -128,
        _ => return Fit::Other,
    };
    Fit::Shift(Type::quantized(io.elem(), ty.shape.clone(), Quantization::new(scale, zero_point + shift)))
}

/// Says so where everything was integer before.
pub(super) fn quantized_before(module: &Module, report: &Report) -> Option<Diagnostic> {
    let idle = [Status::Quantized, Status::Float, Status::Weights].into_iter().all(|status| report.count(status) == 0);
    let integer = |graph: &Graph| graph.ops().any(|(_, op)| op.results().iter().any(|r| graph.ty(*r).quant.is_some()));
    let message = format!("the model is quantized already: mode {} leaves its operations as they are", report.mode.name());
    (idle && module.graphs().any(|(_, graph)| integer(graph))).then(|| Diagnostic::warning("QNT006", message))
}

fn all(found: Vec<Diagnostic>) -> Result<(), Diagnostics> {
    if found.is_empty() { Ok(()) } else { Err(Diagnostics(found)) }
}
