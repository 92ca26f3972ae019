//! Pools, reductions, normalizations and resizing on integers.

use octet_ir::arith::{Affine, Multiplier, exp_on_negative_values, input_radius, interpolated_table, softmax_scaling};
use octet_ir::ops::{Arg as ArgOp, ArgKind, Pool2d, PoolKind, Reduce, ReduceKind, ResizeBilinear, Softmax};
use octet_ir::{Operation, Type};

use super::elementwise::collapse;
use super::layers::Geometry;
use super::{Cx, Result, affine, clamp, dims, int, operand, range, result, unsupported};
use crate::lang::Elem;
use crate::program::{Arg, Data, Role};

const DIFF_BITS: i32 = 5;

/// exp(-d) in Q0 for the differences 0, 1, ... that are not negligible.
fn exp_table(scaling: Multiplier) -> Vec<i32> {
    let radius = input_radius(DIFF_BITS, scaling.shift).clamp(0, 255);
    (0..=radius).map(|d| exp_on_negative_values(scaling.apply(-d), DIFF_BITS)).collect()
}

impl Cx<'_> {
    /// Rows and depth of an operation over the innermost axis.
    pub(super) fn rows(&self, ty: &Type) -> Result<[i32; 2]> {
        let Some(&depth) = ty.shape.dims().last() else { return unsupported("a scalar has no rows") };
        Ok([int(ty.shape.elements() / depth.max(1))?, int(depth)?])
    }

    /// Sizes of a pool, and its geometry.
    pub(super) fn pool_sizes(&mut self, op: &Pool2d, operation: &Operation) -> Result<(Vec<usize>, Geometry)> {
        let input: [usize; 4] = dims(self.ty(operation, 0)?)?;
        let output: [usize; 4] = dims(self.result_ty(operation)?)?;
        let geometry = Geometry::new(op.padding, [input[1], input[2]], [output[1], output[2]], op.filter, op.stride, [1, 1]);
        let mut sizes = input.to_vec();
        sizes.extend([output[1], output[2]]);
        sizes.extend(op.filter);
        sizes.extend(geometry.stride);
        sizes.extend(geometry.padding);
        Ok((sizes, geometry))
    }

    pub(super) fn pool(&mut self, op: &Pool2d, operation: &Operation) -> Result<()> {
        let kernel = match op.kind {
            PoolKind::Average => "average_pool",
            PoolKind::Max => "max_pool",
            PoolKind::L2 => return unsupported("no kernel computes L2_POOL_2D on integers"),
        };
        let elem = self.elem(operand(operation, 0)?)?;
        let (input, output) = (affine(self.ty(operation, 0)?)?, affine(self.result_ty(operation)?)?);
        if self.elem(result(operation)?)? != elem || (input.scale - output.scale).abs() > 1e-6 || input.zero_point != output.zero_point {
            return unsupported("input and output of a pool must share type, scale and zero point");
        }
        let (sizes, geometry) = self.pool_sizes(op, operation)?;
        let (low, high) = clamp(op.activation, output, elem)?;
        let mut sizes: Vec<i32> = sizes.into_iter().map(int).collect::<Result<_>>()?;
        sizes.extend([low, high]);
        let (in_dims, out_dims) = (dims(self.ty(operation, 0)?)?, dims(self.result_ty(operation)?)?);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.window_over(x, y, &geometry, in_dims, out_dims, 1);
        self.call_signed(kernel, &[elem], vec![x, y], Some(sizes))
    }

    /// Kept and reduced axes over four each, with their strides.
    pub(super) fn reduced(&self, operation: &Operation) -> Result<(Vec<usize>, usize)> {
        let shape = self.ty(operation, 0)?.shape.dims();
        let mut is_reduced = vec![false; shape.len()];
        for axis in self.ints(operation, 1)? {
            let rank = i64::try_from(shape.len()).unwrap_or(0);
            let index = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
            if let Some(slot) = is_reduced.get_mut(index) {
                *slot = true;
            }
        }
        let strides = super::elementwise::broadcast_strides(shape, shape);
        let axes = |wanted: bool| {
            let chosen = (0..shape.len()).filter(|&a| is_reduced[a] == wanted);
            let (sizes, strides): (Vec<usize>, Vec<usize>) = chosen.map(|a| (shape[a], strides[a])).unzip();
            collapse(&sizes, &[strides], 4)
        };
        let (kept, reduced) = (axes(false)?, axes(true)?);
        let count = reduced.0.iter().product();
        Ok(([kept.0, kept.1.concat(), reduced.0, reduced.1.concat()].concat(), count))
    }

    pub(super) fn reduce(&mut self, op: &Reduce, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        if self.elem(result(operation)?)? != elem {
            return unsupported("input and output are of different types");
        }
        let (input, output) = (affine(self.ty(operation, 0)?)?, affine(self.result_ty(operation)?)?);
        let (sizes, count) = self.reduced(operation)?;
        if count == 0 {
            return unsupported("there is nothing to reduce");
        }
        let ratio = Multiplier::from_real(f64::from(input.scale) / f64::from(output.scale));
        let (multiplier, kind) = match op.kind {
            ReduceKind::Mean => (ratio.divided_by(u64::try_from(count).unwrap_or(u64::MAX)), 0),
            ReduceKind::Sum => (ratio, 0),
            ReduceKind::Max if input == output => (ratio, 1),
            ReduceKind::Min if input == output => (ratio, 2),
            ReduceKind::Max | ReduceKind::Min => return unsupported("input and output of a maximum must share one scale"),
            ReduceKind::Prod | ReduceKind::Any | ReduceKind::All => return unsupported("no kernel computes this on quantized integers"),
        };
        let (low, high) = range(elem);
        let offset = i64::from(input.zero_point).wrapping_mul(i64::try_from(count).unwrap_or(i64::MAX)) as i32;
        let q = Data::I32(vec![offset, multiplier.mantissa, multiplier.shift, output.zero_point, low, high]);
        let q = self.table("scales", Role::Scales, q);
        let mut sizes: Vec<i32> = sizes.into_iter().map(int).collect::<Result<_>>()?;
        sizes.push(kind);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.call_signed("reduce", &[elem], vec![x, y, q], Some(sizes))
    }

    pub(super) fn arg(&mut self, op: &ArgOp, operation: &Operation) -> Result<()> {
        let (elem, out) = (self.elem(operand(operation, 0)?)?, self.elem(result(operation)?)?);
        let shape = self.ty(operation, 0)?.shape.dims();
        let rank = i64::try_from(shape.len()).unwrap_or(0);
        let &[axis] = self.ints(operation, 1)?.as_slice() else { return unsupported("the axis must be one number") };
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
        if elem == Elem::I64 || !matches!(out, Elem::I32 | Elem::I64) {
            return unsupported("no kernel finds the extreme of this type");
        }
        let (Some((outer, rest)), true) = (shape.split_at_checked(axis), axis < shape.len()) else {
            return unsupported("the axis is out of range");
        };
        let sizes = [outer.iter().product(), rest[0], rest[1..].iter().product()].map(int);
        let [outer, size, inner] = sizes;
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        let largest = Arg::Int(i32::from(op.kind == ArgKind::Max));
        self.call("arg_extreme", &[elem, out], vec![x, y, Arg::Int(outer?), Arg::Int(size?), Arg::Int(inner?), largest], None)
    }

    pub(super) fn softmax(&mut self, op: &Softmax, operation: &Operation) -> Result<()> {
        let (from, to) = (self.elem(operand(operation, 0)?)?, self.elem(result(operation)?)?);
        let (input, output) = (affine(self.ty(operation, 0)?)?, affine(self.result_ty(operation)?)?);
        let [rows, depth] = self.rows(self.ty(operation, 0)?)?;
        let near = |scale: f32, zero: i32| (output.scale - scale).abs() <= 0.001 * scale && output.zero_point == zero;
        let fits = match (from, to) {
            (Elem::I8, Elem::I8) => near(1.0 / 256.0, -128),
            (Elem::U8, Elem::U8) => near(1.0 / 256.0, 0),
            (Elem::I8, Elem::I16) => near(1.0 / 65536.0, -32768),
            (Elem::I16, Elem::I16) => near(1.0 / 32768.0, 0),
            _ => false,
        };
        if !fits {
            return unsupported("SOFTMAX has a fixed output scale");
        }
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        if from == Elem::I16 {
            let range = 65535.0f32;
            let half = Affine { scale: 2.0 / range, zero_point: 0 };
            let exp = interpolated_table(Affine { scale: 10.0 / range, zero_point: 32767 }, half, |x| f64::from(x).exp() as f32);
            let inverse = interpolated_table(Affine { scale: 1.0 / range, zero_point: -32768 }, half, |x| 1.0 / (1.0 + x));
            let m = Multiplier::from_real(f64::from(input.scale) * f64::from(op.beta) / (10.0 / 65535.0));
            let exp = self.table("exp", Role::Table, Data::I16(exp.samples.to_vec()));
            let inverse = self.table("inverse", Role::Table, Data::I16(inverse.samples.to_vec()));
            let q = self.table("scales", Role::Scales, Data::I32(vec![m.mantissa, m.shift]));
            return self.call("softmax_wide", &[], vec![x, exp, inverse, y, q, Arg::Int(rows), Arg::Int(depth)], None);
        }
        let scaling = softmax_scaling(f64::from(op.beta), f64::from(input.scale), DIFF_BITS);
        if scaling.mantissa <= 0 || scaling.shift < 0 {
            return unsupported(format!("scale {} times beta {} is too small for an 8-bit softmax", input.scale, op.beta));
        }
        let exp = exp_table(scaling);
        let steps = int(exp.len())?;
        let exp = self.table("exp", Role::Table, Data::I32(exp));
        let (low, high) = range(to);
        let bits = if to == Elem::I16 { 16 } else { 8 };
        let numbers = [rows, depth, steps, bits, low, high].map(Arg::Int);
        self.call("softmax", &[from, to], [vec![x, exp, y], numbers.to_vec()].concat(), None)
    }

    pub(super) fn log_softmax(&mut self, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let (input, output) = (affine(self.ty(operation, 0)?)?, affine(self.result_ty(operation)?)?);
        let (_, high) = range(elem);
        if self.elem(result(operation)?)? != elem || elem.bytes() != 1 || output.scale != 16.0 / 256.0 || output.zero_point != high {
            return unsupported("LOG_SOFTMAX needs 8 bits and has a fixed output scale");
        }
        let [rows, depth] = self.rows(self.ty(operation, 0)?)?;
        let scaling = softmax_scaling(1.0, f64::from(input.scale), DIFF_BITS);
        if scaling.mantissa <= 0 || !(0..=31).contains(&scaling.shift) {
            return unsupported(format!("scale {} is too small for an 8-bit log softmax", input.scale));
        }
        let divisor = f64::from((1u32 << (31 - scaling.shift)) as i32) / f64::from(scaling.mantissa);
        let reverse = Multiplier::from_real(divisor);
        let exp = exp_table(scaling);
        let steps = int(exp.len())?;
        let exp = self.table("exp", Role::Table, Data::I32(exp));
        let smallest = -input_radius(DIFF_BITS, scaling.shift);
        let q = vec![scaling.mantissa, scaling.shift, reverse.mantissa, reverse.shift, smallest, high];
        let q = self.table("scales", Role::Scales, Data::I32(q));
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        self.call("log_softmax", &[elem], vec![x, exp, y, q, Arg::Int(rows), Arg::Int(depth), Arg::Int(steps)], None)
    }

    pub(super) fn l2_normalization(&mut self, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let [rows, depth] = self.rows(self.ty(operation, 0)?)?;
        if self.elem(result(operation)?)? != elem || !matches!(elem, Elem::I8 | Elem::F32) {
            return unsupported("no kernel normalizes this type");
        }
        let x = self.read(operand(operation, 0)?)?;
        let zero = if elem == Elem::I8 { affine(self.ty(operation, 0)?)?.zero_point } else { 0 };
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        let mut args = vec![x, y, Arg::Int(rows), Arg::Int(depth)];
        if elem == Elem::F32 {
            return self.call("l2_normalization_f32", &[], args, None);
        }
        args.push(Arg::Int(zero));
        self.call("l2_normalization", &[], args, None)
    }

    pub(super) fn resize_bilinear(&mut self, op: &ResizeBilinear, operation: &Operation) -> Result<()> {
        let (input_ty, output_ty) = (self.ty(operation, 0)?, self.result_ty(operation)?);
        let elem = self.elem(operand(operation, 0)?)?;
        let input: [usize; 4] = dims(input_ty)?;
        let output: [usize; 4] = dims(output_ty)?;
        if output_ty.elem != input_ty.elem || !matches!(elem, Elem::I8 | Elem::U8 | Elem::I16 | Elem::F32) {
            return unsupported("no kernel resizes this type");
        }
        let numbers = [input[0], input[1], input[2], input[3], output[1], output[2]];
        let numbers = numbers.into_iter().map(|n| int(n).map(Arg::Int)).collect::<Result<Vec<_>>>()?;
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        let prepared = octet_eval::int::resize::ResizeBilinear::prepare(
            &input,
            &output,
            octet_eval::int::resize::Sampling { align_corners: op.align_corners, half_pixel_centers: op.half_pixel_centers },
        );
        let Ok(prepared) = prepared else { return unsupported("the shapes do not fit") };
        let axis = |input, output| {
            octet_eval::float::resize::Scaling { input, output, align_corners: op.align_corners, half_pixel_centers: op.half_pixel_centers }
                .bilinear()
        };
        let real = match elem {
            Elem::F32 => Some(("resize_bilinear_f32", [axis(input[1], output[1]), axis(input[2], output[2])])),
            Elem::U8 => Some(("resize_bilinear_u8", prepared.real_positions())),
            _ => None,
        };
        if let Some((kernel, [down, across])) = real {
            let mut tables = |taps: Vec<(usize, usize, f32)>| -> Result<[Arg; 2]> {
                let at: Vec<i32> = taps.iter().flat_map(|t| [t.0, t.1]).map(int).collect::<Result<_>>()?;
                let weights = taps.iter().map(|t| t.2).collect();
                Ok([self.table("positions", Role::Table, Data::I32(at)), self.table("weights", Role::Table, Data::F32(weights))])
            };
            let [rows, fy] = tables(down)?;
            let [columns, fx] = tables(across)?;
            return self.call(kernel, &[], [vec![x, rows, columns, fy, fx, y], numbers].concat(), None);
        }
        let [rows, columns] = prepared.positions().map(|taps| taps.into_iter().flatten().collect::<Vec<i32>>());
        let rows = self.table("rows", Role::Table, Data::I32(rows));
        let columns = self.table("columns", Role::Table, Data::I32(columns));
        self.call("resize_bilinear", &[elem], [vec![x, rows, columns, y], numbers].concat(), None)
    }
}
