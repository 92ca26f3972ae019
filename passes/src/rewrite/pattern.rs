//! What patterns are matched with and replacements built with.

use octet_ir::ops::{Binary, InferCx, InferError, Numbers, OpSpec};
use octet_ir::verify::types::numbers;
use octet_ir::{ElementType, Graph, Loc, Module, Op, OpId, Operation, Patch, Shape, Type, ValueDef, ValueId};

use super::Refusal;

/// The only result of an operation.
pub(crate) fn result(operation: &Operation) -> Result<ValueId, Refusal> {
    match operation.results() {
        [result] => Ok(*result),
        _ => Err(Refusal::NoMatch),
    }
}

/// Operand `index`, which must be there.
pub(crate) fn operand(operation: &Operation, index: usize) -> Result<ValueId, Refusal> {
    operation.operand(index).ok_or(Refusal::NoMatch)
}

/// The operation that defines `value`, provided that nothing but one operand reads the value: it goes away with its reader.
pub(crate) fn sole_producer(graph: &Graph, value: ValueId) -> Result<(OpId, &Operation), Refusal> {
    let (id, operation) = graph.producer(value).ok_or(Refusal::NoMatch)?;
    match graph.value(value).uses() {
        [octet_ir::Use::Operand { .. }] => Ok((id, operation)),
        uses => {
            let name = graph.value_name(value);
            let mnemonic = operation.op().mnemonic();
            Err(Refusal::check(if graph.value(value).is_output() {
                format!("the result '{name}' of {mnemonic} is an output of the graph")
            } else {
                format!("the result '{name}' of {mnemonic} is read {} times", uses.len())
            }))
        }
    }
}

/// The elements of an `f32` constant that is stored densely.
pub(crate) fn floats(module: &Module, graph: &Graph, value: ValueId) -> Option<Vec<f32>> {
    let constant = module.constant_of(graph, value)?;
    (graph.ty(value).elem == ElementType::F32).then(|| constant.to_f32())
}

/// The elements of a small constant of plain integers.
pub(crate) fn ints(module: &Module, graph: &Graph, value: ValueId) -> Option<Vec<i64>> {
    match numbers(graph.ty(value).elem, module.constant_of(graph, value)?)? {
        Numbers::Ints(values) => Some(values),
        Numbers::Floats(_) => None,
    }
}

/// The one number that every element of an `f32` constant equals.
pub(crate) fn splat(module: &Module, graph: &Graph, value: ValueId) -> Option<f32> {
    let values = floats(module, graph, value)?;
    let (first, rest) = values.split_first()?;
    rest.iter().all(|v| v.to_bits() == first.to_bits()).then_some(*first)
}

/// Whether a value is a constant.
pub(crate) fn is_constant(graph: &Graph, value: ValueId) -> bool {
    matches!(graph.value(value).def(), ValueDef::Constant(_))
}

/// A constant that has one `f32` for each index of the innermost axis of a tensor of shape `of`, or one for all, spread to `channels` entries.
pub(crate) fn channel_vector(module: &Module, graph: &Graph, value: ValueId, of: &Shape, channels: usize) -> Option<Vec<f32>> {
    let shape = &graph.ty(value).shape;
    let (last, leading) = shape.dims().split_last().map_or((1, &[][..]), |(l, rest)| (*l, rest));
    if shape.rank() > of.rank() || leading.iter().any(|&d| d != 1) || (last != 1 && last != channels) || shape.is_dynamic() {
        return None;
    }
    let values = floats(module, graph, value)?;
    match values.as_slice() {
        [one] => Some(vec![*one; channels]),
        all => (all.len() == channels).then(|| all.to_vec()),
    }
}

/// An elementwise operation with a constant on one side.
pub(crate) struct WithConstant<'g> {
    /// The operation.
    pub(crate) op: &'g Binary,
    /// The side that is computed.
    pub(crate) value: ValueId,
    /// The side that is constant.
    pub(crate) constant: ValueId,
    /// The constant stands on the left.
    pub(crate) constant_first: bool,
}

/// Reads an operation as an elementwise one of a value and a constant.
pub(crate) fn with_constant<'g>(graph: &Graph, operation: &'g Operation) -> Result<WithConstant<'g>, Refusal> {
    let Op::Binary(op) = operation.op() else { return Err(Refusal::NoMatch) };
    let (a, b) = (operand(operation, 0)?, operand(operation, 1)?);
    match (is_constant(graph, a), is_constant(graph, b)) {
        (false, true) => Ok(WithConstant { op, value: a, constant: b, constant_first: false }),
        (true, false) => Ok(WithConstant { op, value: b, constant: a, constant_first: true }),
        (true, true) | (false, false) => Err(Refusal::NoMatch),
    }
}

/// One operation that takes the place of a pattern's root: same result type, the root's range, the names of everything it stands for.
pub(crate) struct Replacement<'g> {
    graph: &'g Graph,
    root: ValueId,
    loc: Loc,
    /// The patch so far, for constants.
    pub(crate) patch: Patch,
}

impl<'g> Replacement<'g> {
    /// Begins to replace `root`, which has one result. `swallowed` are values that go away: their names are kept.
    pub(crate) fn of(graph: &'g Graph, root: OpId, swallowed: &[ValueId]) -> Result<Self, Refusal> {
        let value = result(graph.op(root))?;
        let loc = swallowed.iter().fold(Loc::unknown(), |loc, v| loc.union(graph.value(*v).loc()));
        let loc = loc.union(graph.value(value).loc());
        Ok(Self { graph, root: value, loc, patch: Patch::before(graph, root) })
    }

    /// A new `f32` constant with the names of `source`.
    pub(crate) fn floats(&mut self, values: &[f32], shape: impl Into<Shape>, source: Option<ValueId>) -> ValueId {
        let loc = source.map_or_else(Loc::unknown, |s| self.graph.value(s).loc().clone());
        self.patch.constant(octet_ir::Constant::from_f32(values), Type::f32(shape), loc)
    }

    /// A new `i32` vector.
    pub(crate) fn ints(&mut self, values: &[i32]) -> ValueId {
        self.patch.constant(octet_ir::Constant::from_i32(values), Type::i32([values.len()]), Loc::unknown())
    }

    /// The finished patch. The new operation stands where the root stood, so it must not read a variable: what the pattern began with may have
    /// read it before it changed.
    pub(crate) fn with(mut self, op: impl Into<Op>, operands: Vec<Option<ValueId>>) -> Result<Patch, Refusal> {
        let variable = |v: &&ValueId| self.graph.get_value(**v).is_some_and(|v| v.def() == ValueDef::Variable);
        if let Some(variable) = operands.iter().flatten().find(variable) {
            return Err(Refusal::check(format!("the variable '{}' may change in between", self.graph.value_name(*variable))));
        }
        let root = self.graph.value(self.root);
        // A last name of the root must stay last; without one the result is as nameless as the root was.
        let results = self.patch.op(op, operands, vec![(root.ty().clone(), self.loc)]);
        for new in results {
            self.patch.set_range(new, root.range().cloned());
            self.patch.replace(self.root, new);
        }
        Ok(self.patch)
    }
}

/// Lets readers of the operation's result read `source` instead, which holds the same elements.
///
/// A graph output keeps its name and stays the result of an operation of its own.
pub(crate) fn forward(graph: &Graph, op: OpId, source: ValueId) -> Result<Patch, Refusal> {
    let id = result(graph.op(op))?;
    let (old, new) = (graph.value(id), graph.value(source));
    if old.ty() != new.ty() {
        return Err(Refusal::check(format!("the operand is {}, the result {}", new.ty(), old.ty())));
    }
    if new.def() == ValueDef::Variable {
        return Err(Refusal::check("a variable may change before the result is read"));
    }
    let computed = matches!(new.def(), ValueDef::Result { .. });
    let mut patch = Patch::before(graph, op);
    if old.is_output() {
        if !computed {
            return Err(Refusal::check("the graph output would be no result of an operation"));
        }
        if new.is_output() {
            return Err(Refusal::check("two graph outputs would become one tensor"));
        }
        patch.set_loc(source, new.loc().union(old.loc()));
    } else if computed && !old.loc().is_unknown() {
        patch.set_loc(source, old.loc().union(new.loc()));
    }
    if let (None, Some(range)) = (new.range(), old.range()) {
        patch.set_range(source, Some(range.clone()));
    }
    patch.replace(id, source);
    Ok(patch)
}

/// That inference agrees with the types that an operation declares, were its operands to hold what `known` says. Nothing has checked that
/// where a shape depended on data so far.
pub(crate) fn check_declared(
    module: &Module,
    graph: &Graph,
    operation: &Operation,
    known: &dyn Fn(usize) -> Option<Numbers>,
) -> Result<(), Refusal> {
    let operands: Vec<Option<&Type>> = operation.operands().iter().map(|v| v.map(|v| graph.ty(v))).collect();
    let declared: Vec<Type> = operation.results().iter().map(|v| graph.ty(*v).clone()).collect();
    let values = |index: usize| {
        let operand = operation.operand(index)?;
        known(index).or_else(|| numbers(graph.ty(operand).elem, module.constant_of(graph, operand)?))
    };
    let inferred = match operation.op().infer(&InferCx::new(&operands, &declared, declared.len(), &values)) {
        Err(InferError::Unknown) => return Ok(()),
        Err(InferError::Invalid(why)) => return Err(Refusal::check(format!("{}: {why}", operation.op().mnemonic()))),
        Ok(inferred) => inferred,
    };
    let agrees = |(ty, (elem, shape)): (&Type, &(ElementType, Shape))| {
        ty.elem == *elem && (!ty.shape.is_ranked() || !shape.is_ranked() || ty.shape.dims() == shape.dims())
    };
    if inferred.len() == declared.len() && declared.iter().zip(&inferred).all(agrees) {
        return Ok(());
    }
    let list = |types: Vec<String>| types.join(", ");
    Err(Refusal::check(format!(
        "{} would give {}, the model declares {}",
        operation.op().mnemonic(),
        list(inferred.into_iter().map(|(elem, shape)| Type::new(elem, shape).to_string()).collect()),
        list(declared.iter().map(Type::to_string).collect())
    )))
}

/// [`check_declared`] for every reader of `value`, were the value to hold these numbers.
pub(crate) fn check_readers(module: &Module, graph: &Graph, value: ValueId, holds: Option<&Numbers>) -> Result<(), Refusal> {
    for user in graph.value(value).uses() {
        if let octet_ir::Use::Operand { op, .. } = user {
            let reader = graph.op(*op);
            check_declared(module, graph, reader, &|index| if reader.operand(index) == Some(value) { holds.cloned() } else { None })?;
        }
    }
    Ok(())
}

/// Whether an operation is of this family or kind, by mnemonic of its declaration.
pub(crate) fn is<T: OpSpec>(op: &Op) -> bool {
    T::MNEMONICS.contains(&op.mnemonic())
}
