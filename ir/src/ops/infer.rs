//! What shape inference sees, and the rules that many operations share.

use std::fmt;

use crate::types::{ElementType, Shape, Type};

/// Element type and shape of one inferred result.
pub type Inferred = (ElementType, Shape);

/// Why a result type could not be inferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InferError {
    /// It depends on data that is not known before the model runs; the declared type stands.
    Unknown,
    /// The operands do not fit the operation.
    Invalid(String),
}

impl fmt::Display for InferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the result shape depends on data"),
            Self::Invalid(why) => f.write_str(why),
        }
    }
}

/// The values of a small operand that a shape depends on.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Integers of any width.
    Ints(Vec<i64>),
    /// Floats of any width.
    Floats(Vec<f64>),
}

/// Types of the operands, and their values where those are known.
pub struct InferCx<'a> {
    operands: &'a [Option<&'a Type>],
    results: &'a [Type],
    result_count: usize,
    values: &'a dyn Fn(usize) -> Option<Numbers>,
}

impl<'a> InferCx<'a> {
    /// A context over operand types; `results` are the declared result types (empty when nothing is declared yet),
    /// `values` answers what operand *i* holds, if that is known.
    pub fn new(
        operands: &'a [Option<&'a Type>],
        results: &'a [Type],
        result_count: usize,
        values: &'a dyn Fn(usize) -> Option<Numbers>,
    ) -> Self {
        Self { operands, results, result_count, values }
    }

    /// Number of operands, left-out ones included.
    pub fn operand_count(&self) -> usize {
        self.operands.len()
    }

    /// Number of results that the operation has in the graph.
    pub fn result_count(&self) -> usize {
        self.result_count
    }

    /// Declared result types.
    pub fn declared(&self) -> &'a [Type] {
        self.results
    }

    /// The declared types as an answer: for operations whose results nothing else determines.
    pub fn declared_results(&self) -> Result<Vec<Inferred>, InferError> {
        if self.results.is_empty() && self.result_count > 0 {
            return Err(InferError::Unknown);
        }
        Ok(self.results.iter().map(|t| (t.elem, t.shape.clone())).collect())
    }

    /// The type of operand `index`.
    pub fn ty(&self, index: usize) -> Result<&'a Type, InferError> {
        self.optional(index).ok_or_else(|| InferError::Invalid(format!("operand {index} is missing")))
    }

    /// The type of operand `index`, if it is there.
    pub fn optional(&self, index: usize) -> Option<&'a Type> {
        self.operands.get(index).copied().flatten()
    }

    /// The element type of operand `index`.
    pub fn elem(&self, index: usize) -> Result<ElementType, InferError> {
        self.ty(index).map(|t| t.elem)
    }

    /// The element type that result `index` is declared with, else `otherwise`: for kernels that take several output types.
    pub fn result_elem(&self, index: usize, otherwise: ElementType) -> ElementType {
        self.results.get(index).map_or(otherwise, |t| t.elem)
    }

    /// The shape of operand `index`; unknown when its rank is.
    pub fn shape(&self, index: usize) -> Result<&'a Shape, InferError> {
        let shape = &self.ty(index)?.shape;
        if shape.is_ranked() { Ok(shape) } else { Err(InferError::Unknown) }
    }

    /// The sizes of operand `index`, which must have `rank` axes.
    pub fn dims<const N: usize>(&self, index: usize) -> Result<[usize; N], InferError> {
        let shape = self.shape(index)?;
        shape.dims().try_into().map_err(|_| InferError::Invalid(format!("operand {index} has rank {}, expected {N}", shape.rank())))
    }

    /// The integers that operand `index` holds, when they are known.
    pub fn ints(&self, index: usize) -> Result<Vec<i64>, InferError> {
        self.ty(index)?;
        match (self.values)(index) {
            Some(Numbers::Ints(values)) => Ok(values),
            Some(Numbers::Floats(_)) => Err(InferError::Invalid(format!("operand {index} holds floats, expected integers"))),
            None => Err(InferError::Unknown),
        }
    }

    /// The numbers that operand `index` holds, when they are known.
    pub fn numbers(&self, index: usize) -> Result<Numbers, InferError> {
        self.ty(index)?;
        (self.values)(index).ok_or(InferError::Unknown)
    }

    /// Sizes that operand `index` holds.
    pub fn sizes(&self, index: usize) -> Result<Vec<usize>, InferError> {
        self.ints(index)?
            .into_iter()
            .map(|v| usize::try_from(v).map_err(|_| invalid(format!("negative size {v} in operand {index}"))))
            .collect()
    }
}

/// Shorthand for an error of the operands.
pub(super) fn invalid(why: impl Into<String>) -> InferError {
    InferError::Invalid(why.into())
}

/// One result with the operand's element type and this shape.
pub(super) fn one(elem: ElementType, shape: impl Into<Shape>) -> Result<Vec<Inferred>, InferError> {
    Ok(vec![(elem, shape.into())])
}

/// The result of an operation that keeps the type of operand 0.
pub(super) fn same_as_first(cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    Ok(vec![(cx.elem(0)?, cx.shape(0)?.clone())])
}

/// An axis that may count from the end, as an index below `rank`.
pub(super) fn axis_index(axis: i64, rank: usize) -> Result<usize, InferError> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let index = if axis < 0 { axis + signed } else { axis };
    usize::try_from(index).ok().filter(|&i| i < rank).ok_or_else(|| invalid(format!("axis {axis} is outside rank {rank}")))
}

/// NumPy broadcasting of shapes, aligned at the innermost axis; dynamic axes stay dynamic.
pub fn broadcast(a: &Shape, b: &Shape) -> Result<Shape, InferError> {
    let rank = a.rank().max(b.rank());
    let mut dims = vec![1; rank];
    let mut names: Vec<Option<&str>> = vec![None; rank];
    for shape in [a, b] {
        let skip = rank - shape.rank();
        for (axis, &size) in shape.dims().iter().enumerate() {
            let out = &mut dims[skip + axis];
            if *out == 1 {
                *out = size;
            } else if size != 1 && size != *out {
                return Err(invalid(format!("shapes {a} and {b} do not broadcast")));
            }
            names[skip + axis] = names[skip + axis].or(shape.dynamic(axis));
        }
    }
    let mut result = Shape::new(dims);
    for (axis, name) in names.into_iter().enumerate() {
        if let Some(name) = name {
            result = result.with_dynamic(axis, name);
        }
    }
    Ok(result)
}

/// A product of sizes that must not overflow.
pub(super) fn product(dims: &[usize]) -> Result<usize, InferError> {
    Shape::new(dims).checked_elements().ok_or_else(|| invalid("the number of elements overflows"))
}

/// `shape` with new sizes, keeping the dynamic mark of axes whose index is in `keep`.
pub(super) fn keep_dynamic(source: &Shape, dims: Vec<usize>, keep: &[usize]) -> Shape {
    let mut shape = Shape::new(dims);
    for &axis in keep {
        if let Some(name) = source.dynamic(axis) {
            shape = shape.with_dynamic(axis, name);
        }
    }
    shape
}
