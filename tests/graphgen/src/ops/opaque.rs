//! Operations that the IR carries without knowing what they compute.

use octet_ir::ops::{Custom, Opaque};
use octet_ir::{ElementType, Type};

use super::Family;
use crate::build::Cx;

pub(super) const FAMILIES: &[Family] = &[Family::new(&["custom"], custom), Family::new(&["opaque"], opaque)];

fn custom(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    let kind = cx.kind(mnemonic)?;
    let mut operands = vec![Some(cx.any(kind))];
    if cx.chance(40) {
        operands.push(Some(cx.any(kind)));
    }
    let options: Vec<u8> = (0..cx.random().below(12)).map(|_| u8::try_from(cx.random().below(256)).unwrap_or(0)).collect();
    let name = (*cx.random().pick(&["AcmeNorm", "Weird Op \"7\"", "TFLite_Detection"])).to_owned();
    let types: Vec<Type> = operands.iter().flatten().map(|&v| cx.ty(v).clone()).collect();
    cx.emit_declared(Custom { name, options: octet_ir::Blob(options.into()), ..Custom::default() }, &operands, types);
    Some(())
}

/// `HASHTABLE_LOOKUP`, which has no options: queries, keys and rows give rows and hits.
fn opaque(cx: &mut Cx<'_, '_>, mnemonic: &'static str) -> Option<()> {
    cx.kind(mnemonic)?;
    let (queries, rows, width) = (cx.random().between(1, 4), cx.random().between(1, 4), cx.random().between(1, 4));
    let lookup = cx.indices(vec![queries], rows);
    let keys: Vec<usize> = (0..rows).collect();
    let keys = cx.vector(&keys);
    let values = cx.filled(Type::f32([rows, width]), -1.0, 1.0);
    let op = Opaque { name: "HASHTABLE_LOOKUP".into(), builtin_code: 10, ..Opaque::default() };
    let types = vec![Type::f32([queries, width]), Type::new(ElementType::U8, [queries])];
    cx.emit_declared(op, &[Some(lookup), Some(keys), Some(values)], types);
    Some(())
}
