//! The lowering of each operator, a file per family.
//!
//! A lowering takes a node and its input values and answers with a value per output, or with one sentence that says why it cannot. It adds
//! operations through [`Scope`], which infers types and folds constants. It is chosen by domain and operator; what the opset version
//! changes, the lowering itself asks of [`Node::version`].

mod activation;
mod arrange;
mod attention;
mod bits;
mod cache;
mod columns;
mod control;
mod conv_transpose;
mod einsum;
mod elementwise;
mod gelu;
mod grid_sample;
mod image;
mod index;
mod integer;
mod linear;
mod linear_attention;
mod losses;
mod microsoft;
mod nbits;
mod normalization;
mod pad;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod regions;
mod resize;
mod sequence_lstm;
mod shape;
mod signal;
mod suppression;

pub(crate) use image::{to_first, to_last};
use octet_ir::ValueId;

use crate::attributes::{Node, Refusal};
use crate::import::{Importer, Opsets};
use crate::scope::Scope;

/// What a lowering works with.
pub(crate) struct Lowering<'l, 'i, 'm> {
    /// The model: tensors in attributes, nested graphs, warnings.
    pub(crate) importer: &'l mut Importer<'i>,
    /// The graph under construction.
    pub(crate) scope: &'l mut Scope<'m>,
    /// What nodes of nested graphs mean.
    pub(crate) opsets: &'l Opsets,
}

/// Inputs of a node; `None` where an optional one is left out.
pub(crate) type Inputs<'i> = &'i [Option<ValueId>];

/// Values of a node's outputs, or why there are none.
pub(crate) type Outputs = Result<Vec<ValueId>, Refusal>;

/// Lowers one node.
pub(crate) type Lower = fn(&mut Lowering<'_, '_, '_>, &Node<'_>, Inputs<'_>) -> Outputs;

/// Rows of a family: operator and lowering.
pub(crate) type Table = &'static [(&'static str, Lower)];

/// The lowering of an operator of a domain.
pub(crate) fn find(domain: &str, operator: &str) -> Option<Lower> {
    let tables: &[Table] = match domain {
        "" => &[
            activation::TABLE,
            arrange::TABLE,
            attention::TABLE,
            bits::TABLE,
            cache::TABLE,
            columns::TABLE,
            control::TABLE,
            conv_transpose::TABLE,
            einsum::TABLE,
            elementwise::TABLE,
            grid_sample::TABLE,
            image::TABLE,
            index::TABLE,
            integer::TABLE,
            linear::TABLE,
            linear_attention::TABLE,
            losses::TABLE,
            normalization::TABLE,
            pad::TABLE,
            pool::TABLE,
            quantize::TABLE,
            recurrent::TABLE,
            reduce::TABLE,
            regions::TABLE,
            resize::TABLE,
            shape::TABLE,
            signal::TABLE,
            suppression::TABLE,
        ],
        "com.microsoft" => &[quantize::MICROSOFT, microsoft::TABLE, nbits::TABLE],
        "ai.onnx.preview" => &[attention::PREVIEW],
        _ => &[],
    };
    tables.iter().flat_map(|t| t.iter()).find(|(name, _)| *name == operator).map(|(_, lower)| *lower)
}

/// Why an operator has no lowering: what about it the runtimes of the edge have nothing for.
pub(crate) fn why_not(domain: &str, operator: &str) -> Refusal {
    match (domain, operator) {
        ("", "Bernoulli" | "Multinomial" | "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "RandomUniformLike") => {
            "its results are random; compute them outside of the model and give them as an input"
        }
        ("", o) if o.contains("Sequence") => "TFLite has no sequences of tensors; export the model with tensors of known number",
        ("", "Optional" | "OptionalGetElement" | "OptionalHasElement") => "TFLite has no optional values",
        ("", "RegexFullMatch" | "StringConcat" | "StringNormalizer" | "StringSplit" | "TfIdfVectorizer") => {
            "it works on texts; split and count them outside of the model"
        }
        ("", "ImageDecoder") => "the model should get pixels; decode pictures outside of the model",
        ("", "Unique") => "the number of its results depends on the values",
        ("ai.onnx.preview.training" | "ai.onnx.training", _) => "it trains; export the model for inference",
        ("ai.onnx.ml", _) => "it is an operator of classical machine learning, which TFLite has none of",
        ("" | "com.microsoft" | "ai.onnx.preview", _) => "there is no lowering for this operator yet",
        _ => "its domain is not known, and the file has no function that says what it does",
    }
    .into()
}

/// Input `index`, which must be there.
pub(crate) fn input(inputs: Inputs<'_>, index: usize) -> Result<ValueId, Refusal> {
    optional(inputs, index).ok_or_else(|| format!("input {index} is missing"))
}

/// Input `index`, if it is there.
pub(crate) fn optional(inputs: Inputs<'_>, index: usize) -> Option<ValueId> {
    inputs.get(index).copied().flatten()
}

/// An axis that may count from the end.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let index = if axis < 0 { axis + signed } else { axis };
    usize::try_from(index).ok().filter(|&i| i < rank).ok_or_else(|| format!("axis {axis} is outside rank {rank}"))
}

/// Axes from an attribute or, in later opsets, from input `index`.
pub(crate) fn axes(scope: &Scope<'_>, node: &Node<'_>, inputs: Inputs<'_>, index: usize) -> Result<Option<Vec<i64>>, Refusal> {
    if let Some(axes) = node.ints("axes") {
        return Ok(Some(axes.to_vec()));
    }
    optional(inputs, index).map(|v| scope.need_ints(v, "the axes")).transpose()
}

#[cfg(test)]
mod tests {
    use super::find;

    /// The operators that ONNX 1.22 defines by a function of other operators, in any opset version.
    const FUNCTIONS: &[&str] = &[
        "AffineGrid",
        "Attention",
        "Bernoulli",
        "BlackmanWindow",
        "CastLike",
        "CausalConvWithState",
        "Celu",
        "CenterCropPad",
        "Clip",
        "DynamicQuantizeLinear",
        "Elu",
        "Gelu",
        "GreaterOrEqual",
        "GroupNormalization",
        "HammingWindow",
        "HannWindow",
        "HardSigmoid",
        "HardSwish",
        "LayerNormalization",
        "LeakyRelu",
        "LessOrEqual",
        "LinearAttention",
        "LogSoftmax",
        "MeanVarianceNormalization",
        "Mish",
        "NegativeLogLikelihoodLoss",
        "PRelu",
        "RMSNormalization",
        "Range",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceSumSquare",
        "Relu",
        "RotaryEmbedding",
        "Selu",
        "SequenceMap",
        "Shrink",
        "Softmax",
        "SoftmaxCrossEntropyLoss",
        "Softplus",
        "Softsign",
        "Swish",
        "ThresholdedRelu",
    ];

    #[test]
    fn no_function_of_onnx_needs_its_body() {
        let missing: Vec<&&str> = FUNCTIONS.iter().filter(|name| find("", name).is_none()).collect();
        // Random numbers, and sequences of tensors.
        assert_eq!(missing, [&"Bernoulli", &"SequenceMap"]);
        assert!(find("ai.onnx.preview", "FlexAttention").is_some());
    }
}
