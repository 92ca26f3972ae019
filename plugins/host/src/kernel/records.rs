//! How a call lies in a kernel's memory: records, sizes, scales, options, data. `docs/wasm-kernel-abi.md` says it byte by byte.
//!
//! The host remembers where it put everything and follows no address that it reads back.

use octet_ir::{Diagnostic, ElementType, Granularity, Type};

/// Bytes of the record of a call.
const CALL: usize = 32;
/// Bytes of the record of a tensor.
const TENSOR: usize = 48;
/// Most axes of a result.
pub(super) const MOST_AXES: usize = 8;
/// Most results.
pub(super) const MOST_RESULTS: usize = 16;

/// The ABI's numbers of the element types that kernels take: those of TFLite's `TensorType`.
const ELEMENTS: &[(u32, ElementType)] = &[
    (0, ElementType::F32),
    (1, ElementType::F16),
    (2, ElementType::I32),
    (3, ElementType::U8),
    (4, ElementType::I64),
    (6, ElementType::Bool),
    (7, ElementType::I16),
    (9, ElementType::I8),
    (10, ElementType::F64),
    (12, ElementType::U64),
    (15, ElementType::U32),
    (16, ElementType::U16),
    (17, ElementType::I4),
    (18, ElementType::BF16),
];

/// The number of an element type.
pub(crate) fn element_number(elem: ElementType) -> Option<u32> {
    ELEMENTS.iter().find(|(_, e)| *e == elem).map(|(number, _)| *number)
}

/// The element type of a number.
pub(super) fn element(number: u32) -> Option<ElementType> {
    ELEMENTS.iter().find(|(n, _)| *n == number).map(|(_, elem)| *elem)
}

/// The results of a call.
#[derive(Clone, Copy)]
pub(super) enum Results<'c> {
    /// To be inferred.
    Unknown,
    /// To be computed.
    Known(&'c [Type]),
}

/// What stands in memory before a call.
pub(super) struct Frame<'c> {
    /// The records and all that is small, from the frame's first byte.
    pub(super) head: Vec<u8>,
    /// Data of operands, by offset in the frame.
    pub(super) data: Vec<(usize, &'c [u8])>,
    /// Offset and bytes of the data of each result.
    pub(super) results: Vec<(usize, usize)>,
    /// Bytes of everything.
    pub(super) size: u32,
}

impl<'c> Frame<'c> {
    /// Lays out a call at address `base`, a multiple of 16.
    pub(super) fn new(
        base: u32,
        operands: &[Option<(&Type, Option<&'c [u8]>)>],
        results: Results<'_>,
        options: &[u8],
    ) -> Result<Self, Diagnostic> {
        let count = match results {
            Results::Unknown => MOST_RESULTS,
            Results::Known(types) => types.len(),
        };
        let mut writer = Writer { base, bytes: vec![0; CALL + TENSOR * (operands.len() + count)] };
        let place = |index: usize| CALL + TENSOR * index;
        let call = [
            writer.address(place(0))?,
            number(operands.len())?,
            writer.address(place(operands.len()))?,
            number(count)?,
            writer.put(options, 1)?,
            number(options.len())?,
        ];
        writer.set(0, &call);
        // Data stands behind all else, so that a head of another base has the same size.
        let mut pending = Vec::new();
        for (index, operand) in operands.iter().enumerate() {
            let Some((ty, data)) = operand else { continue };
            let record = writer.tensor(ty)?;
            writer.set(place(index), &record);
            if let Some(data) = data {
                pending.push((place(index), data.len(), Some(*data)));
            }
        }
        for index in 0..count {
            let at = place(operands.len() + index);
            match results {
                Results::Unknown => {
                    let sizes = writer.put(&[0; 4 * MOST_AXES], 4)?;
                    writer.set(at, &[1, 0, 0, sizes]);
                }
                Results::Known(types) => {
                    let ty = types.get(index).ok_or_else(too_large)?;
                    let record = writer.tensor(ty)?;
                    writer.set(at, &record);
                    pending.push((at, ty.byte_len().ok_or_else(too_large)?, None));
                }
            }
        }
        let (mut data, mut found) = (Vec::new(), Vec::new());
        let mut end = writer.bytes.len();
        for (record, length, bytes) in pending {
            end = end.checked_next_multiple_of(16).ok_or_else(too_large)?;
            let address = writer.address(end)?;
            writer.set(record + 16, &[address, number(length)?]);
            match bytes {
                Some(bytes) => data.push((end, bytes)),
                None => found.push((end, length)),
            }
            end = end.checked_add(length).ok_or_else(too_large)?;
        }
        Ok(Self { head: writer.bytes, data, results: found, size: number(end)? })
    }

    /// Where the record of result `index` stands, for a call with so many operands.
    pub(super) fn result_record(operands: usize, index: usize) -> usize {
        CALL + TENSOR * (operands + index)
    }

    /// Where the number of results stands.
    pub(super) const RESULT_COUNT: usize = 12;
}

fn too_large() -> Diagnostic {
    Diagnostic::error("PLG018", "the operands and results do not fit into the memory of a kernel")
}

fn number(size: usize) -> Result<u32, Diagnostic> {
    u32::try_from(size).map_err(|_| too_large())
}

struct Writer {
    base: u32,
    bytes: Vec<u8>,
}

impl Writer {
    fn address(&self, offset: usize) -> Result<u32, Diagnostic> {
        self.base.checked_add(number(offset)?).ok_or_else(too_large)
    }

    /// Appends bytes and answers with their address.
    fn put(&mut self, bytes: &[u8], align: usize) -> Result<u32, Diagnostic> {
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
        let address = self.address(self.bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(address)
    }

    /// Writes numbers over what stands at an offset.
    fn set(&mut self, offset: usize, numbers: &[u32]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        if let Some(place) = self.bytes.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(&bytes);
        }
    }

    /// The record of a tensor without data.
    fn tensor(&mut self, ty: &Type) -> Result<[u32; 10], Diagnostic> {
        let not_given = |why: &str| Diagnostic::error("PLG025", format!("a kernel cannot be given a tensor of type {ty}: {why}"));
        let elem = element_number(ty.elem).ok_or_else(|| not_given("the ABI has no number for its elements"))?;
        let words = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let sizes: Vec<u32> = ty.shape.dims().iter().map(|d| number(*d)).collect::<Result<_, _>>()?;
        let mut record = [1, elem, number(sizes.len())?, self.put(&words(&sizes), 4)?, 0, 0, 0, 0, 0, 0];
        if let Some(quant) = &ty.quant {
            let axis = match quant.granularity() {
                Granularity::PerTensor => 0,
                Granularity::PerAxis(axis) => axis,
                Granularity::Blockwise { .. } => return Err(not_given("blockwise scales do not fit into its record")),
            };
            let scales: Vec<u32> = quant.scales().iter().map(|s| s.to_bits()).collect();
            let zero = |z: &i64| i32::try_from(*z).map(i32::cast_unsigned).map_err(|_| not_given("a zero point is out of range"));
            let zeros: Vec<u32> = quant.zero_points().iter().map(zero).collect::<Result<_, _>>()?;
            let tail = [number(scales.len())?, self.put(&words(&scales), 4)?, self.put(&words(&zeros), 4)?, number(axis)?];
            record[6..].copy_from_slice(&tail);
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use octet_ir::{ElementType, Quantization, Type};

    use super::{Frame, Results};

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    }

    /// The document's offsets, read from a frame.
    #[test]
    fn a_call_lies_as_the_document_says() {
        let ty = Type::quantized(ElementType::I8, vec![2, 3], Quantization::new(0.5, -3));
        let result = [Type::f32(vec![4])];
        let data = [1u8, 2, 3, 4, 5, 6];
        let frame = Frame::new(4096, &[Some((&ty, Some(&data))), None], Results::Known(&result), b"abc").expect("fits");
        let at = |address: u32| usize::try_from(address - 4096).expect("small");
        let head = &frame.head;
        assert_eq!((word(head, 4), word(head, 12), word(head, 20)), (2, 1, 3));
        assert_eq!(&head[at(word(head, 16))..][..3], b"abc");
        let operand = at(word(head, 0));
        assert_eq!((word(head, operand), word(head, operand + 4), word(head, operand + 8)), (1, 9, 2));
        let sizes = at(word(head, operand + 12));
        assert_eq!((word(head, sizes), word(head, sizes + 4)), (2, 3));
        assert_eq!((frame.data[0].0, word(head, operand + 20)), (at(word(head, operand + 16)), 6));
        assert_eq!(word(head, operand + 24), 1);
        assert_eq!(word(head, at(word(head, operand + 28))), 0.5f32.to_bits());
        assert_eq!(word(head, at(word(head, operand + 32))).cast_signed(), -3);
        assert_eq!(word(head, operand + 48), 0, "the second operand is left out");
        let result = at(word(head, 8));
        assert_eq!(result, Frame::result_record(2, 0));
        assert_eq!((frame.results[0], word(head, result + 16) % 16), ((at(word(head, result + 16)), 16), 0));
        assert_eq!(usize::try_from(frame.size).expect("small"), frame.results[0].0 + 16);
    }
}
