//! `adopt-fake-quant`: takes the quantization that training found into the types, and the operations that stated it out of the graph.
//!
//! ```text
//! %1 = fake_quant(%0) {min = -1.0, max = 1.0, num_bits = 8}   ->  %0 : 4 !q<f32, 0.007843138:-1>
//! %1 = quantize(%0) : 4 !q<u8, 0.1:128>                        ->  %0 : 4 !q<f32, 0.1:0>
//! %2 = dequantize(%1) : 4 f32
//! %1 = const [1, 2] : 2 !q<i8, 0.5:0>                          ->  %2 = const [0.5, 1.0] : 2 !q<f32, 0.5:0>
//! %2 = dequantize(%1) : 2 f32
//! ```
//!
//! An `f32` type with quantization parameters means: these reals are to be stored in int8 with exactly these parameters. `quantize` keeps
//! them and derives what is missing (biases, values that share a scale, what kernels prescribe) around them. In float the graph then computes
//! without the rounding that it was trained with.
//!
//! Never touched: a QUANTIZE or DEQUANTIZE at the border of a part that is computed in integers, parameters of other widths than 8 bits, and what
//! passes between graphs, whose types must agree on both sides.

use octet_ir::{
    Attr, Constant, Diagnostic, Diagnostics, ElementType, Granularity, Graph, GraphId, Module, Op, OpId, Operation, Patch, Quantization,
    Type, Use, ValueDef, ValueId, from_attr, ops,
};
use octet_plugin::{Options, Pass, PassContext};
use serde::Deserialize;

use super::hybrid::hybrid_weights;
use super::params::Width;
use super::rules::{Kernels, rule};

octet_plugin::register_pass!(
    "adopt-fake-quant",
    "Keeps the scales of quantization-aware training: FAKE_QUANT and quantize/dequantize pairs become quantization of the values.",
    create
);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    from_attr::<NoOptions>(Attr::Map(options)).map_err(|e| Diagnostic::error("QNT001", format!("options of adopt-fake-quant: {e}")))?;
    Ok(Box::new(Adopt))
}

/// The `adopt-fake-quant` pass.
struct Adopt;

impl Pass for Adopt {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        let mut changed = false;
        for id in module.graph_ids() {
            // An axis change between the two halves of a pair would hide it.
            for op_id in module.graph(id).op_ids() {
                let Some(patch) = real_transpose(module.graph(id), op_id) else { continue };
                if !context.observer.may_patch("adopt-fake-quant", "transpose") {
                    return Ok(changed);
                }
                let refused = |e| Diagnostic::error("QNT099", format!("moving a transpose was refused: {e}"));
                patch.apply(module, id).map_err(|e| Diagnostics::from(refused(e)))?;
                changed = true;
            }
            for op_id in module.graph(id).op_ids() {
                let Some(patch) = plan(module, id, op_id, context) else { continue };
                if !context.observer.may_patch("adopt-fake-quant", module.graph(id).op(op_id).op().mnemonic()) {
                    return Ok(changed);
                }
                let refused = |e| Diagnostic::error("QNT099", format!("adopting a quantization was refused: {e}"));
                patch.apply(module, id).map_err(|e| Diagnostics::from(refused(e)))?;
                changed = true;
            }
        }
        Ok(changed)
    }
}

/// `dequantize(transpose(quantize(x)))`: the transpose of reals instead, so that the pair meets.
fn real_transpose(graph: &Graph, op_id: OpId) -> Option<Patch> {
    let dequantize = graph.get_op(op_id).filter(|op| matches!(op.op(), Op::Dequantize(_)))?;
    let (_, transpose) = graph.producer(dequantize.operand(0)?).filter(|(_, op)| matches!(op.op(), Op::Transpose(_)))?;
    let stored = transpose.operand(0)?;
    graph.producer(stored).filter(|(_, op)| matches!(op.op(), Op::Quantize(_)))?;
    graph.ty(stored).quant.as_deref().filter(|q| q.per_tensor().is_some())?;
    let &result = dequantize.results().first()?;
    let mut patch = Patch::before(graph, op_id);
    let real = patch.op1(ops::Dequantize {}, &[stored], Type::f32(graph.ty(stored).shape.clone()), graph.value(stored).loc().clone());
    let moved = patch.op1(ops::Transpose {}, &[real, transpose.operand(1)?], graph.ty(result).clone(), graph.value(result).loc().clone());
    patch.replace(result, moved);
    Some(patch)
}

fn plan(module: &Module, id: GraphId, op_id: OpId, context: &mut PassContext<'_>) -> Option<Patch> {
    let graph = module.graph(id);
    let op = graph.get_op(op_id)?;
    match op.op() {
        Op::FakeQuant(fake) => adopt_fake_quant(module, graph, op_id, op, fake, context),
        Op::Dequantize(_) => match graph.value(op.operand(0)?).def() {
            ValueDef::Constant(_) => adopt_constant(module, graph, op_id, op),
            ValueDef::Result { .. } => adopt_pair(module, graph, op_id, op, context),
            ValueDef::Input(_) | ValueDef::Variable | ValueDef::Unbound => None,
        },
        _ => None,
    }
}

fn adopt_fake_quant(
    module: &Module,
    graph: &Graph,
    op_id: OpId,
    op: &Operation,
    fake: &ops::FakeQuant,
    context: &mut PassContext<'_>,
) -> Option<Patch> {
    let (source, &result) = (op.operand(0)?, op.results().first()?);
    let Some(quant) = fake_quant_params(fake) else {
        let message = format!(
            "a FAKE_QUANT of {} bits from {} to {} stays: only 8 bits and a proper range are adopted",
            fake.num_bits, fake.min, fake.max
        );
        context.observer.report(Diagnostic::warning("QNT030", message).at(super::report::at_value(graph, &graph.op_positions(), result)));
        return None;
    };
    annotate(module, graph, op_id, source, result, &quant, context)
}

/// The int8 parameters of a FAKE_QUANT: the range is shifted so that 0 is exact, as TensorFlow's kernel does.
fn fake_quant_params(fake: &ops::FakeQuant) -> Option<Quantization> {
    let (low, high) = (if fake.narrow_range { 1.0 } else { 0.0 }, 255.0);
    let (min, max) = (f64::from(fake.min), f64::from(fake.max));
    // The kernel's range must hold 0.
    if fake.num_bits != 8 || !(min < max && min.is_finite() && max.is_finite() && min <= 0.0 && max >= 0.0) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "scales are stored in single precision; the zero point is clamped to a byte")]
    let (scale, zero_point) = {
        let scale = ((max - min) / (high - low)) as f32;
        (scale, (low - min / f64::from(scale)).round().clamp(low, high) as i64)
    };
    (scale > 0.0).then(|| Quantization::new(scale, zero_point - 128))
}

fn adopt_pair(module: &Module, graph: &Graph, op_id: OpId, op: &Operation, context: &mut PassContext<'_>) -> Option<Patch> {
    let (stored, &result) = (op.operand(0)?, op.results().first()?);
    let (_, quantize) = graph.producer(stored)?;
    let (Op::Quantize(_), Some(source)) = (quantize.op(), quantize.operand(0)) else { return None };
    if graph.ty(source).elem != ElementType::F32 || graph.ty(result).elem != ElementType::F32 {
        return None;
    }
    let quant = signed(graph.ty(stored))?;
    annotate(module, graph, op_id, source, result, &quant, context)
}

/// Lets `source`, annotated, stand for `result`.
fn annotate(
    module: &Module,
    graph: &Graph,
    op_id: OpId,
    source: ValueId,
    result: ValueId,
    quant: &Quantization,
    context: &mut PassContext<'_>,
) -> Option<Patch> {
    let own = graph.ty(source);
    if [source, result].into_iter().any(|v| passes_between_graphs(module, graph, v)) {
        let message = "a quantization from training stays an operation: its tensor passes between graphs";
        let at = super::report::at_value(graph, &graph.op_positions(), result);
        context.observer.report(Diagnostic::warning("QNT032", message).at(at));
        return None;
    }
    let mut patch = Patch::before(graph, op_id);
    patch.allow_retyping();
    let annotated = own.clone().with_quant(Some(quant.clone().into()));
    octet_ir::verify::types::check_type(&annotated).ok()?;
    match own.quant.as_deref() {
        Some(known) if known == quant => patch.replace(result, source),
        // A constant may be quantized in several ways.
        _ if matches!(graph.value(source).def(), ValueDef::Constant(_)) => {
            let constant = module.constant_of(graph, source)?.clone();
            let copy = patch.constant(constant, annotated, graph.value(source).loc().clone());
            retype_to(&mut patch, graph, result, copy, own);
        }
        None if read_unquantized(graph, source, quant) => {
            // Its own range for those, and what training found behind a border of its own.
            let Op::FakeQuant(_) = graph.op(op_id).op() else { return None };
            let stored = Type::quantized(ElementType::I8, own.shape.clone(), quant.clone());
            let loc = graph.value(result).loc().clone();
            let stored = patch.op1(ops::Quantize {}, &[source], stored, loc.clone());
            let real = patch.op1(ops::Dequantize {}, &[stored], Type::f32(own.shape.clone()), loc);
            retype_to(&mut patch, graph, result, real, own);
        }
        None => {
            patch.set_type(source, annotated);
            retype_to(&mut patch, graph, result, source, own);
        }
        Some(_) => {
            let message = format!("'{}' was trained with two quantizations; the first one is kept", graph.value_name(source));
            context.observer.report(Diagnostic::warning("QNT031", message).at(super::report::at_value(
                graph,
                &graph.op_positions(),
                result,
            )));
            patch.replace(result, source);
        }
    }
    Some(patch)
}

/// Whether something takes the value's numbers that does not quantize them by `quant`.
fn read_unquantized(graph: &Graph, value: ValueId, quant: &Quantization) -> bool {
    let by = |op: &Operation| match op.op() {
        Op::FakeQuant(fake) => fake_quant_params(fake).as_ref() == Some(quant),
        Op::Quantize(_) => op.results().first().and_then(|r| signed(graph.ty(*r))).as_ref() == Some(quant),
        Op::ShapeOf(_) | Op::Rank(_) => true,
        _ => false,
    };
    graph.value(value).uses().iter().any(|of| match of {
        Use::Operand { op, .. } => !by(graph.op(*op)),
        Use::Output(_) => true,
    })
}

/// Whether a value is an input or output of a called graph, or an operand or result of what calls one.
fn passes_between_graphs(module: &Module, graph: &Graph, value: ValueId) -> bool {
    let known = graph.value(value);
    let is_called = !std::ptr::eq(graph, module.main());
    let calls = |op: &Operation| !op.op().graphs().is_empty();
    let crosses = |of: &Use| match of {
        Use::Operand { op, .. } => calls(graph.op(*op)),
        Use::Output(_) => is_called,
    };
    let enters = is_called && matches!(known.def(), ValueDef::Input(_));
    enters || graph.producer(value).is_some_and(|(_, op)| calls(op)) || known.uses().iter().any(crosses)
}

/// Replaces `old` by `new`, which has the shape of `ty`. TensorFlow leaves out the shapes of some of these tensors.
fn retype_to(patch: &mut Patch, graph: &Graph, old: ValueId, new: ValueId, ty: &Type) {
    if graph.ty(old).shape.dims() != ty.shape.dims() {
        patch.set_type(old, Type::f32(ty.shape.clone()));
    }
    patch.replace(old, new);
}

/// `dequantize(constant)`: the reals, annotated with the constant's own parameters if those are int8's.
fn adopt_constant(module: &Module, graph: &Graph, op_id: OpId, op: &Operation) -> Option<Patch> {
    let (stored, &result) = (op.operand(0)?, op.results().first()?);
    let (reals, real_ty) = reals(module, graph, stored)?;
    let mut patch = Patch::before(graph, op_id);
    patch.allow_retyping();
    let value = patch.constant(Constant::from_f32(&reals), real_ty.clone(), graph.value(stored).loc().union(graph.value(result).loc()));
    retype_to(&mut patch, graph, result, value, &real_ty);
    Some(patch)
}

/// The reals that a constant of integers stands for, annotated with its own parameters if those are int8's.
fn reals(module: &Module, graph: &Graph, stored: ValueId) -> Option<(Vec<f32>, Type)> {
    let ty = graph.ty(stored);
    let quant = ty.quant.as_deref()?;
    let constant = module.constant_of(graph, stored)?;
    let integers: Vec<i64> = match ty.elem {
        ElementType::I8 => constant.to_i8().into_iter().map(i64::from).collect(),
        ElementType::U8 => constant.to_u8().into_iter().map(i64::from).collect(),
        ElementType::I16 => constant.to_i16().into_iter().map(i64::from).collect(),
        ElementType::I32 => constant.to_i32().into_iter().map(i64::from).collect(),
        _ => return None,
    };
    let reals = dequantize(&integers, quant, ty.shape.dims());
    let mut real_ty = Type::f32(ty.shape.clone());
    real_ty.quant = signed(ty).map(Into::into);
    Some((reals, real_ty))
}

/// Makes reals of the int8 weights of layers that compute in float (dynamic-range quantization), annotated, so that a mode that makes these layers
/// integer takes the weights as they are.
pub(super) fn weights_as_reals(module: &mut Module, width: Width) -> Result<(), Diagnostics> {
    for id in module.graph_ids() {
        for op_id in module.graph(id).op_ids() {
            let graph = module.graph(id);
            let op = graph.op(op_id);
            let real = op.operand(0).is_some_and(|input| graph.ty(input).elem == ElementType::F32);
            if !real || rule(op.op(), width).kernels == Kernels::NONE {
                continue;
            }
            let mut patch = Patch::before(graph, op_id);
            patch.allow_retyping();
            for slot in hybrid_weights(op.op()) {
                let stored = op.operand(slot.operand).filter(|v| matches!(graph.ty(*v).elem, ElementType::I8 | ElementType::U8));
                let Some((stored, (reals, ty))) = stored.and_then(|v| Some((v, reals(module, graph, v)?))) else { continue };
                let value = patch.constant(Constant::from_f32(&reals), ty, graph.value(stored).loc().clone());
                patch.set_operand(op_id, slot.operand, Some(value));
            }
            let refused = |e| Diagnostic::error("QNT099", format!("making reals of weights was refused: {e}"));
            patch.apply(module, id).map_err(|e| Diagnostics::from(refused(e)))?;
        }
    }
    Ok(())
}

/// Gives layers back the RELU or RELU6 that int8's saturation did for them: what was trained, or quantized elsewhere, to begin at 0 may have lost it. For
/// modes that do not store these values in int8.
pub(super) fn restore_clamps(module: &mut Module) -> Result<(), Diagnostics> {
    for id in module.graph_ids() {
        for op_id in module.graph(id).op_ids() {
            let graph = module.graph(id);
            let op = graph.op(op_id);
            let &[result] = op.results() else { continue };
            let ty = graph.ty(result);
            let Some((scale, -128)) = ty.scale_zero_point().filter(|_| ty.elem == ElementType::F32) else { continue };
            // int8 would let nothing beyond 6 pass either.
            let six = f64::from(scale) * 255.0 <= 6.0 + f64::from(scale);
            let activation = if six { ops::Activation::Relu6 } else { ops::Activation::Relu };
            let bare = op.op().activation() == Some(ops::Activation::None);
            let Some(clamped) = bare.then(|| op.op().with_activation(activation)).flatten() else { continue };
            let mut patch = Patch::before(graph, op_id);
            patch.set_op(op_id, clamped);
            let refused = |e| Diagnostic::error("QNT099", format!("restoring an activation was refused: {e}"));
            patch.apply(module, id).map_err(|e| Diagnostics::from(refused(e)))?;
        }
    }
    Ok(())
}

fn dequantize(integers: &[i64], quant: &Quantization, shape: &[usize]) -> Vec<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the DEQUANTIZE kernel rounds to single precision too"
    )]
    let real = |q: i64, (scale, zero_point): (f32, i64)| ((q - zero_point) as f64 * f64::from(scale)) as f32;
    let runs = integers.chunks(quant.run(shape)).zip(quant.parameters().cycle());
    runs.flat_map(|(run, parameters)| run.iter().map(move |q| real(*q, parameters))).collect()
}

/// The parameters of an 8-bit type as int8 has them: uint8's zero point is 128 higher. `None` for other widths and for blocks.
fn signed(ty: &Type) -> Option<Quantization> {
    let quant = ty.quant.as_deref()?;
    let shift = match ty.elem {
        ElementType::I8 => 0,
        ElementType::U8 => 128,
        _ => return None,
    };
    if matches!(quant.granularity(), Granularity::Blockwise { .. }) {
        return None;
    }
    let zero_points = quant.zero_points().iter().map(|z| z - shift).collect();
    Quantization::with_granularity(quant.granularity(), quant.scales().to_vec(), zero_points)
}
