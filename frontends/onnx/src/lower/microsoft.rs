//! Operators that ONNX Runtime's optimizer and quantizer add: fused forms of what ONNX has.

use octet_ir::ops::{BinaryKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, activation, image, input, linear, optional};
use crate::attributes::{Node, Refusal};
use crate::scope::Scope;

pub(super) const TABLE: Table = &[
    ("BiasGelu", bias_gelu),
    ("DynamicQuantizeConv", dynamic_quantize_conv),
    ("DynamicQuantizeMatMul", dynamic_quantize_matmul),
    ("FastGelu", bias_gelu),
    ("FusedConv", fused_conv),
    ("FusedMatMul", fused_matmul),
    ("Gelu", |l, _, i| Ok(vec![l.scope.op1(octet_ir::ops::Gelu { approximate: false }, &[input(i, 0)?])?])),
    ("MatMulIntegerToFloat", matmul_integer_to_float),
    ("QuickGelu", quick_gelu),
];

/// The activation of a fused operator, with its parameters in a list.
fn activate(scope: &mut Scope<'_>, x: ValueId, node: &Node<'_>) -> Result<ValueId, Refusal> {
    let parameter = |index: usize, default: f32| node.floats("activation_params").and_then(|p| p.get(index).copied()).unwrap_or(default);
    match node.text_or("activation", "") {
        "" => Ok(x),
        "Relu" => scope.unary(UnaryKind::Relu, x),
        "Sigmoid" => scope.unary(UnaryKind::Logistic, x),
        "Tanh" => scope.unary(UnaryKind::Tanh, x),
        "LeakyRelu" => scope.op1(octet_ir::ops::LeakyRelu { alpha: parameter(0, 0.01) }, &[x]),
        "Clip" => activation::clamp(scope, x, parameter(0, f32::MIN), parameter(1, f32::MAX)),
        "HardSigmoid" => activation::hard_sigmoid(scope, x, parameter(0, 0.2), parameter(1, 0.5)),
        other => Err(format!("activation '{other}' is not supported")),
    }
}

/// A convolution with an addend and an activation.
fn fused_conv(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let mut result = image::convolution(scope, node, input(inputs, 0)?, input(inputs, 1)?, optional(inputs, 2))?;
    if let Some(addend) = optional(inputs, 3) {
        result = scope.binary(BinaryKind::Add, result, addend)?;
    }
    Ok(vec![activate(scope, result, node)?])
}

/// `alpha * A' * B'`.
fn fused_matmul(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    if node.flag("transBatchA") || node.flag("transBatchB") {
        return Err("transposed batches are not supported".into());
    }
    let mut side = |index: usize, name: &str| -> Result<ValueId, Refusal> {
        let x = input(inputs, index)?;
        let rank = scope.rank(x);
        if !node.flag(name) || rank < 2 {
            return Ok(x);
        }
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        scope.transpose(x, &order)
    };
    let (a, b) = (side(0, "transA")?, side(1, "transB")?);
    let product = linear::matmul(scope, a, b)?;
    Ok(vec![scope.times(product, node.float_or("alpha", 1.0))?])
}

fn bias_gelu(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let mut x = input(inputs, 0)?;
    if let Some(bias) = optional(inputs, 1) {
        x = scope.binary(BinaryKind::Add, x, bias)?;
    }
    let approximate = node.proto.op_type == "FastGelu";
    Ok(vec![scope.op1(octet_ir::ops::Gelu { approximate }, &[x])?])
}

/// `x * sigmoid(alpha x)`.
fn quick_gelu(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let x = input(inputs, 0)?;
    let scaled = scope.times(x, node.float_or("alpha", 1.702))?;
    let gate = scope.unary(UnaryKind::Logistic, scaled)?;
    Ok(vec![scope.binary(BinaryKind::Mul, x, gate)?])
}

/// The reals behind weights of integers under a scale and a zero point per column.
fn columns(scope: &mut Scope<'_>, weights: ValueId, scale: ValueId, zero_point: Option<ValueId>) -> Result<ValueId, Refusal> {
    let mut real = scope.cast(weights, ElementType::F32)?;
    if let Some(zero_point) = zero_point {
        let zero_point = scope.cast(zero_point, ElementType::F32)?;
        real = scope.binary(BinaryKind::Sub, real, zero_point)?;
    }
    scope.binary(BinaryKind::Mul, real, scale)
}

/// Floats times weights of integers; what the original quantizes as it runs stays real here.
fn dynamic_quantize_matmul(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let weights = columns(scope, input(inputs, 1)?, input(inputs, 2)?, optional(inputs, 3))?;
    let mut product = linear::matmul(scope, input(inputs, 0)?, weights)?;
    if let Some(bias) = optional(inputs, 4) {
        product = scope.binary(BinaryKind::Add, product, bias)?;
    }
    Ok(vec![product])
}

/// A convolution with weights of integers, scaled per tensor or per filter.
fn dynamic_quantize_conv(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let filter = input(inputs, 1)?;
    let rank = scope.rank(filter);
    let mut along_filters = |value: ValueId| -> Result<ValueId, Refusal> {
        let count: usize = scope.dims(value).iter().product();
        let mut dims = vec![1; if count == 1 { 0 } else { rank }];
        if let Some(first) = dims.first_mut() {
            *first = count;
        }
        scope.reshape(value, &dims)
    };
    let scale = along_filters(input(inputs, 2)?)?;
    let zero_point = optional(inputs, 3).map(&mut along_filters).transpose()?;
    let filter = columns(scope, filter, scale, zero_point)?;
    Ok(vec![image::convolution(scope, node, input(inputs, 0)?, filter, None)?])
}

fn matmul_integer_to_float(l: &mut Lowering<'_, '_, '_>, _: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let a = columns(scope, input(inputs, 0)?, input(inputs, 2)?, optional(inputs, 4))?;
    let b = columns(scope, input(inputs, 1)?, input(inputs, 3)?, optional(inputs, 5))?;
    let mut product = linear::matmul(scope, a, b)?;
    if let Some(bias) = optional(inputs, 6) {
        product = scope.binary(BinaryKind::Add, product, bias)?;
    }
    Ok(vec![product])
}
