//! Quantization: pairs of quantize and dequantize, the operators that carry their scales with them, and Microsoft's.
//!
//! Everything becomes real arithmetic between QUANTIZE and DEQUANTIZE with the file's own scales; the pass that adopts
//! training's scales then makes integer operations of it without changing a single one.

use octet_ir::ops::{self, BinaryKind};
use octet_ir::{ElementType, Quantization, Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, axis, image, input, linear, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("DequantizeLinear", dequantize_linear),
    ("QLinearConv", qlinear_conv),
    ("QLinearMatMul", qlinear_matmul),
    ("QuantizeLinear", quantize_linear),
];

pub(super) const MICROSOFT: Table = &[
    ("DequantizeLinear", dequantize_linear),
    ("QGemm", qgemm),
    ("QLinearAdd", |l, _, i| qlinear_binary(l, i, BinaryKind::Add)),
    ("QLinearAveragePool", |l, n, i| qlinear_like(l, n, i, "AveragePool")),
    ("QLinearConcat", qlinear_concat),
    ("QLinearGlobalAveragePool", qlinear_global_average_pool),
    ("QLinearLeakyRelu", |l, n, i| qlinear_like(l, n, i, "LeakyRelu")),
    ("QLinearMul", |l, _, i| qlinear_binary(l, i, BinaryKind::Mul)),
    ("QLinearReduceMean", |l, n, i| qlinear_like(l, n, i, "ReduceMean")),
    ("QLinearSigmoid", |l, n, i| qlinear_like(l, n, i, "Sigmoid")),
    ("QLinearSoftmax", qlinear_softmax),
    ("QLinearWhere", qlinear_where),
    ("QuantizeLinear", quantize_linear),
];

/// Quantization parameters from a constant scale and an optional constant zero point, for a value of `rank` axes.
fn parameters(scope: &Scope<'_>, scale: ValueId, zero_point: Option<ValueId>, along: i64, rank: usize) -> Result<Quantization, Refusal> {
    let scales = scope.floats(scale).ok_or("the scale must be constant")?;
    let zero_points = match zero_point {
        Some(zero_point) => scope.need_ints(zero_point, "the zero point")?,
        None => vec![0; scales.len()],
    };
    let granularity = match scope.rank(scale) {
        0 => octet_ir::Granularity::PerTensor,
        1 if scales.len() == 1 => octet_ir::Granularity::PerTensor,
        1 => octet_ir::Granularity::PerAxis(axis(along, rank)?),
        other => return Err(format!("scales of rank {other} (blocks) are not supported here")),
    };
    Quantization::with_granularity(granularity, scales, zero_points).ok_or_else(|| "scale and zero point differ in length".into())
}

/// Scale or zero point as reals that broadcast against `x`: one, one per entry of an axis, or one per block of an axis.
fn spread(scope: &mut Scope<'_>, node: &Node<'_>, parameter: ValueId, x: ValueId) -> Result<ValueId, Refusal> {
    let real = scope.cast(parameter, ElementType::F32)?;
    let (rank, count) = (scope.rank(x), scope.dims(real).iter().product::<usize>());
    if count == 1 {
        return scope.reshape(real, &[]);
    }
    let along = axis(node.int_or("axis", 1), rank)?;
    let size = scope.dims(x)[along];
    if scope.rank(real) == 1 {
        let mut dims = vec![1; rank];
        dims[along] = count;
        return scope.reshape(real, &dims);
    }
    let blocks = *scope.dims(real).get(along).filter(|_| scope.rank(real) == rank).ok_or("blocks of another rank than the input")?;
    let length = match usize::try_from(node.int_or("block_size", 0)) {
        Ok(length) if length > 0 => length,
        _ => size.div_ceil(blocks.max(1)).max(1),
    };
    if size.div_ceil(length) != blocks {
        return Err(format!("{blocks} blocks of {length} do not make an axis of {size}"));
    }
    let order: Vec<usize> = (0..size).map(|i| i / length).collect();
    scope.reorder(real, along, &order)
}

/// The element type that integers get.
fn target(l: &Lowering<'_, '_, '_>, node: &Node<'_>, zero_point: Option<ValueId>) -> ElementType {
    let named = i32::try_from(node.int_or("output_dtype", 0)).ok().and_then(crate::tensor::element_type);
    zero_point.map(|z| l.scope.elem(z)).or(named).unwrap_or(ElementType::U8)
}

/// A quantized value where scale and zero point are known and one per tensor or axis; plain integers of arithmetic otherwise.
fn quantize_linear(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let (x, scale, zero_point) = (input(inputs, 0)?, input(inputs, 1)?, optional(inputs, 2));
    let elem = target(l, node, zero_point);
    let scope = &mut *l.scope;
    let (low, high) = match elem {
        ElementType::U8 => (0.0, 255.0),
        ElementType::I8 => (-128.0, 127.0),
        ElementType::U16 => (0.0, 65535.0),
        ElementType::I16 => (-32768.0, 32767.0),
        ElementType::I4 => (-8.0, 7.0),
        ElementType::U4 => (0.0, 15.0),
        ElementType::I2 => (-2.0, 1.0),
        other => return Err(format!("quantization to {} is not supported", other.name())),
    };
    let x = scope.as_f32(x)?.0;
    let is_typed = matches!(elem, ElementType::U8 | ElementType::I8 | ElementType::I16);
    if let (true, Ok(quant)) = (is_typed, parameters(scope, scale, zero_point, node.int_or("axis", 1), scope.rank(x))) {
        return Ok(vec![scope.quantize(x, elem, quant)?]);
    }
    let scale = spread(scope, node, scale, x)?;
    let scaled = scope.binary(BinaryKind::Div, x, scale)?;
    let mut value = scope.unary(ops::UnaryKind::Round, scaled)?;
    if let Some(zero_point) = zero_point {
        let zero_point = spread(scope, node, zero_point, x)?;
        value = scope.binary(BinaryKind::Add, value, zero_point)?;
    }
    let clamped = super::activation::clamp(scope, value, low, high)?;
    Ok(vec![scope.cast(clamped, elem)?])
}

fn dequantize_linear(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, scale, zero_point) = (input(inputs, 0)?, input(inputs, 1)?, optional(inputs, 2));
    let result = scope.elem(scale);
    let real = match parameters(scope, scale, zero_point, node.int_or("axis", 1), scope.rank(x)) {
        Ok(quant) => real(scope, x, quant)?,
        Err(_) => {
            let mut value = scope.cast(x, ElementType::F32)?;
            if let Some(zero_point) = zero_point {
                let zero_point = spread(scope, node, zero_point, x)?;
                value = scope.binary(BinaryKind::Sub, value, zero_point)?;
            }
            let scale = spread(scope, node, scale, x)?;
            scope.binary(BinaryKind::Mul, value, scale)?
        }
    };
    Ok(vec![scope.cast(real, result)?])
}

/// The reals that integers stand for under these parameters.
fn real(scope: &mut Scope<'_>, x: ValueId, quant: Quantization) -> Result<ValueId, Refusal> {
    if scope.ty(x).quant.as_deref() == Some(&quant) {
        return scope.dequantize(x);
    }
    if let Some(constant) = scope.constant(x).cloned() {
        let ty = Type::quantized(scope.elem(x), scope.ty(x).shape.clone(), quant);
        let typed = scope.constant_value(constant, ty);
        return scope.dequantize(typed);
    }
    if scope.ty(x).is_quantized() {
        return Err("integers whose scale is not the one they were made with are not supported".into());
    }
    // Plain integers that come from outside: arithmetic says what they mean.
    let shape = |count: usize| match quant.axis() {
        Some(axis) if count > 1 => (0..scope.rank(x)).map(|a| if a == axis { count } else { 1 }).collect(),
        _ => Vec::new(),
    };
    #[expect(clippy::cast_precision_loss, reason = "zero points are small integers")]
    let zero_points: Vec<f32> = quant.zero_points().iter().map(|&z| z as f32).collect();
    let (scale_shape, zero_shape) = (shape(quant.scales().len()), shape(zero_points.len()));
    let value = scope.cast(x, ElementType::F32)?;
    let zero_points = scope.f32_tensor(&zero_points, &zero_shape);
    let centred = scope.binary(BinaryKind::Sub, value, zero_points)?;
    let scales = scope.f32_tensor(quant.scales(), &scale_shape);
    scope.binary(BinaryKind::Mul, centred, scales)
}

/// Input `index` with its scale and zero point behind it, as reals.
fn triple(scope: &mut Scope<'_>, inputs: Inputs<'_>, index: usize, along: i64) -> Result<ValueId, Refusal> {
    let x = input(inputs, index)?;
    let quant = parameters(scope, input(inputs, index + 1)?, optional(inputs, index + 2), along, scope.rank(x))?;
    real(scope, x, quant)
}

/// `value` quantized by the scale and zero point at `index`.
fn requantize(scope: &mut Scope<'_>, value: ValueId, inputs: Inputs<'_>, index: usize) -> Outputs {
    let quant = parameters(scope, input(inputs, index)?, optional(inputs, index + 1), 0, scope.rank(value))?;
    let elem = optional(inputs, index + 1).map_or(ElementType::U8, |z| scope.elem(z));
    Ok(vec![scope.quantize(value, elem, quant)?])
}

/// A bias of i32 under the scale `input scale * weight scale`, as reals.
fn real_bias(scope: &mut Scope<'_>, bias: ValueId, input_scale: ValueId, weight_scale: ValueId) -> Result<ValueId, Refusal> {
    let input = scope.floats(input_scale).and_then(|s| s.first().copied()).ok_or("the input scale must be constant")?;
    let weights = scope.floats(weight_scale).ok_or("the weight scale must be constant")?;
    let scales: Vec<f32> = weights.iter().map(|w| w * input).collect();
    let quant = match scales.as_slice() {
        [scale] => Quantization::new(*scale, 0),
        _ => Quantization::per_axis(0, scales),
    };
    real(scope, bias, quant)
}

fn qlinear_conv(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = triple(scope, inputs, 0, 1)?;
    let filter = triple(scope, inputs, 3, 0)?;
    let bias = optional(inputs, 8).map(|b| real_bias(scope, b, input(inputs, 1)?, input(inputs, 4)?)).transpose()?;
    let result = image::convolution(scope, node, x, filter, bias)?;
    requantize(scope, result, inputs, 6)
}

fn qlinear_matmul(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let a = triple(scope, inputs, 0, -2)?;
    let b = triple(scope, inputs, 3, -1)?;
    let product = linear::matmul(scope, a, b)?;
    requantize(scope, product, inputs, 6)
}

fn qgemm(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    if scope.rank(input(inputs, 0)?) != 2 || scope.rank(input(inputs, 3)?) != 2 {
        return Err("its inputs are no matrices".into());
    }
    let transposed = node.flag("transB");
    let a = triple(scope, inputs, 0, 0)?;
    let b = triple(scope, inputs, 3, i64::from(!transposed))?;
    let a = if node.flag("transA") { scope.transpose(a, &[1, 0])? } else { a };
    let weights = if transposed { b } else { scope.transpose(b, &[1, 0])? };
    #[expect(clippy::float_cmp, reason = "exactly 1 changes nothing")]
    if node.float_or("alpha", 1.0) != 1.0 {
        return Err("alpha other than 1 is not supported".into());
    }
    let bias = optional(inputs, 6).map(|b| real_bias(scope, b, input(inputs, 1)?, input(inputs, 4)?)).transpose()?;
    let product = scope.op(ops::FullyConnected::default(), &[Some(a), Some(weights), bias])?[0];
    if optional(inputs, 7).is_none() { Ok(vec![product]) } else { requantize(scope, product, inputs, 7) }
}

fn qlinear_binary(l: &mut Lowering<'_, '_, '_>, inputs: Inputs<'_>, kind: BinaryKind) -> Outputs {
    let scope = &mut *l.scope;
    let (a, b) = (triple(scope, inputs, 0, 0)?, triple(scope, inputs, 3, 0)?);
    let result = scope.binary(kind, a, b)?;
    requantize(scope, result, inputs, 6)
}

/// An operator of ONNX between integers: the input with its scale in front, the result's scale behind.
fn qlinear_like(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>, operator: &str) -> Outputs {
    if node.flag("channels_last") {
        return Err("channels that come last are not supported".into());
    }
    let lower = super::find("", operator).ok_or_else(|| format!("there is no {operator}"))?;
    let x = triple(l.scope, inputs, 0, 0)?;
    let result = lower(l, node, &[Some(x)])?;
    let &[result] = result.as_slice() else { return Err("it has one output".into()) };
    requantize(l.scope, result, inputs, 3)
}

/// The result's scale and zero point come first, then three inputs for every part.
fn qlinear_concat(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let parts: Vec<ValueId> = (2..inputs.len()).step_by(3).map(|k| triple(scope, inputs, k, 0)).collect::<Result<_, _>>()?;
    let first = *parts.first().ok_or("it has no inputs")?;
    let along = axis(node.int_or("axis", 0), scope.rank(first))?;
    let result = scope.concat(&parts, along)?;
    requantize(scope, result, inputs, 0)
}

fn qlinear_where(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (a, b) = (triple(scope, inputs, 1, 0)?, triple(scope, inputs, 4, 0)?);
    let result = scope.select(input(inputs, 0)?, a, b)?;
    requantize(scope, result, inputs, 7)
}

fn qlinear_global_average_pool(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = triple(scope, inputs, 0, 0)?;
    let rank = scope.rank(x);
    let last = node.flag("channels_last");
    let axes: Vec<i32> = (1..rank).filter(|&a| if last { a + 1 < rank } else { a > 1 }).map(|a| i32::try_from(a).unwrap_or(0)).collect();
    let axes = scope.i32s(&axes);
    let mean = scope.op1(ops::Reduce { kind: ops::ReduceKind::Mean, keep_dims: true }, &[x, axes])?;
    requantize(scope, mean, inputs, 3)
}

fn qlinear_softmax(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = triple(scope, inputs, 0, 0)?;
    let rank = scope.rank(x);
    if axis(node.int_or("axis", -1), rank)? + 1 != rank {
        return Err("softmax along another axis than the innermost is not supported".into());
    }
    let result = scope.op1(ops::Softmax { beta: 1.0 }, &[x])?;
    requantize(scope, result, inputs, 3)
}
