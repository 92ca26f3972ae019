//! Operations on single precision.

use octet_ir::ops::{
    Activation, BatchMatmul, Binary, BinaryKind, Conv2d, DepthwiseConv2d, FullyConnected, Gelu, LeakyRelu, Pool2d, PoolKind, Reduce,
    ReduceKind, TransposeConv, Unary, UnaryKind,
};
use octet_ir::{Diagnostic, ElementType as E, Operation, ValueId};

use super::layers::{Geometry, macs};
use super::{Cx, Result, UNSUPPORTED, dims, int, operand, result, unsupported};
use crate::program::{Arg, Data, Role};

/// What to do about layers of floats with integer weights.
const HYBRID: &str =
    "start from the float model: --quantize int8-only --data DATA makes all of it integers, no --quantize keeps all of it floats";

impl Cx<'_> {
    fn bounds(&mut self, activation: Activation) -> Result<Arg> {
        let Some((low, high)) = activation.bounds() else { return unsupported("the fused activation is no clamp") };
        Ok(self.clamp_table(low, high))
    }

    fn clamp_table(&mut self, low: f32, high: f32) -> Arg {
        self.table("clamp", Role::Parameters, Data::F32(vec![low, high]))
    }

    /// All operands and the result hold f32.
    fn floats(&self, operation: &Operation, indices: &[usize]) -> Result<()> {
        for &i in indices {
            let Some(id) = operation.operand(i) else { continue };
            let elem = self.graph.ty(id).elem;
            if i == 1 && elem.is_integer() && self.graph.ty(id).is_quantized() && self.ty(operation, 0)?.elem == E::F32 {
                let why = format!(
                    "this is a float layer with weights of {elem} (dynamic-range quantization), which generated code has no kernel for"
                );
                return Err(Diagnostic::error(UNSUPPORTED, why).with_help(HYBRID));
            }
            if elem != E::F32 {
                return unsupported(format!("no kernel computes this on {}", self.graph.ty(id).elem));
            }
        }
        if self.result_ty(operation)?.elem == E::F32 { Ok(()) } else { unsupported("the result does not hold floats") }
    }

    fn float_bias(&mut self, bias: Option<ValueId>, channels: usize) -> Result<Arg> {
        match bias {
            Some(id) => self.read(id),
            None => Ok(self.table("bias", Role::Weights, Data::F32(vec![0.0; channels]))),
        }
    }

    pub(super) fn conv_2d_f32(&mut self, op: &Conv2d, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0, 1, 2])?;
        let input: [usize; 4] = dims(self.ty(operation, 0)?)?;
        let [channels, kh, kw, depth] = dims(self.ty(operation, 1)?)?;
        let output: [usize; 4] = dims(self.result_ty(operation)?)?;
        let geometry = Geometry::new(op.padding, [input[1], input[2]], [output[1], output[2]], [kh, kw], op.stride, op.dilation);
        self.step.macs = macs(&output, kh * kw * depth);
        let mut sizes = geometry.sizes(input, output, [kh, kw]);
        sizes.push(depth);
        let bias = self.float_bias(operation.operand(2), channels)?;
        let f = self.bounds(op.activation)?;
        let (x, w) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.window_over(x, y, &geometry, input, output, 1);
        self.call("conv_2d_f32", &[], vec![x, w, bias, y, f], Some(sizes))
    }

    pub(super) fn depthwise_f32(&mut self, op: &DepthwiseConv2d, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0, 1, 2])?;
        let input: [usize; 4] = dims(self.ty(operation, 0)?)?;
        let [_, kh, kw, channels] = dims(self.ty(operation, 1)?)?;
        let output: [usize; 4] = dims(self.result_ty(operation)?)?;
        let geometry = Geometry::new(op.padding, [input[1], input[2]], [output[1], output[2]], [kh, kw], op.stride, op.dilation);
        self.step.macs = macs(&output, kh * kw);
        let bias = self.float_bias(operation.operand(2), channels)?;
        let f = self.bounds(op.activation)?;
        let (x, w) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.window_over(x, y, &geometry, input, output, 1);
        self.call("depthwise_f32", &[], vec![x, w, bias, y, f], Some(geometry.sizes(input, output, [kh, kw])))
    }

    pub(super) fn transpose_conv_f32(&mut self, op: &TransposeConv, operation: &Operation) -> Result<()> {
        self.floats(operation, &[1, 2, 3])?;
        let input: [usize; 4] = dims(self.ty(operation, 2)?)?;
        let [channels, kh, kw, _] = dims(self.ty(operation, 1)?)?;
        let output: [usize; 4] = dims(self.result_ty(operation)?)?;
        let geometry = Geometry::new(op.padding, [output[1], output[2]], [input[1], input[2]], [kh, kw], op.stride, [1, 1]);
        self.step.macs = macs(&input, kh * kw * channels);
        let bias = self.float_bias(operation.operand(3), channels)?;
        let f = self.bounds(op.activation)?;
        let (x, w) = (self.read(operand(operation, 2)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.call("transpose_conv_f32", &[], vec![x, w, bias, y, f], Some(geometry.sizes(input, output, [kh, kw])))
    }

    pub(super) fn dense_f32(&mut self, op: &FullyConnected, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0, 1, 2])?;
        let [units, k]: [usize; 2] = dims(self.ty(operation, 1)?)?;
        let rows = self.result_ty(operation)?.shape.elements() / units.max(1);
        self.step.macs = macs(&[rows, units], k);
        let bias = self.float_bias(operation.operand(2), units)?;
        let f = self.bounds(op.activation)?;
        let (x, w) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        let numbers = [rows, k, units].into_iter().map(|n| int(n).map(Arg::Int)).collect::<Result<Vec<_>>>()?;
        self.rows_over(x, y, rows, k, units, 4);
        self.call("dense_f32", &[], [vec![x, w, bias, y, f], numbers].concat(), None)
    }

    pub(super) fn batch_matmul_f32(&mut self, op: &BatchMatmul, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0, 1])?;
        let sizes = self.matmul_sizes(operation, op.adj_x, op.adj_y)?;
        let (a, b) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.call("batch_matmul_f32", &[], vec![a, b, y], Some(sizes))
    }

    /// A kernel over n elements with its further arguments between the result and n.
    fn elementwise(&mut self, kernel: &'static str, operation: &Operation, more: Vec<Arg>) -> Result<()> {
        let n = Arg::Int(self.count(self.result_ty(operation)?)?);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        self.call(kernel, &[], [vec![x, y], more, vec![n]].concat(), None)
    }

    fn plain(&mut self, kind: i32, slope: f32, operation: &Operation) -> Result<()> {
        let f = self.table("slope", Role::Parameters, Data::F32(vec![slope]));
        self.elementwise("plain_f32", operation, vec![f, Arg::Int(kind)])
    }

    pub(super) fn unary_f32(&mut self, op: &Unary, operation: &Operation) -> Result<()> {
        if op.kind == UnaryKind::LogicalNot {
            let n = Arg::Int(self.count(self.result_ty(operation)?)?);
            let x = self.read(operand(operation, 0)?)?;
            let y = self.allocate(result(operation)?)?;
            return self.call("logical", &[], vec![x, x, y, Arg::Int(2), n], None);
        }
        self.floats(operation, &[0])?;
        let clamp = match op.kind {
            UnaryKind::Relu => Some((0.0, f32::INFINITY)),
            UnaryKind::Relu6 => Some((0.0, 6.0)),
            UnaryKind::ReluN1To1 => Some((-1.0, 1.0)),
            UnaryKind::Relu0To1 => Some((0.0, 1.0)),
            _ => None,
        };
        if let Some((low, high)) = clamp {
            let f = self.clamp_table(low, high);
            return self.elementwise("clamp_run", operation, vec![f]);
        }
        let kernel = match op.kind {
            UnaryKind::Abs => return self.plain(0, 0.0, operation),
            UnaryKind::Neg => return self.plain(1, 0.0, operation),
            UnaryKind::Square => return self.plain(2, 0.0, operation),
            UnaryKind::HardSwish => return self.plain(3, 0.0, operation),
            UnaryKind::Exp => "exp_f32",
            UnaryKind::Log => "log_f32",
            UnaryKind::Sin => "sin_f32",
            UnaryKind::Cos => "cos_f32",
            UnaryKind::Floor => "floor_f32",
            UnaryKind::Ceil => "ceil_f32",
            UnaryKind::Round => "round_f32",
            UnaryKind::Sign => "sign_f32",
            UnaryKind::Sqrt => "sqrt_f32",
            UnaryKind::Rsqrt => "rsqrt_f32",
            UnaryKind::Logistic => "logistic_f32",
            UnaryKind::Tanh => "tanh_f32",
            UnaryKind::Elu => "elu_f32",
            UnaryKind::Relu
            | UnaryKind::Relu6
            | UnaryKind::ReluN1To1
            | UnaryKind::Relu0To1
            | UnaryKind::LogicalNot
            | UnaryKind::ZerosLike => return unsupported("generated code has no kernel for this function"),
        };
        self.elementwise(kernel, operation, Vec::new())
    }

    pub(super) fn gelu_f32(&mut self, op: &Gelu, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0])?;
        self.elementwise(if op.approximate { "gelu_tanh_f32" } else { "gelu_f32" }, operation, Vec::new())
    }

    pub(super) fn leaky_relu_f32(&mut self, op: &LeakyRelu, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0])?;
        self.plain(4, op.alpha, operation)
    }

    pub(super) fn binary_f32(&mut self, op: &Binary, operation: &Operation) -> Result<()> {
        let kind = match op.kind {
            BinaryKind::Add => 0,
            BinaryKind::Sub => 1,
            BinaryKind::Mul => 2,
            BinaryKind::Div => 3,
            BinaryKind::Maximum => 4,
            BinaryKind::Minimum => 5,
            BinaryKind::SquaredDifference => 6,
            BinaryKind::Pow => return self.rare_floats("rare_f32", Some(0), operation),
            BinaryKind::FloorDiv => return self.rare_floats("rare_f32", Some(1), operation),
            BinaryKind::FloorMod => return self.rare_floats("floor_mod_f32", None, operation),
            BinaryKind::Atan2 | BinaryKind::LogicalAnd | BinaryKind::LogicalOr | BinaryKind::BitwiseXor | BinaryKind::RightShift => {
                return unsupported("generated code has no kernel for this function");
            }
        };
        let f = self.bounds(op.activation)?;
        self.two_floats(operation, f, kind)
    }

    /// Functions that would burden the kernel of the frequent ones.
    fn rare_floats(&mut self, kernel: &'static str, kind: Option<usize>, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0, 1])?;
        let mut sizes = self.broadcast(operation, &[0, 1])?;
        sizes.extend(kind);
        let (a, b) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        self.in_place(operation, 1, y)?;
        self.call(kernel, &[], vec![a, b, y], Some(sizes))
    }

    pub(super) fn prelu_f32(&mut self, operation: &Operation) -> Result<()> {
        let f = self.clamp_table(f32::NEG_INFINITY, f32::INFINITY);
        self.two_floats(operation, f, 8)
    }

    fn two_floats(&mut self, operation: &Operation, f: Arg, kind: usize) -> Result<()> {
        self.floats(operation, &[0, 1])?;
        let mut sizes = self.broadcast(operation, &[0, 1])?;
        sizes.push(kind);
        let (a, b) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        self.in_place(operation, 1, y)?;
        self.call("binary_f32", &[], vec![a, b, y, f], Some(sizes))
    }

    pub(super) fn pool_f32(&mut self, op: &Pool2d, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0])?;
        let kernel = match op.kind {
            PoolKind::Average => "average_pool_f32",
            PoolKind::Max => "max_pool_f32",
            PoolKind::L2 => "l2_pool_f32",
        };
        let (sizes, geometry) = self.pool_sizes(op, operation)?;
        let (input, output) = (dims(self.ty(operation, 0)?)?, dims(self.result_ty(operation)?)?);
        let f = self.bounds(op.activation)?;
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.window_over(x, y, &geometry, input, output, 1);
        self.call(kernel, &[], vec![x, y, f], Some(sizes))
    }

    pub(super) fn reduce_f32(&mut self, op: &Reduce, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0])?;
        let kind = match op.kind {
            ReduceKind::Mean => 0,
            ReduceKind::Sum => 1,
            ReduceKind::Max => 2,
            ReduceKind::Min => 3,
            ReduceKind::Prod => 4,
            ReduceKind::Any | ReduceKind::All => return unsupported("generated code has no kernel for this reduction"),
        };
        self.reduce_by("reduce_f32", &[], kind, operation)
    }

    pub(super) fn softmax_f32(&mut self, beta: f32, kind: i32, operation: &Operation) -> Result<()> {
        self.floats(operation, &[0])?;
        let [rows, depth] = self.rows(self.ty(operation, 0)?)?;
        let f = self.table("beta", Role::Parameters, Data::F32(vec![beta]));
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        let numbers = [rows, depth, kind].map(Arg::Int);
        self.call("softmax_f32", &[], [vec![x, y, f], numbers.to_vec()].concat(), None)
    }
}
