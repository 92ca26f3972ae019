//! Tensors as `tf.lite.Interpreter.get_tensor_details()` describes them.

use octet_eval::TensorDetails;
use octet_ir::{EntityId, Granularity, Graph, Module, SparsityDim, Type, ValueId};
use serde_json::{Value, json};

/// One tensor: name, index, shape, shape_signature, dtype, quantization, quantization_parameters, sparsity_parameters; besides `type`, the
/// element type as the file stores it.
pub(crate) fn tensor(graph: &Graph, id: ValueId) -> Value {
    let TensorDetails { name, index, shape, shape_signature, dtype, quantization, quantization_parameters, sparsity_parameters } =
        TensorDetails::of(graph, id);
    // Widened: JSON has doubles, and TFLite's scales are single.
    let scales: Vec<f64> = quantization_parameters.scales.iter().map(|s| f64::from(*s)).collect();
    let mut parameters = json!({
        "scales": scales,
        "zero_points": quantization_parameters.zero_points,
        "quantized_dimension": quantization_parameters.quantized_dimension,
    });
    if let Some(block) = quantization_parameters.block_size {
        parameters["block_size"] = json!(block);
    }
    json!({
        "name": name,
        "index": index,
        "shape": shape,
        "shape_signature": shape_signature,
        "dtype": dtype.numpy_name(),
        "quantization": [f64::from(quantization.0), quantization.1],
        "quantization_parameters": parameters,
        "sparsity_parameters": sparsity_parameters.map_or(json!({}), |s| sparsity(&s)),
        "type": dtype.name(),
    })
}

fn sparsity(sparsity: &octet_ir::Sparsity) -> Value {
    let dim = |dim: &SparsityDim| match dim {
        SparsityDim::Dense { size } => json!({"format": 0, "dense_size": size}),
        SparsityDim::Csr { segments, indices, .. } => json!({"format": 1, "array_segments": segments, "array_indices": indices}),
    };
    let mut out = json!({
        "traversal_order": sparsity.traversal_order,
        "dim_metadata": sparsity.dims.iter().map(dim).collect::<Vec<_>>(),
    });
    if !sparsity.block_map.is_empty() {
        out["block_map"] = json!(sparsity.block_map);
    }
    out
}

/// Signatures by key, as `get_signature_list()` gives them, with the graph that each calls.
pub(crate) fn signatures(module: &Module) -> Value {
    let names = |pairs: &[(String, usize)]| pairs.iter().map(|(name, _)| json!(name)).collect::<Vec<_>>();
    let one = |s: &octet_ir::Signature| {
        (s.key.clone(), json!({"inputs": names(&s.inputs), "outputs": names(&s.outputs), "graph": s.graph.index()}))
    };
    Value::Object(module.signatures.iter().map(one).collect())
}

/// Quantization for a table: `0.00392157, -128`, or how many scales.
pub(crate) fn quantization(ty: &Type) -> String {
    let Some(quant) = &ty.quant else { return String::new() };
    match quant.granularity() {
        Granularity::PerTensor => quant.per_tensor().map_or_else(String::new, |(scale, zero_point)| format!("{scale}, {zero_point}")),
        Granularity::PerAxis(axis) => {
            let symmetric = if quant.is_symmetric() { "" } else { ", with zero points" };
            format!("{} scales along axis {axis}{symmetric}", quant.scales().len())
        }
        Granularity::Blockwise { block } => format!("{} scales, one for {block} elements", quant.scales().len()),
    }
}
