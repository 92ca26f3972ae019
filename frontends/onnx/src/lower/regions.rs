//! RoiAlign: every bin of every region is a mean (or the largest) of places that are sampled between pixels.
//!
//! Places of all regions are computed at once, as rows and columns that broadcast; each of the four neighbours is one GATHER from the flattened images.

use octet_ir::ops::{BinaryKind, CompareKind, ReduceKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input, to_first, to_last};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("RoiAlign", roi_align)];

/// Samples of all bins that are written out at most.
const LARGEST: usize = 1 << 20;

/// The two pixels around places along an axis: index (i32) and weight, both of the places' shape.
type Pixels = [(ValueId, ValueId); 2];

fn roi_align(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let regions = scope.as_f32(input(inputs, 1)?)?.0;
    let batches = scope.cast(input(inputs, 2)?, ElementType::I32)?;
    let (&[batch, channels, height, width], &[count, 4]) = (scope.dims(x), scope.dims(regions)) else {
        return Err("it takes an image of rank 4 and regions of four numbers".into());
    };
    let positive = |name: &str, default: i64| match usize::try_from(node.int_or(name, default)) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(format!("{name} must be given: how many samples a bin takes must not depend on the region")),
    };
    let (rows, columns, samples) = (positive("output_height", 1)?, positive("output_width", 1)?, positive("sampling_ratio", 0)?);
    let all = [count, rows, columns, samples, samples].iter().try_fold(1usize, |n, &f| n.checked_mul(f));
    if all.is_none_or(|n| n > LARGEST) || scope.dims(batches) != [count] {
        return Err("it has too many samples, or not one batch index a region".into());
    }
    // Half a pixel is taken off since opset 16, unless told otherwise; before, and then, no region is smaller than a pixel.
    let half =
        node.text_or("coordinate_transformation_mode", if node.version >= 16 { "half_pixel" } else { "output_half_pixel" }) == "half_pixel";
    let scale = node.float_or("spatial_scale", 1.0);
    let axis = |scope: &mut Scope<'_>, first: usize, bins: usize, size: usize| -> Result<Pixels, Refusal> {
        let [start, end] = [first, first + 2].map(|at| scope.slice(regions, 1, at, 1));
        let shift = if half { -0.5 } else { 0.0 };
        let mut ends = [start?, end?];
        for end in &mut ends {
            let scaled = scope.times(*end, scale)?;
            *end = scope.plus(scaled, shift)?;
        }
        let mut length = scope.binary(BinaryKind::Sub, ends[1], ends[0])?;
        if !half {
            let one = scope.f32(1.0);
            length = scope.binary(BinaryKind::Maximum, length, one)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "bins of a region")]
        let fractions: Vec<f32> =
            (0..bins * samples).map(|k| ((k / samples) as f32 + ((k % samples) as f32 + 0.5) / samples as f32) / bins as f32).collect();
        let fractions = scope.f32_tensor(&fractions, &[1, bins * samples]);
        let within = scope.binary(BinaryKind::Mul, length, fractions)?;
        let places = scope.binary(BinaryKind::Add, within, ends[0])?;
        pixels(scope, places, size)
    };
    let (across, down) = (axis(scope, 0, columns, width)?, axis(scope, 1, rows, height)?);
    let image = to_last(scope, x)?;
    let image = scope.reshape(image, &[batch * height * width, channels])?;
    let plane = scope.i32(small(height * width)?);
    let origins = scope.binary(BinaryKind::Mul, batches, plane)?;
    let origins = scope.reshape(origins, &[count, 1, 1])?;
    let stride = scope.i32(small(width)?);
    let (tall, wide) = (rows * samples, columns * samples);
    let is_largest = node.text_or("mode", "avg") == "max";
    let combine = if is_largest { BinaryKind::Maximum } else { BinaryKind::Add };
    let mut value: Option<ValueId> = None;
    for (row, row_weight) in down {
        for (column, column_weight) in across {
            let [row, row_weight] = [row, row_weight].map(|v| scope.reshape(v, &[count, tall, 1]));
            let [column, column_weight] = [column, column_weight].map(|v| scope.reshape(v, &[count, 1, wide]));
            let line = scope.binary(BinaryKind::Mul, row?, stride)?;
            let line = scope.binary(BinaryKind::Add, line, origins)?;
            let index = scope.binary(BinaryKind::Add, line, column?)?;
            let weight = scope.binary(BinaryKind::Mul, row_weight?, column_weight?)?;
            let index = scope.reshape(index, &[count * tall * wide])?;
            let weight = scope.reshape(weight, &[count * tall * wide, 1])?;
            let pixel = scope.gather(image, index, 0)?;
            let pixel = scope.binary(BinaryKind::Mul, pixel, weight)?;
            value = Some(match value {
                Some(others) => scope.binary(combine, others, pixel)?,
                None => pixel,
            });
        }
    }
    let value = value.ok_or("it has no samples")?;
    // Samples of a bin down, then across.
    let kind = if is_largest { ReduceKind::Max } else { ReduceKind::Mean };
    let value = scope.reshape(value, &[count * rows, samples, wide * channels])?;
    let value = scope.reduce(kind, value, &[1], false)?;
    let value = scope.reshape(value, &[count * rows * columns, samples, channels])?;
    let value = scope.reduce(kind, value, &[1], false)?;
    let value = scope.reshape(value, &[count, rows, columns, channels])?;
    let value = to_first(scope, value)?;
    Ok(vec![scope.cast(value, elem)?])
}

/// The pixels around places: more than one pixel outside the image weighs nothing, and what is nearer is moved to its edge.
#[expect(clippy::cast_precision_loss, reason = "sizes of images")]
fn pixels(scope: &mut Scope<'_>, places: ValueId, size: usize) -> Result<Pixels, Refusal> {
    let (zero, one, last) = (scope.f32(0.0), scope.f32(1.0), scope.f32(size as f32 - 1.0));
    let (low, high) = (scope.f32(-1.0), scope.f32(size as f32));
    let above = scope.compare(CompareKind::GreaterEqual, places, low)?;
    let below = scope.compare(CompareKind::LessEqual, places, high)?;
    let inside = scope.binary(BinaryKind::LogicalAnd, above, below)?;
    let place = scope.binary(BinaryKind::Maximum, places, zero)?;
    let place = scope.binary(BinaryKind::Minimum, place, last)?;
    let base = scope.unary(UnaryKind::Floor, place)?;
    let far = scope.binary(BinaryKind::Sub, place, base)?;
    let near = scope.binary(BinaryKind::Sub, one, far)?;
    let next = scope.plus(base, 1.0)?;
    let next = scope.binary(BinaryKind::Minimum, next, last)?;
    let mut pixel = |at: ValueId, weight: ValueId| -> Result<(ValueId, ValueId), Refusal> {
        Ok((scope.cast(at, ElementType::I32)?, scope.select(inside, weight, zero)?))
    };
    Ok([pixel(base, near)?, pixel(next, far)?])
}
