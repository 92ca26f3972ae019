//! Carries a solution out: one patch per graph that changes types and constants and puts QUANTIZE and DEQUANTIZE where a boundary
//! needs them. It decides nothing; what is wanted where is the solver's answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use octet_ir::{
    Constant, Diagnostic, Diagnostics, ElementType, Graph, GraphId, Module, Op, OpId, Operation, Patch, Quantization, Type, ValueDef,
    ValueId, ops,
};

use super::choose::Choice;
use super::options::Io;
use super::params::{Params, Width};
use super::report::{Report, at_value};
use super::rules::{Role, Special, rule};
use super::solve::{Solution, constant_bounds, real_operands};
use super::weights;

/// Rewrites every graph of the module by the solution. What cannot be done at its borders is an error for each tensor.
pub(super) fn materialise(module: &mut Module, solution: &Solution, io: Io, report: &mut Report) -> Result<(), Diagnostics> {
    let mut patches = Vec::new();
    let mut errors = Diagnostics::default();
    for (id, graph) in module.graphs() {
        let mut rewrite = Rewrite {
            module,
            graph,
            id,
            solution,
            io,
            patch: Patch::at_end(graph),
            conversions: BTreeMap::new(),
            constants: BTreeMap::new(),
            errors: &mut errors,
            report,
            positions: graph.op_positions(),
        };
        rewrite.run();
        patches.push((id, rewrite.patch));
    }
    if !errors.0.is_empty() {
        return Err(errors);
    }
    for (id, patch) in patches {
        patch
            .apply(module, id)
            .map_err(|e| Diagnostics::from(Diagnostic::error("QNT099", format!("quantization rewrite refused: {e}"))))?;
    }
    Ok(())
}

/// A type that a value is wanted in, as a key: element type, scale bits, zero point.
type Key = (ElementType, u32, i64);

/// The rewrite of one graph.
pub(super) struct Rewrite<'a> {
    pub(super) module: &'a Module,
    pub(super) graph: &'a Graph,
    pub(super) id: GraphId,
    pub(super) solution: &'a Solution,
    io: Io,
    pub(super) patch: Patch,
    conversions: BTreeMap<(ValueId, Key), ValueId>,
    constants: BTreeMap<(ValueId, String), ValueId>,
    errors: &'a mut Diagnostics,
    pub(super) report: &'a mut Report,
    positions: Vec<usize>,
}

impl Rewrite<'_> {
    fn run(&mut self) {
        self.retype();
        for (op_id, op) in self.graph.ops() {
            match self.solution.choice(self.id, op_id) {
                Choice::Quantized => self.quantize_op(op_id, op),
                Choice::Control => self.pass_on(op_id, op),
                Choice::Float(_) | Choice::Idle => self.keep_float(op_id, op),
                Choice::Neutral => self.keep_neutral(op_id, op),
            }
        }
        self.outputs();
    }

    /// Where a value stands, for messages.
    pub(super) fn at(&self, value: ValueId) -> octet_ir::SourceLocation {
        at_value(self.graph, &self.positions, value)
    }

    pub(super) fn width(&self) -> Width {
        self.solution.goal.width
    }

    fn is_entry(&self) -> bool {
        self.solution.entries.contains(&self.id)
    }

    /// Gives values that are stored in integers their new types.
    fn retype(&mut self) {
        for (value, info) in self.graph.values() {
            if let Some(params) = self.solution.stored(self.id, self.graph, value) {
                let border = self.is_entry() && self.io == Io::Uint8 && matches!(info.def(), ValueDef::Input(_));
                let ty = if border { self.shifted(value, params) } else { self.activation_type(value, params) };
                self.patch.set_type(value, ty);
                self.patch.set_range(value, None);
            } else if info.ty().quant.is_some() && info.ty().elem == ElementType::F32 {
                // The annotation of a tensor that stays in float has served.
                self.patch.set_type(value, info.ty().clone().with_quant(None));
            }
        }
        if !self.is_entry() || self.io == Io::Float32 {
            return;
        }
        for &input in self.graph.inputs() {
            if self.graph.ty(input).elem == ElementType::F32 && self.solution.stored(self.id, self.graph, input).is_none() {
                self.no_border(input, "input");
            }
        }
    }

    fn no_border(&mut self, value: ValueId, what: &str) {
        let message = format!("{what} '{}' cannot be {}: it has no range", self.graph.value_name(value), self.io.elem());
        let help = "calibrate with data that reaches it, or keep float32 inputs and outputs";
        let place = self.at(value);
        self.errors.push(Diagnostic::error("QNT005", message).at(place).with_help(help));
    }

    /// The type of an activation with these parameters.
    pub(super) fn activation_type(&self, value: ValueId, params: Params) -> Type {
        Type::quantized(self.width().elem(), self.graph.ty(value).shape.clone(), params.to_quantization())
    }

    /// The same in uint8: zero point + 128.
    fn shifted(&self, value: ValueId, params: Params) -> Type {
        let quant = Quantization::new(params.scale, params.zero_point + 128);
        Type::quantized(ElementType::U8, self.graph.ty(value).shape.clone(), quant)
    }

    /// The value in float.
    fn in_float(&mut self, value: ValueId) -> ValueId {
        if self.solution.stored(self.id, self.graph, value).is_none() {
            return value;
        }
        let ty = Type::f32(self.graph.ty(value).shape.clone());
        self.convert(value, ops::Dequantize::default().into(), ty, (ElementType::F32, 0, 0))
    }

    /// The value with these parameters: itself, a quantized copy of a constant, or what a QUANTIZE makes of it.
    pub(super) fn quantized(&mut self, value: ValueId, params: Params) -> ValueId {
        if let Some(constant) = self.dense_constant(value) {
            let (constant, ty) = weights::activation(&constant, self.graph.ty(value), params, self.width());
            return self.constant(value, constant, ty);
        }
        let at_border = self.io == Io::Uint8 && self.is_entry() && matches!(self.graph.value(value).def(), ValueDef::Input(_));
        if self.solution.stored(self.id, self.graph, value) == Some(params) && !at_border {
            return value;
        }
        let ty = self.activation_type(value, params);
        let key = (ty.elem, params.scale.to_bits(), params.zero_point);
        self.convert(value, ops::Quantize::default().into(), ty, key)
    }

    fn convert(&mut self, value: ValueId, op: Op, ty: Type, key: Key) -> ValueId {
        if let Some(&known) = self.conversions.get(&(value, key)) {
            return known;
        }
        match self.graph.producer(value) {
            Some((producer, _)) => self.patch.move_after(self.graph, producer),
            None => self.patch.move_to_start(self.graph),
        }
        let converted = self.patch.op1(op, &[value], ty, self.graph.value(value).loc().clone());
        self.conversions.insert((value, key), converted);
        converted
    }

    pub(super) fn dense_constant(&self, value: ValueId) -> Option<Vec<f32>> {
        let is_f32 = self.graph.ty(value).elem == ElementType::F32;
        self.module.constant_of(self.graph, value).filter(|_| is_f32).map(Constant::to_f32)
    }

    /// A constant made from another one; equal ones are made once.
    pub(super) fn constant(&mut self, source: ValueId, constant: Constant, ty: Type) -> ValueId {
        let key = (source, ty.to_string());
        if let Some(&known) = self.constants.get(&key) {
            return known;
        }
        let value = self.patch.constant(constant, ty, self.graph.value(source).loc().clone());
        self.constants.insert(key, value);
        value
    }

    fn quantize_op(&mut self, op_id: OpId, op: &Operation) {
        let rule = rule(op.op(), self.width());
        match rule.special {
            Special::Svdf | Special::Lstm => return super::recurrent::materialise(self, op_id, op),
            // DEQUANTIZE to a quantized value: what is left of it is a requantization.
            Special::Convert => self.patch.set_op(op_id, ops::Quantize::default()),
            Special::None | Special::Decompose | Special::Control => {}
        }
        let mut filter = None;
        for (index, value) in real_operands(self.graph, op) {
            match rule.role(index) {
                Role::Activation | Role::Shared => self.set_activation(op_id, index, value),
                Role::Weight { axis } => filter = self.set_filter(op_id, op, index, value, axis),
                Role::Bias { input, .. } => {
                    if let (Some(quant), Some(scale)) = (&filter, self.operand_scale(op_id, op, input)) {
                        let values = self.dense_constant(value).unwrap_or_default();
                        let (constant, ty) = weights::bias(&values, scale, quant, self.width());
                        let made = self.constant(value, constant, ty);
                        self.patch.set_operand(op_id, index, Some(made));
                    }
                }
                Role::Carried | Role::Plain => {}
            }
        }
        if self.width() == Width::I16
            && let Some(changed) = for_int16(op.op())
        {
            self.patch.set_op(op_id, changed);
        }
    }

    pub(super) fn set_activation(&mut self, op_id: OpId, index: usize, value: ValueId) {
        if let Some(params) = self.solution.wanted_operand(self.id, op_id, index, value) {
            let made = self.quantized(value, params);
            if made != value {
                self.patch.set_operand(op_id, index, Some(made));
            }
        }
    }

    /// Parameters of a real operand of a quantized operation.
    fn operand_params(&self, op_id: OpId, op: &Operation, index: usize) -> Option<Params> {
        self.solution.wanted_operand(self.id, op_id, index, op.operand(index)?)
    }

    /// Scale of a real operand of a quantized operation.
    pub(super) fn operand_scale(&self, op_id: OpId, op: &Operation, index: usize) -> Option<f32> {
        self.operand_params(op_id, op, index).map(|p| p.scale)
    }

    /// Raises scales of a filter until the bias fits, and notes it.
    pub(super) fn make_room_for_bias(&mut self, op: &Operation, scales: &mut [f32], bias: &[f32], input_scale: f32) {
        let raised = weights::make_room_for_bias(scales, bias, input_scale, self.width());
        if raised > 0 {
            let bits = if self.width() == Width::I8 { 32 } else { 64 };
            let message = format!("{raised} channels have filters coarser than their range asks for, so that the int{bits} bias fits");
            let place = self.at(op.results()[0]);
            self.report.notes.push(Diagnostic::note("QNT020", message).at(place));
        }
    }

    /// Quantizes a filter; answers its quantization.
    fn set_filter(&mut self, op_id: OpId, op: &Operation, index: usize, value: ValueId, axis: usize) -> Option<Arc<Quantization>> {
        let Some(values) = self.dense_constant(value) else {
            self.set_activation(op_id, index, value);
            let params = self.solution.wanted_operand(self.id, op_id, index, value)?;
            return Some(Arc::new(params.to_quantization()));
        };
        let ty = self.graph.ty(value);
        let rule = rule(op.op(), self.width());
        let trained = weights::trained_filter(ty, axis).map(|quant| quant.scales().to_vec());
        let is_free = trained.is_none();
        let mut scales = trained.unwrap_or_else(|| weights::filter_scales(&values, ty.shape.dims(), Some(axis)));
        for (bias_index, bias) in real_operands(self.graph, op) {
            if let Role::Bias { input, .. } = rule.role(bias_index)
                && let (Some(bias), Some(scale)) = (self.dense_constant(bias), self.operand_scale(op_id, op, input))
            {
                self.make_room_for_bias(op, &mut scales, &bias, scale);
            }
        }
        if is_free && matches!(op.op(), Op::FullyConnected(_)) {
            let reach = self.operand_params(op_id, op, 0).map(|p| p.bounds(self.width()).magnitude());
            let quantum = op.results().first().and_then(|&r| self.solution.params(self.id, r)).map(|p| p.scale);
            let one = reach.zip(quantum).and_then(|(reach, quantum)| weights::one_scale(&scales, ty.shape.dims(), reach, quantum));
            scales = one.map_or(scales, |scale| vec![scale]);
        }
        let quant = weights::symmetric(scales, axis);
        let (constant, ty) = weights::filter(&values, ty, quant);
        let quant = ty.quant.clone();
        let made = self.constant(value, constant, ty);
        self.patch.set_operand(op_id, index, Some(made));
        quant
    }

    /// Operands of a call or a variable: quantized if their set is.
    fn pass_on(&mut self, op_id: OpId, op: &Operation) {
        for (index, value) in real_operands(self.graph, op) {
            let made = match self.solution.carried_operand(self.id, op_id, index, value) {
                Some(params) => self.quantized(value, params),
                None => self.in_float(value),
            };
            if made != value {
                self.patch.set_operand(op_id, index, Some(made));
            }
        }
    }

    fn keep_float(&mut self, op_id: OpId, op: &Operation) {
        for (index, value) in real_operands(self.graph, op) {
            let made = self.in_float(value);
            if made != value {
                self.patch.set_operand(op_id, index, Some(made));
            }
        }
    }

    /// An operation that takes a tensor in any type, unless that would be some other computation.
    fn keep_neutral(&mut self, op_id: OpId, op: &Operation) {
        match op.op() {
            Op::ShapeOf(_) | Op::Rank(_) => {}
            _ => self.keep_float(op_id, op),
        }
    }

    fn outputs(&mut self) {
        for (index, &value) in self.graph.outputs().iter().enumerate() {
            if self.graph.ty(value).elem != ElementType::F32 {
                continue;
            }
            let made = if self.is_entry() {
                self.entry_output(value)
            } else {
                match self.solution.wanted_output(self.id, index, value) {
                    Some(params) => Some(self.quantized(value, params)),
                    None => Some(self.in_float(value)),
                }
            };
            match made {
                Some(made) if made != value => self.patch.set_output(index, made),
                Some(_) => {}
                None => self.no_border(value, "output"),
            }
        }
    }

    fn entry_output(&mut self, value: ValueId) -> Option<ValueId> {
        if self.io == Io::Float32 {
            return Some(self.in_float(value));
        }
        let stored = self.solution.stored(self.id, self.graph, value);
        let own = || constant_bounds(self.module, self.graph, value).map(|b| Params::for_activation(b, self.width()));
        let params = stored.or_else(|| self.solution.params(self.id, value)).or_else(own)?;
        if self.io != Io::Uint8 {
            return Some(self.quantized(value, params));
        }
        let border_input = stored.is_some() && matches!(self.graph.value(value).def(), ValueDef::Input(_));
        if border_input {
            return Some(value);
        }
        let inner = self.quantized(value, params);
        let ty = self.shifted(value, params);
        match self.graph.producer(value) {
            // After the QUANTIZE that may stand there already.
            Some((producer, _)) => self.patch.move_after(self.graph, producer),
            None => self.patch.move_to_start(self.graph),
        }
        Some(self.patch.op1(ops::Quantize::default(), &[inner], ty, self.graph.value(value).loc().clone()))
    }
}

/// The attributes that 16x8 kernels need spelled out.
fn for_int16(op: &Op) -> Option<Op> {
    let accumulator = Some(ElementType::I64);
    Some(match op {
        Op::Conv2d(o) => ops::Conv2d { quantized_bias_type: accumulator, ..o.clone() }.into(),
        Op::TransposeConv(o) => ops::TransposeConv { quantized_bias_type: accumulator, ..o.clone() }.into(),
        Op::FullyConnected(o) => ops::FullyConnected { quantized_bias_type: accumulator, ..o.clone() }.into(),
        Op::Binary(o) if matches!(o.kind, ops::BinaryKind::Add | ops::BinaryKind::Sub) => {
            ops::Binary { pot_scale_int16: false, ..o.clone() }.into()
        }
        _ => return None,
    })
}
