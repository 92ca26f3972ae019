//! What each operation answers when it is asked to work on permuted operands.

use octet_ir::ops;
use octet_ir::{Constant, Graph, Module, Op, Operation, Shape, Type, ValueId};

use super::{Permutation, integers, transpose_of};

/// How an operation follows an axis change.
#[derive(Clone, Debug)]
pub(super) struct Adapted {
    /// The operation with its attributes changed.
    pub(super) op: Op,
    /// What becomes of each operand.
    pub(super) operands: Vec<Operand>,
    /// Whether its results are permuted too; if not, they are as they were.
    pub(super) results_follow: bool,
}

/// What becomes of an operand.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// It must be given permuted.
    Permuted(ValueId),
    /// It stays.
    Same(Option<ValueId>),
    /// Another constant takes its place.
    Constant(Constant, Type),
}

/// Asks an operation. `None` means that it is bound to the layout that it has.
pub(super) fn adapt(module: &Module, graph: &Graph, operation: &Operation, p: &Permutation) -> Option<Adapted> {
    let ask = Ask { module, graph, operation, p };
    let op = operation.op();
    match op {
        Op::Unary(_) | Op::Gelu(_) | Op::LeakyRelu(_) | Op::Cast(_) | Op::Quantize(_) | Op::Dequantize(_) | Op::FakeQuant(_) => {
            ask.followed(op.clone(), &[0], Vec::new())
        }
        Op::Binary(_) | Op::Compare(_) | Op::Prelu(_) => ask.broadcast(),
        Op::Select(select) => match select.kind {
            ops::SelectKind::SelectV2 => ask.broadcast(),
            ops::SelectKind::Select => None,
        },
        Op::Softmax(_) | Op::LogSoftmax(_) | Op::L2Normalization(_) => {
            let last = p.rank().checked_sub(1)?;
            (p.position(last) == last).then(|| ask.followed(op.clone(), &[0], Vec::new())).flatten()
        }
        Op::Concatenation(concat) => {
            let axis = ask.axis(concat.axis.into())?;
            let moved = ops::Concatenation { axis: i32::try_from(p.position(axis)).ok()?, ..concat.clone() };
            let all: Vec<usize> = (0..operation.operands().len()).collect();
            ask.followed(moved.into(), &all, Vec::new())
        }
        Op::Pad(_) | Op::PadV2(_) | Op::MirrorPad(_) => {
            let rows: Vec<[i64; 2]> = ask.ints(1)?.as_chunks::<2>().0.to_vec();
            (rows.len() == p.rank()).then_some(())?;
            let paddings = ask.ints_like(1, &p.permute(&rows).concat())?;
            ask.followed(op.clone(), &[0], vec![(1, paddings)])
        }
        Op::Slice(_) => {
            let (begin, size) = (ask.permuted_ints(1)?, ask.permuted_ints(2)?);
            ask.followed(op.clone(), &[0], vec![(1, begin), (2, size)])
        }
        Op::StridedSlice(slice) => ask.strided_slice(slice),
        Op::Tile(_) | Op::BroadcastTo(_) => {
            let sizes = ask.permuted_ints(1)?;
            ask.followed(op.clone(), &[0], vec![(1, sizes)])
        }
        Op::Reduce(reduce) => ask.reduce(reduce.keep_dims),
        Op::ReverseV2(_) | Op::Cumsum(_) => {
            let axes = ask.moved_axes(1)?;
            ask.followed(op.clone(), &[0], vec![(1, axes)])
        }
        Op::Split(_) => {
            let axis = ask.moved_axes(0)?;
            ask.followed(op.clone(), &[1], vec![(0, axis)])
        }
        Op::SplitV(_) => {
            let axis = ask.moved_axes(2)?;
            ask.followed(op.clone(), &[0], vec![(2, axis)])
        }
        Op::Arg(_) => {
            let axis = ask.axis(*ask.ints(1)?.first()?)?;
            let axes = ask.moved_axes(1)?;
            ask.kept_in_order(|a| a != axis).then(|| ask.sunk(op.clone(), vec![(1, axes)])).flatten()
        }
        Op::Squeeze(_) => ask.squeeze(),
        Op::Reshape(_) | Op::FullyConnected(_) => ask.reread(),
        Op::Transpose(_) => ask.transpose(),
        // Bound to their axes, or to the order of their elements.
        Op::Conv2d(_)
        | Op::DepthwiseConv2d(_)
        | Op::TransposeConv(_)
        | Op::Conv3d(_)
        | Op::Conv3dTranspose(_)
        | Op::BatchMatmul(_)
        | Op::EmbeddingLookup(_)
        | Op::Bitcast(_)
        | Op::Pool2d(_)
        | Op::TopkV2(_)
        | Op::Unique(_)
        | Op::SegmentSum(_)
        | Op::UnsortedSegment(_)
        | Op::LocalResponseNormalization(_)
        | Op::ExpandDims(_)
        | Op::ShapeOf(_)
        | Op::Rank(_)
        | Op::BroadcastArgs(_)
        | Op::MatrixDiag(_)
        | Op::MatrixSetDiag(_)
        | Op::DynamicUpdateSlice(_)
        | Op::ReverseSequence(_)
        | Op::Pack(_)
        | Op::Unpack(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::ScatterNd(_)
        | Op::SpaceToDepth(_)
        | Op::DepthToSpace(_)
        | Op::SpaceToBatchNd(_)
        | Op::BatchToSpaceNd(_)
        | Op::ResizeBilinear(_)
        | Op::ResizeNearestNeighbor(_)
        | Op::Fill(_)
        | Op::RangeOp(_)
        | Op::OneHot(_)
        | Op::Where(_)
        | Op::SparseToDense(_)
        | Op::Densify(_)
        | Op::Svdf(_)
        | Op::UnidirectionalSequenceLstm(_)
        | Op::BidirectionalSequenceLstm(_)
        | Op::Lstm(_)
        | Op::Rnn(_)
        | Op::UnidirectionalSequenceRnn(_)
        | Op::BidirectionalSequenceRnn(_)
        | Op::If(_)
        | Op::While(_)
        | Op::CallOnce(_)
        | Op::VarHandle(_)
        | Op::ReadVariable(_)
        | Op::AssignVariable(_)
        | Op::Custom(_)
        | Op::Opaque(_) => None,
    }
}

/// An operation that is being asked.
struct Ask<'a> {
    module: &'a Module,
    graph: &'a Graph,
    operation: &'a Operation,
    p: &'a Permutation,
}

impl Ask<'_> {
    fn ty(&self, operand: usize) -> Option<&Type> {
        self.operation.operand(operand).map(|v| self.graph.ty(v))
    }

    fn ints(&self, operand: usize) -> Option<Vec<i64>> {
        integers(self.module, self.graph, self.operation.operand(operand)?)
    }

    fn axis(&self, axis: i64) -> Option<usize> {
        let rank = i64::try_from(self.p.rank()).ok()?;
        usize::try_from(if axis < 0 { axis + rank } else { axis }).ok().filter(|&a| a < self.p.rank())
    }

    /// A constant with other integers, of the type of operand `operand`.
    fn ints_like(&self, operand: usize, values: &[i64]) -> Option<(Constant, Type)> {
        let ty = self.ty(operand)?.clone();
        let constant = match ty.elem {
            octet_ir::ElementType::I64 => Constant::from_i64(values),
            octet_ir::ElementType::I32 => Constant::from_i32(&values.iter().map(|&v| i32::try_from(v).ok()).collect::<Option<Vec<_>>>()?),
            _ => return None,
        };
        Some((constant, ty))
    }

    /// A vector with an entry per axis, permuted.
    fn permuted_ints(&self, operand: usize) -> Option<(Constant, Type)> {
        let values = self.ints(operand).filter(|v| v.len() == self.p.rank())?;
        self.ints_like(operand, &self.p.permute(&values))
    }

    /// A list of axes, each moved to its new place.
    fn moved_axes(&self, operand: usize) -> Option<(Constant, Type)> {
        let axes: Option<Vec<i64>> = self.ints(operand)?.into_iter().map(|a| i64::try_from(self.p.position(self.axis(a)?)).ok()).collect();
        self.ints_like(operand, &axes?)
    }

    /// Operands in `permuted` follow, those in `constants` are exchanged, all others stay.
    fn operands(&self, permuted: &[usize], mut constants: Vec<(usize, (Constant, Type))>) -> Option<Vec<Operand>> {
        let operand = |(index, value): (usize, &Option<ValueId>)| {
            if let Some(at) = constants.iter().position(|(i, _)| *i == index) {
                let (_, (constant, ty)) = constants.swap_remove(at);
                return Some(Operand::Constant(constant, ty));
            }
            match value {
                Some(value) if permuted.contains(&index) => self.permuted(*value),
                other => Some(Operand::Same(*other)),
            }
        };
        self.operation.operands().iter().enumerate().map(operand).collect()
    }

    /// A value permuted: a constant at once, anything else by whoever applies the change.
    fn permuted(&self, value: ValueId) -> Option<Operand> {
        let ty = self.graph.ty(value);
        if ty.shape.rank() != self.p.rank() {
            return None;
        }
        let Some(constant) = self.module.constant_of(self.graph, value) else { return Some(Operand::Permuted(value)) };
        let width = ty.elem.bits().filter(|b| b % 8 == 0)? / 8;
        let bytes = self.p.permute_bytes(constant.bytes(), ty.shape.dims(), width);
        Some(Operand::Constant(Constant::new(bytes), self.p.apply(ty)))
    }

    /// The results are permuted like the operands.
    fn followed(&self, op: Op, permuted: &[usize], constants: Vec<(usize, (Constant, Type))>) -> Option<Adapted> {
        let ranks = self.operation.results().iter().all(|r| self.graph.ty(*r).shape.rank() == self.p.rank());
        let operands = self.operands(permuted, constants)?;
        let some = operands.iter().any(|o| matches!(o, Operand::Permuted(_)));
        (ranks && some).then_some(Adapted { op, operands, results_follow: true })
    }

    /// The result is the same whichever layout operand 0 has.
    fn sunk(&self, op: Op, constants: Vec<(usize, (Constant, Type))>) -> Option<Adapted> {
        let operands = self.operands(&[0], constants)?;
        let some = operands.iter().any(|o| matches!(o, Operand::Permuted(_)));
        some.then_some(Adapted { op, operands, results_follow: false })
    }

    /// Whether the axes that `keep` selects stand in the same order in both layouts.
    fn kept_in_order(&self, keep: impl Fn(usize) -> bool) -> bool {
        self.p.axes().iter().copied().filter(|&a| keep(a)).is_sorted()
    }

    /// Operands of lower rank broadcast from the innermost axis: they get the missing axes before they are permuted.
    fn broadcast(&self) -> Option<Adapted> {
        let rank = self.p.rank();
        let mut operands = Vec::new();
        for value in self.operation.operands() {
            let value = (*value)?;
            let ty = self.graph.ty(value);
            operands.push(if ty.shape.rank() == rank {
                self.permuted(value)?
            } else if ty.shape.elements() == 1 && ty.shape.rank() < rank {
                Operand::Same(Some(value))
            } else {
                let constant = self
                    .module
                    .constant_of(self.graph, value)
                    .filter(|_| ty.shape.rank() < rank && ty.quant.as_ref().is_none_or(|q| q.axis().is_none()))?;
                let mut dims = vec![1; rank - ty.shape.rank()];
                dims.extend_from_slice(ty.shape.dims());
                let width = ty.elem.bits().filter(|b| b % 8 == 0)? / 8;
                let bytes = self.p.permute_bytes(constant.bytes(), &dims, width);
                Operand::Constant(Constant::new(bytes), self.p.apply(&ty.clone().with_shape(Shape::new(dims))))
            });
        }
        let ranks = self.operation.results().iter().all(|r| self.graph.ty(*r).shape.rank() == rank);
        let some = operands.iter().any(|o| matches!(o, Operand::Permuted(_)));
        (ranks && some).then_some(Adapted { op: self.operation.op().clone(), operands, results_follow: true })
    }

    fn strided_slice(&self, slice: &ops::StridedSlice) -> Option<Adapted> {
        if slice.ellipsis_mask != 0 || slice.new_axis_mask != 0 || slice.shrink_axis_mask != 0 {
            return None;
        }
        let mask = |bits: u32| -> u32 { self.p.axes().iter().enumerate().map(|(to, &from)| (bits >> from & 1) << to).sum() };
        let op = ops::StridedSlice { begin_mask: mask(slice.begin_mask), end_mask: mask(slice.end_mask), ..slice.clone() };
        let constants = (1..4).map(|i| Some((i, self.permuted_ints(i)?))).collect::<Option<Vec<_>>>()?;
        self.followed(op.into(), &[0], constants)
    }

    fn reduce(&self, keep_dims: bool) -> Option<Adapted> {
        let axes = self.moved_axes(1)?;
        let op = self.operation.op().clone();
        if keep_dims {
            return self.followed(op, &[0], vec![(1, axes)]);
        }
        let reduced: Vec<usize> = self.ints(1)?.into_iter().map(|a| self.axis(a)).collect::<Option<_>>()?;
        self.kept_in_order(|a| !reduced.contains(&a)).then(|| self.sunk(op, vec![(1, axes)])).flatten()
    }

    fn squeeze(&self) -> Option<Adapted> {
        let (input, output) = (self.ty(0)?, self.graph.ty(*self.operation.results().first()?));
        (input.shape.rank() == self.p.rank() && self.p.is_trivial_on(input.shape.dims())).then_some(())?;
        // The elements stand in the same order: any view of them is as good.
        let dims = output.shape.dims().iter().map(|&d| i32::try_from(d).ok()).collect::<Option<Vec<_>>>()?;
        (!output.shape.is_dynamic()).then_some(())?;
        let operands =
            vec![Operand::Permuted(self.operation.operand(0)?), Operand::Constant(Constant::from_i32(&dims), Type::i32([dims.len()]))];
        Some(Adapted { op: ops::Reshape { new_shape: None }.into(), operands, results_follow: false })
    }

    /// Operations that read their operand as a run of elements do not see an axis change that moves none.
    fn reread(&self) -> Option<Adapted> {
        let input = self.ty(0)?;
        let flattens = !matches!(self.operation.op(), Op::FullyConnected(fc) if fc.keep_num_dims);
        (flattens && input.shape.rank() == self.p.rank() && self.p.is_trivial_on(input.shape.dims())).then_some(())?;
        self.sunk(self.operation.op().clone(), Vec::new())
    }

    /// Another axis change composes with this one.
    fn transpose(&self) -> Option<Adapted> {
        let own = transpose_of(self.module, self.graph, self.operation)?;
        (own.rank() == self.p.rank() && own != *self.p && own != self.p.inverse()).then_some(())?;
        let composed = self.p.inverse().then(&own);
        self.sunk(self.operation.op().clone(), vec![(1, composed.constant())])
    }
}
