//! Control flow, decided at import where that is possible: a known branch is taken, a loop of known length is unrolled.
//!
//! A branch on a condition that is known only later computes both sides and selects: nothing in ONNX has side effects.

use octet_ir::{Constant, ElementType, Type, ValueId};

use super::{Inputs, Lowering, Outputs, Table, axis, input, optional};
use crate::attributes::{Node, Refusal};
use crate::proto::GraphProto;

pub(super) const TABLE: Table = &[("If", if_), ("Loop", loop_), ("Scan", scan)];

/// Iterations that are unrolled at most.
const MOST: i64 = 1024;

fn body<'n>(node: &Node<'n>, name: &str) -> Result<&'n GraphProto, Refusal> {
    node.graph(name).ok_or_else(|| format!("its graph '{name}' is missing"))
}

impl Lowering<'_, '_, '_> {
    /// The outputs of a nested graph for these values of its inputs. It sees the names around it.
    pub(super) fn nested(&mut self, graph: &GraphProto, arguments: &[ValueId]) -> Outputs {
        let outer = self.scope.names.clone();
        for (formal, &value) in graph.input.iter().zip(arguments) {
            self.scope.names.insert(formal.name.clone(), value);
        }
        // What the nested graph computes itself must not be taken for what has the same name outside.
        for name in graph.node.iter().flat_map(|n| &n.output) {
            self.scope.names.remove(name);
        }
        let origin = self.scope.origin.clone();
        let result = self.importer.nested(self.scope, graph, self.opsets);
        let outputs: Result<Vec<ValueId>, Refusal> = result.and_then(|()| {
            let one = |o: &crate::proto::ValueInfoProto| self.scope.names.get(&o.name).copied();
            graph.output.iter().map(|o| one(o).ok_or_else(|| format!("its graph does not compute '{}'", o.name))).collect()
        });
        self.scope.names = outer;
        self.scope.origin = origin;
        outputs
    }

    fn flag(&self, value: ValueId) -> Option<bool> {
        (self.scope.elem(value) == ElementType::Bool).then_some(())?;
        self.scope.constant(value)?.bytes().first().map(|&b| b != 0)
    }

    /// Values side by side along a new axis.
    fn stack(&mut self, values: &[ValueId], at: usize) -> Result<ValueId, Refusal> {
        let mut parts = Vec::with_capacity(values.len());
        for &value in values {
            let mut dims = self.scope.dims(value).to_vec();
            if at > dims.len() {
                return Err(format!("axis {at} is outside rank {}", dims.len() + 1));
            }
            dims.insert(at, 1);
            parts.push(self.scope.reshape(value, &dims)?);
        }
        if parts.is_empty() {
            return Err("a loop without iterations has no results to put side by side".into());
        }
        self.scope.concat(&parts, at)
    }

    /// Entry `index` of an axis, which is dropped.
    fn entry(&mut self, value: ValueId, at: usize, index: usize) -> Result<ValueId, Refusal> {
        let mut dims = self.scope.dims(value).to_vec();
        let one = self.scope.slice(value, at, index, 1)?;
        dims.remove(at);
        self.scope.reshape(one, &dims)
    }
}

fn if_(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let condition = input(inputs, 0)?;
    let (yes, no) = (body(node, "then_branch")?, body(node, "else_branch")?);
    if let Some(known) = l.flag(condition) {
        return l.nested(if known { yes } else { no }, &[]);
    }
    let (yes, no) = (l.nested(yes, &[])?, l.nested(no, &[])?);
    let condition = l.scope.reshape(condition, &[])?;
    let mut results = Vec::with_capacity(yes.len());
    for (a, b) in yes.into_iter().zip(no) {
        if l.scope.dims(a) != l.scope.dims(b) || l.scope.elem(a) != l.scope.elem(b) {
            return Err("its branches give different shapes, and the condition is known only when the model runs".into());
        }
        results.push(l.scope.select(condition, a, b)?);
    }
    Ok(results)
}

fn loop_(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let graph = body(node, "body")?;
    let most = match optional(inputs, 0) {
        Some(count) => l.scope.need_ints(count, "the number of iterations")?.first().copied().unwrap_or(0),
        None => i64::MAX,
    };
    let mut goes_on = match optional(inputs, 1) {
        Some(condition) => l.flag(condition).ok_or("the condition must be known at import")?,
        None => true,
    };
    let mut states: Vec<ValueId> = inputs.iter().skip(2).map(|v| v.ok_or("a state is missing")).collect::<Result<_, _>>()?;
    let scans = graph.output.len().saturating_sub(1 + states.len());
    let mut collected: Vec<Vec<ValueId>> = vec![Vec::new(); scans];
    let mut iteration = 0;
    while goes_on && iteration < most {
        if iteration >= MOST {
            return Err(format!("a loop of more than {MOST} iterations is not supported"));
        }
        let counter = l.scope.constant_value(Constant::from_i64(&[iteration]), Type::new(ElementType::I64, [0usize; 0]));
        let condition = l.scope.bools(&[true], &[]);
        let arguments: Vec<ValueId> = [counter, condition].into_iter().chain(states.iter().copied()).collect();
        let mut results = l.nested(graph, &arguments)?.into_iter();
        let condition = results.next().ok_or("its graph has no outputs")?;
        goes_on = l.flag(condition).ok_or("whether the loop goes on must be known at import")?;
        for state in &mut states {
            *state = results.next().ok_or("its graph lacks outputs")?;
        }
        for (list, value) in collected.iter_mut().zip(results) {
            list.push(value);
        }
        iteration += 1;
    }
    for list in collected {
        states.push(l.stack(&list, 0)?);
    }
    Ok(states)
}

fn scan(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let given: Vec<ValueId> = inputs.iter().flatten().copied().collect();
    if node.version >= 9 {
        return one_scan(l, node, &given);
    }
    // The first version has a batch in front of everything, and lengths before the states.
    if optional(inputs, 0).is_some() {
        return Err("sequences of different lengths are not supported".into());
    }
    let batch = given.first().and_then(|&v| l.scope.dims(v).first().copied()).ok_or("it has no inputs")?;
    let mut results: Vec<Vec<ValueId>> = Vec::new();
    for sample in 0..batch {
        let own: Vec<ValueId> = given.iter().map(|&v| l.entry(v, 0, sample)).collect::<Result<_, _>>()?;
        for (index, value) in one_scan(l, node, &own)?.into_iter().enumerate() {
            if results.len() <= index {
                results.push(Vec::new());
            }
            results[index].push(value);
        }
    }
    results.iter().map(|values| l.stack(values, 0)).collect()
}

fn one_scan(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: &[ValueId]) -> Outputs {
    let graph = body(node, "body")?;
    let scanned = usize::try_from(node.int_or("num_scan_inputs", 0)).unwrap_or(0);
    let count = inputs.len().checked_sub(scanned).ok_or("it has too few inputs")?;
    let (states, sequences) = inputs.split_at(count);
    let option = |name: &str, index: usize| node.ints(name).and_then(|v| v.get(index).copied()).unwrap_or(0);
    let mut axes = Vec::with_capacity(scanned);
    for (k, &value) in sequences.iter().enumerate() {
        axes.push(axis(option("scan_input_axes", k), l.scope.rank(value))?);
    }
    let length = sequences.first().map(|&v| l.scope.dims(v)[axes[0]]).ok_or("it scans nothing")?;
    if i64::try_from(length).unwrap_or(i64::MAX) > MOST || sequences.iter().zip(&axes).any(|(&v, &a)| l.scope.dims(v)[a] != length) {
        return Err(format!("scanning {length} entries is not supported, or its inputs differ in length"));
    }
    let mut states = states.to_vec();
    let mut collected: Vec<Vec<ValueId>> = vec![Vec::new(); graph.output.len().saturating_sub(count)];
    for step in 0..length {
        let mut arguments = states.clone();
        for (k, &value) in sequences.iter().enumerate() {
            let backward = option("scan_input_directions", k) == 1;
            arguments.push(l.entry(value, axes[k], if backward { length - 1 - step } else { step })?);
        }
        let results = l.nested(graph, &arguments)?;
        states = results.get(..count).ok_or("its graph lacks outputs")?.to_vec();
        for (list, &value) in collected.iter_mut().zip(&results[count..]) {
            list.push(value);
        }
    }
    for (k, mut list) in collected.into_iter().enumerate() {
        if option("scan_output_directions", k) == 1 {
            list.reverse();
        }
        let rank = list.first().map_or(0, |&v| l.scope.rank(v));
        let at = axis(option("scan_output_axes", k), rank + 1)?;
        states.push(l.stack(&list, at)?);
    }
    Ok(states)
}
