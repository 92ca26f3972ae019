//! Operations on plain numbers: integers without scales, and truth values.

use octet_ir::ops::{Activation, Binary, BinaryKind, Compare, CompareKind, Cumsum, Reduce, ReduceKind, Unary, UnaryKind};
use octet_ir::{ElementType as E, Operation};

use super::{Cx, Result, int, operand, range, result, unsupported};
use crate::lang::Elem;
use crate::program::{Arg, Data, Role};

/// Axes of DYNAMIC_UPDATE_SLICE.
const AXES: usize = 6;

/// The number of a comparison in the kernels.
pub(super) fn compared(kind: CompareKind) -> i32 {
    match kind {
        CompareKind::Equal => 0,
        CompareKind::NotEqual => 1,
        CompareKind::Greater => 2,
        CompareKind::GreaterEqual => 3,
        CompareKind::Less => 4,
        CompareKind::LessEqual => 5,
    }
}

impl Cx<'_> {
    pub(super) fn cast(&mut self, operation: &Operation) -> Result<()> {
        let (from, to) = (self.elem(operand(operation, 0)?)?, self.elem(result(operation)?)?);
        let truth = self.result_ty(operation)?.elem == E::Bool;
        let n = Arg::Int(self.count(self.result_ty(operation)?)?);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        match (from, to) {
            (Elem::F32, _) if truth => self.call("truth_real", &[], vec![x, y, n], None),
            (_, _) if truth => self.call("truth_int", &[from], vec![x, y, n], None),
            (Elem::F32, Elem::F32) => self.call("copy_run", &[Elem::F32], vec![x, y, n], None),
            (Elem::F32, Elem::I64) => self.call("truncate_long", &[], vec![x, y, n], None),
            (Elem::F32, _) => {
                let (low, high) = range(to);
                let q = self.table("limits", Role::Parameters, Data::I32(vec![low, high]));
                self.call("truncate", &[to], vec![x, y, q, n], None)
            }
            (_, Elem::F32) => self.call("cast_real", &[from], vec![x, y, n], None),
            (_, Elem::I64) => self.call("cast_long", &[from], vec![x, y, n], None),
            (_, _) => self.call("cast_int", &[from, to], vec![x, y, n], None),
        }
    }

    pub(super) fn compare_plain(&mut self, op: &Compare, operation: &Operation) -> Result<()> {
        let (a, b) = (self.ty(operation, 0)?, self.ty(operation, 1)?);
        let elem = self.elem(operand(operation, 0)?)?;
        if a.elem != b.elem || a.is_quantized() || b.is_quantized() {
            return unsupported(format!("no kernel compares {} and {}", a.elem, b.elem));
        }
        let mut sizes: Vec<i32> = self.broadcast(operation, &[0, 1])?.into_iter().map(int).collect::<Result<_>>()?;
        sizes.push(compared(op.kind));
        let (a, b) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.call_signed("compare_plain", &[elem], vec![a, b, y], Some(sizes))
    }

    pub(super) fn arithmetic(&mut self, op: &Binary, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let whole = matches!(elem, Elem::I32 | Elem::I64) || op.kind == BinaryKind::BitwiseXor;
        if !whole || elem == Elem::F32 || self.elem(operand(operation, 1)?)? != elem || self.elem(result(operation)?)? != elem {
            return unsupported(format!("no kernel computes this on {}", elem.name()));
        }
        if op.activation != Activation::None {
            return unsupported("a fused activation on plain integers");
        }
        let kind = match op.kind {
            BinaryKind::Add => 0,
            BinaryKind::Sub => 1,
            BinaryKind::Mul => 2,
            BinaryKind::Maximum => 3,
            BinaryKind::Minimum => 4,
            BinaryKind::SquaredDifference => 5,
            BinaryKind::Div => 6,
            BinaryKind::FloorDiv => 7,
            BinaryKind::FloorMod => 8,
            BinaryKind::BitwiseXor => 9,
            BinaryKind::Pow | BinaryKind::Atan2 | BinaryKind::LogicalAnd | BinaryKind::LogicalOr | BinaryKind::RightShift => {
                return unsupported("generated code has no kernel for this function");
            }
        };
        let mut sizes = self.broadcast(operation, &[0, 1])?;
        sizes.push(kind);
        let (a, b) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        self.in_place(operation, 1, y)?;
        self.call("arithmetic", &[elem], vec![a, b, y], Some(sizes))
    }

    pub(super) fn unary_plain(&mut self, op: &Unary, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let kind = match op.kind {
            UnaryKind::Abs => 0,
            UnaryKind::Neg => 1,
            UnaryKind::Square => 2,
            UnaryKind::Sign => 3,
            UnaryKind::Ceil
            | UnaryKind::Cos
            | UnaryKind::Elu
            | UnaryKind::Exp
            | UnaryKind::Floor
            | UnaryKind::HardSwish
            | UnaryKind::Log
            | UnaryKind::LogicalNot
            | UnaryKind::Logistic
            | UnaryKind::Relu
            | UnaryKind::Relu0To1
            | UnaryKind::Relu6
            | UnaryKind::ReluN1To1
            | UnaryKind::Round
            | UnaryKind::Rsqrt
            | UnaryKind::Sin
            | UnaryKind::Sqrt
            | UnaryKind::Tanh
            | UnaryKind::ZerosLike => return unsupported("no kernel computes this on plain integers"),
        };
        let n = Arg::Int(self.count(self.result_ty(operation)?)?);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.in_place(operation, 0, y)?;
        self.call("unary_plain", &[elem], vec![x, y, Arg::Int(kind), n], None)
    }

    pub(super) fn reduce_plain(&mut self, op: &Reduce, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let truth = self.ty(operation, 0)?.elem == E::Bool;
        let (kernel, types, kind): (_, &[Elem], _) = match op.kind {
            ReduceKind::Any if truth => ("reduce_truth", &[], 0),
            ReduceKind::All if truth => ("reduce_truth", &[], 1),
            ReduceKind::Sum if matches!(elem, Elem::I32 | Elem::I64) => ("reduce_plain", &[elem], 0),
            ReduceKind::Max if !truth => ("reduce_plain", &[elem], 1),
            ReduceKind::Min if !truth => ("reduce_plain", &[elem], 2),
            ReduceKind::Prod if matches!(elem, Elem::I32 | Elem::I64) => ("reduce_plain", &[elem], 3),
            ReduceKind::Mean
            | ReduceKind::Sum
            | ReduceKind::Max
            | ReduceKind::Min
            | ReduceKind::Prod
            | ReduceKind::Any
            | ReduceKind::All => return unsupported(format!("no kernel computes this on {}", self.ty(operation, 0)?.elem)),
        };
        self.reduce_by(kernel, types, kind, operation)
    }

    /// A reduction by a kernel that takes sizes and steps of kept and reduced axes, and the kind.
    pub(super) fn reduce_by(&mut self, kernel: &'static str, types: &[Elem], kind: usize, operation: &Operation) -> Result<()> {
        let (mut sizes, count) = self.reduced(operation)?;
        if count == 0 {
            return unsupported("there is nothing to reduce");
        }
        sizes.push(kind);
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.call(kernel, types, vec![x, y], Some(sizes))
    }

    pub(super) fn cumsum(&mut self, op: &Cumsum, operation: &Operation) -> Result<()> {
        let elem = self.elem(operand(operation, 0)?)?;
        let ty = self.ty(operation, 0)?;
        let (kernel, types): (_, &[Elem]) = match elem {
            Elem::F32 => ("cumsum_f32", &[]),
            Elem::I32 | Elem::I64 if !ty.is_quantized() => ("cumsum_int", &[elem]),
            _ => return unsupported("no kernel sums this type"),
        };
        let shape = ty.shape.dims();
        let &[axis] = self.ints(operation, 1)?.as_slice() else { return unsupported("the axis must be one number") };
        let rank = i64::try_from(shape.len()).unwrap_or(0);
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
        let Some((outer, [size, inner @ ..])) = shape.split_at_checked(axis) else { return unsupported("the axis is out of range") };
        let numbers = [outer.iter().product(), *size, inner.iter().product(), usize::from(op.exclusive), usize::from(op.reverse)];
        let numbers = numbers.into_iter().map(|n| int(n).map(Arg::Int)).collect::<Result<Vec<_>>>()?;
        let x = self.read(operand(operation, 0)?)?;
        let y = self.allocate(result(operation)?)?;
        self.call(kernel, types, [vec![x, y], numbers].concat(), None)
    }

    pub(super) fn dynamic_update_slice(&mut self, operation: &Operation) -> Result<()> {
        let (elem, index) = (self.elem(operand(operation, 0)?)?, self.elem(operand(operation, 2)?)?);
        let (whole, part) = (self.ty(operation, 0)?.shape.dims(), self.ty(operation, 1)?.shape.dims());
        if whole.len() != part.len() || whole.len() > AXES || !matches!(index, Elem::I32 | Elem::I64) {
            return unsupported(format!("an update of {} axes, or its place, has no kernel", whole.len()));
        }
        let missing = AXES - whole.len();
        let padded = |with: usize, values: Vec<usize>| [vec![with; missing], values].concat();
        let strides: Vec<usize> = (0..whole.len()).map(|axis| whole[axis + 1..].iter().product()).collect();
        let room: Vec<usize> = whole.iter().zip(part).map(|(w, p)| w.saturating_sub(*p)).collect();
        let mut sizes = [padded(1, part.to_vec()), padded(0, strides), padded(0, room)].concat();
        sizes.push(missing);
        let n = Arg::Int(self.count(self.result_ty(operation)?)?);
        let operands = [0, 1, 2].map(|i| operand(operation, i).and_then(|id| self.read(id)));
        let [x, update, start] = operands;
        let y = self.allocate(result(operation)?)?;
        let sizes: Vec<i32> = sizes.into_iter().map(int).collect::<Result<_>>()?;
        self.call_signed("update_slice", &[elem, index], vec![x?, update?, start?, y, n], Some(sizes))
    }

    /// The result full of one value, which may be computed when the model runs.
    pub(super) fn fill(&mut self, operation: &Operation, value: Option<usize>) -> Result<()> {
        let elem = self.elem(result(operation)?)?;
        let n = Arg::Int(self.count(self.result_ty(operation)?)?);
        let value = match value {
            Some(index) => self.read(operand(operation, index)?)?,
            None => {
                let zero = match elem {
                    Elem::I8 => Data::I8(vec![0]),
                    Elem::U8 => Data::U8(vec![0]),
                    Elem::I16 => Data::I16(vec![0]),
                    Elem::U16 => Data::U16(vec![0]),
                    Elem::I32 => Data::I32(vec![0]),
                    Elem::I64 => Data::I64(vec![0]),
                    Elem::F32 => Data::F32(vec![0.0]),
                };
                self.table("zero", Role::Parameters, zero)
            }
        };
        let y = self.allocate(result(operation)?)?;
        self.call("fill_run", &[elem], vec![y, value, n], None)
    }

    pub(super) fn embedding_lookup(&mut self, operation: &Operation) -> Result<()> {
        let (index, elem) = (self.elem(operand(operation, 0)?)?, self.elem(operand(operation, 1)?)?);
        let Some((&rows, row)) = self.ty(operation, 1)?.shape.dims().split_first() else { return unsupported("the table is a scalar") };
        if elem != self.elem(result(operation)?)? || index != Elem::I32 {
            return unsupported("the table is of another type than the result");
        }
        let count = self.ty(operation, 0)?.shape.elements();
        let numbers = [1, rows, count, row.iter().product()].into_iter().map(|n| int(n).map(Arg::Int)).collect::<Result<Vec<_>>>()?;
        let (ids, table) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.call("gather_rows", &[elem, index], [vec![table, ids, y], numbers].concat(), None)
    }
}
