//! What an interpreter tells about a tensor: the content of `tf.lite.Interpreter`'s details.

use std::sync::Arc;

use octet_ir::{ElementType, EntityId, Granularity, Graph, Sparsity, Type, ValueId};

/// Affine quantization as TFLite's Python interpreter shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantizationParameters {
    /// Scales; empty when the tensor is not quantized.
    pub scales: Vec<f32>,
    /// Zero points, as many.
    pub zero_points: Vec<i64>,
    /// The axis of per-axis quantization, else 0.
    pub quantized_dimension: usize,
    /// Elements that share a scale, where quantization is blockwise.
    pub block_size: Option<usize>,
}

/// One tensor of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDetails {
    /// Its name in the model.
    pub name: String,
    /// Its number, by which tensors are set and read.
    pub index: usize,
    /// Sizes of the next run.
    pub shape: Vec<usize>,
    /// Sizes as the model declares them, -1 where they may change.
    pub shape_signature: Vec<i64>,
    /// Element type.
    pub dtype: ElementType,
    /// Scale and zero point of per-tensor quantization, else (0, 0).
    pub quantization: (f32, i64),
    /// Scales, zero points and their axis.
    pub quantization_parameters: QuantizationParameters,
    /// How a sparse constant is stored.
    pub sparsity_parameters: Option<Arc<Sparsity>>,
}

impl TensorDetails {
    /// The details of a value of a model that is not about to run: its shape is the declared one.
    #[must_use]
    pub fn of(graph: &Graph, id: ValueId) -> Self {
        details(graph, id, None)
    }
}

/// The details of a value whose type in the next run is `ty`.
pub(super) fn details(graph: &Graph, id: ValueId, ty: Option<&Type>) -> TensorDetails {
    let value = graph.value(id);
    let declared = value.ty();
    let shape = &declared.shape;
    let signature = |axis: usize, &size: &usize| match shape.dynamic(axis) {
        Some(_) => -1,
        None => i64::try_from(size).unwrap_or(i64::MAX),
    };
    let parameters = declared.quant.as_ref().map(|quant| QuantizationParameters {
        scales: quant.scales().to_vec(),
        zero_points: quant.zero_points().to_vec(),
        quantized_dimension: match quant.granularity() {
            Granularity::PerAxis(axis) => axis,
            Granularity::PerTensor | Granularity::Blockwise { .. } => 0,
        },
        block_size: match quant.granularity() {
            Granularity::Blockwise { block } => Some(block),
            Granularity::PerTensor | Granularity::PerAxis(_) => None,
        },
    });
    TensorDetails {
        name: value.loc().name().unwrap_or_default().to_owned(),
        index: id.index(),
        shape: ty.unwrap_or(declared).shape.dims().to_vec(),
        shape_signature: shape.dims().iter().enumerate().map(|(axis, size)| signature(axis, size)).collect(),
        dtype: declared.elem,
        quantization: declared.scale_zero_point().unwrap_or((0.0, 0)),
        quantization_parameters: parameters.unwrap_or_default(),
        sparsity_parameters: value.sparsity().cloned(),
    }
}
