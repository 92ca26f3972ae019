//! One generator for each family of operations, in a file named like the one that declares the family in the IR.
//!
//! A generator chooses operands (data from the graph, or new data), attributes and the quantization of the results, and appends one operation;
//! it answers `None` when it cannot go on here, which costs nothing.

mod control;
mod conv;
mod create;
mod dense;
mod elementwise;
mod gather;
mod join;
mod normalization;
mod opaque;
mod pad;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod shape;
mod slice;
mod space;
mod weights;

pub(crate) use control::body;

use octet_ir::ops::{Activation, Padding};

use crate::build::Cx;
use crate::kind::Kind;

pub(crate) use elementwise::keep_type;

/// The generator of a few operations that are made alike.
pub(crate) struct Family {
    /// What it makes.
    pub(crate) mnemonics: &'static [&'static str],
    /// Appends one of them.
    pub(crate) make: fn(&mut Cx<'_, '_>, &'static str) -> Option<()>,
    /// Whether it needs the profile's leave: state or control flow.
    pub(crate) needs: Needs,
}

/// What a profile must allow before an operation is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    State,
    ControlFlow,
}

impl Family {
    const fn new(mnemonics: &'static [&'static str], make: fn(&mut Cx<'_, '_>, &'static str) -> Option<()>) -> Self {
        Self { mnemonics, make, needs: Needs::Nothing }
    }

    const fn needing(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }
}

/// Every family.
pub(crate) fn families() -> impl Iterator<Item = &'static Family> {
    [
        conv::FAMILIES,
        dense::FAMILIES,
        elementwise::FAMILIES,
        pool::FAMILIES,
        reduce::FAMILIES,
        normalization::FAMILIES,
        shape::FAMILIES,
        slice::FAMILIES,
        join::FAMILIES,
        pad::FAMILIES,
        gather::FAMILIES,
        space::FAMILIES,
        resize::FAMILIES,
        create::FAMILIES,
        quantize::FAMILIES,
        recurrent::FAMILIES,
        control::FAMILIES,
        opaque::FAMILIES,
    ]
    .into_iter()
    .flatten()
}

/// Every mnemonic that has a generator.
pub fn generated_mnemonics() -> Vec<&'static str> {
    families().flat_map(|f| f.mnemonics.iter().copied()).collect()
}

/// A clamping activation or none; kernels of quantized data know the same ones.
fn activation(cx: &mut Cx<'_, '_>) -> Activation {
    *cx.random().pick(&[Activation::None, Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1])
}

/// A range after an activation.
fn clamped((low, high): (f32, f32), activation: Activation) -> (f32, f32) {
    let (least, most) = activation.bounds().unwrap_or((-1.0, 1.0));
    (low.clamp(least, most), high.clamp(least, most).max(low.clamp(least, most) + 1e-3))
}

/// Window size, step and distance of taps along one axis of this size, such that a window fits when the border is not padded.
fn window(cx: &mut Cx<'_, '_>, size: usize, padding: Padding, dilated: bool) -> (usize, usize, usize) {
    let r = cx.random();
    let dilation = if dilated && r.chance(25) { 2 } else { 1 };
    let filter = r.between(1, 3);
    let stride = r.between(1, 3);
    match padding {
        Padding::Same => (filter, stride, dilation),
        Padding::Valid if (filter - 1) * dilation < size => (filter, stride, dilation),
        Padding::Valid => (r.between(1, size.min(3)), stride, 1),
    }
}

fn padding(cx: &mut Cx<'_, '_>) -> Padding {
    *cx.random().pick(&[Padding::Same, Padding::Valid])
}

/// Whether a kind is of floats or stands for them: what images are made of.
fn is_real(kind: Kind) -> bool {
    kind == Kind::F32 || kind.is_quantized()
}
