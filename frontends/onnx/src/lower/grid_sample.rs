//! Places turned and shifted, and sampling at computed places: for each of the neighbours of a place one GATHER from the flattened image, times its weight.

use octet_ir::ops::{BinaryKind, CompareKind, UnaryKind};
use octet_ir::{ElementType, ValueId};

use super::{Inputs, Lowering, Outputs, Table, input, to_first, to_last};
use crate::attributes::{Node, Refusal};
use crate::build::small;
use crate::scope::Scope;

pub(super) const TABLE: Table = &[("AffineGrid", affine_grid), ("GridSample", grid_sample)];

/// For every pixel of an image of a known size, its place under an affine map of each batch.
fn affine_grid(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    const LARGEST: usize = 1 << 22;
    let scope = &mut *l.scope;
    let (theta, elem) = scope.as_f32(input(inputs, 0)?)?;
    let size = scope.need_ints(input(inputs, 1)?, "the size")?;
    let size: Option<Vec<usize>> = size.iter().map(|&s| usize::try_from(s).ok()).collect();
    let size = size.ok_or("a size is negative")?;
    let [batch, _, spatial @ ..] = size.as_slice() else { return Err("the size has no axes of an image".into()) };
    let rank = spatial.len();
    let count = spatial.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).filter(|&n| n > 0 && n <= LARGEST);
    let count = count.ok_or("the grid is empty or too large")?;
    if scope.dims(theta) != [*batch, rank, rank + 1] {
        return Err(format!("maps of {:?} do not fit an image of {size:?}", scope.dims(theta)));
    }
    let align = node.flag("align_corners");
    #[expect(clippy::cast_precision_loss, reason = "pixels of an image")]
    let place = |index: usize, size: usize| match (align, size) {
        (true, 1) => 0.0,
        (true, _) => 2.0 * index as f32 / (size - 1) as f32 - 1.0,
        (false, _) => (2 * index + 1) as f32 / size as f32 - 1.0,
    };
    // Innermost axis first, then a 1 for the shift.
    let mut places = Vec::with_capacity(count * (rank + 1));
    for flat in 0..count {
        let mut rest = flat;
        for &size in spatial.iter().rev() {
            places.push(place(rest % size, size));
            rest /= size;
        }
        places.push(1.0);
    }
    let places = scope.f32_tensor(&places, &[1, count, rank + 1]);
    let places = scope.expand(places, &[*batch, count, rank + 1])?;
    let grid = scope.batch_matmul(places, theta, true)?;
    let shape = [&[*batch], spatial, &[rank]].concat();
    let grid = scope.reshape(grid, &shape)?;
    Ok(vec![scope.cast(grid, elem)?])
}

/// A neighbour along one axis: its index `[M]` (i32, inside the axis) and its weight `[M]`.
type Neighbour = (ValueId, ValueId);

fn grid_sample(l: &mut Lowering<'_, '_, '_>, node: &Node<'_>, inputs: Inputs<'_>) -> Outputs {
    let scope = &mut *l.scope;
    let (x, elem) = scope.as_f32(input(inputs, 0)?)?;
    let grid = scope.as_f32(input(inputs, 1)?)?.0;
    let dims = scope.dims(x).to_vec();
    let n = dims.len().saturating_sub(2);
    let places = scope.dims(grid).to_vec();
    if n == 0 || places.len() != n + 2 || places[n + 1] != n || places[0] != dims[0] {
        return Err(format!("a grid of {places:?} does not fit an image of {dims:?}"));
    }
    let (batch, channels, spatial) = (dims[0], dims[1], &dims[2..]);
    let each: usize = places[1..=n].iter().product();
    let count = batch * each;
    let mut along = Vec::with_capacity(n);
    for (a, &size) in spatial.iter().enumerate() {
        // The grid names the innermost axis first.
        let coordinate = scope.slice(grid, n + 1, n - 1 - a, 1)?;
        let coordinate = scope.reshape(coordinate, &[count])?;
        along.push(neighbours(scope, node, coordinate, size)?);
    }
    let plane: usize = spatial.iter().product();
    let image = to_last(scope, x)?;
    let image = scope.reshape(image, &[batch * plane, channels])?;
    // Where the image of each sample begins.
    let origins: Vec<i32> = (0..count).map(|m| small(m / each * plane)).collect::<Result<_, _>>()?;
    let mut partial: Vec<(ValueId, Option<ValueId>)> = vec![(scope.i32s(&origins), None)];
    for (a, neighbours) in along.iter().enumerate() {
        let stride = scope.i32(small(spatial[a + 1..].iter().product())?);
        let mut next = Vec::with_capacity(partial.len() * neighbours.len());
        for &(index, weight) in &partial {
            for &(at, own) in neighbours {
                let step = scope.binary(BinaryKind::Mul, at, stride)?;
                let index = scope.binary(BinaryKind::Add, index, step)?;
                let weight = match weight {
                    Some(weight) => scope.binary(BinaryKind::Mul, weight, own)?,
                    None => own,
                };
                next.push((index, Some(weight)));
            }
        }
        partial = next;
    }
    let mut sum = None;
    for (index, weight) in partial {
        let mut value = scope.gather(image, index, 0)?;
        if let Some(weight) = weight {
            let weight = scope.reshape(weight, &[count, 1])?;
            value = scope.binary(BinaryKind::Mul, value, weight)?;
        }
        sum = Some(match sum {
            Some(sum) => scope.binary(BinaryKind::Add, sum, value)?,
            None => value,
        });
    }
    let sum = sum.ok_or("the grid is empty")?;
    let shape: Vec<usize> = places[..=n].iter().copied().chain([channels]).collect();
    let result = scope.reshape(sum, &shape)?;
    let result = to_first(scope, result)?;
    Ok(vec![scope.cast(result, elem)?])
}

/// Indices and weights along an axis of this size, for coordinates from -1 to 1.
#[expect(clippy::cast_precision_loss, reason = "sizes of images")]
fn neighbours(scope: &mut Scope<'_>, node: &Node<'_>, coordinate: ValueId, size: usize) -> Result<Vec<Neighbour>, Refusal> {
    let corners = node.flag("align_corners");
    let size_f = size as f32;
    let shifted = scope.plus(coordinate, 1.0)?;
    let mut place = if corners {
        scope.times(shifted, (size_f - 1.0) / 2.0)?
    } else {
        let scaled = scope.times(shifted, size_f / 2.0)?;
        scope.plus(scaled, -0.5)?
    };
    let padding = node.text_or("padding_mode", "zeros");
    let (low, high) = if corners { (0.0, size_f - 1.0) } else { (-0.5, size_f - 0.5) };
    let bounded = |scope: &mut Scope<'_>, at: ValueId| match padding {
        "reflection" => reflect(scope, at, low, high),
        _ => Ok(at),
    };
    let mode = node.text_or("mode", "linear");
    if mode == "nearest" {
        place = scope.unary(UnaryKind::Round, place)?;
    } else if padding == "border" {
        place = clamp(scope, place, 0.0, size_f - 1.0)?;
    } else {
        place = bounded(scope, place)?;
    }
    let base = scope.unary(UnaryKind::Floor, place)?;
    let ratio = scope.binary(BinaryKind::Sub, place, base)?;
    let mut found = Vec::new();
    let weights: Vec<(f32, ValueId)> = match mode {
        "nearest" => vec![(0.0, scope.f32(1.0))],
        "linear" | "bilinear" => {
            let one = scope.f32(1.0);
            vec![(0.0, scope.binary(BinaryKind::Sub, one, ratio)?), (1.0, ratio)]
        }
        "cubic" | "bicubic" => {
            [-1.0, 0.0, 1.0, 2.0].into_iter().map(|o| Ok((o, cubic(scope, ratio, o)?))).collect::<Result<_, Refusal>>()?
        }
        other => return Err(format!("mode '{other}' is not known")),
    };
    for (offset, weight) in weights {
        let mut at = scope.plus(base, offset)?;
        let mut weight = weight;
        if padding == "zeros" {
            let (zero, last) = (scope.f32(0.0), scope.f32(size_f - 1.0));
            let above = scope.compare(CompareKind::GreaterEqual, at, zero)?;
            let below = scope.compare(CompareKind::LessEqual, at, last)?;
            let inside = scope.binary(BinaryKind::LogicalAnd, above, below)?;
            weight = scope.select(inside, weight, zero)?;
        } else {
            at = bounded(scope, at)?;
        }
        // Rounded again: reflecting at half pixels leaves whole numbers, but for the last bit.
        let at = scope.unary(UnaryKind::Round, at)?;
        let at = clamp(scope, at, 0.0, size_f - 1.0)?;
        let count = scope.dims(coordinate).to_vec();
        let weight = scope.expand(weight, &count)?;
        found.push((scope.cast(at, ElementType::I32)?, weight));
    }
    Ok(found)
}

fn clamp(scope: &mut Scope<'_>, value: ValueId, low: f32, high: f32) -> Result<ValueId, Refusal> {
    let (low, high) = (scope.f32(low), scope.f32(high));
    let raised = scope.binary(BinaryKind::Maximum, value, low)?;
    scope.binary(BinaryKind::Minimum, raised, high)
}

/// Places outside `low..=high` mirrored at its ends until they are inside.
fn reflect(scope: &mut Scope<'_>, value: ValueId, low: f32, high: f32) -> Result<ValueId, Refusal> {
    if high <= low {
        return clamp(scope, value, low, low);
    }
    let period = 2.0 * (high - low);
    let shifted = scope.plus(value, -low)?;
    let period_v = scope.f32(period);
    let folded = scope.binary(BinaryKind::FloorMod, shifted, period_v)?;
    let back = scope.binary(BinaryKind::Sub, period_v, folded)?;
    let inside = scope.binary(BinaryKind::Minimum, folded, back)?;
    scope.plus(inside, low)
}

/// The cubic kernel with a = -0.75 for the neighbour at this offset.
fn cubic(scope: &mut Scope<'_>, ratio: ValueId, offset: f32) -> Result<ValueId, Refusal> {
    const A: f32 = -0.75;
    // The distance from the place to the neighbour.
    let negated = scope.times(ratio, -1.0)?;
    let signed = scope.plus(negated, offset)?;
    let x = scope.unary(UnaryKind::Abs, signed)?;
    let coefficients: [f32; 4] =
        if offset == 0.0 || offset == 1.0 { [A + 2.0, -(A + 3.0), 0.0, 1.0] } else { [A, -5.0 * A, 8.0 * A, -4.0 * A] };
    let mut sum = scope.times(x, coefficients[0])?;
    for &c in &coefficients[1..3] {
        sum = scope.plus(sum, c)?;
        sum = scope.binary(BinaryKind::Mul, sum, x)?;
    }
    scope.plus(sum, coefficients[3])
}
