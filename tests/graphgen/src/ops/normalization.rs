//! Normalizations along the innermost axis.

use octet_ir::ops::{Activation, L2Normalization, LocalResponseNormalization, LogSoftmax, Op, Softmax};

use super::Family;
use crate::build::{Cx, Out};
use crate::kind::Kind;

pub(super) const FAMILIES: &[Family] =
    &[Family::new(&["softmax", "log_softmax", "l2_normalization"], normalize), Family::new(&["local_response_normalization"], local)];

fn normalize(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let (op, (low, high)): (Op, _) = match mnemonic {
        "softmax" => (Softmax { beta: *cx.random().pick(&[1.0, 1.0, 0.5, 2.0]) }.into(), (0.0, 255.0 / 256.0)),
        "log_softmax" => (LogSoftmax {}.into(), (-255.0 / 16.0, 0.0)),
        _ => (L2Normalization { activation: Activation::None }.into(), (-1.0, 127.0 / 128.0)),
    };
    // The specification fixes these scales: 1/256, 16/256 and 1/128, and 1/32768 for 16 bits.
    let quant = match kind {
        Kind::I16 => kind.quantization(0.0, 32767.0 / 32768.0),
        _ => kind.quantization(low, high),
    };
    let out = Out { elem: kind.elem(), quant, range: (low, high) };
    cx.emit1(op, &[x], out).map(drop)
}

fn local(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.image(kind);
    let r = cx.random();
    let op = LocalResponseNormalization {
        radius: *r.pick(&[1, 2, 5]),
        bias: r.float(0.5, 2.0),
        alpha: r.float(0.0, 1.0),
        beta: *r.pick(&[0.5, 0.75, 1.0]),
    };
    let bound = 4.0 * cx.amplitude(x);
    let out = cx.out(kind, -bound, bound);
    cx.emit1(op, &[x], out).map(drop)
}
