//! Tensors as `tf.lite.Interpreter.get_tensor_details()` describes them.

use octet_ir::{ElementType, EntityId, Granularity, Graph, Module, SparsityDim, Type, ValueId};
use serde_json::{Value, json};

/// The name of the NumPy type in which TFLite's interpreter hands a tensor out: integers below a byte, and 8-bit floats, come as bytes.
pub(crate) fn dtype(elem: ElementType) -> &'static str {
    match elem {
        ElementType::F32 => "float32",
        ElementType::F64 => "float64",
        ElementType::F16 => "float16",
        ElementType::BF16 => "bfloat16",
        ElementType::I64 => "int64",
        ElementType::I32 => "int32",
        ElementType::I16 => "int16",
        ElementType::I8 | ElementType::I4 | ElementType::I2 | ElementType::F8E4M3FN | ElementType::F8E5M2 => "int8",
        ElementType::U64 => "uint64",
        ElementType::U32 => "uint32",
        ElementType::U16 => "uint16",
        ElementType::U8 | ElementType::U4 => "uint8",
        ElementType::Bool => "bool",
        ElementType::Complex64 => "complex64",
        ElementType::Complex128 => "complex128",
        ElementType::String => "bytes",
        ElementType::Resource | ElementType::Variant => "object",
    }
}

/// One tensor: name, index, shape, shape_signature, dtype, quantization, quantization_parameters, sparsity_parameters; besides `type`, the
/// element type as the file stores it.
pub(crate) fn tensor(graph: &Graph, id: ValueId) -> Value {
    let value = graph.value(id);
    let ty = value.ty();
    let dims = ty.shape.dims();
    let signature: Vec<i64> = dims
        .iter()
        .enumerate()
        .map(|(axis, &d)| if ty.shape.dynamic(axis).is_some() { -1 } else { i64::try_from(d).unwrap_or(i64::MAX) })
        .collect();
    let (scale, zero_point) = ty.scale_zero_point().unwrap_or((0.0, 0));
    let (scales, zero_points) = ty.quant.as_ref().map_or((&[][..], &[][..]), |q| (q.scales(), q.zero_points()));
    // Widened: JSON has doubles, and TFLite's scales are single.
    let scales: Vec<f64> = scales.iter().map(|s| f64::from(*s)).collect();
    let mut parameters = json!({"scales": scales, "zero_points": zero_points, "quantized_dimension": 0});
    match ty.quant.as_ref().map(|q| q.granularity()) {
        Some(Granularity::PerAxis(axis)) => parameters["quantized_dimension"] = json!(axis),
        Some(Granularity::Blockwise { block }) => parameters["block_size"] = json!(block),
        Some(Granularity::PerTensor) | None => {}
    }
    json!({
        "name": value.loc().name().unwrap_or_default(),
        "index": id.index(),
        "shape": dims,
        "shape_signature": signature,
        "dtype": dtype(ty.elem),
        "quantization": [f64::from(scale), zero_point],
        "quantization_parameters": parameters,
        "sparsity_parameters": value.sparsity().map_or(json!({}), |s| sparsity(s)),
        "type": ty.elem.name(),
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
