//! Recurrent layers on float activations: LSTM, plain recurrent cells and SVDF, with float or
//! integer ("hybrid") weights. Sequences are walked sample by sample, so the layout of time and
//! batch is only a matter of offsets.

use octet_ir::ops::Activation;

use super::activation::{activate, logistic};
use super::gemm::multiply_vector;
use super::hybrid::{quantize_asymmetric, quantize_symmetric};

const NO_CLAMP: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

/// A weight matrix that multiplies vectors.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// `[rows, columns]` floats.
    Float(Vec<f32>),
    /// `[rows, columns]` integers with one scale; the vector is rounded to 8 bits first.
    Integer {
        /// The integers.
        numbers: Vec<f32>,
        /// What one step is worth.
        scale: f32,
        /// Round the vector to its own range, not symmetrically.
        asymmetric: bool,
    },
    /// A diagonal matrix.
    Diagonal(Vec<f32>),
}

/// A vector, and its rounded form once some integer matrix has asked for it.
struct Vector<'a> {
    float: &'a [f32],
    rounded: Option<(Vec<f32>, f32)>,
}

impl<'a> Vector<'a> {
    fn new(float: &'a [f32]) -> Self {
        Self { float, rounded: None }
    }
}

impl Matrix {
    /// `out += matrix * x`.
    fn accumulate(&self, x: &mut Vector<'_>, out: &mut [f32]) {
        let mut product = vec![0.0; out.len()];
        match self {
            Self::Float(weights) => {
                multiply_vector(x.float, weights, None, NO_CLAMP, &mut product);
                out.iter_mut().zip(product).for_each(|(out, y)| *out += y);
            }
            Self::Integer { numbers, scale, asymmetric } => {
                let (rounded, step) = x.rounded.get_or_insert_with(|| {
                    let mut rounded = vec![0.0; x.float.len()];
                    let quantize = if *asymmetric { quantize_asymmetric } else { quantize_symmetric };
                    let step = quantize(x.float, &mut rounded);
                    (rounded, step)
                });
                multiply_vector(rounded, numbers, None, NO_CLAMP, &mut product);
                let step = *step * scale;
                out.iter_mut().zip(product).for_each(|(out, y)| *out += y * step);
            }
            Self::Diagonal(diagonal) => {
                for ((out, &x), &w) in out.iter_mut().zip(x.float).zip(diagonal) {
                    *out += x * w;
                }
            }
        }
    }
}

/// How a sequence lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Sequence {
    /// Steps.
    pub time: usize,
    /// Samples.
    pub batch: usize,
    /// Time is the outermost axis.
    pub time_major: bool,
    /// Walk from the last step to the first.
    pub reverse: bool,
}

impl Sequence {
    /// Calls `step(sample, row)` for every step of every sample, in order of time; `row` numbers
    /// the rows of the tensors.
    fn walk(&self, mut step: impl FnMut(usize, usize)) {
        for sample in 0..self.batch {
            for time in 0..self.time {
                let time = if self.reverse { self.time - 1 - time } else { time };
                step(sample, if self.time_major { time * self.batch + sample } else { sample * self.time + time });
            }
        }
    }
}

/// Rows of a tensor that a layer reads or writes: `width` elements at `offset` of each `stride`.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Elements per row of the tensor.
    pub stride: usize,
    /// First element of the layer's part.
    pub offset: usize,
}

/// One gate of an LSTM.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Weights of the input.
    pub input: Matrix,
    /// Weights of the auxiliary input.
    pub aux: Option<Matrix>,
    /// Weights of the output state.
    pub recurrent: Matrix,
    /// Weights of the cell state.
    pub peephole: Option<Vec<f32>>,
    /// Coefficients of layer normalization.
    pub norm: Option<Vec<f32>>,
    /// Bias, one per cell.
    pub bias: Vec<f32>,
}

impl Gate {
    /// The gate before its activation.
    fn run(&self, x: &mut Vector<'_>, aux: Option<&mut Vector<'_>>, h: &mut Vector<'_>, cell: Option<&[f32]>, out: &mut [f32]) {
        match self.norm {
            Some(_) => out.fill(0.0),
            None => out.copy_from_slice(&self.bias),
        }
        self.input.accumulate(x, out);
        if let (Some(weights), Some(aux)) = (&self.aux, aux) {
            weights.accumulate(aux, out);
        }
        self.recurrent.accumulate(h, out);
        if let (Some(weights), Some(cell)) = (&self.peephole, cell) {
            for ((out, &w), &c) in out.iter_mut().zip(weights).zip(cell) {
                *out += w * c;
            }
        }
        if let Some(norm) = &self.norm {
            let n = out.len() as f32;
            let mean = out.iter().sum::<f32>() / n;
            let variance = out.iter().map(|y| (y - mean) * (y - mean)).sum::<f32>() / n;
            let inverse = 1.0 / (variance + 1e-8).sqrt();
            for ((out, &coefficient), &bias) in out.iter_mut().zip(norm).zip(&self.bias) {
                *out = (*out - mean) * inverse * coefficient + bias;
            }
        }
    }
}

/// An LSTM layer in one direction.
#[derive(Clone, Debug)]
pub struct Lstm {
    /// Input gate; without it, it is one minus the forget gate.
    pub input_gate: Option<Gate>,
    /// Forget gate.
    pub forget_gate: Gate,
    /// Cell gate; it has no peephole.
    pub cell_gate: Gate,
    /// Output gate.
    pub output_gate: Gate,
    /// Projection of the output and its bias.
    pub projection: Option<(Matrix, Option<Vec<f32>>)>,
    /// Activation of the cell.
    pub activation: Activation,
    /// Clip of the cell state; 0 is none.
    pub cell_clip: f32,
    /// Clip of the projection; 0 is none.
    pub proj_clip: f32,
    /// Cells.
    pub cells: usize,
    /// Elements of the output state.
    pub outputs: usize,
    /// Elements of an input row.
    pub inputs: usize,
    /// Elements of a row of the auxiliary input.
    pub aux_inputs: usize,
}

fn sigmoid(x: &mut [f32]) {
    let input = x.to_vec();
    logistic(&input, x);
}

fn clip(x: &mut [f32], limit: f32) {
    if limit > 0.0 {
        x.iter_mut().for_each(|x| *x = x.clamp(-limit, limit));
    }
}

impl Lstm {
    /// Runs a sequence. `hidden` `[batch, outputs]` and `cell` `[batch, cells]` are updated in place.
    pub fn run(
        &self,
        sequence: Sequence,
        (input, aux): (&[f32], Option<&[f32]>),
        hidden: &mut [f32],
        cell: &mut [f32],
        (output, rows): (&mut [f32], Rows),
    ) {
        let mut gates: [Vec<f32>; 4] = std::array::from_fn(|_| vec![0.0; self.cells]);
        sequence.walk(|sample, row| {
            let x = &input[row * self.inputs..][..self.inputs];
            let aux = aux.map(|aux| &aux[row * self.aux_inputs..][..self.aux_inputs]);
            let hidden = &mut hidden[sample * self.outputs..][..self.outputs];
            let cell = &mut cell[sample * self.cells..][..self.cells];
            self.step(x, aux, hidden, cell, &mut gates);
            output[row * rows.stride + rows.offset..][..self.outputs].copy_from_slice(hidden);
        });
    }

    fn step(&self, x: &[f32], aux: Option<&[f32]>, hidden: &mut [f32], cell: &mut [f32], gates: &mut [Vec<f32>; 4]) {
        let [i, f, g, o] = gates;
        {
            let (mut x, mut h) = (Vector::new(x), Vector::new(hidden));
            let mut aux = aux.map(Vector::new);
            self.forget_gate.run(&mut x, aux.as_mut(), &mut h, Some(cell), f);
            sigmoid(f);
            match &self.input_gate {
                Some(gate) => {
                    gate.run(&mut x, aux.as_mut(), &mut h, Some(cell), i);
                    sigmoid(i);
                }
                None => i.iter_mut().zip(&*f).for_each(|(i, f)| *i = 1.0 - f),
            }
            self.cell_gate.run(&mut x, aux.as_mut(), &mut h, None, g);
            activate(self.activation, g);
            for (((c, f), i), g) in cell.iter_mut().zip(&*f).zip(&*i).zip(&*g) {
                *c = *c * f + g * i;
            }
            clip(cell, self.cell_clip);
            self.output_gate.run(&mut x, aux.as_mut(), &mut h, Some(cell), o);
            sigmoid(o);
        }
        g.copy_from_slice(cell);
        activate(self.activation, g);
        g.iter_mut().zip(&*o).for_each(|(g, o)| *g *= o);
        match &self.projection {
            Some((weights, bias)) => {
                match bias {
                    Some(bias) => hidden.copy_from_slice(bias),
                    None => hidden.fill(0.0),
                }
                weights.accumulate(&mut Vector::new(g), hidden);
                clip(hidden, self.proj_clip);
            }
            None => hidden.copy_from_slice(g),
        }
    }
}

/// One plain recurrent cell: `h = activation(W x + A aux + R h + b)`.
#[derive(Clone, Debug)]
pub struct Rnn {
    /// Weights of the input.
    pub input: Matrix,
    /// Weights of the auxiliary input.
    pub aux: Option<Matrix>,
    /// Weights of the state.
    pub recurrent: Matrix,
    /// Bias, one per unit.
    pub bias: Vec<f32>,
    /// Activation.
    pub activation: Activation,
    /// Elements of an input row.
    pub inputs: usize,
    /// Elements of a row of the auxiliary input.
    pub aux_inputs: usize,
}

impl Rnn {
    /// Runs a sequence; `hidden` `[batch, units]` is updated in place.
    pub fn run(&self, sequence: Sequence, (input, aux): (&[f32], Option<&[f32]>), hidden: &mut [f32], (output, rows): (&mut [f32], Rows)) {
        let units = self.bias.len();
        let mut y = vec![0.0; units];
        sequence.walk(|sample, row| {
            let hidden = &mut hidden[sample * units..][..units];
            y.copy_from_slice(&self.bias);
            self.input.accumulate(&mut Vector::new(&input[row * self.inputs..][..self.inputs]), &mut y);
            if let (Some(weights), Some(aux)) = (&self.aux, aux) {
                weights.accumulate(&mut Vector::new(&aux[row * self.aux_inputs..][..self.aux_inputs]), &mut y);
            }
            self.recurrent.accumulate(&mut Vector::new(hidden), &mut y);
            activate(self.activation, &mut y);
            hidden.copy_from_slice(&y);
            output[row * rows.stride + rows.offset..][..units].copy_from_slice(&y);
        });
    }
}

/// A singular-value-decomposed filter over time.
#[derive(Clone, Debug)]
pub struct Svdf {
    /// `[filters, inputs]`.
    pub feature: Matrix,
    /// `[filters, memory]`.
    pub time: Vec<f32>,
    /// Bias, one per unit.
    pub bias: Option<Vec<f32>>,
    /// Filters per unit.
    pub rank: usize,
    /// Filters.
    pub filters: usize,
    /// Steps that the state remembers.
    pub memory: usize,
    /// Elements of an input row.
    pub inputs: usize,
    /// Fused activation.
    pub activation: Activation,
}

impl Svdf {
    /// Takes one step per sample; `state` `[batch, filters, memory]` is updated in place.
    pub fn run(&self, input: &[f32], state: &mut [f32], output: &mut [f32]) {
        let units = self.filters / self.rank;
        let mut features = vec![0.0; self.filters];
        let samples = input.chunks_exact(self.inputs).zip(state.chunks_exact_mut(self.filters * self.memory));
        for ((x, state), out) in samples.zip(output.chunks_exact_mut(units)) {
            features.fill(0.0);
            self.feature.accumulate(&mut Vector::new(x), &mut features);
            match &self.bias {
                Some(bias) => out.copy_from_slice(bias),
                None => out.fill(0.0),
            }
            for (filter, line) in state.chunks_exact_mut(self.memory).enumerate() {
                line.copy_within(1.., 0);
                line[self.memory - 1] = features[filter];
                let weights = &self.time[filter * self.memory..][..self.memory];
                out[filter / self.rank] += line.iter().zip(weights).map(|(x, w)| x * w).sum::<f32>();
            }
            activate(self.activation, out);
        }
    }
}
