//! Conditions: small expressions over an operation's attributes and tensors, which profiles state constraints in.
//!
//! ```text
//! all(stride <= 3) or (padding == 'valid' and all(dilation == 1))
//! product(dims(input)[..-3]) == 1
//! ```
//!
//! A name is an operand, a result (`result`, `result1`, ...), `it` (the tensor at hand in a rule for each), or an attribute. Numbers and lists compute and
//! compare element by element, a comparison gives 1 or 0, and a list is true if it holds no 0. What is not known before the model runs is undefined,
//! and so is everything computed from it: a condition that comes out undefined counts as held.

use std::fmt;

use octet_ir::{Attr, Constant, ElementType, Graph, Module, Operation, Type, ValueDef, ValueId};
use serde::Deserialize;

use crate::parse::parse;

/// A condition, with its text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Condition {
    text: String,
    root: Node,
}

impl TryFrom<String> for Condition {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let root = parse(&text).map_err(|why| format!("in the condition \"{text}\": {why}"))?;
        Ok(Self { text, root })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Name(String),
    Call(Function, Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Both(Box<Node>, Box<Node>),
    Either(Box<Node>, Box<Node>),
    Pair(Pair, Box<Node>, Box<Node>),
    /// Elements from one index up to another; negative ones count from the end.
    Part(Box<Node>, Option<Box<Node>>, Option<Box<Node>>),
    /// One element.
    Element(Box<Node>, Box<Node>),
}

/// Two numbers, or lists of them, to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pair {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    Differs,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
}

macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// What can be asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Function { $($(#[$doc])* $variant),* }

        impl Function {
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

functions! {
    /// Sizes of a tensor.
    Dims = "dims",
    /// Number of axes.
    Rank = "rank",
    /// Number of elements.
    Size = "size",
    /// Name of the element type.
    Elem = "elem",
    /// Bits of an element.
    Bits = "bits",
    /// Whether the tensor is a constant.
    IsConstant = "constant",
    /// Whether the operand is there.
    Given = "given",
    /// How many tensors the name stands for.
    Count = "count",
    /// Elements of a small integer constant.
    Data = "data",
    /// The only scale.
    Scale = "scale",
    /// All scales; empty without quantization.
    Scales = "scales",
    /// All zero points.
    ZeroPoints = "zero_points",
    /// Axes as indices from 0: `axes(data(axes), rank(input))`.
    Axes = "axes",
    /// Number of entries.
    Len = "len",
    /// Smallest entry.
    Min = "min",
    /// Largest entry.
    Max = "max",
    /// Sum of entries.
    Sum = "sum",
    /// Product of entries; 1 of none.
    Product = "product",
    /// Whether no entry is 0.
    All = "all",
    /// Whether some entry is not 0.
    Any = "any",
    /// Entries without sign.
    Abs = "abs",
    /// Whether two lists have the same entries, or two texts the same letters.
    Same = "same",
}

/// Largest constant whose elements conditions may look at.
const MOST_DATA: usize = 4096;

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Undefined,
    Number(f64),
    List(Vec<f64>),
    Text(String),
    Texts(Vec<String>),
    Tensors(Vec<ValueId>),
}

/// Where a condition is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) module: &'a Module,
    pub(crate) graph: &'a Graph,
    pub(crate) operation: &'a Operation,
    /// The tensor that `it` means.
    pub(crate) it: Option<ValueId>,
}

impl Condition {
    /// Whether it is known not to hold; then, what it looked at: `stride = [4, 4]`.
    pub(crate) fn broken(&self, scope: Scope<'_>) -> Option<String> {
        if scope.truth(&self.root) != Some(false) {
            return None;
        }
        let mut told = Vec::new();
        scope.look(&self.root, &mut told);
        Some(told.join(", "))
    }

    /// Names that it mentions.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut found = Vec::new();
        collect(&self.root, &mut found);
        found
    }
}

fn collect<'n>(node: &'n Node, found: &mut Vec<&'n str>) {
    match node {
        Node::Name(name) => found.push(name),
        Node::Number(_) | Node::Text(_) => {}
        Node::List(nodes) | Node::Call(_, nodes) => nodes.iter().for_each(|n| collect(n, found)),
        Node::Not(a) | Node::Negate(a) => collect(a, found),
        Node::Both(a, b) | Node::Either(a, b) | Node::Pair(_, a, b) | Node::Element(a, b) => [a, b].iter().for_each(|n| collect(n, found)),
        Node::Part(a, from, to) => [Some(a), from.as_ref(), to.as_ref()].into_iter().flatten().for_each(|n| collect(n, found)),
    }
}

impl Scope<'_> {
    fn truth(self, node: &Node) -> Option<bool> {
        match self.value(node) {
            Value::Number(n) => Some(n != 0.0),
            Value::List(list) => Some(list.iter().all(|n| *n != 0.0)),
            Value::Undefined | Value::Text(_) | Value::Texts(_) | Value::Tensors(_) => None,
        }
    }

    fn value(self, node: &Node) -> Value {
        let bool = |b: Option<bool>| b.map_or(Value::Undefined, |b| Value::Number(f64::from(u8::from(b))));
        match node {
            Node::Number(n) => Value::Number(*n),
            Node::Text(text) => Value::Text(text.clone()),
            Node::List(nodes) => self.list(nodes),
            Node::Name(name) => self.named(name),
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Not(a) => bool(self.truth(a).map(|t| !t)),
            Node::Negate(a) => map(self.value(a), |n| -n),
            Node::Both(a, b) => bool(match (self.truth(a), self.truth(b)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            }),
            Node::Either(a, b) => bool(match (self.truth(a), self.truth(b)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            }),
            Node::Pair(pair, a, b) => combine(*pair, self.value(a), self.value(b)),
            Node::Part(list, from, to) => self.part(list, from.as_deref(), to.as_deref()),
            Node::Element(list, index) => match (self.value(list), self.value(index)) {
                (Value::List(list), Value::Number(index)) => {
                    place(index, list.len()).and_then(|i| list.get(i)).map_or(Value::Undefined, |n| Value::Number(*n))
                }
                _ => Value::Undefined,
            },
        }
    }

    fn list(self, nodes: &[Node]) -> Value {
        let values: Vec<Value> = nodes.iter().map(|n| self.value(n)).collect();
        let numbers: Option<Vec<f64>> = values.iter().map(|v| if let Value::Number(n) = v { Some(*n) } else { None }).collect();
        let texts: Option<Vec<String>> = values.iter().map(|v| if let Value::Text(t) = v { Some(t.clone()) } else { None }).collect();
        numbers.map(Value::List).or(texts.map(Value::Texts)).unwrap_or(Value::Undefined)
    }

    fn named(self, name: &str) -> Value {
        if name == "it" {
            return self.it.map_or(Value::Undefined, |v| Value::Tensors(vec![v]));
        }
        let spec = self.operation.op().operand_spec();
        if name.starts_with("result") || spec.iter().any(|o| o.name == name) {
            return Value::Tensors(crate::rules::named(self.operation, name));
        }
        let attributes = self.operation.op().all_attributes().unwrap_or_default();
        attributes.into_iter().find(|(n, _)| n == name).map_or(Value::Undefined, |(_, attr)| of_attribute(&attr))
    }

    fn part(self, list: &Node, from: Option<&Node>, to: Option<&Node>) -> Value {
        let Value::List(list) = self.value(list) else { return Value::Undefined };
        let index = |node: Option<&Node>, default: usize| match node.map(|n| self.value(n)) {
            None => Some(default),
            Some(Value::Number(n)) => Some(clamped(n, list.len())),
            Some(_) => None,
        };
        match (index(from, 0), index(to, list.len())) {
            (Some(from), Some(to)) => Value::List(list.get(from..to).unwrap_or_default().to_vec()),
            _ => Value::Undefined,
        }
    }

    fn call(self, function: Function, arguments: &[Node]) -> Value {
        let values: Vec<Value> = arguments.iter().map(|n| self.value(n)).collect();
        let [first, rest @ ..] = values.as_slice() else { return Value::Undefined };
        if let Value::Tensors(tensors) = first {
            return self.of_tensors(function, tensors);
        }
        if function == Function::Same {
            return match (first, rest) {
                (Value::Undefined, _) | (_, [Value::Undefined]) => Value::Undefined,
                (a, [b]) => Value::Number(f64::from(u8::from(a == b))),
                _ => Value::Undefined,
            };
        }
        let list = match first {
            Value::List(list) => list.clone(),
            Value::Number(n) => vec![*n],
            Value::Undefined | Value::Text(_) | Value::Texts(_) | Value::Tensors(_) => return Value::Undefined,
        };
        let truth = |b: bool| Value::Number(f64::from(u8::from(b)));
        match (function, rest) {
            (Function::Len, _) => Value::Number(list.len() as f64),
            (Function::Min, _) => list.iter().copied().reduce(f64::min).map_or(Value::Undefined, Value::Number),
            (Function::Max, _) => list.iter().copied().reduce(f64::max).map_or(Value::Undefined, Value::Number),
            (Function::Sum, _) => Value::Number(list.iter().sum()),
            (Function::Product, _) => Value::Number(list.iter().product()),
            (Function::All, _) => truth(list.iter().all(|n| *n != 0.0)),
            (Function::Any, _) => truth(list.iter().any(|n| *n != 0.0)),
            (Function::Abs, _) => Value::List(list.iter().map(|n| n.abs()).collect()),
            (Function::Axes, [Value::Number(rank)]) => Value::List(list.iter().map(|a| if *a < 0.0 { a + rank } else { *a }).collect()),
            _ => Value::Undefined,
        }
    }

    fn of_tensors(self, function: Function, tensors: &[ValueId]) -> Value {
        match function {
            Function::Given => return Value::Number(f64::from(u8::from(!tensors.is_empty()))),
            Function::Count => return Value::Number(tensors.len() as f64),
            _ => {}
        }
        let Some(&id) = tensors.first() else { return Value::Undefined };
        let ty = self.graph.ty(id);
        let numbers = |list: &[usize]| Value::List(list.iter().map(|n| *n as f64).collect());
        match function {
            // Of a shape that is known only when the model runs, nothing can be said.
            Function::Dims | Function::Rank | Function::Size if !ty.shape.is_ranked() => Value::Undefined,
            Function::Dims => numbers(ty.shape.dims()),
            Function::Rank => Value::Number(ty.shape.rank() as f64),
            Function::Size => Value::Number(ty.shape.elements() as f64),
            Function::Elem => Value::Text(ty.elem.name().to_owned()),
            Function::Bits => ty.elem.bits().map_or(Value::Undefined, |b| Value::Number(b as f64)),
            Function::IsConstant => {
                Value::Number(f64::from(u8::from(matches!(self.graph.value(id).def(), ValueDef::Constant(_) | ValueDef::Variable))))
            }
            Function::Data => integers(ty, self.module.constant_of(self.graph, id)).map_or(Value::Undefined, Value::List),
            Function::Scale => ty.scale_zero_point().map_or(Value::Undefined, |(s, _)| Value::Number(f64::from(s))),
            Function::Scales => {
                Value::List(ty.quant.as_ref().map_or_else(Vec::new, |q| q.scales().iter().map(|s| f64::from(*s)).collect()))
            }
            Function::ZeroPoints => {
                Value::List(ty.quant.as_ref().map_or_else(Vec::new, |q| q.zero_points().iter().map(|z| *z as f64).collect()))
            }
            _ => Value::Undefined,
        }
    }

    /// What the leaves of an expression came to, for a message.
    fn look(self, node: &Node, told: &mut Vec<String>) {
        let mut tell = |name: String, value: Value| {
            let shown = match value {
                Value::Number(n) => n.to_string(),
                Value::Text(text) => text,
                Value::List(list) if list.len() <= 16 => format!("[{}]", list.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")),
                Value::List(_) | Value::Undefined | Value::Texts(_) | Value::Tensors(_) => return,
            };
            let line = format!("{name} is {shown}");
            if !told.contains(&line) {
                told.push(line);
            }
        };
        match node {
            Node::Name(name) => tell(name.clone(), self.value(node)),
            Node::Call(function, arguments) => match arguments.first() {
                Some(Node::Name(name)) if matches!(self.named(name), Value::Tensors(_)) => {
                    tell(format!("{}({name})", function.name()), self.value(node));
                }
                _ => arguments.iter().for_each(|n| self.look(n, told)),
            },
            Node::Number(_) | Node::Text(_) => {}
            Node::List(nodes) => nodes.iter().for_each(|n| self.look(n, told)),
            Node::Not(a) | Node::Negate(a) => self.look(a, told),
            Node::Both(a, b) | Node::Either(a, b) | Node::Pair(_, a, b) | Node::Element(a, b) => {
                self.look(a, told);
                self.look(b, told);
            }
            Node::Part(a, ..) => self.look(a, told),
        }
    }
}

fn of_attribute(attr: &Attr) -> Value {
    match attr {
        Attr::None => Value::Text("none".into()),
        Attr::Bool(b) => Value::Number(f64::from(u8::from(*b))),
        Attr::Int(n) => Value::Number(*n as f64),
        Attr::Float(f) => Value::Number(f64::from(*f)),
        Attr::Word(text) | Attr::Str(text) => Value::Text(text.clone()),
        Attr::List(list) => {
            let numbers = list.iter().map(|a| if let Value::Number(n) = of_attribute(a) { Some(n) } else { None });
            numbers.collect::<Option<Vec<f64>>>().map_or(Value::Undefined, Value::List)
        }
        Attr::Map(_) | Attr::Bytes(_) => Value::Undefined,
    }
}

/// Elements of a small integer constant.
fn integers(ty: &Type, constant: Option<&Constant>) -> Option<Vec<f64>> {
    let constant = constant?;
    if ty.shape.checked_elements()? > MOST_DATA {
        return None;
    }
    match ty.elem {
        ElementType::I32 => Some(constant.to_i32().into_iter().map(f64::from).collect()),
        ElementType::I64 => Some(constant.to_i64().into_iter().map(|n| n as f64).collect()),
        ElementType::I8 => Some(constant.bytes().iter().map(|b| f64::from(b.cast_signed())).collect()),
        ElementType::U8 => Some(constant.bytes().iter().map(|b| f64::from(*b)).collect()),
        _ => None,
    }
}

/// An index that may count from the end.
fn place(index: f64, len: usize) -> Option<usize> {
    let index = if index < 0.0 { index + len as f64 } else { index };
    (index >= 0.0 && index < len as f64).then_some(index as usize)
}

/// The same for ends of parts, which may lie outside.
fn clamped(index: f64, len: usize) -> usize {
    let index = if index < 0.0 { index + len as f64 } else { index };
    index.clamp(0.0, len as f64) as usize
}

fn map(value: Value, f: impl Fn(f64) -> f64) -> Value {
    match value {
        Value::Number(n) => Value::Number(f(n)),
        Value::List(list) => Value::List(list.into_iter().map(f).collect()),
        Value::Undefined | Value::Text(_) | Value::Texts(_) | Value::Tensors(_) => Value::Undefined,
    }
}

fn combine(pair: Pair, a: Value, b: Value) -> Value {
    let truth = |b: bool| f64::from(u8::from(b));
    let f = |x: f64, y: f64| match pair {
        Pair::Add => x + y,
        Pair::Subtract => x - y,
        Pair::Multiply => x * y,
        Pair::Divide => x / y,
        Pair::Remainder => x.rem_euclid(y),
        Pair::Equal | Pair::In => truth(x == y),
        Pair::Differs => truth(x != y),
        Pair::Less => truth(x < y),
        Pair::AtMost => truth(x <= y),
        Pair::Greater => truth(x > y),
        Pair::AtLeast => truth(x >= y),
    };
    match (a, b) {
        (a, Value::List(list)) if pair == Pair::In => map(a, |n| truth(list.contains(&n))),
        (Value::Text(text), Value::Texts(texts)) if pair == Pair::In => Value::Number(truth(texts.contains(&text))),
        (Value::Text(x), Value::Text(y)) => match pair {
            Pair::Equal => Value::Number(truth(x == y)),
            Pair::Differs => Value::Number(truth(x != y)),
            _ => Value::Undefined,
        },
        (Value::Number(x), Value::Number(y)) => Value::Number(f(x, y)),
        (Value::List(xs), Value::Number(y)) => Value::List(xs.into_iter().map(|x| f(x, y)).collect()),
        (Value::Number(x), Value::List(ys)) => Value::List(ys.into_iter().map(|y| f(x, y)).collect()),
        (Value::List(xs), Value::List(ys)) if xs.len() == ys.len() => Value::List(xs.into_iter().zip(ys).map(|(x, y)| f(x, y)).collect()),
        // Lists of different lengths are not the same.
        (Value::List(_), Value::List(_)) if pair == Pair::Equal => Value::Number(0.0),
        _ => Value::Undefined,
    }
}
