//! Layers with a constant filter and a bias: what affine functions fold into.
//!
//! This is the one place that knows which operand and which filter axis means what.

use octet_ir::ops::{Activation, Padding, WeightsFormat, conv_padding};
use octet_ir::{ElementType, Graph, Module, Op, OpId, Operation, ValueId};

use crate::rewrite::Refusal;
use crate::rewrite::pattern::{floats, operand, result};

/// Where a layer's operands and filter axes are.
struct Layout {
    input: usize,
    filter: usize,
    bias: usize,
    /// Filter axis of the output channels.
    output_axis: usize,
}

/// A convolution, depthwise convolution, transposed convolution or fully connected layer.
pub(crate) struct Layer<'g> {
    graph: &'g Graph,
    pub(crate) operation: &'g Operation,
    layout: Layout,
    pub(crate) input: ValueId,
    pub(crate) filter: ValueId,
    pub(crate) bias: Option<ValueId>,
    /// Output channels.
    pub(crate) channels: usize,
}

impl<'g> Layer<'g> {
    /// Reads an operation as a layer.
    pub(crate) fn of(graph: &'g Graph, id: OpId) -> Result<Self, Refusal> {
        let operation = graph.op(id);
        let layout = match operation.op() {
            Op::Conv2d(_) | Op::Conv3d(_) => (0, 1, 2, 0),
            Op::DepthwiseConv2d(_) => (0, 1, 2, 3),
            Op::TransposeConv(_) => (2, 1, 3, 0),
            Op::Conv3dTranspose(_) => (2, 1, 3, 3),
            Op::FullyConnected(op) if op.weights_format == WeightsFormat::Default => (0, 1, 2, 0),
            _ => return Err(Refusal::NoMatch),
        };
        let output_axis = if matches!(operation.op(), Op::Conv3d(_)) { 4 } else { layout.3 };
        let layout = Layout { input: layout.0, filter: layout.1, bias: layout.2, output_axis };
        let (input, filter) = (operand(operation, layout.input)?, operand(operation, layout.filter)?);
        let channels = *graph.ty(filter).shape.dims().get(output_axis).ok_or(Refusal::NoMatch)?;
        let bias = operation.operand(layout.bias);
        Ok(Self { graph, operation, layout, input, filter, bias, channels })
    }

    /// That the result is of reals: integers would be rounded and clamped in between.
    pub(crate) fn check_float(&self) -> Result<(), Refusal> {
        let result = self.operation.results().first().ok_or(Refusal::NoMatch)?;
        let elem = self.graph.ty(*result).elem;
        if elem == ElementType::F32 {
            return Ok(());
        }
        Err(Refusal::check(format!(
            "the {} computes {elem}: only f32 layers are folded into, quantized ones would round differently",
            self.name()
        )))
    }

    /// That nothing is applied between the layer's sum and its result.
    pub(crate) fn check_linear(&self) -> Result<(), Refusal> {
        match self.operation.op().activation() {
            Some(Activation::None) => Ok(()),
            None => Err(Refusal::NoMatch),
            Some(_) => Err(Refusal::check(format!("the {} has a fused activation, which comes first", self.name()))),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.operation.op().mnemonic()
    }

    /// The filter's elements; a refusal when it is no dense `f32` constant or has other readers, which would keep the old one in the file.
    pub(crate) fn filter_values(&self, module: &Module) -> Result<Vec<f32>, Refusal> {
        let values = floats(module, self.graph, self.filter)
            .ok_or_else(|| Refusal::check(format!("the filter of the {} is not a dense f32 constant", self.name())))?;
        match self.graph.value(self.filter).uses().len() {
            1 => Ok(values),
            uses => {
                Err(Refusal::check(format!("the filter of the {} is read {uses} times: a changed copy would be one more", self.name())))
            }
        }
    }

    /// The bias's elements, zeros when there is none; a refusal when it is no dense `f32` constant.
    pub(crate) fn bias_values(&self, module: &Module) -> Result<Vec<f32>, Refusal> {
        match self.bias {
            None => Ok(vec![0.0; self.channels]),
            Some(bias) => floats(module, self.graph, bias)
                .filter(|v| v.len() == self.channels)
                .ok_or_else(|| Refusal::check(format!("the bias of the {} is not a dense f32 constant", self.name()))),
        }
    }

    /// The output channel that the filter element at `index` (row-major) contributes to.
    pub(crate) fn output_channel(&self, index: usize) -> usize {
        self.filter_axis(index, self.layout.output_axis)
    }

    /// The input channel that the filter element at `index` is multiplied with.
    pub(crate) fn input_channel(&self, index: usize) -> usize {
        let dims = self.graph.ty(self.filter).shape.dims();
        let inputs = self.graph.ty(self.input).shape.dims().last().copied().unwrap_or(1).max(1);
        match self.operation.op() {
            Op::DepthwiseConv2d(_) => self.output_channel(index) / (self.channels / inputs).max(1),
            Op::Conv2d(_) => {
                let per_group = dims.get(3).copied().unwrap_or(1).max(1);
                let groups = (inputs / per_group).max(1);
                let group = self.output_channel(index) / (self.channels / groups).max(1);
                group * per_group + self.filter_axis(index, 3)
            }
            Op::Conv3d(_) => self.filter_axis(index, 3),
            Op::Conv3dTranspose(_) => self.filter_axis(index, 4),
            Op::TransposeConv(_) => self.filter_axis(index, 3),
            // A row of the weights may span several innermost vectors of an input that is flattened.
            _ => self.filter_axis(index, 1) % inputs,
        }
    }

    fn filter_axis(&self, index: usize, axis: usize) -> usize {
        let shape = &self.graph.ty(self.filter).shape;
        let size = shape.dims().get(axis).copied().unwrap_or(1).max(1);
        index / shape.strides().get(axis).copied().unwrap_or(1).max(1) % size
    }

    /// Input channels that a per-channel constant on the input side must have; `None` when rows of the weights do not hold whole innermost
    /// vectors of the input.
    pub(crate) fn input_channels(&self) -> Option<usize> {
        let inputs = *self.graph.ty(self.input).shape.dims().last()?;
        match self.operation.op() {
            Op::FullyConnected(_) => {
                let row = *self.graph.ty(self.filter).shape.dims().get(1)?;
                (inputs > 0 && row % inputs == 0).then_some(inputs)
            }
            _ => Some(inputs),
        }
    }

    /// Whether windows of the layer reach beyond the input.
    pub(crate) fn adds_zeros(&self) -> Result<bool, Refusal> {
        let (padding, stride, dilation, first) = match self.operation.op() {
            Op::Conv2d(op) => (op.padding, op.stride.to_vec(), op.dilation.to_vec(), 1),
            Op::DepthwiseConv2d(op) => (op.padding, op.stride.to_vec(), op.dilation.to_vec(), 1),
            Op::Conv3d(op) => (op.padding, op.stride.to_vec(), op.dilation.to_vec(), 0),
            _ => return Ok(false),
        };
        if padding == Padding::Valid {
            return Ok(false);
        }
        let (input, filter) = (&self.graph.ty(self.input).shape, &self.graph.ty(self.filter).shape);
        let output = &self.graph.ty(result(self.operation)?).shape;
        for (axis, (stride, dilation)) in stride.into_iter().zip(dilation).enumerate() {
            let size = |shape: &octet_ir::Shape, axis: usize| shape.dims().get(axis).copied().ok_or(Refusal::NoMatch);
            let taps = size(filter, first + axis)?;
            let zeros = conv_padding(padding, size(input, axis + 1)?, size(output, axis + 1)?, taps, stride, dilation);
            if zeros != (0, 0) || (input.dynamic(axis + 1).is_some() && taps > 1) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The operands with another input, filter and bias.
    pub(crate) fn operands(&self, input: ValueId, filter: ValueId, bias: Option<ValueId>) -> Vec<Option<ValueId>> {
        let mut operands = self.operation.operands().to_vec();
        // Kernels of LiteRT take a left-out bias for a missing one only when it is not named at all.
        if bias.is_some() {
            operands.resize(operands.len().max(self.layout.bias + 1), None);
        }
        for (index, value) in [(self.layout.input, Some(input)), (self.layout.filter, Some(filter)), (self.layout.bias, bias)] {
            if let Some(slot) = operands.get_mut(index) {
                *slot = value;
            }
        }
        operands
    }
}

/// Folded values rounded to `f32`; a refusal when one is no finite number.
pub(crate) fn rounded(values: impl Iterator<Item = f64>) -> Result<Vec<f32>, Refusal> {
    #[expect(clippy::cast_possible_truncation, reason = "this is the one rounding")]
    let values: Vec<f32> = values.map(|v| v as f32).collect();
    if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(Refusal::check("the folded constants would not all be finite")) }
}
