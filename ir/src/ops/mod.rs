//! Every operation that the IR models, each declared once.
//!
//! An operation is a documented struct (its attributes) with the semantics of the TFLite kernel of the same name. Its file holds its operands,
//! its result types and its attribute schema; one line in `define_ops!` makes the enum variant, the mnemonic and the text form. Operations
//! that differ only in the scalar function they apply form a *family*: one struct with a `kind`, a mnemonic per kind.
//!
//! An operation that is not modelled here travels as [`Opaque`] (a TFLite builtin) or [`Custom`], byte for byte.

#[macro_use]
mod declare;
mod common;
mod control;
mod conv;
mod create;
mod dense;
mod elementwise;
mod gather;
mod infer;
mod join;
mod normalization;
mod opaque;
mod pad;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod shape;
mod slice;
mod space;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use common::{Activation, Padding, conv_padding};
pub use control::{AssignVariable, CallOnce, If, ReadVariable, VarHandle, While};
pub use conv::{Conv2d, Conv3d, Conv3dTranspose, DepthwiseConv2d, TransposeConv};
pub use create::{Fill, OneHot, RangeOp, SparseToDense, Where};
pub use dense::{BatchMatmul, EmbeddingLookup, FullyConnected, WeightsFormat};
pub use elementwise::{
    Binary, BinaryKind, Bitcast, Cast, Compare, CompareKind, Gelu, LeakyRelu, Prelu, Select, SelectKind, Unary, UnaryKind,
};
pub use gather::{Gather, GatherNd, ScatterNd};
pub use infer::{InferCx, InferError, Inferred, Numbers, broadcast};
pub use join::{Concatenation, Pack, Unpack};
pub use normalization::{L2Normalization, LocalResponseNormalization, LogSoftmax, Softmax};
pub use opaque::{Custom, Opaque};
pub use pad::{MirrorMode, MirrorPad, Pad, PadV2};
pub use pool::{Pool2d, PoolKind};
pub use quantize::{Densify, Dequantize, FakeQuant, Quantize};
pub use recurrent::{
    BidirectionalSequenceLstm, BidirectionalSequenceRnn, Lstm, LstmKernel, Rnn, Svdf, UnidirectionalSequenceLstm, UnidirectionalSequenceRnn,
};
pub use reduce::{Arg, ArgKind, Cumsum, Reduce, ReduceKind, SegmentSum, TopkV2, Unique, UnsortedSegment, UnsortedSegmentKind};
pub use resize::{ResizeBilinear, ResizeNearestNeighbor};
pub use shape::{BroadcastArgs, BroadcastTo, ExpandDims, MatrixDiag, MatrixSetDiag, Rank, Reshape, ShapeOf, Squeeze, Transpose};
pub use slice::{DynamicUpdateSlice, ReverseSequence, ReverseV2, Slice, SliceRange, Split, SplitV, StridedSlice, Tile};
pub use space::{BatchToSpaceNd, DepthToSpace, SpaceToBatchNd, SpaceToDepth};

use crate::attr::{Attr, AttrError, from_attr, to_attr};

/// One operand in an operation's declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Its name in the documentation.
    pub name: &'static str,
    /// How often it stands there.
    pub arity: Arity,
    /// Whether the operation updates it in place (a variable).
    pub is_state: bool,
}

/// How often an operand stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly once.
    Required,
    /// Once, or left out.
    Optional,
    /// Any number of times; always the last one declared.
    Variadic,
}

/// What an operation declares about itself.
pub trait OpSpec: Default + Clone + PartialEq + Serialize + DeserializeOwned {
    /// Its mnemonics: one, or one per member of the family.
    const MNEMONICS: &'static [&'static str];
    /// Its operands in order.
    const OPERANDS: &'static [Operand];

    /// The mnemonic of this operation.
    fn mnemonic(&self) -> &'static str {
        Self::MNEMONICS[0]
    }

    /// Selects the member of a family; the default is right for everything else.
    fn set_mnemonic(&mut self, _mnemonic: &str) {}

    /// Element types and shapes of the results from those of the operands.
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError>;
}

macro_rules! define_ops {
    ($($variant:ident),* $(,)?) => {
        /// An operation with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each variant wraps the documented struct of the same name")]
        pub enum Op { $($variant($variant)),* }

        $(impl From<$variant> for Op {
            fn from(op: $variant) -> Self {
                Self::$variant(op)
            }
        })*

        impl Op {
            /// Every mnemonic in the order of declaration.
            pub fn mnemonics() -> impl Iterator<Item = &'static str> {
                let all: &[&[&str]] = &[$($variant::MNEMONICS),*];
                all.iter().flat_map(|m| m.iter().copied())
            }

            /// The name in the text form: TFLite's name in lower case.
            pub fn mnemonic(&self) -> &'static str {
                match self { $(Self::$variant(op) => op.mnemonic()),* }
            }

            /// Declared operands.
            pub fn operand_spec(&self) -> &'static [Operand] {
                match self { $(Self::$variant(_) => $variant::OPERANDS),* }
            }

            /// Element types and shapes of the results, from the operands' types and, where a shape depends on them, values.
            pub fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
                match self { $(Self::$variant(op) => op.infer(cx)),* }
            }

            /// Attributes that differ from the default, by name.
            pub fn attributes(&self) -> Result<Vec<(String, Attr)>, AttrError> {
                match self { $(Self::$variant(op) => non_default(op)),* }
            }

            /// All attributes by name, those at their default included; an option that is not set may be left out.
            pub fn all_attributes(&self) -> Result<Vec<(String, Attr)>, AttrError> {
                let all = match self { $(Self::$variant(op) => to_attr(op)?),* };
                match all {
                    Attr::Map(all) => Ok(all),
                    _ => Err(AttrError::not_a_struct()),
                }
            }

            /// The operation with this mnemonic and these attributes; attributes left out have their default.
            pub fn from_attributes(mnemonic: &str, attributes: Vec<(String, Attr)>) -> Result<Self, AttrError> {
                $(if $variant::MNEMONICS.contains(&mnemonic) {
                    let mut op: $variant = from_attr(Attr::Map(attributes))?;
                    op.set_mnemonic(mnemonic);
                    return Ok(op.into());
                })*
                Err(AttrError::unknown_op(mnemonic))
            }
        }
    };
}

define_ops! {
    Conv2d, DepthwiseConv2d, TransposeConv, Conv3d, Conv3dTranspose,
    FullyConnected, BatchMatmul, EmbeddingLookup,
    Unary, Binary, Compare, Gelu, LeakyRelu, Prelu, Select, Cast, Bitcast,
    Pool2d, Reduce, Arg, Cumsum, TopkV2, Unique, SegmentSum, UnsortedSegment,
    Softmax, LogSoftmax, L2Normalization, LocalResponseNormalization,
    Reshape, Squeeze, ExpandDims, Transpose, ShapeOf, Rank, BroadcastTo, BroadcastArgs, MatrixDiag, MatrixSetDiag,
    Slice, StridedSlice, Split, SplitV, DynamicUpdateSlice, ReverseV2, ReverseSequence, Tile,
    Concatenation, Pack, Unpack,
    Pad, PadV2, MirrorPad,
    Gather, GatherNd, ScatterNd,
    SpaceToDepth, DepthToSpace, SpaceToBatchNd, BatchToSpaceNd,
    ResizeBilinear, ResizeNearestNeighbor,
    Fill, RangeOp, OneHot, Where, SparseToDense,
    Quantize, Dequantize, FakeQuant, Densify,
    Svdf, UnidirectionalSequenceLstm, BidirectionalSequenceLstm, Lstm, Rnn, UnidirectionalSequenceRnn, BidirectionalSequenceRnn,
    If, While, CallOnce, VarHandle, ReadVariable, AssignVariable,
    Custom, Opaque,
}

fn non_default<T: OpSpec>(op: &T) -> Result<Vec<(String, Attr)>, AttrError> {
    let (Attr::Map(mine), Attr::Map(default)) = (to_attr(op)?, to_attr(&T::default())?) else {
        return Err(AttrError::not_a_struct());
    };
    // Compared as they print, because -0.0 == 0.0 and a model that says -0.0 is to say it again.
    let is_default = |(name, value): &(String, Attr)| default.iter().any(|(n, v)| n == name && v.to_string() == value.to_string());
    Ok(mine.into_iter().filter(|entry| !is_default(entry)).collect())
}

impl Op {
    /// Whether running it does something besides defining its results: such an operation is never dead.
    pub fn has_side_effects(&self) -> bool {
        match self {
            Self::CallOnce(_) | Self::AssignVariable(_) | Self::Custom(_) | Self::Opaque(_) => true,
            // Their bodies may assign variables.
            Self::If(_) | Self::While(_) => true,
            // Their states are among variadic operands.
            Self::BidirectionalSequenceLstm(_) | Self::BidirectionalSequenceRnn(_) | Self::Lstm(_) => true,
            other => other.operand_spec().iter().any(|o| o.is_state),
        }
    }

    /// Whether equal operands always give equal results, so that it may be folded.
    pub fn is_pure(&self) -> bool {
        !self.has_side_effects() && !matches!(self, Self::VarHandle(_) | Self::ReadVariable(_))
    }

    /// Indices of operands that it updates in place.
    pub fn state_operands(&self) -> impl Iterator<Item = usize> {
        self.operand_spec().iter().enumerate().filter(|(_, o)| o.is_state).map(|(i, _)| i)
    }

    /// The fused activation, for operations that carry one.
    pub fn activation(&self) -> Option<Activation> {
        self.activation_slot().copied()
    }

    /// The same operation with another fused activation; `None` when it carries none.
    #[must_use]
    pub fn with_activation(&self, activation: Activation) -> Option<Self> {
        let mut op = self.clone();
        *op.activation_slot_mut()? = activation;
        Some(op)
    }

    fn activation_slot(&self) -> Option<&Activation> {
        Some(match self {
            Self::Conv2d(o) => &o.activation,
            Self::DepthwiseConv2d(o) => &o.activation,
            Self::TransposeConv(o) => &o.activation,
            Self::Conv3d(o) => &o.activation,
            Self::Conv3dTranspose(o) => &o.activation,
            Self::FullyConnected(o) => &o.activation,
            Self::Binary(o) if o.kind.takes_activation() => &o.activation,
            Self::Pool2d(o) => &o.activation,
            Self::Concatenation(o) => &o.activation,
            Self::L2Normalization(o) => &o.activation,
            _ => return None,
        })
    }

    fn activation_slot_mut(&mut self) -> Option<&mut Activation> {
        Some(match self {
            Self::Conv2d(o) => &mut o.activation,
            Self::DepthwiseConv2d(o) => &mut o.activation,
            Self::TransposeConv(o) => &mut o.activation,
            Self::Conv3d(o) => &mut o.activation,
            Self::Conv3dTranspose(o) => &mut o.activation,
            Self::FullyConnected(o) => &mut o.activation,
            Self::Binary(o) if o.kind.takes_activation() => &mut o.activation,
            Self::Pool2d(o) => &mut o.activation,
            Self::Concatenation(o) => &mut o.activation,
            Self::L2Normalization(o) => &mut o.activation,
            _ => return None,
        })
    }

    /// Changes the numbers of the graphs that it calls.
    pub(crate) fn renumber_graphs(&mut self, number: impl Fn(usize) -> usize) {
        match self {
            Self::If(op) => (op.then_graph, op.else_graph) = (number(op.then_graph), number(op.else_graph)),
            Self::While(op) => (op.cond_graph, op.body_graph) = (number(op.cond_graph), number(op.body_graph)),
            Self::CallOnce(op) => op.init_graph = number(op.init_graph),
            Self::Opaque(op) => op.graphs.iter_mut().for_each(|graph| *graph = number(*graph)),
            _ => {}
        }
    }

    /// Numbers of the graphs that it calls.
    pub fn graphs(&self) -> Vec<usize> {
        match self {
            Self::If(op) => vec![op.then_graph, op.else_graph],
            Self::While(op) => vec![op.cond_graph, op.body_graph],
            Self::CallOnce(op) => vec![op.init_graph],
            Self::Opaque(op) => op.graphs.clone(),
            _ => Vec::new(),
        }
    }
}
