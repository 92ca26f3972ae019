//! Tensors as the real numbers that they stand for.

use half::{bf16, f16};
use octet_ir::{ElementType, Type};
use octet_plugin::Tensor;

/// The elements as `f64`, not dequantized; `None` for types that are no numbers.
pub fn numbers(elem: ElementType, bytes: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> impl Iterator<Item = T> {
        bytes.as_chunks().0.iter().map(move |c| read(*c))
    }
    /// Elements of `bits` each, the first in the lowest bits.
    fn packed(bytes: &[u8], bits: u32, signed: bool) -> Vec<f64> {
        let value = |byte: u8, i: u32| {
            let v = i32::from((byte >> (i * bits)) & ((1 << bits) - 1));
            f64::from(if signed && v >= 1 << (bits - 1) { v - (1 << bits) } else { v })
        };
        bytes.iter().flat_map(|b| (0..8 / bits).map(move |i| value(*b, i))).collect()
    }
    Some(match elem {
        ElementType::F32 => each(bytes, f32::from_le_bytes).map(f64::from).collect(),
        ElementType::F64 => each(bytes, f64::from_le_bytes).collect(),
        ElementType::F16 => each(bytes, f16::from_le_bytes).map(f64::from).collect(),
        ElementType::BF16 => each(bytes, bf16::from_le_bytes).map(f64::from).collect(),
        ElementType::I8 => each(bytes, i8::from_le_bytes).map(f64::from).collect(),
        ElementType::U8 | ElementType::Bool => each(bytes, u8::from_le_bytes).map(f64::from).collect(),
        ElementType::I16 => each(bytes, i16::from_le_bytes).map(f64::from).collect(),
        ElementType::U16 => each(bytes, u16::from_le_bytes).map(f64::from).collect(),
        ElementType::I32 => each(bytes, i32::from_le_bytes).map(f64::from).collect(),
        ElementType::U32 => each(bytes, u32::from_le_bytes).map(f64::from).collect(),
        ElementType::I64 => each(bytes, i64::from_le_bytes).map(|v| v as f64).collect(),
        ElementType::U64 => each(bytes, u64::from_le_bytes).map(|v| v as f64).collect(),
        ElementType::I4 => packed(bytes, 4, true),
        ElementType::U4 => packed(bytes, 4, false),
        ElementType::I2 => packed(bytes, 2, true),
        ElementType::F8E4M3FN
        | ElementType::F8E5M2
        | ElementType::String
        | ElementType::Complex64
        | ElementType::Complex128
        | ElementType::Resource
        | ElementType::Variant => return None,
    })
}

/// The real numbers that the elements of a tensor of this type and shape stand for: `(q - zero_point) * scale` for quantized
/// integers, in `f64` rounded to `f32` as DEQUANTIZE does; other numbers as they are. `None` for types that are no numbers.
pub fn real(ty: &Type, shape: &[usize], bytes: &[u8]) -> Option<Vec<f64>> {
    let mut values = numbers(ty.elem, bytes)?;
    values.truncate(shape.iter().product());
    let Some(quant) = ty.quant.as_ref().filter(|_| ty.elem.is_integer()) else { return Some(values) };
    for (run, (scale, zero_point)) in values.chunks_mut(quant.run(shape)).zip(quant.parameters().cycle()) {
        for value in run {
            *value = f64::from(((*value - zero_point as f64) * f64::from(scale)) as f32);
        }
    }
    Some(values)
}

/// A quantized tensor as `f32`; any other as it is.
pub fn dequantized(ty: &Type, tensor: Tensor) -> Tensor {
    if !ty.is_quantized() {
        return tensor;
    }
    match real(ty, &tensor.shape, &tensor.bytes) {
        Some(values) => {
            let bytes = values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
            Tensor { elem: ElementType::F32, shape: tensor.shape, bytes }
        }
        None => tensor,
    }
}

#[cfg(test)]
mod tests {
    use octet_ir::Quantization;

    use super::*;

    #[test]
    fn each_element_has_its_scale() {
        let ty = Type::quantized(ElementType::I8, [2, 2], Quantization::per_axis(1, vec![0.5, 2.0]));
        assert_eq!(real(&ty, &[2, 2], &[1, 1, 255, 2]).unwrap(), [0.5, 2.0, -0.5, 4.0]);
        let ty = Type::quantized(ElementType::I4, [3], Quantization::new(1.0, 1));
        assert_eq!(real(&ty, &[3], &[0xf2, 0x08]).unwrap(), [1.0, -2.0, -9.0]);
        assert_eq!(real(&Type::i32([1]), &[1], &[7, 0, 0, 0]).unwrap(), [7.0]);
    }
}
