//! Products that ONNX Runtime's dynamic quantization wrote: DynamicQuantizeLinear, MatMulInteger or ConvInteger, Cast, and a Mul by both scales.
//!
//! The four become one product of reals with the weights that the integers stand for. What the file rounds as it runs is then not
//! rounded, or is quantized by calibration like everything else.

use std::collections::BTreeMap;

use crate::proto::{GraphProto, NodeProto};

/// The nodes of a graph with such products replaced.
pub(crate) fn nodes(graph: &GraphProto) -> Vec<NodeProto> {
    let mut nodes = graph.node.clone();
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    let outputs = graph.output.iter().map(|o| o.name.as_str());
    for name in graph.node.iter().flat_map(|n| n.input.iter().map(String::as_str)).chain(outputs) {
        *uses.entry(name).or_default() += 1;
    }
    let producer: BTreeMap<&str, &NodeProto> = graph.node.iter().flat_map(|n| n.output.iter().map(move |o| (o.as_str(), n))).collect();
    let sole = |name: &str, operator: &str| {
        let node = producer.get(name).copied().filter(|n| n.op_type == operator)?;
        (uses.get(name) == Some(&1)).then_some(node)
    };
    for node in nodes.iter_mut().filter(|n| n.op_type == "Mul") {
        if let Some(fused) = fuse(node, &producer, &sole) {
            *node = fused;
        }
    }
    nodes
}

fn fuse<'g>(
    product: &NodeProto,
    producer: &BTreeMap<&str, &'g NodeProto>,
    sole: &dyn Fn(&str, &str) -> Option<&'g NodeProto>,
) -> Option<NodeProto> {
    let [a, b] = product.input.as_slice() else { return None };
    let (cast, scales) = sole(a, "Cast").map(|c| (c, b)).or_else(|| sole(b, "Cast").map(|c| (c, a)))?;
    let integers = cast.input.first()?;
    let (matmul, operator) = sole(integers, "MatMulInteger")
        .map(|n| (n, "DynamicQuantizeMatMul"))
        .or_else(|| sole(integers, "ConvInteger").map(|n| (n, "DynamicQuantizeConv")))?;
    let scales = producer.get(scales.as_str()).filter(|n| n.op_type == "Mul")?;
    let quantize = producer.get(matmul.input.first()?.as_str()).filter(|n| n.op_type == "DynamicQuantizeLinear")?;
    // The product must be scaled by the scale of its own left side.
    let [_, scale, zero_point] = quantize.output.as_slice() else { return None };
    let weight_scale = match scales.input.as_slice() {
        [a, b] if a == scale => b,
        [a, b] if b == scale => a,
        _ => return None,
    };
    if matmul.input.get(2) != Some(zero_point) {
        return None;
    }
    let mut fused =
        NodeProto { domain: "com.microsoft".into(), op_type: operator.into(), attribute: matmul.attribute.clone(), ..product.clone() };
    let weight_zero_point = matmul.input.get(3).cloned().unwrap_or_default();
    fused.input = vec![quantize.input.first()?.clone(), matmul.input.get(1)?.clone(), weight_scale.clone(), weight_zero_point];
    Some(fused)
}
