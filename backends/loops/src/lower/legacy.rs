//! Layers on unsigned bytes, as old converters wrote them.

use octet_ir::Operation;
use octet_ir::arith::Multiplier;
use octet_ir::ops::{Activation, Conv2d, DepthwiseConv2d, FullyConnected, WeightsFormat};

use super::layers::{Geometry, macs};
use super::{Cx, Result, affine, clamp, dims, int, operand, result, unsupported};
use crate::lang::Elem;
use crate::program::{Arg, Data, Role};

impl Cx<'_> {
    /// Everything but the sizes: scales in single precision where there is one for all weights, as these kernels multiply them.
    fn unsigned_layer(
        &mut self,
        kernel: &'static str,
        operation: &Operation,
        channels: usize,
        activation: Activation,
        sizes: Vec<usize>,
    ) -> Result<()> {
        let (input, output) = (affine(self.ty(operation, 0)?)?, affine(self.result_ty(operation)?)?);
        let Ok(weights) = affine(self.ty(operation, 1)?) else { return unsupported("unsigned weights need one scale") };
        let types = [operand(operation, 0)?, operand(operation, 1)?, result(operation)?].map(|id| self.elem(id));
        if types.into_iter().any(|t| t.ok() != Some(Elem::U8)) {
            return unsupported("input, weights and output need unsigned bytes");
        }
        let real = f64::from(input.scale * weights.scale) / f64::from(output.scale);
        let multiplier = Multiplier::from_real(real);
        let Ok(shift) = i8::try_from(multiplier.shift) else { return unsupported("a ratio of scales is out of range") };
        let bias = match operation.operand(2).map(|id| self.data(id)).transpose()? {
            Some(Data::I32(values)) => values,
            None => vec![0; channels],
            Some(other) => return unsupported(format!("the bias holds {}", other.elem().name())),
        };
        let (low, high) = clamp(activation, output, Elem::U8)?;
        let mut sizes: Vec<i32> = sizes.into_iter().map(int).collect::<Result<_>>()?;
        sizes.extend([output.zero_point, low, high, input.zero_point, weights.zero_point]);
        let bias = self.table("bias", Role::Weights, Data::I32(bias));
        let mantissa = self.table("mantissa", Role::Scales, Data::I32(vec![multiplier.mantissa; channels]));
        let shift = self.table("shift", Role::Scales, Data::I8(vec![shift; channels]));
        let (x, w) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        if !matches!(w, Arg::Constant { .. }) {
            return unsupported("the weights are computed while the model runs");
        }
        let y = self.allocate(result(operation)?)?;
        self.call_signed(kernel, &[], vec![x, w, bias, mantissa, shift, y], Some(sizes))
    }

    pub(super) fn conv_2d_u8(&mut self, op: &Conv2d, operation: &Operation) -> Result<()> {
        let input: [usize; 4] = dims(self.ty(operation, 0)?)?;
        let [channels, kh, kw, depth] = dims(self.ty(operation, 1)?)?;
        let output: [usize; 4] = dims(self.result_ty(operation)?)?;
        let geometry = Geometry::new(op.padding, [input[1], input[2]], [output[1], output[2]], [kh, kw], op.stride, op.dilation);
        self.step.macs = macs(&output, kh * kw * depth);
        let sizes = [geometry.sizes(input, output, [kh, kw]), vec![depth]].concat();
        self.unsigned_layer("conv_2d_u8", operation, channels, op.activation, sizes)
    }

    pub(super) fn depthwise_u8(&mut self, op: &DepthwiseConv2d, operation: &Operation) -> Result<()> {
        let input: [usize; 4] = dims(self.ty(operation, 0)?)?;
        let [_, kh, kw, channels] = dims(self.ty(operation, 1)?)?;
        let output: [usize; 4] = dims(self.result_ty(operation)?)?;
        let geometry = Geometry::new(op.padding, [input[1], input[2]], [output[1], output[2]], [kh, kw], op.stride, op.dilation);
        self.step.macs = macs(&output, kh * kw);
        let sizes = [geometry.sizes(input, output, [kh, kw]), vec![0]].concat();
        self.unsigned_layer("depthwise_u8", operation, channels, op.activation, sizes)
    }

    pub(super) fn fully_connected_u8(&mut self, op: &FullyConnected, operation: &Operation) -> Result<()> {
        if op.weights_format != WeightsFormat::Default {
            return unsupported("shuffled weights");
        }
        let [units, k]: [usize; 2] = dims(self.ty(operation, 1)?)?;
        let rows = self.result_ty(operation)?.shape.elements() / units.max(1);
        self.step.macs = macs(&[rows, units], k);
        // A convolution over images of one pixel.
        let sizes = vec![rows, 1, 1, k, 1, 1, units, 1, 1, 1, 1, 1, 1, 0, 0, k];
        self.unsigned_layer("conv_2d_u8", operation, units, op.activation, sizes)
    }
}
