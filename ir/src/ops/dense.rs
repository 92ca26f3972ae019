//! Matrix products.

use serde::{Deserialize, Serialize};

use super::common::Activation;
use super::infer::{InferCx, InferError, Inferred, broadcast, invalid, keep_dynamic, product};
use crate::types::{ElementType, Shape};

/// How the weights of a fully connected layer are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsFormat {
    /// Row major.
    #[default]
    Default,
    /// Blocks of 4 by 16 for signed 8-bit kernels.
    Shuffled4x16Int8,
}

op! {
    /// Dense layer: `input` flattened to `[batch, K]`, `weights [units, K]`, `bias [units]` give `[batch, units]`.
    FullyConnected = "fully_connected" [input, weights, bias?] fully_connected;
    {
        /// Fused activation.
        activation: Activation = Activation::None,
        /// Storage of the weights.
        weights_format: WeightsFormat = WeightsFormat::Default,
        /// Keep the input's leading axes instead of flattening them into one batch axis.
        keep_num_dims: bool = false,
        /// With float input and integer weights: quantize the input asymmetrically when the model runs.
        asymmetric_quantize_inputs: bool = false,
        /// Element type of the accumulator and bias of a 16x8 kernel, where the source says.
        quantized_bias_type: Option<ElementType> = None,
    }
}

fn fully_connected(op: &FullyConnected, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let input = cx.shape(0)?;
    let [units, k] = cx.dims(1)?;
    let elements = product(input.dims())?;
    if let Some(bias) = cx.optional(2)
        && bias.shape.elements() != units
    {
        return Err(invalid(format!("the bias has {} elements, expected {units}", bias.shape.elements())));
    }
    let elem = cx.result_elem(0, cx.elem(0)?);
    let mut results = if op.keep_num_dims {
        let Some((&last, leading)) = input.dims().split_last() else { return Err(invalid("the input is a scalar")) };
        if last != k {
            return Err(invalid(format!("the input's innermost size is {last}, the weights take {k}")));
        }
        let keep: Vec<usize> = (0..leading.len()).collect();
        let dims = leading.iter().copied().chain([units]).collect();
        vec![(elem, keep_dynamic(input, dims, &keep))]
    } else {
        if k == 0 || elements % k != 0 {
            return Err(invalid(format!("{elements} input elements do not fill rows of {k}")));
        }
        let keep: &[usize] = if input.rank() > 1 { &[0] } else { &[] };
        vec![(elem, keep_dynamic(input, vec![elements / k, units], keep))]
    };
    if op.weights_format == WeightsFormat::Shuffled4x16Int8 && cx.result_count() == 2 {
        results.push((ElementType::U8, Shape::new(input.dims())));
    }
    Ok(results)
}

op! {
    /// Product of batches of matrices: `[..., M, K] x [..., K, N] = [..., M, N]`, leading axes broadcast.
    BatchMatmul = "batch_matmul" [lhs, rhs] batch_matmul;
    {
        /// Transpose the left matrices first.
        adj_x: bool = false,
        /// Transpose the right matrices first.
        adj_y: bool = false,
        /// With float left side and integer right side: quantize the left asymmetrically when the model runs.
        asymmetric_quantize_inputs: bool = false,
    }
}

fn batch_matmul(op: &BatchMatmul, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (lhs, rhs) = (cx.shape(0)?, cx.shape(1)?);
    let ([lhs_batch @ .., lm, lk], [rhs_batch @ .., rk, rn]) = (lhs.dims(), rhs.dims()) else {
        return Err(invalid("both sides need rank 2 or more"));
    };
    let (m, k) = if op.adj_x { (*lk, *lm) } else { (*lm, *lk) };
    let (k2, n) = if op.adj_y { (*rn, *rk) } else { (*rk, *rn) };
    if k != k2 {
        return Err(invalid(format!("inner sizes {k} and {k2} differ")));
    }
    let mut dims = broadcast(&Shape::new(lhs_batch), &Shape::new(rhs_batch))?.dims().to_vec();
    dims.extend([m, n]);
    let keep: Vec<usize> = if lhs.rank() == dims.len() { (0..dims.len() - 2).collect() } else { Vec::new() };
    let keep = if !op.adj_x && lhs.rank() == dims.len() { [keep, vec![dims.len() - 2]].concat() } else { keep };
    let elem = if cx.elem(0)? == ElementType::I8 { cx.result_elem(0, ElementType::I8) } else { cx.elem(0)? };
    Ok(vec![(elem, keep_dynamic(lhs, dims, &keep))])
}

op! {
    /// Rows of `table [rows, ...]` at the indices `ids`.
    EmbeddingLookup = "embedding_lookup" [ids, table] embedding_lookup;
    {}
}

fn embedding_lookup(_: &EmbeddingLookup, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    let (ids, table) = (cx.shape(0)?, cx.shape(1)?);
    let Some((_, row)) = table.dims().split_first() else { return Err(invalid("the table is a scalar")) };
    let dims = ids.dims().iter().chain(row).copied().collect();
    let keep: Vec<usize> = (0..ids.rank()).collect();
    Ok(vec![(cx.result_elem(0, cx.elem(1)?), keep_dynamic(ids, dims, &keep))])
}
