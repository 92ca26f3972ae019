//! Tensors: element types, shapes, quantization, sparsity, and whether a constant's bytes fit its type.
//!
//! Nothing here knows who reads or writes a tensor.

use std::sync::Arc;

use bytes::Bytes;
use octet_ir::{ElementType, Granularity, Quantization, Range, Shape, Sparsity, SparsityDim, Type};
use octet_tflite_schema as fb;

use crate::codes;

/// A finding: a code and what is wrong.
pub(crate) type Finding = (&'static str, String);

/// What a tensor says about itself.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) ty: Type,
    pub(crate) range: Option<Range>,
    pub(crate) sparsity: Option<Arc<Sparsity>>,
}

/// Reads everything of a tensor but its data. `constant` gives the bytes of another tensor of the same graph, which block-wise
/// scales need; `unused` lets a scale of 0 pass, which then means no quantization; `unranked` is
/// whether a tensor without sizes and without a mark of its rank is one of unknown rank, and no scalar.
pub(crate) fn describe<'a>(
    tensor: fb::Tensor<'a>,
    unused: bool,
    unranked: bool,
    constant: &dyn Fn(i32) -> Option<(fb::Tensor<'a>, Bytes)>,
) -> Result<Described, Finding> {
    let elem = element_type(tensor.type_())
        .ok_or_else(|| (codes::ELEMENT_TYPE, format!("element type {} is not one of the format's", tensor.type_().0)))?;
    let shape = shape(tensor, unranked)?;
    let (quant, range) = match tensor.quantization() {
        Some(_) if unused && has_zero_scale(tensor) => (None, None),
        Some(q) => quantization(q, elem, &shape, constant)?,
        None => (None, None),
    };
    let sparsity = tensor.sparsity().map(|s| sparsity(s, shape.dims())).transpose()?.map(Arc::new);
    let ty = Type { elem, shape, quant: quant.map(Arc::new) };
    Ok(Described { ty, range, sparsity })
}

/// Whether a tensor has a scale of 0, which means nothing: some writers give one to tensors that they took out of use.
pub(crate) fn has_zero_scale(tensor: fb::Tensor<'_>) -> bool {
    tensor.quantization().and_then(|q| q.scale()).is_some_and(|scales| scales.iter().any(|scale| scale == 0.0))
}

/// The IR's name for an element type of the file.
pub(crate) fn element_type(ty: fb::TensorType) -> Option<ElementType> {
    Some(match ty {
        fb::TensorType::FLOAT32 => ElementType::F32,
        fb::TensorType::FLOAT16 => ElementType::F16,
        fb::TensorType::INT32 => ElementType::I32,
        fb::TensorType::UINT8 => ElementType::U8,
        fb::TensorType::INT64 => ElementType::I64,
        fb::TensorType::STRING => ElementType::String,
        fb::TensorType::BOOL => ElementType::Bool,
        fb::TensorType::INT16 => ElementType::I16,
        fb::TensorType::COMPLEX64 => ElementType::Complex64,
        fb::TensorType::INT8 => ElementType::I8,
        fb::TensorType::FLOAT64 => ElementType::F64,
        fb::TensorType::COMPLEX128 => ElementType::Complex128,
        fb::TensorType::UINT64 => ElementType::U64,
        fb::TensorType::RESOURCE => ElementType::Resource,
        fb::TensorType::VARIANT => ElementType::Variant,
        fb::TensorType::UINT32 => ElementType::U32,
        fb::TensorType::UINT16 => ElementType::U16,
        fb::TensorType::INT4 => ElementType::I4,
        fb::TensorType::BFLOAT16 => ElementType::BF16,
        fb::TensorType::INT2 => ElementType::I2,
        fb::TensorType::UINT4 => ElementType::U4,
        fb::TensorType::FLOAT8_E4M3FN => ElementType::F8E4M3FN,
        fb::TensorType::FLOAT8_E5M2 => ElementType::F8E5M2,
        _ => return None,
    })
}

fn shape(tensor: fb::Tensor<'_>, unranked: bool) -> Result<Shape, Finding> {
    let sizes: Vec<i32> = tensor.shape().iter().flatten().collect();
    if sizes.is_empty() && unranked && !tensor.has_rank() {
        return Ok(Shape::unranked());
    }
    let dims: Vec<usize> = sizes
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| (codes::SHAPE, format!("shape {sizes:?} has a negative size"))))
        .collect::<Result<_, _>>()?;
    let mut shape = Shape::new(dims);
    // LiteRT indexes elements with 32 bits.
    let nonzero = sizes.iter().filter(|d| **d > 1).try_fold(1i32, |n, &d| n.checked_mul(d));
    if nonzero.is_none() {
        return Err((codes::SHAPE, format!("a tensor of shape {sizes:?} has more than 2^31 elements")));
    }
    let signature: Vec<i32> = tensor.shape_signature().iter().flatten().collect();
    if !signature.is_empty() && signature.len() != sizes.len() {
        return Err((codes::SHAPE, format!("the shape signature {signature:?} has another rank than the shape {sizes:?}")));
    }
    for (axis, _) in signature.iter().enumerate().filter(|(_, d)| **d < 0) {
        shape = shape.with_dynamic(axis, "?");
    }
    Ok(shape)
}

type Quantized = (Option<Quantization>, Option<Range>);

fn quantization<'a>(
    q: fb::QuantizationParameters<'a>,
    elem: ElementType,
    shape: &Shape,
    constant: &dyn Fn(i32) -> Option<(fb::Tensor<'a>, Bytes)>,
) -> Result<Quantized, Finding> {
    let wrong = |what: String| (codes::QUANTIZATION, what);
    match q.details_type() {
        fb::QuantizationDetails::NONE => {}
        fb::QuantizationDetails::BlockwiseQuantization => {
            let details =
                q.details_as_blockwise_quantization().ok_or_else(|| wrong("block-wise quantization without parameters".into()))?;
            return blockwise(details, shape, constant).map(|quant| (Some(quant), None));
        }
        fb::QuantizationDetails::MultiAxisQuantization => {
            return Err((codes::UNSUPPORTED, "quantization along several axes at once has no representation in Octet".into()));
        }
        fb::QuantizationDetails::CustomQuantization => {
            return Err((codes::UNSUPPORTED, "custom quantization parameters have no representation in Octet".into()));
        }
        other => return Err(wrong(format!("quantization details of unknown kind {}", other.0))),
    }
    let floats = |v: Option<flatbuffers::Vector<'a, f32>>| v.iter().flatten().collect::<Vec<f32>>();
    let (min, max) = (floats(q.min()), floats(q.max()));
    // Ranges are hints; one that is not a range is none.
    let sound = !min.is_empty() && min.len() == max.len() && min.iter().zip(&max).all(|(a, b)| a.is_finite() && b.is_finite() && a <= b);
    let range = sound.then_some(Range { min, max });

    let scales = floats(q.scale());
    if scales.is_empty() {
        return Ok((None, range));
    }
    if let Some(scale) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        return Err(wrong(format!("{scale:?} is not a scale: scales are finite and positive")));
    }
    let mut zero_points: Vec<i64> = q.zero_point().iter().flatten().collect();
    // TFLite Micro takes one zero point for all channels, and none at all for zero.
    if let ([zero_point], true) = (zero_points.as_slice(), scales.len() > 1) {
        zero_points = vec![*zero_point; scales.len()];
    }
    if !zero_points.is_empty() && zero_points.len() != scales.len() {
        return Err(wrong(format!("{} scales but {} zero points", scales.len(), zero_points.len())));
    }
    if let Some((low, high)) = elem.integer_range()
        && let Some(zero_point) = zero_points.iter().find(|z| !(low..=high).contains(*z))
    {
        return Err(wrong(format!("zero point {zero_point} does not fit {elem}")));
    }
    let axis = q.quantized_dimension();
    let granularity = if scales.len() == 1 {
        Granularity::PerTensor
    } else {
        // Biases of older converters name the axis of their filter; a tensor of one axis can mean no other.
        let only = (shape.rank() == 1).then_some(0);
        match only.or(usize::try_from(axis).ok()).filter(|&a| shape.dims().get(a) == Some(&scales.len())) {
            Some(axis) => Granularity::PerAxis(axis),
            None => return Err(wrong(format!("{} scales along axis {axis} do not fit shape {shape}", scales.len()))),
        }
    };
    let quant =
        Quantization::with_granularity(granularity, scales, zero_points).ok_or_else(|| wrong("parameters contradict each other".into()))?;
    Ok((Some(quant), range))
}

/// One scale of a constant along an inner axis of size 1 stays a per-axis one: a filter of one channel says so where its channels are, and
/// is written again as it was.
pub(crate) fn keep_axis(described: &mut Described, tensor: fb::Tensor<'_>) {
    let axis = tensor.quantization().map_or(0, |q| q.quantized_dimension());
    let Some(axis) = usize::try_from(axis).ok().filter(|&a| a > 0 && described.ty.shape.dims().get(a) == Some(&1)) else { return };
    let Some((scale, 0)) = described.ty.scale_zero_point() else { return };
    described.ty.quant = Some(Arc::new(Quantization::per_axis(axis, vec![scale])));
}

/// Scales and zero points of blocks are constant tensors of the same graph.
fn blockwise<'a>(
    details: fb::BlockwiseQuantization<'a>,
    shape: &Shape,
    constant: &dyn Fn(i32) -> Option<(fb::Tensor<'a>, Bytes)>,
) -> Result<Quantization, Finding> {
    let wrong = |what: String| (codes::QUANTIZATION, what);
    let block = usize::try_from(details.block_size()).ok().filter(|b| *b > 0);
    let Some(block) = block.filter(|b| shape.dims().last().is_some_and(|d| d % b == 0)) else {
        return Err(wrong(format!("blocks of {} do not divide the innermost axis of {shape}", details.block_size())));
    };
    let axes: Vec<i32> = details.block_shape().iter().flatten().collect();
    if axes.split_last().is_some_and(|(last, outer)| *last != details.block_size() || outer.iter().any(|d| *d != 1)) {
        return Err((codes::UNSUPPORTED, format!("blocks of shape {axes:?}, along several axes, have no representation in Octet")));
    }
    let Some((tensor, bytes)) = constant(details.scales()) else {
        return Err(wrong(format!("the scales are tensor {}, which is no constant of this graph", details.scales())));
    };
    let scales = numbers(tensor.type_(), &bytes).ok_or_else(|| wrong("the scales are neither float32 nor float16 nor bfloat16".into()))?;
    if let Some(scale) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        return Err(wrong(format!("{scale:?} is not a scale: scales are finite and positive")));
    }
    // The schema's default for an index that was left out is 0, but files mean -1 (or the scales' own tensor) by no zero points.
    let zero_points = if details.zero_points() < 0 || details.zero_points() == details.scales() {
        Vec::new()
    } else {
        match constant(details.zero_points()) {
            Some((tensor, bytes)) => integers(tensor.type_(), &bytes).ok_or_else(|| wrong("the zero points are not integers".into()))?,
            None => return Err(wrong(format!("the zero points are tensor {}, which is no constant of this graph", details.zero_points()))),
        }
    };
    let blocks = shape.checked_elements().map(|n| n / block);
    if blocks != Some(scales.len()) || !(zero_points.is_empty() || zero_points.len() == scales.len()) {
        return Err(wrong(format!(
            "{} scales and {} zero points do not fit blocks of {block} of shape {shape}",
            scales.len(),
            zero_points.len()
        )));
    }
    Quantization::with_granularity(Granularity::Blockwise { block }, scales, zero_points)
        .ok_or_else(|| wrong("a tensor without blocks".into()))
}

fn numbers(ty: fb::TensorType, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = || bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b));
    match ty {
        fb::TensorType::FLOAT32 => Some(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        fb::TensorType::FLOAT16 => Some(halves().map(|h| half::f16::from_bits(h).to_f32()).collect()),
        fb::TensorType::BFLOAT16 => Some(halves().map(|h| half::bf16::from_bits(h).to_f32()).collect()),
        _ => None,
    }
}

fn integers(ty: fb::TensorType, bytes: &[u8]) -> Option<Vec<i64>> {
    match ty {
        fb::TensorType::INT8 => Some(bytes.iter().map(|b| i64::from(i8::from_le_bytes([*b]))).collect()),
        fb::TensorType::UINT8 => Some(bytes.iter().map(|b| i64::from(*b)).collect()),
        fb::TensorType::INT16 => Some(bytes.as_chunks().0.iter().map(|b| i64::from(i16::from_le_bytes(*b))).collect()),
        fb::TensorType::INT32 => Some(bytes.as_chunks().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()),
        fb::TensorType::INT64 => Some(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
        _ => None,
    }
}

/// One vector of indices with its width in bits.
fn index_vector(
    kind: fb::SparseIndexVector,
    int32: Option<fb::Int32Vector<'_>>,
    uint16: Option<fb::Uint16Vector<'_>>,
    uint8: Option<fb::Uint8Vector<'_>>,
) -> Option<(Vec<i32>, u8)> {
    match kind {
        fb::SparseIndexVector::Int32Vector => Some((int32?.values()?.iter().collect(), 32)),
        fb::SparseIndexVector::Uint16Vector => Some((uint16?.values()?.iter().map(i32::from).collect(), 16)),
        fb::SparseIndexVector::Uint8Vector => Some((uint8?.values()?.iter().map(i32::from).collect(), 8)),
        _ => None,
    }
}

fn sparsity(s: fb::SparsityParameters<'_>, dims: &[usize]) -> Result<Sparsity, Finding> {
    let wrong = |what: &str| (codes::SPARSITY, format!("the sparsity parameters are wrong: {what}"));
    let traversal_order: Vec<i32> = s.traversal_order().iter().flatten().collect();
    let block_map: Vec<i32> = s.block_map().iter().flatten().collect();
    let mut storage = Vec::new();
    for dim in s.dim_metadata().iter().flatten() {
        storage.push(match dim.format() {
            fb::DimensionType::DENSE => SparsityDim::Dense { size: dim.dense_size() },
            fb::DimensionType::SPARSE_CSR => {
                let (segments, segment_bits) = index_vector(
                    dim.array_segments_type(),
                    dim.array_segments_as_int_32_vector(),
                    dim.array_segments_as_uint_16_vector(),
                    dim.array_segments_as_uint_8_vector(),
                )
                .ok_or_else(|| wrong("a sparse dimension has no segments"))?;
                let (indices, index_bits) = index_vector(
                    dim.array_indices_type(),
                    dim.array_indices_as_int_32_vector(),
                    dim.array_indices_as_uint_16_vector(),
                    dim.array_indices_as_uint_8_vector(),
                )
                .ok_or_else(|| wrong("a sparse dimension has no indices"))?;
                SparsityDim::Csr { segments, indices, segment_bits, index_bits }
            }
            _ => return Err(wrong("a dimension of unknown format")),
        });
    }
    let sparsity = Sparsity { traversal_order, block_map, dims: storage };
    sparsity.stored_elements(dims).map_err(wrong)?;
    Ok(sparsity)
}

/// Whether `bytes` are what a constant of this type holds.
pub(crate) fn check_constant(described: &Described, bytes: &[u8]) -> Result<(), Finding> {
    let ty = &described.ty;
    if ty.elem == ElementType::String {
        return strings(bytes).map_err(|why| (codes::STRINGS, format!("the string tensor is damaged: {why}")));
    }
    let elements = match &described.sparsity {
        Some(sparsity) => sparsity.stored_elements(ty.shape.dims()).ok(),
        None => ty.shape.checked_elements(),
    };
    match elements.and_then(|n| ty.elem.byte_len(n)) {
        Some(length) if length != bytes.len() => {
            Err((codes::CONSTANT_SIZE, format!("a constant of type {ty} needs {length} bytes, its buffer has {}", bytes.len())))
        }
        _ => Ok(()),
    }
}

/// A string tensor is a count, `count + 1` offsets from the start of the buffer, and the text.
fn strings(bytes: &[u8]) -> Result<(), &'static str> {
    let words = bytes.as_chunks().0;
    let word = |i: usize| words.get(i).and_then(|b| usize::try_from(u32::from_le_bytes(*b)).ok());
    let count = word(0).ok_or("it is empty")?;
    let header =
        count.checked_add(2).and_then(|n| n.checked_mul(4)).filter(|h| *h <= bytes.len()).ok_or("it ends before its offsets do")?;
    let mut last = header;
    for i in 1..=count + 1 {
        let offset = word(i).ok_or("it ends before its offsets do")?;
        if offset < last || (i == 1 && offset != header) {
            return Err("the offsets do not ascend");
        }
        last = offset;
    }
    if last == bytes.len() { Ok(()) } else { Err("the last offset is not the buffer's end") }
}
