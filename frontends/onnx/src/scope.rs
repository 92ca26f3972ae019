//! One graph under construction: names, and operations that infer their types and fold as they are added.

use std::collections::BTreeMap;

use octet_ir::ops::{self, InferCx, InferError, Inferred, Numbers};
use octet_ir::verify::types::numbers;
use octet_ir::{Constant, ElementType, Granularity, GraphBuilder, Loc, Op, Quantization, Shape, Type, ValueId};

use crate::attributes::Refusal;
use crate::constants::evaluate;

/// What a small integer tensor holds when the dynamic sizes are the nominal ones, and when they are others: entries
/// that differ depend on a dynamic size.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Probe {
    pub(crate) nominal: Constant,
    pub(crate) other: Constant,
}

/// A graph under construction.
pub(crate) struct Scope<'m> {
    pub(crate) builder: GraphBuilder<'m>,
    /// Values by ONNX name; an enclosing graph's names are looked up by the importer.
    pub(crate) names: BTreeMap<String, ValueId>,
    probes: BTreeMap<ValueId, Probe>,
    /// The quantized constants behind real values: axes are moved there, so that weights stay constants.
    stored: BTreeMap<ValueId, ValueId>,
    /// Arguments of error functions that were decomposed, by result.
    erfs: BTreeMap<ValueId, ValueId>,
    /// Arguments of softplus functions, by result.
    softpluses: BTreeMap<ValueId, ValueId>,
    /// Values of half precision and the same in single, both ways.
    precisions: BTreeMap<ValueId, ValueId>,
    /// Name of the node output being lowered, for values that have no name of their own.
    pub(crate) origin: String,
}

impl<'m> Scope<'m> {
    pub(crate) fn new(builder: GraphBuilder<'m>) -> Self {
        Self {
            builder,
            names: BTreeMap::new(),
            probes: BTreeMap::new(),
            stored: BTreeMap::new(),
            erfs: BTreeMap::new(),
            softpluses: BTreeMap::new(),
            precisions: BTreeMap::new(),
            origin: String::new(),
        }
    }

    /// The type of a value.
    pub(crate) fn ty(&self, value: ValueId) -> &Type {
        self.builder.graph().ty(value)
    }

    /// Sizes of a value.
    pub(crate) fn dims(&self, value: ValueId) -> &[usize] {
        self.ty(value).shape.dims()
    }

    /// Number of axes of a value.
    pub(crate) fn rank(&self, value: ValueId) -> usize {
        self.ty(value).shape.rank()
    }

    /// Element type of a value.
    pub(crate) fn elem(&self, value: ValueId) -> ElementType {
        self.ty(value).elem
    }

    /// The constant behind a value.
    pub(crate) fn constant(&self, value: ValueId) -> Option<&Constant> {
        self.builder.module().constant_of(self.builder.graph(), value)
    }

    /// The integers that a constant holds.
    pub(crate) fn ints(&self, value: ValueId) -> Option<Vec<i64>> {
        match numbers(self.elem(value), self.constant(value)?)? {
            Numbers::Ints(values) => Some(values),
            Numbers::Floats(_) => None,
        }
    }

    /// The integers that a constant holds, or the reason why the node cannot be lowered.
    pub(crate) fn need_ints(&self, value: ValueId, what: &str) -> Result<Vec<i64>, Refusal> {
        self.ints(value).ok_or_else(|| format!("{what} must be constant"))
    }

    /// The floats that a constant of type f32 holds.
    pub(crate) fn floats(&self, value: ValueId) -> Option<Vec<f32>> {
        let constant = self.constant(value)?;
        match self.elem(value) {
            ElementType::F32 => Some(constant.to_f32()),
            ElementType::F16 => Some(constant.to_i16().into_iter().map(|b| half::f16::from_bits(b.cast_unsigned()).to_f32()).collect()),
            _ => None,
        }
    }

    /// What a small integer tensor holds for two choices of the dynamic sizes.
    pub(crate) fn probe(&self, value: ValueId) -> Option<Probe> {
        if let Some(constant) = self.constant(value) {
            return Some(Probe { nominal: constant.clone(), other: constant.clone() });
        }
        self.probes.get(&value).cloned()
    }

    /// Notes what a value would hold.
    pub(crate) fn set_probe(&mut self, value: ValueId, probe: Probe) {
        self.probes.insert(value, probe);
    }

    /// Notes that a value is the error function of another.
    pub(crate) fn note_erf(&mut self, result: ValueId, argument: ValueId) {
        self.erfs.insert(result, argument);
    }

    /// What a value is the error function of.
    pub(crate) fn erf_argument(&self, result: ValueId) -> Option<ValueId> {
        self.erfs.get(&result).copied()
    }

    /// Notes that a value is the softplus of another.
    pub(crate) fn note_softplus(&mut self, result: ValueId, argument: ValueId) {
        self.softpluses.insert(result, argument);
    }

    /// What a value is the softplus of.
    pub(crate) fn softplus_argument(&self, result: ValueId) -> Option<ValueId> {
        self.softpluses.get(&result).copied()
    }

    /// The value in another float type, without a second conversion where it came from that one.
    pub(crate) fn in_precision(&mut self, value: ValueId, elem: ElementType) -> Result<ValueId, Refusal> {
        if let Some(&known) = self.precisions.get(&value).filter(|&&k| self.elem(k) == elem) {
            return Ok(known);
        }
        let converted = self.cast(value, elem)?;
        self.precisions.insert(value, converted);
        self.precisions.insert(converted, value);
        Ok(converted)
    }

    /// A constant tensor.
    pub(crate) fn constant_value(&mut self, constant: Constant, ty: Type) -> ValueId {
        self.builder.constant(constant, ty, Loc::unknown())
    }

    /// A constant vector of i32.
    pub(crate) fn i32s(&mut self, values: &[i32]) -> ValueId {
        self.constant_value(Constant::from_i32(values), Type::i32([values.len()]))
    }

    /// A constant scalar of i32.
    pub(crate) fn i32(&mut self, value: i32) -> ValueId {
        self.constant_value(Constant::from_i32(&[value]), Type::i32(Shape::scalar()))
    }

    /// A constant vector of f32.
    pub(crate) fn f32s(&mut self, values: &[f32]) -> ValueId {
        self.constant_value(Constant::from_f32(values), Type::f32([values.len()]))
    }

    /// A constant scalar of f32.
    pub(crate) fn f32(&mut self, value: f32) -> ValueId {
        self.constant_value(Constant::from_f32(&[value]), Type::f32(Shape::scalar()))
    }

    /// A constant scalar of `elem` with this value, cast at import.
    pub(crate) fn scalar(&mut self, value: f32, elem: ElementType) -> Result<ValueId, Refusal> {
        let scalar = self.f32(value);
        self.cast(scalar, elem)
    }

    /// Adds an operation whose results its operands determine.
    pub(crate) fn op(&mut self, op: impl Into<Op>, operands: &[Option<ValueId>]) -> Result<Vec<ValueId>, Refusal> {
        self.op_counted(op, operands, 1)
    }

    /// Adds an operation with `count` results that its operands determine.
    pub(crate) fn op_counted(&mut self, op: impl Into<Op>, operands: &[Option<ValueId>], count: usize) -> Result<Vec<ValueId>, Refusal> {
        let op = op.into();
        let results = self.infer(&op, operands, &[], count)?;
        let types = results.into_iter().map(|(elem, shape)| Type::new(elem, shape)).collect();
        self.op_typed(op, operands, types)
    }

    /// Adds an operation with one result that its operands determine.
    pub(crate) fn op1(&mut self, op: impl Into<Op>, operands: &[ValueId]) -> Result<ValueId, Refusal> {
        let operands: Vec<_> = operands.iter().copied().map(Some).collect();
        self.op(op, &operands).map(|results| results[0])
    }

    /// Adds an operation whose results have these element types (and quantization); shapes are inferred where possible.
    pub(crate) fn op_typed(
        &mut self,
        op: impl Into<Op>,
        operands: &[Option<ValueId>],
        mut types: Vec<Type>,
    ) -> Result<Vec<ValueId>, Refusal> {
        let op = op.into();
        match self.infer(&op, operands, &types, types.len()) {
            Ok(inferred) => {
                for (ty, (_, shape)) in types.iter_mut().zip(inferred) {
                    if shape.is_ranked() {
                        ty.shape = shape;
                    }
                }
            }
            Err(why) if types.iter().any(|t| !t.shape.is_ranked()) => return Err(why),
            Err(_) => {}
        }
        if let Some(folded) = self.fold(&op, operands, &types) {
            return Ok(folded);
        }
        let probes = self.probe_results(&op, operands, &types);
        let loc = Loc::named(&self.origin);
        let results = self.builder.op(op, operands, types.into_iter().map(|ty| (ty, loc.clone())).collect());
        for (&result, probe) in results.iter().zip(probes.into_iter().flatten()) {
            self.set_probe(result, probe);
        }
        Ok(results)
    }

    fn infer(&self, op: &Op, operands: &[Option<ValueId>], declared: &[Type], count: usize) -> Result<Vec<Inferred>, Refusal> {
        let types: Vec<Option<&Type>> = operands.iter().map(|v| v.map(|v| self.ty(v))).collect();
        let values = |index: usize| {
            let value = operands.get(index).copied().flatten()?;
            numbers(self.elem(value), &self.probe(value)?.nominal)
        };
        match op.infer(&InferCx::new(&types, declared, count, &values)) {
            Ok(results) if results.len() == count => Ok(results),
            Ok(results) => Err(format!("{} gives {} results, {count} are expected", op.mnemonic(), results.len())),
            Err(InferError::Unknown) => Err("its output shape depends on data that is known only when the model runs".into()),
            Err(InferError::Invalid(why)) => Err(why),
        }
    }

    /// Evaluates an operation all of whose operands are constants.
    fn fold(&mut self, op: &Op, operands: &[Option<ValueId>], results: &[Type]) -> Option<Vec<ValueId>> {
        if !op.is_pure() || operands.is_empty() || results.iter().any(Type::is_quantized) {
            return None;
        }
        let mut known = Vec::with_capacity(operands.len());
        for operand in operands {
            known.push(match operand {
                Some(value) => Some((self.ty(*value), self.constant(*value)?)),
                None => None,
            });
        }
        if known.iter().flatten().any(|(ty, _)| ty.is_quantized()) {
            return None;
        }
        let values = evaluate(op, &known, results)?;
        let constants = values.into_iter().zip(results);
        Some(constants.map(|(constant, ty)| self.builder.constant(constant, ty.clone(), Loc::named(&self.origin))).collect())
    }

    /// Probes of an operation's results, where every operand has one: shape arithmetic on dynamic sizes.
    fn probe_results(&self, op: &Op, operands: &[Option<ValueId>], results: &[Type]) -> Option<Vec<Probe>> {
        const LARGEST: usize = 64;
        if !op.is_pure() || operands.is_empty() || results.iter().any(|r| r.shape.elements() > LARGEST || !r.elem.is_integer()) {
            return None;
        }
        let probes: Vec<Option<(ValueId, Probe)>> =
            operands.iter().map(|o| o.map(|v| Some((v, self.probe(v)?))).map_or(Some(None), |p| p.map(Some))).collect::<Option<_>>()?;
        let run = |side: fn(&Probe) -> &Constant| {
            let known: Vec<_> = probes.iter().map(|p| p.as_ref().map(|(v, p)| (self.ty(*v), side(p)))).collect();
            evaluate(op, &known, results)
        };
        let (nominal, other) = (run(|p| &p.nominal)?, run(|p| &p.other)?);
        Some(nominal.into_iter().zip(other).map(|(nominal, other)| Probe { nominal, other }).collect())
    }

    /// The value with its axes permuted.
    pub(crate) fn transpose(&mut self, value: ValueId, permutation: &[usize]) -> Result<ValueId, Refusal> {
        if permutation.iter().copied().eq(0..permutation.len()) {
            return Ok(value);
        }
        if let Some(moved) = self.transpose_stored(value, permutation) {
            return self.dequantize(moved);
        }
        let permutation: Vec<i32> = permutation.iter().map(|&p| i32::try_from(p).unwrap_or(i32::MAX)).collect();
        let operand = self.i32s(&permutation);
        self.op1(ops::Transpose {}, &[value, operand])
    }

    /// The quantized constant behind a value with its axes permuted.
    fn transpose_stored(&mut self, value: ValueId, permutation: &[usize]) -> Option<ValueId> {
        let stored = *self.stored.get(&value)?;
        let ty = self.ty(stored).clone();
        let constant = self.constant(stored)?.clone();
        let quant = ty.quant.as_deref()?;
        let granularity = match quant.granularity() {
            Granularity::PerTensor => Granularity::PerTensor,
            Granularity::PerAxis(axis) => Granularity::PerAxis(permutation.iter().position(|&p| p == axis)?),
            Granularity::Blockwise { .. } => return None,
        };
        let moved = Quantization::with_granularity(granularity, quant.scales().to_vec(), quant.zero_points().to_vec())?;
        let dims: Vec<usize> = permutation.iter().map(|&p| ty.shape.dims().get(p).copied()).collect::<Option<_>>()?;
        // The same bytes as plain integers, moved by the kernel that would do it later.
        let plain = Type::new(ty.elem, ty.shape.clone());
        let axes: Vec<i32> = permutation.iter().map(|&p| i32::try_from(p).ok()).collect::<Option<_>>()?;
        let (axes_type, axes) = (Type::i32([axes.len()]), Constant::from_i32(&axes));
        let operands = [Some((&plain, &constant)), Some((&axes_type, &axes))];
        let moved_bytes = evaluate(&ops::Transpose {}.into(), &operands, &[Type::new(ty.elem, dims.clone())])?.pop()?;
        Some(self.constant_value(moved_bytes, Type::quantized(ty.elem, dims, moved)))
    }

    /// The value in another shape; a dynamic outermost axis that keeps its size stays dynamic.
    pub(crate) fn reshape(&mut self, value: ValueId, dims: &[usize]) -> Result<ValueId, Refusal> {
        let from = &self.ty(value).shape;
        if from.dims() == dims {
            return Ok(value);
        }
        let keeps_batch = from.dynamic(0).is_some() && from.dims().first() == dims.first() && !dims[1..].contains(&0);
        let mut target: Vec<i32> =
            dims.iter().map(|&d| i32::try_from(d).map_err(|_| "a size is too large".to_owned())).collect::<Result<_, _>>()?;
        if keeps_batch {
            target[0] = -1;
        }
        let shape = self.i32s(&target);
        self.op1(ops::Reshape { new_shape: None }, &[value, shape])
    }

    /// The value with these of its axes, in order, and axes of size 1 between them; axes that are left out have size 1. One open axis stays open.
    pub(crate) fn regroup(&mut self, value: ValueId, axes: &[Option<usize>]) -> Result<ValueId, Refusal> {
        let from = self.ty(value).shape.clone();
        let dims: Vec<usize> = axes.iter().map(|a| a.and_then(|a| from.dims().get(a).copied()).unwrap_or(1)).collect();
        let open: Vec<usize> = (0..axes.len()).filter(|&k| axes[k].is_some_and(|a| from.dynamic(a).is_some())).collect();
        match open.as_slice() {
            &[hole] if from.dims() != dims => self.reshape_around(value, &dims, hole),
            _ => self.reshape(value, &dims),
        }
    }

    /// The value in another shape, where entry `hole` is whatever the other sizes leave.
    pub(crate) fn reshape_around(&mut self, value: ValueId, dims: &[usize], hole: usize) -> Result<ValueId, Refusal> {
        if dims.contains(&0) {
            return self.reshape(value, dims);
        }
        let mut target: Vec<i32> =
            dims.iter().map(|&d| i32::try_from(d).map_err(|_| "a size is too large".to_owned())).collect::<Result<_, _>>()?;
        target[hole] = -1;
        let shape = self.i32s(&target);
        self.op1(ops::Reshape { new_shape: None }, &[value, shape])
    }

    /// The value with elements of another type.
    pub(crate) fn cast(&mut self, value: ValueId, elem: ElementType) -> Result<ValueId, Refusal> {
        if self.elem(value) == elem {
            return Ok(value);
        }
        let ty = Type::new(elem, self.ty(value).shape.clone());
        let op = ops::Cast { in_type: Some(self.elem(value)), out_type: Some(elem) };
        self.op_typed(op, &[Some(value)], vec![ty]).map(|results| results[0])
    }

    /// Real to quantized.
    pub(crate) fn quantize(&mut self, value: ValueId, elem: ElementType, quant: Quantization) -> Result<ValueId, Refusal> {
        let ty = Type::quantized(elem, self.ty(value).shape.clone(), quant);
        self.op_typed(ops::Quantize {}, &[Some(value)], vec![ty]).map(|results| results[0])
    }

    /// Quantized to real.
    pub(crate) fn dequantize(&mut self, value: ValueId) -> Result<ValueId, Refusal> {
        let ty = Type::f32(self.ty(value).shape.clone());
        let real = self.op_typed(ops::Dequantize {}, &[Some(value)], vec![ty])?[0];
        if self.constant(value).is_some() {
            self.stored.insert(real, value);
        }
        Ok(real)
    }
}
