//! Constraints beyond element types. Each says itself in a sentence, which is both its documentation and its refusal.

use octet_ir::{EntityId, Granularity, Graph, Module, Operation, Type, ValueDef, ValueId};
use serde::Deserialize;

use crate::condition::{Condition, Scope};
use crate::profile::Runtime;

/// What kind of trouble a broken constraint is: what a compiler's log calls it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There is nothing that computes the operation.
    Unsupported,
    /// Element types.
    DataType,
    /// The operator's version in the file.
    Version,
    /// A parameter that must be a constant is computed.
    NotConstant,
    /// Shapes of tensors.
    Rank,
    /// Anything else.
    #[default]
    Limitation,
}

/// The tensors of an operation that a condition is asked for one by one, as `it`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Each {
    /// Operands that are not constants, and results.
    Activations,
    /// All operands and results.
    Tensors,
    /// All operands of this name.
    Operand(String),
}

impl From<String> for Each {
    fn from(text: String) -> Self {
        match text.as_str() {
            "activations" => Self::Activations,
            "tensors" => Self::Tensors,
            _ => Self::Operand(text),
        }
    }
}

/// One constraint on an operation. Operands and results are named as the IR declares them: `filter`, or `result` and `result1`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// The operand is a constant of the model.
    Constant {
        /// Which.
        operand: String,
    },
    /// The rank lies in a range.
    Rank {
        /// Which.
        operand: String,
        /// Least number of axes.
        #[serde(default)]
        min: usize,
        /// Most.
        max: usize,
    },
    /// A quantized tensor has one scale.
    PerTensor {
        /// Which.
        operand: String,
    },
    /// A tensor with several scales has them along this axis.
    PerAxis {
        /// Which.
        operand: String,
        /// The axis.
        axis: usize,
    },
    /// Integers of these types carry quantization parameters.
    Quantized {
        /// Which.
        operand: String,
        /// Element types that need them.
        types: Vec<String>,
    },
    /// A quantized tensor's zero points are this.
    ZeroPoint {
        /// Which.
        operand: String,
        /// The value.
        value: i64,
        /// Only for these element types; empty means all.
        #[serde(default)]
        types: Vec<String>,
    },
    /// A quantized tensor of this type has this scale and zero point.
    Fixed {
        /// Which.
        operand: String,
        /// Element type for which it holds.
        elem: String,
        /// Scale.
        scale: f32,
        /// Zero point.
        zero_point: i64,
    },
    /// Two tensors have the same quantization, where they are quantized.
    SameQuantization {
        /// Which two.
        operands: [String; 2],
        /// Only for these element types; empty means all.
        #[serde(default)]
        types: Vec<String>,
    },
    /// Two tensors have the same shape.
    SameShape {
        /// Which two.
        operands: [String; 2],
    },
    /// An attribute is one of these.
    Attribute {
        /// Its name in the text form.
        name: String,
        /// Its values, as the text form writes them.
        one_of: Vec<String>,
    },
    /// The outermost size is this.
    Batch {
        /// Which.
        operand: String,
        /// The size.
        size: usize,
    },
    /// There are at most so many operands.
    Operands {
        /// How many.
        max: usize,
    },
    /// A condition holds.
    Holds {
        /// The condition.
        expr: Condition,
        /// The sentence that says it.
        text: String,
        /// Ask it for each of these tensors.
        each: Option<Each>,
        /// The runtime version from which on the constraint counts.
        since: Option<Runtime>,
        /// The runtime version from which on it no longer counts.
        before: Option<Runtime>,
        /// What kind of trouble it is when the condition does not hold.
        #[serde(default)]
        status: Status,
        /// What helps.
        fix: Option<String>,
    },
    /// Something that a check of the file cannot decide, for the documentation.
    Note {
        /// The sentence.
        text: String,
    },
}

impl Rule {
    /// The constraint as a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Constant { operand } => format!("{operand} is a constant."),
            Self::Rank { operand, min, max } if min == max => format!("{operand} has {max} axes."),
            Self::Rank { operand, min: 0, max } => format!("{operand} has at most {max} axes."),
            Self::Rank { operand, min, max } => format!("{operand} has {min} to {max} axes."),
            Self::PerTensor { operand } => format!("{operand} has one scale if it is quantized."),
            Self::PerAxis { operand, axis } => format!("{operand} has one scale, or one for each index of axis {axis}."),
            Self::Quantized { operand, types } => format!("{operand} has quantization parameters if it is {}.", types.join(" or ")),
            Self::ZeroPoint { operand, value, types } if types.is_empty() => {
                format!("{operand} has zero point {value} if it is quantized.")
            }
            Self::ZeroPoint { operand, value, types } => format!("{operand} has zero point {value} if it is {}.", types.join(" or ")),
            Self::Fixed { operand, elem, scale, zero_point } => {
                let inverse = 1.0 / scale;
                let scale = if inverse.fract() == 0.0 { format!("1/{inverse}") } else { scale.to_string() };
                format!("{operand} has scale {scale} and zero point {zero_point} if it is {elem}.")
            }
            Self::SameQuantization { operands: [a, b], types } if types.is_empty() => {
                format!("{a} and {b} have the same scale and zero point if they are quantized.")
            }
            Self::SameQuantization { operands: [a, b], types } => {
                format!("{a} and {b} have the same scale and zero point if they are {}.", types.join(" or "))
            }
            Self::SameShape { operands: [a, b] } => format!("{a} and {b} have the same shape."),
            Self::Attribute { name, one_of } => format!("{name} is {}.", one_of.join(" or ")),
            Self::Batch { operand, size } => format!("the outermost size of {operand} is {size}."),
            Self::Operands { max } => format!("there are at most {max} operands."),
            Self::Holds { text, since, before, .. } => match (since, before) {
                (None, None) => text.clone(),
                (Some(since), _) => format!("From runtime {since} on: {text}"),
                (None, Some(before)) => format!("Before runtime {before}: {text}"),
            },
            Self::Note { text } => text.clone(),
        }
    }

    /// What kind of trouble it is when the constraint is broken.
    pub fn status(&self) -> Status {
        match self {
            Self::Constant { .. } => Status::NotConstant,
            Self::Rank { .. } => Status::Rank,
            Self::Holds { status, .. } => *status,
            _ => Status::Limitation,
        }
    }

    /// What helps when it is broken, where the profile says.
    pub fn fix(&self) -> Option<&str> {
        if let Self::Holds { fix, .. } = self { fix.as_deref() } else { None }
    }

    /// Whether it counts for this runtime version; without one, the newest.
    pub(crate) fn counts(&self, runtime: Option<Runtime>) -> bool {
        match self {
            Self::Holds { since, before, .. } => {
                let runtime = runtime.unwrap_or(Runtime::MAX);
                since.is_none_or(|since| runtime >= since) && before.is_none_or(|before| runtime < before)
            }
            _ => true,
        }
    }

    /// What breaks the constraint, or `None` if it holds. An operand that is not there breaks nothing.
    pub(crate) fn broken(&self, module: &Module, graph: &Graph, operation: &Operation) -> Option<String> {
        let types = |name: &str| values(graph, operation, name);
        let listed = |list: &[String], ty: &Type| list.is_empty() || list.iter().any(|t| t == ty.elem.name());
        match self {
            Self::Constant { operand } => {
                let variable = named(operation, operand).into_iter().any(|v| !matches!(graph.value(v).def(), ValueDef::Constant(_)));
                variable.then(|| format!("{operand} is computed"))
            }
            Self::Rank { operand, min, max } => types(operand)
                .into_iter()
                .find(|ty| ty.shape.is_ranked() && !(*min..=*max).contains(&ty.shape.rank()))
                .map(|ty| format!("{operand} has {} axes", ty.shape.rank())),
            Self::PerTensor { operand } => types(operand)
                .into_iter()
                .find(|ty| ty.quant.as_ref().is_some_and(|q| q.scales().len() > 1))
                .map(|_| format!("{operand} has several scales")),
            Self::PerAxis { operand, axis } => types(operand).into_iter().find_map(|ty| match ty.quant.as_ref()?.granularity() {
                Granularity::PerTensor => None,
                Granularity::PerAxis(a) if a == *axis => None,
                Granularity::PerAxis(a) => Some(format!("{operand} has its scales along axis {a}")),
                Granularity::Blockwise { .. } => Some(format!("{operand} has a scale for each block")),
            }),
            Self::Quantized { operand, types: list } => types(operand)
                .into_iter()
                .find(|ty| listed(list, ty) && ty.quant.is_none())
                .map(|ty| format!("{operand} is {} without a scale", ty.elem)),
            Self::ZeroPoint { operand, value, types: list } => types(operand).into_iter().filter(|ty| listed(list, ty)).find_map(|ty| {
                let other = ty.quant.as_ref()?.zero_points().iter().find(|z| *z != value)?;
                Some(format!("{operand} has zero point {other}"))
            }),
            Self::Fixed { operand, elem, scale, zero_point } => {
                let of_type = types(operand).into_iter().filter(|ty| ty.elem.name() == elem);
                of_type
                    .filter_map(Type::scale_zero_point)
                    .find(|(s, z)| s != scale || z != zero_point)
                    .map(|(s, z)| format!("{operand} has scale {s} and zero point {z}"))
            }
            Self::SameQuantization { operands: [a, b], types: list } => {
                let first = types(a).first()?.quant.clone().filter(|_| types(a).first().is_some_and(|ty| listed(list, ty)))?;
                let other = types(b).into_iter().filter_map(|ty| ty.quant.as_ref()).find(|q| **q != first)?;
                let told = |q: &octet_ir::Quantization| q.per_tensor().map_or("several scales".into(), |(s, z)| format!("{s}:{z}"));
                Some(format!("{a} has {}, {b} {}", told(&first), told(other)))
            }
            Self::SameShape { operands: [a, b] } => {
                let (x, y) = (*types(a).first()?, *types(b).first()?);
                (x.shape.dims() != y.shape.dims()).then(|| format!("{a} is {}, {b} {}", x.shape, y.shape))
            }
            Self::Attribute { name, one_of } => {
                let value = attribute(operation, name)?;
                (!one_of.contains(&value)).then(|| format!("{name} is {value}"))
            }
            Self::Batch { operand, size } => {
                let outer = *types(operand).first()?.shape.dims().first()?;
                (outer != *size).then(|| format!("it is {outer}"))
            }
            Self::Operands { max } => (operation.operands().len() > *max).then(|| format!("there are {}", operation.operands().len())),
            Self::Holds { expr, each, .. } => {
                let scope = Scope { module, graph, operation, it: None };
                let Some(each) = each else { return expr.broken(scope) };
                each.of(graph, operation).into_iter().find_map(|it| {
                    let what = expr.broken(Scope { it: Some(it), ..scope })?;
                    Some(format!("of tensor '{}', {what}", graph.value_name(it)))
                })
            }
            Self::Note { .. } => None,
        }
    }

    /// Names of operands and results that the rule speaks of.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Self::Constant { operand }
            | Self::Rank { operand, .. }
            | Self::PerTensor { operand }
            | Self::PerAxis { operand, .. }
            | Self::Quantized { operand, .. }
            | Self::ZeroPoint { operand, .. }
            | Self::Fixed { operand, .. }
            | Self::Batch { operand, .. } => vec![operand],
            Self::SameQuantization { operands: [a, b], .. } | Self::SameShape { operands: [a, b] } => vec![a, b],
            Self::Holds { each: Some(Each::Operand(operand)), .. } => vec![operand],
            Self::Attribute { .. } | Self::Operands { .. } | Self::Holds { .. } | Self::Note { .. } => Vec::new(),
        }
    }
}

impl Each {
    fn of(&self, graph: &Graph, operation: &Operation) -> Vec<ValueId> {
        let operands = operation.operands().iter().flatten().copied();
        let all: Vec<ValueId> = operands.chain(operation.results().iter().copied()).collect();
        match self {
            Self::Tensors => all,
            Self::Activations => all.into_iter().filter(|v| !matches!(graph.value(*v).def(), ValueDef::Constant(_))).collect(),
            Self::Operand(name) => named(operation, name),
        }
    }
}

/// The values that a name means: an operand (all of them, for a variadic one), `result` or `result1`.
pub(crate) fn named(operation: &Operation, name: &str) -> Vec<ValueId> {
    if let Some(index) = name.strip_prefix("result") {
        let index = index.parse().unwrap_or(0);
        return operation.results().get(index).copied().into_iter().collect();
    }
    let spec = operation.op().operand_spec();
    let Some(at) = spec.iter().position(|o| o.name == name) else { return Vec::new() };
    let variadic = spec.get(at).is_some_and(|o| o.arity == octet_ir::ops::Arity::Variadic);
    let end = if variadic { operation.operands().len() } else { at + 1 };
    operation.operands().get(at..end.min(operation.operands().len())).unwrap_or_default().iter().copied().flatten().collect()
}

fn values<'g>(graph: &'g Graph, operation: &Operation, name: &str) -> Vec<&'g Type> {
    named(operation, name).into_iter().map(|v| graph.ty(v)).collect()
}

/// An attribute as the text form writes it, its default included.
fn attribute(operation: &Operation, name: &str) -> Option<String> {
    let all = operation.op().all_attributes().ok()?;
    let value = all.into_iter().find(|(n, _)| n == name);
    Some(value.map_or_else(|| "none".to_owned(), |(_, a)| a.to_string()))
}

/// Where an operation stands, for messages.
pub fn place(graph: &Graph, index: usize, operation: &Operation) -> octet_ir::SourceLocation {
    octet_ir::SourceLocation {
        graph: Some(graph.name().to_owned()),
        op: Some((index, operation.op().mnemonic().to_owned())),
        tensor: operation
            .results()
            .first()
            .map(|v| graph.get_value(*v).and_then(|x| x.loc().name()).map_or_else(|| format!("%{}", v.index()), str::to_owned)),
        ..octet_ir::SourceLocation::default()
    }
}
