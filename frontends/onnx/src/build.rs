//! What lowerings compose: one call an operation, sizes and constants worked out here.

use octet_ir::ops::{self, BinaryKind, CompareKind, ReduceKind, UnaryKind};
use octet_ir::{Constant, ElementType, Type, ValueId};

use crate::attributes::Refusal;
use crate::scope::Scope;

/// The type in which arithmetic on this one is done, where the runtimes of the edge have no kernels for it.
fn wide(elem: ElementType) -> Option<ElementType> {
    match elem {
        ElementType::I8 | ElementType::U8 | ElementType::I16 | ElementType::U16 | ElementType::I4 | ElementType::U4 | ElementType::I2 => {
            Some(ElementType::I32)
        }
        ElementType::F16 | ElementType::BF16 => Some(ElementType::F32),
        ElementType::U32 => Some(ElementType::I64),
        // What f64 holds may not fit f32: it stays, and a runtime without kernels for it says so.
        ElementType::F32
        | ElementType::F64
        | ElementType::F8E4M3FN
        | ElementType::F8E5M2
        | ElementType::I64
        | ElementType::I32
        | ElementType::U64
        | ElementType::Bool
        | ElementType::String
        | ElementType::Complex64
        | ElementType::Complex128
        | ElementType::Resource
        | ElementType::Variant => None,
    }
}

/// A size or index as the runtimes' 32-bit number.
pub(crate) fn small(size: usize) -> Result<i32, Refusal> {
    i32::try_from(size).map_err(|_| "a size is too large".into())
}

impl Scope<'_> {
    /// Sizes as a constant vector.
    pub(crate) fn sizes(&mut self, sizes: &[usize]) -> Result<ValueId, Refusal> {
        let sizes: Vec<i32> = sizes.iter().map(|&s| small(s)).collect::<Result<_, _>>()?;
        Ok(self.i32s(&sizes))
    }

    /// A constant of i32 with this shape.
    pub(crate) fn i32_tensor(&mut self, values: &[i32], dims: &[usize]) -> ValueId {
        self.constant_value(Constant::from_i32(values), Type::i32(dims.to_vec()))
    }

    /// A constant of f32 with this shape.
    pub(crate) fn f32_tensor(&mut self, values: &[f32], dims: &[usize]) -> ValueId {
        self.constant_value(Constant::from_f32(values), Type::f32(dims.to_vec()))
    }

    /// A constant of booleans with this shape.
    pub(crate) fn bools(&mut self, values: &[bool], dims: &[usize]) -> ValueId {
        let bytes: Vec<u8> = values.iter().map(|&b| u8::from(b)).collect();
        self.constant_value(Constant::new(bytes), Type::new(ElementType::Bool, dims.to_vec()))
    }

    /// A two-operand operation with broadcasting; types without kernels are computed in a wider one.
    pub(crate) fn binary(&mut self, kind: BinaryKind, a: ValueId, b: ValueId) -> Result<ValueId, Refusal> {
        let elem = self.elem(a);
        let is_plain = !self.ty(a).is_quantized() && !self.ty(b).is_quantized();
        let Some(wide) = wide(elem).filter(|_| is_plain) else { return self.op1(ops::Binary::new(kind), &[a, b]) };
        let (a, b) = (self.cast(a, wide)?, self.cast(b, wide)?);
        let result = self.op1(ops::Binary::new(kind), &[a, b])?;
        self.cast(result, elem)
    }

    /// A one-operand operation; types without kernels are computed in a wider one.
    pub(crate) fn unary(&mut self, kind: UnaryKind, x: ValueId) -> Result<ValueId, Refusal> {
        let elem = self.elem(x);
        let Some(wide) = wide(elem).filter(|_| !self.ty(x).is_quantized()) else { return self.op1(ops::Unary::new(kind), &[x]) };
        let x = self.cast(x, wide)?;
        let result = self.op1(ops::Unary::new(kind), &[x])?;
        self.cast(result, elem)
    }

    /// A comparison, in a wider type where there is no kernel.
    pub(crate) fn compare(&mut self, kind: CompareKind, a: ValueId, b: ValueId) -> Result<ValueId, Refusal> {
        let (mut a, mut b) = (a, b);
        if let Some(wide) = wide(self.elem(a)) {
            (a, b) = (self.cast(a, wide)?, self.cast(b, wide)?);
        }
        self.op1(ops::Compare { kind }, &[a, b])
    }

    /// `a` where the condition holds, else `b`, with broadcasting.
    pub(crate) fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> Result<ValueId, Refusal> {
        self.op1(ops::Select { kind: ops::SelectKind::SelectV2 }, &[condition, a, b])
    }

    /// The value times a number.
    pub(crate) fn times(&mut self, value: ValueId, factor: f32) -> Result<ValueId, Refusal> {
        #[expect(clippy::float_cmp, reason = "exactly 1 changes nothing")]
        if factor == 1.0 {
            return Ok(value);
        }
        let factor = self.scalar(factor, self.elem(value))?;
        self.binary(BinaryKind::Mul, value, factor)
    }

    /// The value plus a number.
    pub(crate) fn plus(&mut self, value: ValueId, addend: f32) -> Result<ValueId, Refusal> {
        let addend = self.scalar(addend, self.elem(value))?;
        self.binary(BinaryKind::Add, value, addend)
    }

    /// Values one after the other along an axis. Those that have nothing along it are left out: LiteRT's kernel ends the process on them.
    pub(crate) fn concat(&mut self, values: &[ValueId], axis: usize) -> Result<ValueId, Refusal> {
        let is_empty = |v: &ValueId| self.dims(*v).get(axis) == Some(&0);
        let some: Vec<ValueId> = values.iter().copied().filter(|v| !is_empty(v)).collect();
        let values = if some.is_empty() { values } else { some.as_slice() };
        if let [only] = values {
            return Ok(*only);
        }
        self.op1(ops::Concatenation { axis: small(axis)?, ..ops::Concatenation::default() }, values)
    }

    /// The size of an axis, which must be there.
    pub(crate) fn size(&self, value: ValueId, axis: usize) -> Result<usize, Refusal> {
        self.dims(value).get(axis).copied().ok_or_else(|| format!("axis {axis} is outside rank {}", self.rank(value)))
    }

    /// `len` entries of an axis from `begin` on.
    pub(crate) fn slice(&mut self, value: ValueId, axis: usize, begin: usize, len: usize) -> Result<ValueId, Refusal> {
        let whole = self.size(value, axis)?;
        if begin == 0 && len == whole {
            return Ok(value);
        }
        let rank = self.rank(value);
        let (mut from, mut sizes) = (vec![0; rank], vec![-1; rank]);
        (from[axis], sizes[axis]) = (small(begin)?, small(len)?);
        let (from, sizes) = (self.i32s(&from), self.i32s(&sizes));
        self.op1(ops::Slice {}, &[value, from, sizes])
    }

    /// Slices at indices along an axis.
    pub(crate) fn gather(&mut self, value: ValueId, indices: ValueId, axis: usize) -> Result<ValueId, Refusal> {
        self.op1(ops::Gather { axis: small(axis)?, batch_dims: 0 }, &[value, indices])
    }

    /// Entries of an axis in this order.
    pub(crate) fn reorder(&mut self, value: ValueId, axis: usize, order: &[usize]) -> Result<ValueId, Refusal> {
        if order.iter().copied().eq(0..self.size(value, axis)?) {
            return Ok(value);
        }
        let order = self.sizes(order)?;
        self.gather(value, order, axis)
    }

    /// Combines all elements along axes.
    pub(crate) fn reduce(&mut self, kind: ReduceKind, value: ValueId, axes: &[usize], keep_dims: bool) -> Result<ValueId, Refusal> {
        let axes = self.sizes(axes)?;
        self.op1(ops::Reduce { kind, keep_dims }, &[value, axes])
    }

    /// The value repeated along axes of size 1.
    pub(crate) fn expand(&mut self, value: ValueId, dims: &[usize]) -> Result<ValueId, Refusal> {
        if self.dims(value) == dims {
            return Ok(value);
        }
        let dims = self.sizes(dims)?;
        self.op1(ops::BroadcastTo {}, &[value, dims])
    }

    /// Batches of matrix products; half and double precision, which have no kernels, are computed in single.
    pub(crate) fn batch_matmul(&mut self, a: ValueId, b: ValueId, adj_y: bool) -> Result<ValueId, Refusal> {
        let elem = self.elem(a);
        let is_other = matches!(elem, ElementType::F16 | ElementType::BF16 | ElementType::F64);
        let (a, b) = if is_other { (self.cast(a, ElementType::F32)?, self.cast(b, ElementType::F32)?) } else { (a, b) };
        let product = self.op1(ops::BatchMatmul { adj_y, ..ops::BatchMatmul::default() }, &[a, b])?;
        if is_other { self.cast(product, elem) } else { Ok(product) }
    }

    /// A linear map along one axis: entry `o` of the result is the sum of `matrix[o][i]` times entry `i`.
    pub(crate) fn along(&mut self, value: ValueId, axis: usize, matrix: &[f32], outputs: usize) -> Result<ValueId, Refusal> {
        let inputs = self.size(value, axis)?;
        let rank = self.rank(value);
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(axis, rank - 1);
        let moved = self.transpose(value, &order)?;
        let weights = self.f32_tensor(matrix, &[outputs, inputs]);
        let op = ops::FullyConnected { keep_num_dims: rank != 2, ..ops::FullyConnected::default() };
        let product = self.op1_bare(op, moved, weights)?;
        self.transpose(product, &order)
    }

    fn op1_bare(&mut self, op: ops::FullyConnected, x: ValueId, weights: ValueId) -> Result<ValueId, Refusal> {
        self.op(op, &[Some(x), Some(weights), None]).map(|results| results[0])
    }

    /// The value with `axis` innermost, and the permutation that does so and undoes it.
    pub(crate) fn innermost(&mut self, value: ValueId, axis: usize) -> Result<(ValueId, Vec<usize>), Refusal> {
        let rank = self.rank(value);
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(axis, rank - 1);
        Ok((self.transpose(value, &order)?, order))
    }

    /// The value as f32, and the type that it had.
    pub(crate) fn as_f32(&mut self, value: ValueId) -> Result<(ValueId, ElementType), Refusal> {
        let elem = self.elem(value);
        Ok((self.cast(value, ElementType::F32)?, elem))
    }

    /// Indices as i32, counted from the start: negative ones count from the end of an axis of this size.
    pub(crate) fn indices(&mut self, value: ValueId, size: usize) -> Result<ValueId, Refusal> {
        let indices = self.cast(value, ElementType::I32)?;
        if self.ints(indices).is_some_and(|v| v.iter().all(|&i| i >= 0)) {
            return Ok(indices);
        }
        let (zero, size) = (self.i32(0), self.i32(small(size)?));
        let is_negative = self.compare(CompareKind::Less, indices, zero)?;
        let wrapped = self.binary(BinaryKind::Add, indices, size)?;
        self.select(is_negative, wrapped, indices)
    }
}
