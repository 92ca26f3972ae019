//! Operations that only move elements: where each element comes from is asked of the interpreter, and becomes loops with strides.
//!
//! The operation runs once on numbered elements. What comes out says for every place of the result which element of which operand it
//! holds, whatever the operation is; runs of equal distances become the axes of a strided copy. What has no such runs becomes a table.

use octet_ir::ops::Gather;
use octet_ir::{Constant, Diagnostic, Op, Operation, Type, ValueId};

use super::{Cx, DYNAMIC, Result, int, operand, result, unsupported};
use crate::lang::Elem;
use crate::program::{Arg, Data, Role};

/// Axes of a strided copy.
const AXES: usize = 6;

impl Cx<'_> {
    /// Indices of the operands whose elements are moved.
    fn moved_operands(operation: &Operation) -> Vec<usize> {
        match operation.op() {
            Op::Split(_) => vec![1],
            Op::Concatenation(_) | Op::Pack(_) => (0..operation.operands().len()).collect(),
            _ => vec![0],
        }
    }

    pub(super) fn movement(&mut self, operation: &Operation) -> Result<()> {
        let moved = Self::moved_operands(operation);
        let mut first = vec![1i32];
        let mut constants: Vec<Option<(Type, Constant)>> = Vec::new();
        for (index, value) in operation.operands().iter().enumerate() {
            let Some(id) = *value else {
                constants.push(None);
                continue;
            };
            let ty = self.graph.ty(id);
            if moved.contains(&index) {
                let start = first.last().copied().unwrap_or(1);
                let end = start.checked_add(self.count(ty)?);
                let end = end.ok_or_else(|| Diagnostic::error(super::TOO_LARGE, "too many elements to move"))?;
                first.push(end);
                let numbers: Vec<i32> = (start..end).collect();
                constants.push(Some((Type::i32(ty.shape.to_static()), Constant::from_i32(&numbers))));
                continue;
            }
            let is_value = matches!(operation.op(), Op::PadV2(_)) && index == 2;
            let ty = if is_value { Type::i32(ty.shape.clone()) } else { ty.clone() };
            let constant = if is_value {
                Constant::from_i32(&[0])
            } else {
                let constant = self.constant_of(id);
                let name = self.graph.value_name(id);
                constant.cloned().ok_or_else(|| Diagnostic::error(DYNAMIC, format!("{name} is computed while the model runs")))?
            };
            constants.push(Some((ty, constant)));
        }
        let operands: Vec<Option<(&Type, &Constant)>> = constants.iter().map(|c| c.as_ref().map(|(t, c)| (t, c))).collect();
        let results: Vec<Type> = operation.results().iter().map(|&id| Type::i32(self.graph.ty(id).shape.to_static())).collect();
        let answers = octet_eval::evaluate(operation.op(), &operands, &results)?;
        let sources: Vec<ValueId> = moved.iter().map(|&i| operand(operation, i)).collect::<Result<_>>()?;
        let fill = self.fill_value(operation)?;
        for (&id, (_, numbers)) in operation.results().iter().zip(&answers) {
            self.moves(id, &sources, &first, &numbers.to_i32(), fill.clone())?;
        }
        Ok(())
    }

    /// What stands in places that no element comes to.
    fn fill_value(&mut self, operation: &Operation) -> Result<Data> {
        let elem = self.elem(result(operation)?)?;
        if let Op::PadV2(_) = operation.op() {
            return self.data(operand(operation, 2)?);
        }
        // MATRIX_DIAG is full of zeros as they are stored, whatever they mean.
        let plain = matches!(operation.op(), Op::MatrixDiag(_));
        let zero = self.result_ty(operation)?.scale_zero_point().filter(|_| !plain).map_or(0, |(_, zero)| zero);
        Ok(match elem {
            Elem::I8 => Data::I8(vec![i8::try_from(zero).unwrap_or(0)]),
            Elem::U8 => Data::U8(vec![u8::try_from(zero).unwrap_or(0)]),
            Elem::I16 => Data::I16(vec![i16::try_from(zero).unwrap_or(0)]),
            Elem::U16 => Data::U16(vec![0]),
            Elem::I32 => Data::I32(vec![i32::try_from(zero).unwrap_or(0)]),
            Elem::I64 => Data::I64(vec![zero]),
            Elem::F32 => Data::F32(vec![0.0]),
        })
    }

    /// Calls that fill one result.
    fn moves(&mut self, id: ValueId, sources: &[ValueId], first: &[i32], numbers: &[i32], fill: Data) -> Result<()> {
        let elem = self.elem(id)?;
        let whole = (0..first.len() - 1).find(|&k| first[k + 1] - first[k] == i32::try_from(numbers.len()).unwrap_or(-1));
        let identity = whole.filter(|&k| numbers.iter().zip(first[k]..).all(|(&n, want)| n == want));
        if let Some(k) = identity {
            let place = self.read(sources[k])?;
            self.places.insert(id, place);
            return Ok(());
        }
        let places: Vec<Arg> = sources.iter().map(|&s| self.read(s)).collect::<Result<_>>()?;
        let y = self.allocate(id)?;
        if numbers.contains(&0) {
            let value = self.table("fill", Role::Parameters, fill);
            self.call("fill_run", &[elem], vec![y, value, Arg::Int(int(numbers.len())?)], None)?;
        }
        for (k, bounds) in first.windows(2).enumerate() {
            let pairs: Vec<(usize, usize)> = numbers
                .iter()
                .enumerate()
                .filter(|(_, n)| (bounds[0]..bounds[1]).contains(n))
                .filter_map(|(to, n)| Some((usize::try_from(n - bounds[0]).ok()?, to)))
                .collect();
            if pairs.is_empty() {
                continue;
            }
            let mut by_source = pairs.clone();
            by_source.sort_unstable();
            match loops(&pairs).or_else(|| loops(&by_source)) {
                Some(found) => self.copy(elem, places[k], y, &found)?,
                None if pairs.len() == numbers.len() => {
                    let index: Vec<i32> = pairs.iter().map(|p| int(p.0)).collect::<Result<_>>()?;
                    let narrow: Option<Vec<i16>> = index.iter().map(|&i| i16::try_from(i).ok()).collect();
                    let index = narrow.map_or(Data::I32(index), Data::I16);
                    let width = index.elem();
                    let index = self.table("index", Role::Table, index);
                    self.call("gather_table", &[elem, width], vec![places[k], index, y, Arg::Int(int(numbers.len())?)], None)?;
                }
                None => {
                    let from: Vec<i32> = pairs.iter().map(|p| int(p.0)).collect::<Result<_>>()?;
                    let to: Vec<i32> = pairs.iter().map(|p| int(p.1)).collect::<Result<_>>()?;
                    let n = Arg::Int(int(pairs.len())?);
                    let narrow = from.iter().chain(&to).all(|&i| i16::try_from(i).is_ok());
                    let data = |all: Vec<i32>| {
                        if narrow { Data::I16(all.into_iter().filter_map(|i| i16::try_from(i).ok()).collect()) } else { Data::I32(all) }
                    };
                    let width = if narrow { Elem::I16 } else { Elem::I32 };
                    let [from, to] = [from, to].map(|all| self.table("index", Role::Table, data(all)));
                    self.call("scatter_table", &[elem, width], vec![places[k], from, to, y, n], None)?;
                }
            }
        }
        Ok(())
    }

    fn copy(&mut self, elem: Elem, x: Arg, y: Arg, found: &Loops) -> Result<()> {
        let (x, y) = (shifted(x, found.from), shifted(y, found.to));
        if found.axes.len() == 1 && found.axes[0].1 == 1 && found.axes[0].2 == 1 {
            return self.call("copy_run", &[elem], vec![x, y, Arg::Int(int(found.axes[0].0)?)], None);
        }
        let mut axes = vec![(1, 0, 0); AXES - found.axes.len()];
        axes.extend(&found.axes);
        let sizes = axes.iter().map(|a| int(a.0)).chain(axes.iter().map(|a| Ok(a.1))).chain(axes.iter().map(|a| Ok(a.2)));
        let sizes = sizes.collect::<Result<Vec<i32>>>()?;
        self.call_signed("copy_strided", &[elem], vec![x, y], Some(sizes))
    }

    /// GATHER with indices that the model computes.
    pub(super) fn gather(&mut self, op: &Gather, operation: &Operation) -> Result<()> {
        let (elem, index) = (self.elem(operand(operation, 0)?)?, self.elem(operand(operation, 1)?)?);
        let shape = self.ty(operation, 0)?.shape.dims();
        let rank = i64::try_from(shape.len()).unwrap_or(0);
        let axis = i64::from(op.axis);
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
        if op.batch_dims != 0 || axis >= shape.len() || !matches!(index, Elem::I16 | Elem::I32 | Elem::I64) {
            return unsupported("GATHER with batch axes, or indices of this type");
        }
        let count = self.ty(operation, 1)?.shape.elements();
        let outer: usize = shape[..axis].iter().product();
        let row: usize = shape[axis + 1..].iter().product();
        let numbers = [outer, shape[axis], count, row].into_iter().map(|n| int(n).map(Arg::Int)).collect::<Result<Vec<_>>>()?;
        let (x, i) = (self.read(operand(operation, 0)?)?, self.read(operand(operation, 1)?)?);
        let y = self.allocate(result(operation)?)?;
        self.call("gather_rows", &[elem, index], [vec![x, i, y], numbers].concat(), None)
    }
}

fn shifted(place: Arg, by: usize) -> Arg {
    match place {
        Arg::Buffer { buffer, offset } => Arg::Buffer { buffer, offset: offset + by },
        Arg::Constant { constant, offset } => Arg::Constant { constant, offset: offset + by },
        Arg::Int(_) | Arg::Backward { .. } => place,
    }
}

/// A copy along axes of (size, distance in the source, distance in the result), outermost first.
#[derive(Debug, PartialEq)]
struct Loops {
    from: usize,
    to: usize,
    axes: Vec<(usize, i32, i32)>,
}

/// Finds the loops that visit these pairs (source, result) in this order.
fn loops(pairs: &[(usize, usize)]) -> Option<Loops> {
    let signed = |x: usize| i64::try_from(x).ok();
    let mut places: Vec<(i64, i64)> = pairs.iter().map(|&(a, b)| Some((signed(a)?, signed(b)?))).collect::<Option<_>>()?;
    let &(from, to) = pairs.first()?;
    let mut axes = Vec::new();
    while places.len() > 1 {
        if axes.len() == AXES {
            return None;
        }
        let step = |at: usize| (places[at + 1].0 - places[at].0, places[at + 1].1 - places[at].1);
        let distance = step(0);
        let mut run = 1;
        while run < places.len() && step(run - 1) == distance {
            run += 1;
        }
        // A longer run than the axis has can come of equal distances across its end.
        let size = (2..=run).rev().find(|&n| {
            places.len().is_multiple_of(n)
                && places.chunks(n).all(|chunk| chunk.windows(2).all(|w| (w[1].0 - w[0].0, w[1].1 - w[0].1) == distance))
        })?;
        axes.push((size, i32::try_from(distance.0).ok()?, i32::try_from(distance.1).ok()?));
        places = places.chunks(size).filter_map(|chunk| chunk.first().copied()).collect();
    }
    if axes.is_empty() {
        axes.push((1, 1, 1));
    }
    axes.reverse();
    Some(Loops { from, to, axes })
}

#[cfg(test)]
mod tests {
    use super::{Loops, loops};

    #[test]
    fn a_transposition_is_two_loops() {
        let pairs: Vec<(usize, usize)> = (0..12).map(|to| (to % 3 * 4 + to / 3, to)).collect();
        assert_eq!(loops(&pairs), Some(Loops { from: 0, to: 0, axes: vec![(4, 1, 3), (3, 4, 1)] }));
    }

    #[test]
    fn what_has_no_order_has_no_loops() {
        assert_eq!(loops(&[(0, 0), (3, 1), (1, 2), (7, 3), (2, 4)]), None);
    }
}
