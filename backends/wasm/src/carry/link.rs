//! A kernel's functions, tables and globals under the module's numbers, and its memory as a region of the module's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{BlockType, ConstExpr, Elements, Encode, Function, GlobalType, InstructionSink, ValType};
use wasmparser::{FunctionBody, MemArg, Operator};

use super::object::Object;
use super::{Linked, Region};
use crate::asm::{Asm, Signature};
use crate::functions::Functions;

type Result<T> = std::result::Result<T, String>;

/// Functions of a kernel that is part of the module.
pub(super) struct Names {
    /// Makes the kernel's memory and globals those of a fresh instance.
    pub(super) reset: u32,
    /// Exports that are called, and whether they give a number.
    pub(super) exports: BTreeMap<String, u32>,
}

/// Adds a kernel.
pub(super) fn link(object: &Object<'_>, region: Region, functions: &mut Functions, linked: &mut Linked) -> Result<Names> {
    let mut map =
        Map { types: Vec::new(), functions: BTreeMap::new(), tables: linked.tables.len(), globals: linked.globals.len(), region, grow: 0 };
    for ty in &object.types {
        let values = |types: &[wasmparser::ValType]| types.iter().map(|t| value(*t)).collect::<Result<Vec<ValType>>>();
        let signature = Signature { params: values(ty.params())?, results: values(ty.results())? };
        map.types.push(functions.kind(&signature));
    }
    for &function in &object.reachable {
        let kind = usize::try_from(function).ok().and_then(|f| object.functions.get(f)).map(|f| f.0);
        let kind = kind.and_then(|kind| map.types.get(usize::try_from(kind).ok()?).copied()).ok_or("a function has no type")?;
        map.functions.insert(function, functions.declare(kind));
    }
    if let Some(limit) = region.limit {
        let signature = Signature { params: vec![ValType::I32], results: vec![ValType::I32] };
        let kind = functions.kind(&signature);
        map.grow = functions.declare(kind);
        functions.define(map.grow, grow(region, limit));
    }
    for table in &object.tables {
        map.parse_table(&mut linked.tables, table.clone()).map_err(plain)?;
    }
    let reset = reset(object, &mut map, linked)?;
    for global in &object.globals {
        let ty = map.global_type(global.ty).map_err(plain)?;
        // A reference needs no initial value of its own: the function below sets it before each call.
        let init = match (ty.mutable, ty.val_type) {
            (true, ValType::I32) => ConstExpr::i32_const(0),
            (true, ValType::I64) => ConstExpr::i64_const(0),
            (true, ValType::F32) => ConstExpr::f32_const(0f32.into()),
            (true, ValType::F64) => ConstExpr::f64_const(0f64.into()),
            (true, ValType::V128) => ConstExpr::v128_const(0),
            _ => map.const_expr(global.init_expr.clone()).map_err(plain)?,
        };
        linked.globals.global(GlobalType { shared: false, ..ty }, &init);
    }
    for element in &object.elements {
        if !matches!(element.kind, wasmparser::ElementKind::Declared) {
            map.parse_element(&mut linked.elements, element.clone()).map_err(plain)?;
        }
    }
    let referenced: Vec<u32> = object.referenced.iter().filter_map(|f| map.functions.get(f).copied()).collect();
    if !referenced.is_empty() {
        linked.elements.declared(Elements::Functions(Cow::Owned(referenced)));
    }
    for (&old, &new) in &map.functions.clone() {
        let (kind, body) = usize::try_from(old).ok().and_then(|f| object.functions.get(f)).ok_or("a call of no function")?;
        let params = usize::try_from(*kind).ok().and_then(|k| object.types.get(k)).map_or(0, |ty| ty.params().len());
        functions.define(new, function(body, params, &mut map)?);
    }
    let nothing = Signature { params: Vec::new(), results: Vec::new() };
    let kind = functions.kind(&nothing);
    let reset_index = functions.declare(kind);
    functions.define(reset_index, reset);
    let exports = object.exports.iter().filter_map(|(name, f)| Some(((*name).to_owned(), *map.functions.get(f)?))).collect();
    Ok(Names { reset: reset_index, exports })
}

fn plain(e: Error<String>) -> String {
    match e {
        Error::UserError(why) => why,
        other => other.to_string(),
    }
}

fn value(ty: wasmparser::ValType) -> Result<ValType> {
    ty.try_into().map_err(|_: Error| format!("it has values of type {ty}"))
}

/// The kernel's numbers in the module.
struct Map {
    types: Vec<u32>,
    functions: BTreeMap<u32, u32>,
    /// The module's number of the kernel's first table, and of its first global.
    tables: u32,
    globals: u32,
    region: Region,
    /// The function that grows the kernel's memory.
    grow: u32,
}

impl Reencode for Map {
    type Error = String;

    fn type_index(&mut self, ty: u32) -> std::result::Result<u32, Error<String>> {
        let found = usize::try_from(ty).ok().and_then(|t| self.types.get(t)).copied();
        found.ok_or_else(|| Error::UserError("a type that does not exist".into()))
    }

    fn function_index(&mut self, function: u32) -> std::result::Result<u32, Error<String>> {
        self.functions.get(&function).copied().ok_or_else(|| Error::UserError("a function that does not exist".into()))
    }

    fn table_index(&mut self, table: u32) -> std::result::Result<u32, Error<String>> {
        Ok(self.tables + table)
    }

    fn global_index(&mut self, global: u32) -> std::result::Result<u32, Error<String>> {
        Ok(self.globals + global)
    }

    /// Every access goes through here: whatever instruction it is, it cannot reach below the region.
    fn mem_arg(&mut self, arg: MemArg) -> std::result::Result<wasm_encoder::MemArg, Error<String>> {
        let offset = arg.offset + u64::from(self.region.base);
        if u32::try_from(offset).is_err() {
            return Err(Error::UserError("an access far outside of its memory".into()));
        }
        Ok(wasm_encoder::MemArg { offset, align: arg.align.into(), memory_index: 0 })
    }
}

/// One access of memory: its constant offset, its bytes, and the type of the value above the address.
type Access = (u64, u64, Option<ValType>);

/// The access of an instruction, if it is one.
fn access(operator: &Operator<'_>) -> Option<Access> {
    use Operator as O;
    let (memarg, bytes, above) = match operator {
        O::I32Load8S { memarg }
        | O::I32Load8U { memarg }
        | O::I64Load8S { memarg }
        | O::I64Load8U { memarg }
        | O::V128Load8Splat { memarg } => (memarg, 1, None),
        O::I32Load16S { memarg }
        | O::I32Load16U { memarg }
        | O::I64Load16S { memarg }
        | O::I64Load16U { memarg }
        | O::V128Load16Splat { memarg } => (memarg, 2, None),
        O::I32Load { memarg }
        | O::F32Load { memarg }
        | O::I64Load32S { memarg }
        | O::I64Load32U { memarg }
        | O::V128Load32Splat { memarg }
        | O::V128Load32Zero { memarg } => (memarg, 4, None),
        O::I64Load { memarg }
        | O::F64Load { memarg }
        | O::V128Load64Splat { memarg }
        | O::V128Load64Zero { memarg }
        | O::V128Load8x8S { memarg }
        | O::V128Load8x8U { memarg }
        | O::V128Load16x4S { memarg }
        | O::V128Load16x4U { memarg }
        | O::V128Load32x2S { memarg }
        | O::V128Load32x2U { memarg } => (memarg, 8, None),
        O::V128Load { memarg } => (memarg, 16, None),
        O::I32Store8 { memarg } => (memarg, 1, Some(ValType::I32)),
        O::I32Store16 { memarg } => (memarg, 2, Some(ValType::I32)),
        O::I32Store { memarg } => (memarg, 4, Some(ValType::I32)),
        O::I64Store8 { memarg } => (memarg, 1, Some(ValType::I64)),
        O::I64Store16 { memarg } => (memarg, 2, Some(ValType::I64)),
        O::I64Store32 { memarg } => (memarg, 4, Some(ValType::I64)),
        O::I64Store { memarg } => (memarg, 8, Some(ValType::I64)),
        O::F32Store { memarg } => (memarg, 4, Some(ValType::F32)),
        O::F64Store { memarg } => (memarg, 8, Some(ValType::F64)),
        O::V128Load8Lane { memarg, .. } | O::V128Store8Lane { memarg, .. } => (memarg, 1, Some(ValType::V128)),
        O::V128Load16Lane { memarg, .. } | O::V128Store16Lane { memarg, .. } => (memarg, 2, Some(ValType::V128)),
        O::V128Load32Lane { memarg, .. } | O::V128Store32Lane { memarg, .. } => (memarg, 4, Some(ValType::V128)),
        O::V128Load64Lane { memarg, .. } | O::V128Store64Lane { memarg, .. } => (memarg, 8, Some(ValType::V128)),
        O::V128Store { memarg } => (memarg, 16, Some(ValType::V128)),
        _ => return None,
    };
    Some((memarg.offset, bytes, above))
}

/// What would change a table or a segment, so that the next call would not begin as this one did.
fn lasting(operator: &Operator<'_>) -> Option<&'static str> {
    Some(match operator {
        Operator::TableSet { .. } => "table.set",
        Operator::TableGrow { .. } => "table.grow",
        Operator::TableFill { .. } => "table.fill",
        Operator::TableCopy { .. } => "table.copy",
        Operator::TableInit { .. } => "table.init",
        Operator::ElemDrop { .. } => "elem.drop",
        Operator::MemoryInit { .. } => "memory.init",
        Operator::DataDrop { .. } => "data.drop",
        _ => return None,
    })
}

/// A function's body in the module.
fn function(body: &FunctionBody<'_>, params: usize, map: &mut Map) -> Result<Function> {
    let broken = |e: wasmparser::BinaryReaderError| e.to_string();
    let mut locals = Vec::new();
    let mut count = u32::try_from(params).map_err(|_| "too many parameters")?;
    for pair in body.get_locals_reader().map_err(broken)? {
        let (number, ty) = pair.map_err(broken)?;
        count = count.checked_add(number).ok_or("too many local variables")?;
        locals.push((number, value(ty)?));
    }
    let mut writer = Writer { bytes: Vec::new(), first: count, extra: Vec::new(), region: map.region };
    for operator in body.get_operators_reader().map_err(broken)? {
        let operator = operator.map_err(broken)?;
        if let Some(name) = lasting(&operator) {
            return Err(format!("it has the instruction {name}, whose effect would last beyond a call"));
        }
        match operator {
            Operator::MemorySize { .. } => writer.size(),
            Operator::MemoryGrow { .. } => drop(writer.s().call(map.grow)),
            Operator::MemoryFill { .. } => writer.bulk(false),
            Operator::MemoryCopy { .. } => writer.bulk(true),
            other => {
                if let Some((offset, bytes, above)) = access(&other) {
                    if offset + bytes > map.region.most {
                        // Whatever the address is, it is not in the kernel's memory.
                        writer.s().unreachable();
                        continue;
                    }
                    if !map.region.is_exact {
                        writer.check(offset + bytes, above);
                    }
                }
                map.instruction(other).map_err(plain)?.encode(&mut writer.bytes);
            }
        }
    }
    locals.extend(writer.extra.iter().map(|ty| (1, *ty)));
    let mut function = Function::new(locals);
    function.raw(writer.bytes);
    Ok(function)
}

/// Instructions of a function, and the local variables that checks need.
struct Writer {
    bytes: Vec<u8>,
    /// The number of the first local variable that is new.
    first: u32,
    extra: Vec<ValType>,
    region: Region,
}

impl Writer {
    fn s(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.bytes)
    }

    /// The `nth` local variable of a type.
    fn local(&mut self, ty: ValType, nth: usize) -> u32 {
        let of_type = |extra: &[ValType]| extra.iter().enumerate().filter(|(_, t)| **t == ty).map(|(i, _)| i).nth(nth);
        while of_type(&self.extra).is_none() {
            self.extra.push(ty);
        }
        self.first + of_type(&self.extra).and_then(|i| u32::try_from(i).ok()).unwrap_or(0)
    }

    /// Pages of the kernel's memory.
    fn size(&mut self) {
        let region = self.region;
        limit(&mut self.s(), region);
        self.s().i64_const(16).i64_shr_u().i32_wrap_i64();
    }

    /// Traps unless so many bytes from the address on, which lies on the stack below `above`, are in the kernel's memory.
    fn check(&mut self, bytes: u64, above: Option<ValType>) {
        let address = self.local(ValType::I32, 0);
        // The first of its type is the address.
        let held = above.map(|ty| self.local(ty, usize::from(ty == ValType::I32)));
        if let Some(held) = held {
            self.s().local_set(held);
        }
        self.s().local_tee(address).i64_extend_i32_u().i64_const(bytes.cast_signed()).i64_add();
        let region = self.region;
        limit(&mut self.s(), region);
        self.s().i64_gt_u().if_(BlockType::Empty).unreachable().end().local_get(address);
        if let Some(held) = held {
            self.s().local_get(held);
        }
    }

    /// `memory.copy` or `memory.fill`, whose addresses are computed and could wrap around: they are always checked.
    fn bulk(&mut self, copies: bool) {
        let [to, from, length] = [0, 1, 2].map(|nth| self.local(ValType::I32, nth));
        self.s().local_set(length).local_set(from).local_set(to);
        let region = self.region;
        let places = [to, from];
        for &place in places.iter().take(if copies { 2 } else { 1 }) {
            self.s().local_get(place).i64_extend_i32_u().local_get(length).i64_extend_i32_u().i64_add();
            limit(&mut self.s(), region);
            self.s().i64_gt_u().if_(BlockType::Empty).unreachable().end();
        }
        let base = region.base.cast_signed();
        let mut s = self.s();
        s.local_get(to).i32_const(base).i32_add().local_get(from);
        if copies {
            s.i32_const(base).i32_add().local_get(length).memory_copy(0, 0);
        } else {
            s.local_get(length).memory_fill(0);
        }
    }
}

/// Pushes the bytes (`i64`) that the kernel's memory has.
pub(super) fn limit(s: &mut InstructionSink<'_>, region: Region) {
    match region.limit {
        Some(global) => s.global_get(global),
        None => s.i64_const(region.bytes.cast_signed()),
    };
}

/// `memory.grow` of a kernel: the region gets so many pages more, all zero, and the module's memory grows where it has to. As in the sandbox, it fails beyond
/// the kernel's own maximum, and where there is no memory the call ends.
fn grow(region: Region, limit: u32) -> Function {
    let mut asm = Asm::new(1);
    let (old, new, missing) = (asm.local(ValType::I64), asm.local(ValType::I64), asm.local(ValType::I64));
    let base = i64::from(region.base);
    let mut s = asm.s();
    s.global_get(limit).local_tee(old).local_get(0).i64_extend_i32_u().i64_const(16).i64_shl().i64_add().local_tee(new);
    s.i64_const(region.most.cast_signed()).i64_gt_u().if_(BlockType::Empty).unreachable().end();
    s.local_get(new).i64_const(region.declared.cast_signed()).i64_gt_u().if_(BlockType::Empty).i32_const(-1).return_().end();
    s.local_get(new).i64_const(base + 0xffff).i64_add().i64_const(16).i64_shr_u();
    s.memory_size(0).i64_extend_i32_u().i64_sub().local_tee(missing).i64_const(0).i64_gt_s().if_(BlockType::Empty);
    s.local_get(missing).i32_wrap_i64().memory_grow(0).i32_const(-1).i32_eq();
    s.if_(BlockType::Empty).unreachable().end().end();
    // An earlier call may have written there.
    s.local_get(old).i64_const(base).i64_add().i32_wrap_i64().i32_const(0);
    s.local_get(new).local_get(old).i64_sub().i32_wrap_i64().memory_fill(0);
    s.local_get(new).global_set(limit).local_get(old).i64_const(16).i64_shr_u().i32_wrap_i64();
    asm.finish()
}

/// The function that begins a call: memory, globals, and what the kernel's start function does.
fn reset(object: &Object<'_>, map: &mut Map, linked: &mut Linked) -> Result<Function> {
    let region = map.region;
    let base = region.base.cast_signed();
    let mut asm = Asm::new(0);
    let address = asm.local(ValType::I32);
    if let Some(limit) = region.limit {
        asm.s().i64_const(region.bytes.cast_signed()).global_set(limit);
    }
    for (index, global) in (0u32..).zip(&object.globals).filter(|(_, g)| g.ty.mutable) {
        expression(&mut asm, &global.init_expr, map)?;
        asm.s().global_set(map.globals + index);
    }
    let bytes = i32::try_from(region.bytes).map_err(|_| "its memory has more than 2 GiB")?;
    asm.s().i32_const(base).i32_const(0).i32_const(bytes).memory_fill(0);
    for (offset, data) in &object.data {
        let length = i32::try_from(data.len()).map_err(|_| "its data has more than 2 GiB")?;
        let segment = linked.segment(data.to_vec());
        expression(&mut asm, offset, map)?;
        let mut s = asm.s();
        s.local_tee(address).i64_extend_i32_u().i64_const(i64::from(length)).i64_add().i64_const(region.bytes.cast_signed());
        s.i64_gt_u().if_(BlockType::Empty).unreachable().end();
        s.local_get(address).i32_const(base).i32_add().i32_const(0).i32_const(length).memory_init(0, segment);
    }
    if let Some(start) = object.start {
        let start = map.function_index(start).map_err(plain)?;
        asm.s().call(start);
    }
    Ok(asm.finish())
}

/// Pushes the value of a constant expression.
fn expression(asm: &mut Asm, expression: &wasmparser::ConstExpr<'_>, map: &mut Map) -> Result<()> {
    let mut operators = expression.get_operators_reader();
    while !operators.is_end_then_eof() {
        let instruction = map.parse_instruction(&mut operators).map_err(plain)?;
        asm.instruction(&instruction);
    }
    Ok(())
}
