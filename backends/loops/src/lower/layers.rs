//! Layers with weights on integers.

use octet_ir::arith::{Affine, Multiplier};
use octet_ir::ops::{
    Activation, BatchMatmul, Conv2d, DepthwiseConv2d, FullyConnected, Padding, TransposeConv, WeightsFormat, conv_padding,
};
use octet_ir::{ElementType as E, Operation, ValueId};

use super::{Cx, Result, affine, clamp, dims, int, operand, range, result, unsupported};
use crate::lang::Elem;
use crate::program::{Arg, Data, Role};

/// Everything that a layer's kernel reads besides its input.
struct Layer {
    weights: Vec<i8>,
    input: Affine,
    output: Affine,
    multipliers: Vec<Multiplier>,
    low: i32,
    high: i32,
    elem: Elem,
}

/// How a filter moves, in the order of the kernels' sizes.
pub(super) struct Geometry {
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) padding: [usize; 2],
}

impl Geometry {
    pub(super) fn new(
        padding: Padding,
        input: [usize; 2],
        output: [usize; 2],
        filter: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
    ) -> Self {
        let front = |axis: usize| conv_padding(padding, input[axis], output[axis], filter[axis], stride[axis], dilation[axis]).0;
        Self { stride, dilation, padding: [front(0), front(1)] }
    }

    /// batches, height, width, channels, output height, width and channels, filter height and width, strides, dilations, paddings.
    pub(super) fn sizes(&self, input: [usize; 4], output: [usize; 4], filter: [usize; 2]) -> Vec<usize> {
        let mut sizes = input.to_vec();
        sizes.extend(&output[1..]);
        sizes.extend(filter);
        sizes.extend(self.stride);
        sizes.extend(self.dilation);
        sizes.extend(self.padding);
        sizes
    }
}

impl Cx<'_> {
    /// The layer's weights, scales and clamp; `axis` is that of the output channels in the filter.
    fn layer(
        &self,
        operation: &Operation,
        input: usize,
        filter: usize,
        axis: usize,
        single: bool,
        activation: Activation,
    ) -> Result<Layer> {
        let (input_ty, filter_ty, output_ty) = (self.ty(operation, input)?, self.ty(operation, filter)?, self.result_ty(operation)?);
        let elem = match (input_ty.elem, filter_ty.elem) {
            (E::I8, E::I8 | E::I4 | E::I2) => Elem::I8,
            (E::I16, E::I8 | E::I4 | E::I2) => Elem::I16,
            _ => return unsupported(format!("no kernel multiplies {} by weights of {}", input_ty.elem, filter_ty.elem)),
        };
        if output_ty.elem != input_ty.elem {
            return unsupported("input and output are of different types");
        }
        let count = filter_ty.shape.elements();
        let id = operand(operation, filter)?;
        let constant = self.constant_of(id);
        let Some(constant) = constant else { return unsupported("the weights are computed while the model runs") };
        let mut weights = match filter_ty.elem {
            E::I4 => octet_eval::int::unpack_i4(constant.bytes(), count),
            E::I2 => octet_eval::int::unpack_i2(constant.bytes(), count),
            _ => constant.to_i8(),
        };
        let Some(quant) = &filter_ty.quant else { return unsupported("the weights have no scale") };
        let zero = quant.zero_points().first().copied().unwrap_or(0);
        if quant.scales().len() == 1 && zero != 0 {
            let centred: Option<Vec<i8>> = weights.iter().map(|&w| i8::try_from(i64::from(w) - zero).ok()).collect();
            let Some(centred) = centred else { return unsupported(format!("the weights less their zero point {zero} do not fit 8 bits")) };
            weights = centred;
        }
        let channels = filter_ty.shape.dims().get(axis).copied().unwrap_or(0);
        if quant.scales().len() != 1 && (quant.axis() != Some(axis) || quant.scales().len() != channels) {
            return unsupported("the weights' scales lie along another axis");
        }
        let (input, output) = (affine(input_ty)?, affine(output_ty)?);
        if elem == Elem::I16 && (input.zero_point != 0 || output.zero_point != 0) {
            return unsupported("16-bit activations need zero point 0");
        }
        let real = |&scale: &f32| {
            let product = if single { f64::from(input.scale * scale) } else { f64::from(input.scale) * f64::from(scale) };
            Multiplier::from_real(product / f64::from(output.scale))
        };
        let mut multipliers: Vec<Multiplier> = quant.scales().iter().map(real).collect();
        multipliers.resize(channels, multipliers.first().copied().unwrap_or_default());
        let (low, high) = clamp(activation, output, elem)?;
        Ok(Layer { weights, input, output, multipliers, low, high, elem })
    }

    /// Mantissas and shifts, and the shifts' type: unsigned where all are to the right and no sum reaches 2^30. `largest` bounds the
    /// magnitude of every channel's sum.
    fn multipliers(&mut self, multipliers: &[Multiplier], largest: &[i64]) -> Result<([Arg; 2], Elem)> {
        let mantissas = Data::I32(multipliers.iter().map(|m| m.mantissa).collect());
        let right: Option<Vec<u8>> = multipliers.iter().map(|m| u8::try_from(-m.shift).ok().filter(|s| (1..=31).contains(s))).collect();
        if let Some(right) = right.filter(|_| largest.len() == multipliers.len() && largest.iter().all(|&l| l < 1 << 30)) {
            let tables = [self.table("mantissa", Role::Scales, mantissas), self.table("shift", Role::Scales, Data::U8(right))];
            return Ok((tables, Elem::U8));
        }
        let shifts: Option<Vec<i8>> = multipliers.iter().map(|m| i8::try_from(m.shift).ok()).collect();
        let Some(shifts) = shifts else { return unsupported("a ratio of scales is out of range") };
        Ok(([self.table("mantissa", Role::Scales, mantissas), self.table("shift", Role::Scales, Data::I8(shifts))], Elem::I8))
    }

    /// How large each channel's sum can become, on the way too: with every input as far from its zero point as 8 bits go, and the folded part of the bias.
    fn largest(&self, bias: Option<ValueId>, magnitudes: &[i64]) -> Result<Vec<i64>> {
        let bias = match bias.map(|id| self.data(id)).transpose()? {
            Some(Data::I32(values)) => values,
            _ => vec![0; magnitudes.len()],
        };
        Ok(bias.iter().zip(magnitudes).map(|(&b, &m)| i64::from(b).abs() + 256 * m).collect())
    }

    /// The 32-bit bias with the input's zero point folded in: `sums` are those of each channel's weights.
    fn folded_bias(&mut self, bias: Option<ValueId>, zero: i32, sums: &[i32]) -> Result<Arg> {
        let mut values = match bias.map(|id| self.data(id)).transpose()? {
            Some(Data::I32(values)) => values,
            None => vec![0; sums.len()],
            Some(other) => return unsupported(format!("the bias holds {}", other.elem().name())),
        };
        for (value, sum) in values.iter_mut().zip(sums) {
            *value = value.wrapping_sub(zero.wrapping_mul(*sum));
        }
        Ok(self.table("bias", Role::Weights, Data::I32(values)))
    }

    /// The bias of a layer on 16 bits; its type says how wide the sums are.
    fn wide_bias(&mut self, bias: Option<ValueId>, channels: usize, declared: Option<E>, always_wide: bool) -> Result<(Arg, Elem)> {
        let data = match bias.map(|id| self.data(id)).transpose()? {
            Some(Data::I64(values)) => Data::I64(values),
            Some(Data::I32(values)) if always_wide => Data::I64(values.into_iter().map(i64::from).collect()),
            Some(Data::I32(values)) => Data::I32(values),
            Some(Data::I16(values)) => Data::I64(values.into_iter().map(i64::from).collect()),
            None if declared == Some(E::I32) && !always_wide => Data::I32(vec![0; channels]),
            None => Data::I64(vec![0; channels]),
            Some(other) => return unsupported(format!("the bias holds {}", other.elem().name())),
        };
        let elem = data.elem();
        Ok((self.table("bias", Role::Weights, data), elem))
    }

    pub(super) fn conv_2d(&mut self, op: &Conv2d, operation: &Operation) -> Result<()> {
        let input: [usize; 4] = dims(self.ty(operation, 0)?)?;
        let [channels, kh, kw, depth] = dims(self.ty(operation, 1)?)?;
        let output: [usize; 4] = dims(self.result_ty(operation)?)?;
        let layer = self.layer(operation, 0, 1, 0, false, op.activation)?;
        let geometry = Geometry::new(op.padding, [input[1], input[2]], [output[1], output[2]], [kh, kw], op.stride, op.dilation);
        self.step.macs = macs(&output, kh * kw * depth);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        let k = kh * kw * depth;
        let name = self.graph.value_name(operand(operation, 1)?);
        let magnitudes: Vec<i64> = layer.weights.chunks(k.max(1)).map(magnitude).collect();
        let largest = self.largest(operation.operand(2), &magnitudes)?;
        let ([mantissa, shift], width) = self.multipliers(&layer.multipliers, &largest_of(&layer, largest))?;
        let mut sizes: Vec<i32> = geometry.sizes(input, output, [kh, kw]).into_iter().map(int).collect::<Result<_>>()?;
        if layer.elem == Elem::I16 {
            let (bias, bias_elem) = self.wide_bias(operation.operand(2), channels, op.quantized_bias_type, false)?;
            let w = self.table(&name, Role::Weights, Data::I8(layer.weights));
            sizes.extend([int(depth)?, 0, layer.low, layer.high]);
            self.window_over(x, y, &geometry, input, output, 1);
            return self.call_signed("conv_2d_wide", &[bias_elem], vec![x, w, bias, mantissa, shift, y], Some(sizes));
        }
        let sums: Vec<i32> = layer.weights.chunks(k.max(1)).map(|w| w.iter().map(|&w| i32::from(w)).sum()).collect();
        let bias = self.folded_bias(operation.operand(2), layer.input.zero_point, &sums)?;
        let w = self.table(&name, Role::Weights, Data::I8(layer.weights));
        let pointwise = [kh, kw] == [1, 1] && op.stride == [1, 1] && geometry.padding == [0, 0] && depth == input[3];
        if pointwise && input[1..3] == output[1..3] {
            let rows = output[0] * output[1] * output[2];
            self.dense_over(x, y, rows, k, channels);
            let sizes = vec![int(rows)?, int(k)?, int(channels)?, layer.output.zero_point, layer.low, layer.high];
            return self.call_signed(
                "dense",
                &[width],
                vec![x, w, bias, mantissa, shift, y, Arg::Backward { input: buffer_of(x), output: buffer_of(y) }],
                Some(sizes),
            );
        }
        let Ok(zero) = i8::try_from(layer.input.zero_point) else { return unsupported("the input's zero point does not fit 8 bits") };
        let zero = self.table("zero", Role::Parameters, Data::I8(vec![zero]));
        let windows = self.scratch(Elem::I8, 2 * k);
        if depth == input[3] {
            self.window_over(x, y, &geometry, input, output, 2);
        }
        sizes.extend([int(depth)?, layer.output.zero_point, layer.low, layer.high]);
        self.call_signed("conv_2d", &[width], vec![x, zero, w, bias, mantissa, shift, y, windows], Some(sizes))
    }

    /// Rows of a matrix product may be written over rows that are read no more: two are in work at a time. From the last row to the first, the
    /// result lies above the input.
    fn dense_over(&mut self, x: Arg, y: Arg, rows: usize, k: usize, units: usize) {
        let below = (0..rows.div_ceil(2)).map(|pair| {
            let written = (2 * pair + 2).min(rows) * units;
            written.saturating_sub(2 * pair * k)
        });
        let below = below.max().unwrap_or(0);
        let above = (0..rows.div_ceil(2)).map(|pair| ((2 * pair + 2).min(rows) * k).saturating_sub(2 * pair * units));
        let above = above.max().unwrap_or(0);
        self.may_overlap_either(x, y, below, Some(above));
    }

    /// Pixels may be written where no later window reads. `ahead` windows are copied before the first of them is computed.
    pub(super) fn window_over(&mut self, x: Arg, y: Arg, geometry: &Geometry, input: [usize; 4], output: [usize; 4], ahead: usize) {
        let width_in_bytes = match y {
            Arg::Buffer { buffer, .. } => self.program.buffers[buffer].elem.bytes(),
            Arg::Constant { .. } | Arg::Int(_) | Arg::Backward { .. } => return,
        };
        let [batches, height, width, channels] = input;
        let pixels = output[1] * output[2];
        // First input element that the window of a pixel reads.
        let first = |pixel: usize| {
            let (b, pixel) = (pixel / pixels.max(1), pixel % pixels.max(1));
            let oy = pixel / output[2].max(1);
            let row = (oy * geometry.stride[0]).saturating_sub(geometry.padding[0]).min(height);
            // A window that starts left of the image reads the beginning of the row; so does the row's every later window at worst.
            let column = ((pixel % output[2].max(1)) * geometry.stride[1]).saturating_sub(geometry.padding[1]).min(width);
            ((b * height + row) * width + column) * channels
        };
        let total = batches * pixels;
        let mut lowest = usize::MAX;
        let mut below = 0usize;
        for pixel in (0..total).rev() {
            // When this pixel is written, later ones are still to be read; those gathered with it are not.
            let pending = if ahead > 1 { lowest } else { lowest.min(first(pixel)) };
            let written = (pixel + 1) * output[3];
            if pending != usize::MAX {
                below = below.max(written.saturating_sub(pending));
            }
            lowest = lowest.min(first(pixel));
        }
        self.may_overlap(x, y, below * width_in_bytes);
    }

    /// Rows of a matrix product may be written over rows before the one that is read.
    pub(super) fn rows_over(&mut self, x: Arg, y: Arg, rows: usize, k: usize, units: usize, width: usize) {
        let below = (0..rows).map(|row| ((row + 1) * units).saturating_sub(row * k)).max().unwrap_or(0);
        self.may_overlap(x, y, below * width);
    }

    pub(super) fn depthwise_conv_2d(&mut self, op: &DepthwiseConv2d, operation: &Operation) -> Result<()> {
        let input: [usize; 4] = dims(self.ty(operation, 0)?)?;
        let [_, kh, kw, channels] = dims(self.ty(operation, 1)?)?;
        let output: [usize; 4] = dims(self.result_ty(operation)?)?;
        let layer = self.layer(operation, 0, 1, 3, false, op.activation)?;
        let geometry = Geometry::new(op.padding, [input[1], input[2]], [output[1], output[2]], [kh, kw], op.stride, op.dilation);
        self.step.macs = macs(&output, kh * kw);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        let name = self.graph.value_name(operand(operation, 1)?);
        let mut magnitudes = vec![0i64; channels];
        for row in layer.weights.chunks(channels.max(1)) {
            for (sum, &w) in magnitudes.iter_mut().zip(row) {
                *sum += i64::from(w).abs();
            }
        }
        let largest = self.largest(operation.operand(2), &magnitudes)?;
        let ([mantissa, shift], width) = self.multipliers(&layer.multipliers, &largest_of(&layer, largest))?;
        let mut sizes: Vec<i32> = geometry.sizes(input, output, [kh, kw]).into_iter().map(int).collect::<Result<_>>()?;
        if layer.elem == Elem::I16 {
            let (bias, bias_elem) = self.wide_bias(operation.operand(2), channels, None, true)?;
            let w = self.table(&name, Role::Weights, Data::I8(layer.weights));
            sizes.extend([0, 0, layer.low, layer.high]);
            self.window_over(x, y, &geometry, input, output, 1);
            return self.call_signed("depthwise_wide", &[bias_elem], vec![x, w, bias, mantissa, shift, y], Some(sizes));
        }
        let bias = self.folded_bias(operation.operand(2), 0, &vec![0; channels])?;
        let w = self.table(&name, Role::Weights, Data::I8(layer.weights));
        self.window_over(x, y, &geometry, input, output, 1);
        sizes.extend([layer.input.zero_point, layer.output.zero_point, layer.low, layer.high]);
        self.call_signed("depthwise_conv_2d", &[width], vec![x, w, bias, mantissa, shift, y], Some(sizes))
    }

    pub(super) fn transpose_conv(&mut self, op: &TransposeConv, operation: &Operation) -> Result<()> {
        let input: [usize; 4] = dims(self.ty(operation, 2)?)?;
        let [channels, kh, kw, depth] = dims(self.ty(operation, 1)?)?;
        let output: [usize; 4] = dims(self.result_ty(operation)?)?;
        let layer = self.layer(operation, 2, 1, 0, false, op.activation)?;
        // The convolution that this one transposes reads our output and writes our input.
        let geometry = Geometry::new(op.padding, [output[1], output[2]], [input[1], input[2]], [kh, kw], op.stride, [1, 1]);
        self.step.macs = macs(&input, kh * kw * channels);
        let x = self.read(operand(operation, 2)?)?;
        let y = self.allocate(result(operation)?)?;
        let name = self.graph.value_name(operand(operation, 1)?);
        let magnitudes: Vec<i64> = layer.weights.chunks((kh * kw * depth).max(1)).map(magnitude).collect();
        let largest = self.largest(operation.operand(3), &magnitudes)?;
        let ([mantissa, shift], width) = self.multipliers(&layer.multipliers, &largest_of(&layer, largest))?;
        let mut sizes: Vec<i32> = geometry.sizes(input, output, [kh, kw]).into_iter().map(int).collect::<Result<_>>()?;
        if layer.elem == Elem::I16 {
            let (bias, bias_elem) = self.wide_bias(operation.operand(3), channels, None, true)?;
            let w = self.table(&name, Role::Weights, Data::I8(layer.weights));
            sizes.extend([0, 0, layer.low, layer.high]);
            return self.call_signed("transpose_wide", &[bias_elem], vec![x, w, bias, mantissa, shift, y], Some(sizes));
        }
        let bias = self.folded_bias(operation.operand(3), 0, &vec![0; channels])?;
        let w = self.table(&name, Role::Weights, Data::I8(layer.weights));
        sizes.extend([layer.input.zero_point, layer.output.zero_point, layer.low, layer.high]);
        self.call_signed("transpose_conv", &[width], vec![x, w, bias, mantissa, shift, y], Some(sizes))
    }

    pub(super) fn fully_connected(&mut self, op: &FullyConnected, operation: &Operation) -> Result<()> {
        if op.weights_format != WeightsFormat::Default {
            return unsupported("shuffled weights");
        }
        let [units, k]: [usize; 2] = dims(self.ty(operation, 1)?)?;
        let scales = self.ty(operation, 1)?.quant.as_ref().map_or(0, |q| q.scales().len());
        let layer = self.layer(operation, 0, 1, 0, scales == 1, op.activation)?;
        let rows = self.result_ty(operation)?.shape.elements() / units.max(1);
        self.step.macs = macs(&[rows, units], k);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        let name = self.graph.value_name(operand(operation, 1)?);
        let magnitudes: Vec<i64> = layer.weights.chunks(k.max(1)).map(magnitude).collect();
        let largest = self.largest(operation.operand(2), &magnitudes)?;
        let ([mantissa, shift], width) = self.multipliers(&layer.multipliers, &largest_of(&layer, largest))?;
        let sizes = vec![int(rows)?, int(k)?, int(units)?, layer.output.zero_point, layer.low, layer.high];
        if layer.elem == Elem::I16 {
            let (bias, bias_elem) = self.wide_bias(operation.operand(2), units, op.quantized_bias_type, false)?;
            let w = self.table(&name, Role::Weights, Data::I8(layer.weights));
            self.rows_over(x, y, rows, k, units, Elem::I16.bytes());
            return self.call_signed("dense_wide", &[bias_elem], vec![x, w, bias, mantissa, shift, y], Some(sizes));
        }
        let sums: Vec<i32> = layer.weights.chunks(k.max(1)).map(|w| w.iter().map(|&w| i32::from(w)).sum()).collect();
        let bias = self.folded_bias(operation.operand(2), layer.input.zero_point, &sums)?;
        let w = self.table(&name, Role::Weights, Data::I8(layer.weights));
        self.dense_over(x, y, rows, k, units);
        self.call_signed(
            "dense",
            &[width],
            vec![x, w, bias, mantissa, shift, y, Arg::Backward { input: buffer_of(x), output: buffer_of(y) }],
            Some(sizes),
        )
    }

    pub(super) fn batch_matmul(&mut self, op: &BatchMatmul, operation: &Operation) -> Result<()> {
        let (a_ty, b_ty, y_ty) = (self.ty(operation, 0)?, self.ty(operation, 1)?, self.result_ty(operation)?);
        let elem = self.elem(operand(operation, 0)?)?;
        if a_ty.elem != b_ty.elem || a_ty.elem != y_ty.elem || elem == Elem::U8 {
            return unsupported("BATCH_MATMUL needs three tensors of int8 or of int16");
        }
        let (a, b, y) = (affine(a_ty)?, affine(b_ty)?, affine(y_ty)?);
        let multiplier = Multiplier::from_real(f64::from(a.scale * b.scale) / f64::from(y.scale));
        let (low, high) = range(elem);
        let q = Data::I32(vec![a.zero_point, b.zero_point, y.zero_point, multiplier.mantissa, multiplier.shift, low, high]);
        let sizes = self.matmul_sizes(operation, op.adj_x, op.adj_y)?;
        let (a, b) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        let q = self.table("scales", Role::Scales, q);
        self.call("batch_matmul", &[elem], vec![a, b, y, q], Some(sizes))
    }

    /// Batches, their strides, rows, depth, columns, strides of the matrices.
    pub(super) fn matmul_sizes(&mut self, operation: &Operation, adj_x: bool, adj_y: bool) -> Result<Vec<usize>> {
        let (a, b) = (self.ty(operation, 0)?.shape.dims(), self.ty(operation, 1)?.shape.dims());
        let y = self.result_ty(operation)?.shape.dims();
        let (Some((y_batch, _)), [.., a0, a1], [.., b0, b1]) = (y.split_at_checked(y.len().saturating_sub(2)), a, b) else {
            return unsupported("the operands are no matrices");
        };
        let (m, k) = if adj_x { (*a1, *a0) } else { (*a0, *a1) };
        let n = if adj_y { *b0 } else { *b1 };
        self.step.macs = macs(y, k);
        let batch_strides = |shape: &[usize], matrix: usize| {
            let batch = &shape[..shape.len() - 2];
            super::elementwise::broadcast_strides(batch, y_batch).into_iter().map(|s| s * matrix).collect::<Vec<_>>()
        };
        let (sizes, strides) = super::elementwise::collapse(y_batch, &[batch_strides(a, m * k), batch_strides(b, k * n)], 2)?;
        let mut all = sizes;
        all.extend(strides.concat());
        all.extend([m, k, n]);
        all.extend(if adj_x { [1, m] } else { [k, 1] });
        all.extend(if adj_y { [1, k] } else { [n, 1] });
        Ok(all)
    }
}

/// Multiply-accumulates of a layer.
pub(super) fn macs(output: &[usize], k: usize) -> u64 {
    output.iter().chain(&[k]).map(|&d| u64::try_from(d).unwrap_or(u64::MAX)).fold(1, u64::saturating_mul)
}

/// The sum of absolute values.
fn magnitude(weights: &[i8]) -> i64 {
    weights.iter().map(|&w| i64::from(w).abs()).sum()
}

/// Bounds of sums count only for kernels on 8 bits.
fn largest_of(layer: &Layer, largest: Vec<i64>) -> Vec<i64> {
    if layer.elem == Elem::I8 { largest } else { Vec::new() }
}

/// The buffer of a place; constants have none.
fn buffer_of(place: Arg) -> Option<usize> {
    match place {
        Arg::Buffer { buffer, .. } => Some(buffer),
        Arg::Constant { .. } | Arg::Int(_) | Arg::Backward { .. } => None,
    }
}
