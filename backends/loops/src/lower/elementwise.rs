//! Element-wise operations on integers and truth values, and broadcasting for all types.

use octet_ir::arith::{Affine, Multiplier, RoundingProfile, SIGMOID_TABLE, interpolated_table};
use octet_ir::ops::{Activation, Binary, BinaryKind, Compare, UnaryKind};
use octet_ir::{Constant, ElementType as E, Op, Operation, Type};

use super::{Cx, Result, affine, clamp, int, operand, range, result, unsupported};
use crate::lang::Elem;
use crate::program::{Arg, Data, Role};

/// A function of bytes.
type Bytes256 = [u8; 256];

/// Strides of an operand inside the result's shape, 0 where it is repeated.
pub(super) fn broadcast_strides(shape: &[usize], result: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; result.len()];
    let missing = result.len().saturating_sub(shape.len());
    let mut stride = 1;
    for axis in (0..shape.len()).rev() {
        if shape[axis] > 1
            && let Some(slot) = strides.get_mut(axis + missing)
        {
            *slot = stride;
        }
        stride *= shape[axis];
    }
    strides
}

/// The same walk over as few axes as possible, brought to `axes` of them with leading ones.
pub(super) fn collapse(dims: &[usize], strides: &[Vec<usize>], axes: usize) -> Result<(Vec<usize>, Vec<Vec<usize>>)> {
    let mut sizes: Vec<usize> = Vec::new();
    let mut all: Vec<Vec<usize>> = vec![Vec::new(); strides.len()];
    for (axis, &size) in dims.iter().enumerate() {
        if size == 1 {
            continue;
        }
        let merges = !sizes.is_empty() && all.iter().zip(strides).all(|(mine, s)| mine.last() == Some(&(s[axis] * size)));
        match sizes.last_mut() {
            Some(last) if merges => {
                *last *= size;
                for (mine, s) in all.iter_mut().zip(strides) {
                    if let Some(stride) = mine.last_mut() {
                        *stride = s[axis];
                    }
                }
            }
            _ => {
                sizes.push(size);
                for (mine, s) in all.iter_mut().zip(strides) {
                    mine.push(s[axis]);
                }
            }
        }
    }
    if sizes.len() > axes {
        return unsupported(format!("broadcasting over {} axes, of at most {axes}", sizes.len()));
    }
    let missing = axes - sizes.len();
    sizes.splice(0..0, vec![1; missing]);
    for mine in &mut all {
        mine.splice(0..0, vec![0; missing]);
    }
    Ok((sizes, all))
}

/// Whose rounding the interpreter follows for a type.
fn rounding(elem: Elem) -> RoundingProfile {
    RoundingProfile::Tflm.of_type(elem == Elem::U8)
}

impl Cx<'_> {
    /// Sizes and strides of operands `indices` broadcast to the result, over four axes.
    pub(super) fn broadcast(&self, operation: &Operation, indices: &[usize]) -> Result<Vec<usize>> {
        let shape = self.result_ty(operation)?.shape.dims();
        let strides: Result<Vec<_>> = indices.iter().map(|&i| Ok(broadcast_strides(self.ty(operation, i)?.shape.dims(), shape))).collect();
        let (mut sizes, strides) = collapse(shape, &strides?, 4)?;
        sizes.extend(strides.concat());
        Ok(sizes)
    }

    /// A result of the same size as an operand may take its place, if that operand is read nowhere else in the operation.
    pub(super) fn in_place(&mut self, operation: &Operation, index: usize, y: Arg) -> Result<()> {
        let id = operand(operation, index)?;
        let (ty, out) = (self.graph.ty(id), self.result_ty(operation)?);
        let alone = operation.operands().iter().filter(|o| **o == Some(id)).count() == 1;
        let (from, to) = (self.elem(id)?, self.elem(result(operation)?)?);
        // Of two types only a byte may lie over the other: C compilers take it that all others are apart.
        let no_wider = from == to || to.bytes() == 1;
        if alone && no_wider && ty.shape.elements() == out.shape.elements() {
            let x = self.read(id)?;
            self.may_overlap(x, y, 0);
        }
        Ok(())
    }

    /// What the interpreter gives for every value of an 8-bit operand.
    fn byte_table(&self, operation: &Operation) -> Result<Bytes256> {
        let (ty, out) = (self.ty(operation, 0)?, self.result_ty(operation)?);
        let all = Type { shape: [256].as_slice().into(), ..ty.clone() };
        let results = [Type { shape: [256].as_slice().into(), ..out.clone() }];
        let bytes: Vec<u8> = (0..=255).collect();
        let constant = Constant::new(bytes);
        let answer = octet_eval::evaluate(operation.op(), &[Some((&all, &constant))], &results)?;
        let bytes = answer.first().map(|(_, c)| c.bytes().to_vec()).unwrap_or_default();
        Bytes256::try_from(bytes).or_else(|_| unsupported("the function of a byte is no table"))
    }

    pub(super) fn unary(&mut self, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let out = self.elem(result(operation)?)?;
        if elem.bytes() == 1 && out.bytes() == 1 {
            return self.lookup(operation);
        }
        if elem != Elem::I16 || out != Elem::I16 {
            return unsupported("input and output are of different types");
        }
        let (input, output) = (affine(self.ty(operation, 0)?)?, affine(self.result_ty(operation)?)?);
        let n = Arg::Int(self.count(self.result_ty(operation)?)?);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        let ratio = Multiplier::from_real(RoundingProfile::Tflm.ratio(input.scale, output.scale));
        let full = (-32768, 32767);
        let requantized = |(low, high): (i32, i32)| vec![input.zero_point, ratio.mantissa, ratio.shift, output.zero_point, low, high];
        let bounded = |low, high| octet_ir::arith::activation_range(Some(low), high, output, full.0, full.1);
        match operation.op() {
            Op::Unary(op) => match op.kind {
                UnaryKind::Relu | UnaryKind::ReluN1To1 | UnaryKind::Relu0To1 => {
                    let (low, high) = match op.kind {
                        UnaryKind::ReluN1To1 => bounded(-1.0, Some(1.0)),
                        UnaryKind::Relu0To1 => bounded(0.0, Some(1.0)),
                        _ => bounded(0.0, None),
                    };
                    let q = self.table("scales", Role::Scales, Data::I32(requantized((low, high.max(low)))));
                    self.call("requantize_run", &[elem, elem], vec![x, y, q, n], None)
                }
                UnaryKind::Relu6 => {
                    let low = input.zero_point;
                    let high = octet_ir::arith::quantize(6.0, input).clamp(full.0, full.1).max(low);
                    // Clamps stored values and never rescales: the multiplier is 1.
                    let q = self.table("scales", Role::Scales, Data::I32(vec![0, 1 << 30, 1, 0, low, high]));
                    self.call("requantize_run", &[elem, elem], vec![x, y, q, n], None)
                }
                UnaryKind::Abs => {
                    let m = if input.scale == output.scale { Multiplier::default() } else { ratio };
                    let q = vec![input.zero_point, m.mantissa, m.shift, output.zero_point, full.0, full.1];
                    let q = self.table("scales", Role::Scales, Data::I32(q));
                    self.call("abs_run", &[elem], vec![x, y, q, n], None)
                }
                UnaryKind::Logistic | UnaryKind::Tanh => {
                    if input.zero_point != 0 || output.zero_point != 0 {
                        return unsupported("16-bit activations need zero point 0");
                    }
                    let (kernel, most) = if op.kind == UnaryKind::Tanh { ("tanh_wide", 1) } else { ("logistic_wide", 0) };
                    let (factor, shift) = sigmoid_scaling(input.scale, most);
                    let q = self.table("scales", Role::Scales, Data::I32(vec![factor, shift]));
                    let table = self.table("sigmoid", Role::Table, Data::U16(SIGMOID_TABLE.to_vec()));
                    self.call(kernel, &[], vec![x, table, y, q, n], None)
                }
                UnaryKind::Exp => self.interpolated(x, y, n, input, output, |v| f64::from(v).exp() as f32),
                UnaryKind::Log => {
                    let lowest = (-32768i32).wrapping_sub(output.zero_point) as f32 * output.scale;
                    self.interpolated(x, y, n, input, output, |v| if v <= 0.0 { lowest } else { f64::from(v).ln() as f32 })
                }
                UnaryKind::Rsqrt => {
                    let largest = 32767.0 * output.scale;
                    self.interpolated(x, y, n, input, output, |v| if v <= 0.0 { largest } else { 1.0 / v.sqrt() })
                }
                _ => unsupported("no kernel computes this on 16 bits"),
            },
            Op::LeakyRelu(op) => {
                let alpha = Multiplier::from_real(RoundingProfile::Tflm.ratio_times(input.scale, op.alpha, output.scale));
                let mut q = vec![input.zero_point, output.zero_point, full.0, full.1, ratio.mantissa, ratio.shift];
                q.extend([alpha.mantissa.wrapping_abs(), alpha.shift, i32::from(alpha.mantissa < 0)]);
                let q = self.table("scales", Role::Scales, Data::I32(q));
                self.call("leaky_relu", &[elem], vec![x, y, q, n], None)
            }
            _ => unsupported("no kernel computes this on 16 bits"),
        }
    }

    fn interpolated(&mut self, x: Arg, y: Arg, n: Arg, input: Affine, output: Affine, f: impl Fn(f32) -> f32) -> Result<()> {
        let samples = interpolated_table(input, output, f).samples.to_vec();
        let samples = self.table("samples", Role::Table, Data::I16(samples));
        self.call("interpolated", &[], vec![x, samples, y, n], None)
    }

    /// Any function of bytes to bytes: a table.
    fn lookup(&mut self, operation: &Operation) -> Result<()> {
        let table = self.byte_table(operation)?;
        let (from, to) = (self.elem(operand(operation, 0)?)?, self.elem(result(operation)?)?);
        let n = Arg::Int(self.count(self.result_ty(operation)?)?);
        let data = if to == Elem::I8 { Data::I8(table.iter().map(|b| b.cast_signed()).collect()) } else { Data::U8(table.to_vec()) };
        let table = self.table("table", Role::Table, data);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        self.call("lookup", &[from, to], vec![x, table, y, n], None)
    }

    pub(super) fn binary(&mut self, op: &Binary, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let (a_ty, b_ty, y_ty) = (self.ty(operation, 0)?, self.ty(operation, 1)?, self.result_ty(operation)?);
        if a_ty.elem != b_ty.elem || a_ty.elem != y_ty.elem {
            return unsupported("the operands and the result need one type");
        }
        let (a, b, y) = (affine(a_ty)?, affine(b_ty)?, affine(y_ty)?);
        let wide = elem == Elem::I16;
        let below_one = |real: f64| match real {
            real if real > 0.0 && real < 1.0 => Ok(Multiplier::from_real(real)),
            real => unsupported(format!("the ratio of scales {real} must lie between 0 and 1")),
        };
        let (low, high) = clamp(op.activation, y, elem)?;
        let mut q = vec![a.zero_point, b.zero_point, y.zero_point, low, high];
        let mut kind = None;
        let kernel = match op.kind {
            BinaryKind::Add | BinaryKind::Sub => {
                let left = if wide { 15 } else { 20 };
                let scale = f64::from(1i32 << left);
                let twice = 2.0 * f64::from(a.scale.max(b.scale));
                let [ma, mb, my] = [f64::from(a.scale) / twice, f64::from(b.scale) / twice, twice / (scale * f64::from(y.scale))];
                q.push(left);
                q.extend([below_one(ma)?, below_one(mb)?, below_one(my)?].iter().flat_map(|m| [m.mantissa, m.shift]));
                q.push(i32::from(op.kind == BinaryKind::Sub));
                "add"
            }
            BinaryKind::Mul => {
                let m = Multiplier::from_real(rounding(elem).ratio_times(a.scale, b.scale, y.scale));
                q.extend([m.mantissa, m.shift]);
                "mul"
            }
            BinaryKind::Maximum | BinaryKind::Minimum => {
                // Stored values are compared; scales are equal.
                let (low, high) = range(elem);
                q = vec![0, 0, 0, low, high, 0];
                kind = Some(i32::from(op.kind == BinaryKind::Minimum));
                "binary"
            }
            BinaryKind::SquaredDifference => {
                let left = if wide { 0 } else { 7 };
                let twice = 2.0 * f64::from(a.scale.max(b.scale));
                let out = twice * twice / f64::from((1u32 << (2 * left)) as f32 * y.scale);
                let [ma, mb] = [below_one(f64::from(a.scale) / twice)?, below_one(f64::from(b.scale) / twice)?];
                let (low, high) = range(elem);
                q = vec![a.zero_point, b.zero_point, y.zero_point, low, high, left];
                q.extend([ma, mb, Multiplier::from_real(out)].iter().flat_map(|m| [m.mantissa, m.shift]));
                kind = Some(2);
                "binary"
            }
            BinaryKind::Div => {
                let m = Multiplier::from_real(rounding(elem).ratio_to_product(a.scale, b.scale, y.scale));
                q.extend([0, m.mantissa, m.shift]);
                kind = Some(3);
                "binary"
            }
            BinaryKind::FloorDiv
            | BinaryKind::FloorMod
            | BinaryKind::Pow
            | BinaryKind::Atan2
            | BinaryKind::LogicalAnd
            | BinaryKind::LogicalOr
            | BinaryKind::BitwiseXor
            | BinaryKind::RightShift => return unsupported("no kernel computes this on quantized integers"),
        };
        self.two_operands(kernel, &if kind.is_some() { vec![elem, elem] } else { vec![elem] }, operation, q, kind)
    }

    fn two_operands(&mut self, kernel: &'static str, types: &[Elem], operation: &Operation, q: Vec<i32>, kind: Option<i32>) -> Result<()> {
        let mut sizes: Vec<i32> = self.broadcast(operation, &[0, 1])?.into_iter().map(int).collect::<Result<_>>()?;
        sizes.extend(kind);
        let (a, b) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        self.in_place(operation, 1, y)?;
        let q = self.table("scales", Role::Scales, Data::I32(q));
        self.call_signed(kernel, types, vec![a, b, y, q], Some(sizes))
    }

    pub(super) fn prelu(&mut self, operation: &Operation) -> Result<()> {
        let (elem, alpha_elem) = (self.elem(operand(operation, 0)?)?, self.elem(operand(operation, 1)?)?);
        let narrow = elem == Elem::I16 && alpha_elem == Elem::I8;
        if (alpha_elem != elem && !narrow) || self.elem(result(operation)?)? != elem {
            return unsupported("PRELU needs one type");
        }
        let (x, alpha, y) = (affine(self.ty(operation, 0)?)?, affine(self.ty(operation, 1)?)?, affine(self.result_ty(operation)?)?);
        let (low, high) = clamp(Activation::None, y, elem)?;
        let identity = Multiplier::from_real(rounding(elem).ratio(x.scale, y.scale));
        let scaled = Multiplier::from_real(rounding(elem).ratio_times(x.scale, alpha.scale, y.scale));
        let mut q = vec![x.zero_point, alpha.zero_point, y.zero_point, low, high, 0];
        q.extend([identity, scaled].iter().flat_map(|m| [m.mantissa, m.shift]));
        self.two_operands("binary", &[elem, alpha_elem], operation, q, Some(4))
    }

    pub(super) fn compare(&mut self, op: &Compare, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let (a_ty, b_ty) = (self.ty(operation, 0)?, self.ty(operation, 1)?);
        if a_ty.elem != b_ty.elem || !matches!(elem, Elem::I8 | Elem::U8 | Elem::I16) || !a_ty.is_quantized() {
            return unsupported(format!("no kernel compares {} and {}", a_ty.elem, b_ty.elem));
        }
        let (a, b) = (affine(a_ty)?, affine(b_ty)?);
        if a.scale >= 1.0 || b.scale >= 1.0 {
            return unsupported("comparisons need scales below 1");
        }
        let [ma, mb] = [Multiplier::from_real(a.scale.into()), Multiplier::from_real(b.scale.into())];
        let q = vec![a.zero_point, b.zero_point, ma.mantissa, ma.shift, mb.mantissa, mb.shift];
        let kind = super::plain::compared(op.kind);
        self.two_operands("compare", &[elem], operation, q, Some(kind))
    }

    pub(super) fn logical(&mut self, op: &Binary, operation: &Operation) -> Result<()> {
        let n = self.count(self.result_ty(operation)?)?;
        if self.count(self.ty(operation, 0)?)? != n || self.count(self.ty(operation, 1)?)? != n {
            return unsupported("truth values are not broadcast");
        }
        let (a, b) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        let kind = i32::from(op.kind == BinaryKind::LogicalOr);
        self.call("logical", &[], vec![a, b, y, Arg::Int(kind), Arg::Int(n)], None)
    }

    pub(super) fn select(&mut self, operation: &Operation) -> Result<()> {
        let elem = self.elem(result(operation)?)?;
        let shape = self.result_ty(operation)?.shape.dims();
        let condition = self.ty(operation, 0)?.shape.dims();
        // SELECT takes a vector of conditions for whole rows.
        let rows = condition.len() == 1
            && shape.len() > 1
            && condition != [1]
            && matches!(operation.op(), Op::Select(s) if s.kind == octet_ir::ops::SelectKind::Select);
        let mut sizes = if rows {
            let [_, a, b] = [0, 1, 2].map(|i| self.ty(operation, i).map(|t| t.shape.dims().to_vec()));
            let row: Vec<usize> = std::iter::once(condition[0]).chain(vec![1; shape.len() - 1]).collect();
            let strides = vec![broadcast_strides(&row, shape), broadcast_strides(&a?, shape), broadcast_strides(&b?, shape)];
            let (mut sizes, strides) = collapse(shape, &strides, 4)?;
            sizes.extend(strides.concat());
            sizes
        } else {
            self.broadcast(operation, &[0, 1, 2])?
        };
        sizes.truncate(16);
        let (c, a, b) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?, self.read(operand(operation, 2)?)?);
        let y = self.allocate(result(operation)?)?;
        self.call("select_run", &[elem], vec![c, a, b, y], Some(sizes))
    }

    pub(super) fn quantize(&mut self, operation: &Operation) -> Result<()> {
        let (from, to) = (self.elem(operand(operation, 0)?)?, self.elem(result(operation)?)?);
        let output = affine(self.result_ty(operation)?)?;
        let (low, high) = range(to);
        if from.bytes() == 1 && to.bytes() == 1 {
            return self.lookup(operation);
        }
        let n = Arg::Int(self.count(self.result_ty(operation)?)?);
        if from == Elem::F32 {
            let f = self.table("scale", Role::Scales, Data::F32(vec![output.scale]));
            let q = self.table("scales", Role::Scales, Data::I32(vec![output.zero_point, low, high]));
            let x = self.read(operand(operation, 0)?)?;
            let y = self.allocate(result(operation)?)?;
            self.in_place(operation, 0, y)?;
            return self.call("quantize", &[to], vec![x, y, f, q, n], None);
        }
        let input = affine(self.ty(operation, 0)?)?;
        let m = Multiplier::from_real(f64::from(input.scale) / f64::from(output.scale));
        let q = Data::I32(vec![input.zero_point, m.mantissa, m.shift, output.zero_point, low, high]);
        let q = self.table("scales", Role::Scales, q);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        self.call("requantize_run", &[from, to], vec![x, y, q, n], None)
    }

    pub(super) fn dequantize(&mut self, operation: &Operation) -> Result<()> {
        let ty = self.ty(operation, 0)?;
        if !ty.elem.is_integer() || self.result_ty(operation)?.elem != E::F32 {
            return unsupported(format!("no kernel dequantizes {}", ty.elem));
        }
        let from = self.elem(operand(operation, 0)?)?;
        let input = affine(ty)?;
        let n = Arg::Int(self.count(self.result_ty(operation)?)?);
        let f = self.table("scale", Role::Scales, Data::F32(vec![input.scale]));
        let q = self.table("scales", Role::Scales, Data::I32(vec![input.zero_point]));
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.call("dequantize", &[from], vec![x, y, f, q, n], None)
    }
}

/// How a 16-bit input becomes an index into the sigmoid table: factor and right shift (`TableScaling` of the interpreter's kernel).
fn sigmoid_scaling(scale: f32, most: i32) -> (i32, i32) {
    let (log2, power_of_two) = octet_ir::arith::checked_log2(scale);
    let left = 12 + log2;
    if power_of_two && (0..=most).contains(&left) {
        return (3 << left, 0);
    }
    let mut real = f64::from(scale) * 4096.0 * 3.0;
    let mut shift = 0;
    while real <= 32767.0 / 2.0 && shift <= 30 {
        shift += 1;
        real *= 2.0;
    }
    (real as i32, shift)
}
