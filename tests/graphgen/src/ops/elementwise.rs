//! Operations that compute each element of the result from the same element of the operands.

use octet_ir::ops::{
    Activation, Binary, BinaryKind, Bitcast, Cast, Compare, CompareKind, Gelu, LeakyRelu, Op, Prelu, Select, SelectKind, Unary, UnaryKind,
};
use octet_ir::{ElementType, Type, ValueId};

use super::{Family, activation, clamped, is_real};
use crate::build::{Cx, Out};
use crate::kind::Kind;
use crate::profile::Runtime;

pub(super) const FAMILIES: &[Family] = &[
    Family::new(
        &[
            "abs",
            "ceil",
            "cos",
            "elu",
            "exp",
            "floor",
            "hard_swish",
            "log",
            "logical_not",
            "logistic",
            "neg",
            "relu",
            "relu6",
            "relu_n1_to_1",
            "relu_0_to_1",
            "round",
            "rsqrt",
            "sign",
            "sin",
            "sqrt",
            "square",
            "tanh",
            "zeros_like",
        ],
        unary,
    ),
    Family::new(
        &[
            "add",
            "sub",
            "mul",
            "div",
            "floor_div",
            "floor_mod",
            "maximum",
            "minimum",
            "pow",
            "squared_difference",
            "atan2",
            "logical_and",
            "logical_or",
            "bitwise_xor",
            "right_shift",
        ],
        binary,
    ),
    Family::new(&["equal", "not_equal", "greater", "greater_equal", "less", "less_equal"], compare),
    Family::new(&["gelu", "leaky_relu"], curve),
    Family::new(&["prelu"], prelu),
    Family::new(&["select", "select_v2"], select),
    Family::new(&["cast", "bitcast"], cast),
];

/// The reals that a function takes its operand from, where not all.
fn domain(kind: UnaryKind) -> Option<(f32, f32)> {
    match kind {
        UnaryKind::Log | UnaryKind::Rsqrt => Some((0.05, 8.0)),
        UnaryKind::Sqrt => Some((0.0, 8.0)),
        UnaryKind::Exp => Some((-8.0, 4.0)),
        UnaryKind::Sin | UnaryKind::Cos => Some((-50.0, 50.0)),
        UnaryKind::Square => Some((-100.0, 100.0)),
        UnaryKind::Abs
        | UnaryKind::Ceil
        | UnaryKind::Elu
        | UnaryKind::Floor
        | UnaryKind::HardSwish
        | UnaryKind::LogicalNot
        | UnaryKind::Logistic
        | UnaryKind::Neg
        | UnaryKind::Relu
        | UnaryKind::Relu6
        | UnaryKind::ReluN1To1
        | UnaryKind::Relu0To1
        | UnaryKind::Round
        | UnaryKind::Sign
        | UnaryKind::Tanh
        | UnaryKind::ZerosLike => None,
    }
}

/// The reals that a function of this range gives.
fn image(kind: UnaryKind, (low, high): (f32, f32)) -> (f32, f32) {
    let amplitude = low.abs().max(high.abs());
    match kind {
        UnaryKind::Abs => (0.0, amplitude),
        UnaryKind::Ceil | UnaryKind::Floor | UnaryKind::Round => (low - 1.0, high + 1.0),
        UnaryKind::Cos | UnaryKind::Sin | UnaryKind::Sign | UnaryKind::Tanh | UnaryKind::ReluN1To1 => (-1.0, 1.0),
        UnaryKind::Elu => (-1.0, high.max(0.1)),
        UnaryKind::Exp => (0.0, 55.0),
        UnaryKind::HardSwish => (-0.375, high.max(0.1)),
        UnaryKind::Log => (-3.0, 2.1),
        UnaryKind::Logistic | UnaryKind::LogicalNot | UnaryKind::Relu0To1 => (0.0, 1.0),
        UnaryKind::Neg => (-high, -low),
        UnaryKind::Relu => (0.0, high.max(0.1)),
        UnaryKind::Relu6 => (0.0, 6.0),
        UnaryKind::Rsqrt => (0.0, 4.5),
        UnaryKind::Sqrt => (0.0, 2.9),
        UnaryKind::Square => (0.0, amplitude * amplitude),
        UnaryKind::ZerosLike => (0.0, 0.0),
    }
}

/// The quantization that the specification fixes for a function's result.
fn fixed(function: UnaryKind, kind: Kind) -> Option<(f32, f32)> {
    // int8: (-128 .. 127) / 256 + 0.5 and / 128; kind.quantization would give 1/255 steps, so the ends are those of 256 steps.
    match (function, kind) {
        (UnaryKind::Logistic, Kind::I8 | Kind::U8) => Some((0.0, 255.0 / 256.0)),
        (UnaryKind::Tanh, Kind::I8 | Kind::U8) => Some((-1.0, 127.0 / 128.0)),
        (UnaryKind::Logistic | UnaryKind::Tanh, Kind::I16) => Some((0.0, 32767.0 / 32768.0)),
        _ => None,
    }
}

fn unary(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let function = UnaryKind::from_mnemonic(mnemonic)?;
    let kind = cx.kind(mnemonic)?;
    // Kernels of quantized data refuse what lies outside a domain that begins at zero; a quantized range always holds zero.
    let domain = match (domain(function), kind.is_quantized()) {
        (Some((low, high)), true) if low > 0.0 => Some((0.0, high)),
        (domain, _) => domain,
    };
    let x = cx.any_within(kind, domain);
    let (low, high) = image(function, cx.range(x));
    let out = match fixed(function, kind) {
        Some((low, high)) => Out { elem: kind.elem(), quant: kind.quantization(low, high), range: (low, high) },
        None => match function {
            // The integer kernels compute in a type of their own; ranges that differ wildly would not be quantized like this.
            UnaryKind::Relu | UnaryKind::Relu6 | UnaryKind::ReluN1To1 | UnaryKind::Relu0To1 if kind.is_quantized() && cx.chance(40) => {
                cx.like(x)
            }
            _ => cx.out(kind, low, high),
        },
    };
    cx.emit1(Unary::new(function), &[x], out).map(drop)
}

/// Sizes that broadcast against these: the same, with ones, fewer axes, a scalar.
fn broadcastable(cx: &mut Cx<'_, '_>, dims: &[usize]) -> Vec<usize> {
    match cx.random().below(6) {
        0 => dims.iter().map(|&d| if cx.chance(50) { 1 } else { d }).collect(),
        1 => dims[cx.random().below(dims.len() + 1)..].to_vec(),
        // Kernels of some runtimes take no scalars.
        2 if cx.runtime() == Runtime::Any && cx.chance(50) => Vec::new(),
        2 => vec![1],
        _ => dims.to_vec(),
    }
}

/// The other operand of an operation that broadcasts.
fn partner(cx: &mut Cx<'_, '_>, x: ValueId, kind: Kind, within: Option<(f32, f32)>, same_scale: bool) -> ValueId {
    let dims = cx.dims(x);
    let wanted = broadcastable(cx, &dims);
    if same_scale {
        let ty = cx.ty(x).clone().with_shape(wanted);
        return cx.twin(&ty);
    }
    cx.data(kind, within, |d| *d == wanted, |_| wanted.clone())
}

fn binary(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let function = BinaryKind::from_mnemonic(mnemonic)?;
    let kind = cx.kind(mnemonic)?;
    let plain = !is_real(kind);
    let mut x = match function {
        BinaryKind::Pow => cx.any_within(kind, Some(if plain { (0.0, 9.0) } else { (0.1, 4.0) })),
        BinaryKind::Mul | BinaryKind::SquaredDifference if plain => cx.any_within(kind, Some((-10_000.0, 10_000.0))),
        _ => cx.any(kind),
    };
    let mut y = match function {
        // Never near zero.
        BinaryKind::Div | BinaryKind::FloorDiv | BinaryKind::FloorMod => partner(cx, x, kind, Some((1.0, 9.0)), false),
        BinaryKind::Pow => partner(cx, x, kind, Some((0.0, 3.0)), false),
        BinaryKind::RightShift => partner(cx, x, kind, Some((0.0, 15.0)), false),
        BinaryKind::Maximum | BinaryKind::Minimum => partner(cx, x, kind, None, true),
        // LiteRT's ATAN2 does not broadcast: it reads beyond the end of the smaller operand.
        BinaryKind::Atan2 if cx.runtime() == Runtime::LiteRt => {
            let ty = cx.ty(x).clone();
            cx.twin(&ty)
        }
        BinaryKind::Mul | BinaryKind::SquaredDifference if plain => partner(cx, x, kind, Some((-10_000.0, 10_000.0)), false),
        _ => partner(cx, x, kind, None, false),
    };
    if function.is_commutative() && cx.chance(30) {
        (x, y) = (y, x);
    }
    let activation = if function.takes_activation() && is_real(kind) { activation(cx) } else { Activation::None };
    let (a, b) = (cx.amplitude(x), cx.amplitude(y));
    let bound = match function {
        BinaryKind::Add | BinaryKind::Sub => a + b,
        BinaryKind::Mul => a * b,
        BinaryKind::SquaredDifference => (a + b) * (a + b),
        BinaryKind::Pow => 730.0,
        BinaryKind::Maximum | BinaryKind::Minimum => a.max(b),
        BinaryKind::Atan2 => 3.2,
        BinaryKind::Div | BinaryKind::FloorDiv => a + 1.0,
        BinaryKind::FloorMod => b,
        BinaryKind::LogicalAnd | BinaryKind::LogicalOr => 1.0,
        BinaryKind::BitwiseXor => 2.0 * a.max(b) + 2.0,
        BinaryKind::RightShift => a + 1.0,
    };
    let (low, high) = clamped((-bound, bound), activation);
    let out = match function {
        BinaryKind::Maximum | BinaryKind::Minimum => Out { range: (low, high), ..cx.like(x) },
        _ => cx.out(kind, low, high),
    };
    cx.emit1(Binary { activation, ..Binary::new(function) }, &[x, y], out).map(drop)
}

fn compare(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let function = CompareKind::from_mnemonic(mnemonic)?;
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let same_scale = cx.chance(50);
    let y = partner(cx, x, kind, None, same_scale);
    cx.emit1(Compare { kind: function }, &[x, y], Out::plain(ElementType::Bool, 0.0, 1.0)).map(drop)
}

fn curve(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let (low, high) = cx.range(x);
    let op: Op = if mnemonic == "gelu" {
        Gelu { approximate: cx.chance(50) }.into()
    } else {
        LeakyRelu { alpha: *cx.random().pick(&[0.0, 0.1, 0.25, 0.5]) }.into()
    };
    let out = cx.out(kind, (low / 2.0).max(if mnemonic == "gelu" { -0.2 } else { low / 2.0 }), high.max(0.1));
    cx.emit1(op, &[x], out).map(drop)
}

fn prelu(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let x = cx.any(kind);
    let dims = cx.dims(x);
    // Learnt slopes: one a channel, usually.
    let slopes = if cx.chance(70) {
        let mut ones = vec![1; dims.len() - 1];
        ones.push(dims[dims.len() - 1]);
        ones[1..].to_vec()
    } else {
        dims.clone()
    };
    let quant = kind.quantization(-0.5, 0.5).map(Into::into);
    let alpha = cx.filled(Type::new(kind.elem(), slopes).with_quant(quant), -0.5, 0.5);
    let bound = cx.amplitude(x);
    let out = cx.out(kind, -bound / 2.0, bound);
    cx.emit1(Prelu {}, &[x, alpha], out).map(drop)
}

fn select(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let select_kind = SelectKind::from_mnemonic(mnemonic)?;
    let a = cx.any(kind);
    let dims = cx.dims(a);
    let wide = select_kind == SelectKind::SelectV2;
    let b = if wide && cx.runtime() != Runtime::Tflm {
        partner(cx, a, kind, None, true)
    } else {
        let ty = cx.ty(a).clone();
        cx.twin(&ty)
    };
    let choice = if wide { broadcastable(cx, &dims) } else { dims };
    let condition = cx.data(Kind::Bool, None, |d| *d == choice, |_| choice.clone());
    let out = Out { range: (cx.range(a).0.min(cx.range(b).0), cx.range(a).1.max(cx.range(b).1)), ..cx.like(a) };
    cx.emit1(Select { kind: select_kind }, &[condition, a, b], out).map(drop)
}

fn cast(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    if mnemonic == "bitcast" {
        let (kind, elem) =
            *cx.random().pick(&[(Kind::I32, ElementType::U32), (Kind::I32, ElementType::I16), (Kind::I64, ElementType::I32)]);
        let x = cx.any(kind);
        // Any bits may come out, so nothing is known of the result's range: nothing reads it but the output.
        return cx.emit1(Bitcast {}, &[x], Out::plain(elem, -1e6, 1e6)).map(drop);
    }
    let x = cx.any_within(kind, Some((-1e5, 1e5)));
    let mut targets = vec![ElementType::F32, ElementType::I32];
    if cx.runtime() != Runtime::Tflm {
        targets.extend([ElementType::I64, ElementType::Bool]);
    }
    if cx.profile().exotic {
        targets.extend([ElementType::F16, ElementType::BF16, ElementType::F64, ElementType::U32, ElementType::I16, ElementType::U8]);
    }
    let elem = *cx.random().pick(&targets);
    let stated = cx.chance(70);
    let in_type = stated.then(|| kind.elem());
    let out = Out { range: cx.range(x), ..Out::plain(elem, 0.0, 1.0) };
    cx.emit1(Cast { in_type, out_type: stated.then_some(elem) }, &[x], out).map(drop)
}

/// Appends an operation that keeps the type of `x` exactly, quantization included: what bodies of loops are made of.
pub(crate) fn keep_type(cx: &mut Cx<'_, '_>, x: ValueId) -> Option<ValueId> {
    let ty = cx.ty(x).clone();
    let kind = Kind::of(&ty)?;
    let out = cx.like(x);
    let function = match kind {
        Kind::Bool => {
            let y = cx.twin(&ty);
            let function = *cx.random().pick(&[BinaryKind::LogicalAnd, BinaryKind::LogicalOr]);
            return cx.emit1(Binary::new(function), &[x, y], out);
        }
        Kind::F32 => *cx.random().pick(&[UnaryKind::Neg, UnaryKind::Abs, UnaryKind::Tanh, UnaryKind::Relu]),
        Kind::I8 | Kind::U8 | Kind::I16 if cx.chance(50) => UnaryKind::Relu,
        Kind::I8 | Kind::U8 | Kind::I16 | Kind::I32 | Kind::I64 => {
            let y = cx.twin(&ty);
            let function = *cx.random().pick(&[BinaryKind::Maximum, BinaryKind::Minimum]);
            return cx.emit1(Binary::new(function), &[x, y], out);
        }
    };
    cx.emit1(Unary::new(function), &[x], out)
}
