//! The loop language as WebAssembly.
//!
//! Numbers become values of the same width, memory becomes addresses. A local array has a place of its own in memory: no function calls itself, so
//! that nothing needs a stack and the size of all memory is known.

use std::collections::BTreeMap;

use octet_ir::Diagnostic;
use octet_loops::lang::{BinOp, Builtin, Elem, Expr, ExprKind, Function, Stmt, Ty};
use wasm_encoder::{BlockType, ValType};

use crate::asm::{Asm, Local, Signature, at};
use crate::functions::Functions;

/// A kernel that cannot be encoded.
pub(crate) const UNSUPPORTED: &str = "WGN002";

type Result<T> = std::result::Result<T, Diagnostic>;

/// The type of a value; `None` for no value.
fn value(ty: Ty) -> Option<ValType> {
    match ty {
        Ty::I32 | Ty::Bool | Ty::Ptr { .. } => Some(ValType::I32),
        Ty::I64 => Some(ValType::I64),
        Ty::F32 => Some(ValType::F32),
        Ty::Void => None,
    }
}

/// What a function takes and gives.
pub(crate) fn signature(f: &Function) -> Signature {
    Signature { params: f.params.iter().filter_map(|p| value(p.1)).collect(), results: value(f.result).into_iter().collect() }
}

/// Encodes a function whose callees are all in `functions`. Local arrays are placed from `memory` on, which grows.
pub(crate) fn function(f: &Function, functions: &mut Functions, memory: &mut usize) -> Result<wasm_encoder::Function> {
    if let Some(body) = run(f) {
        return Ok(body);
    }
    let scope = f.params.iter().zip(0..).map(|((name, _), local)| (name.clone(), local)).collect();
    let mut encoder = Encoder { asm: Asm::new(f.params.len()), scope, functions, memory };
    encoder.block(&f.body)?;
    if f.result != Ty::Void {
        // Every path returns.
        encoder.asm.s().unreachable();
    }
    Ok(encoder.asm.finish())
}

/// Runs of elements that the engine itself copies and fills.
fn run(f: &Function) -> Option<wasm_encoder::Function> {
    let element = |at: usize| match f.params.get(at)?.1 {
        Ty::Ptr { elem, .. } => Some(elem),
        _ => None,
    };
    let mut asm = Asm::new(f.params.len());
    match f.source.as_str() {
        "copy_run" => {
            let mut s = asm.s();
            s.local_get(2).i32_const(0).i32_gt_s().if_(BlockType::Empty).local_get(1).local_get(0).local_get(2);
            s.i32_const(i32::try_from(log_bytes(element(0)?)).ok()?).i32_shl().memory_copy(0, 0).end();
        }
        "fill_run" if element(0)?.bytes() == 1 => {
            let mut s = asm.s();
            s.local_get(2).i32_const(0).i32_gt_s().if_(BlockType::Empty);
            s.local_get(0).local_get(1).i32_load8_u(at(0, 0)).local_get(2).memory_fill(0).end();
        }
        _ => return None,
    }
    Some(asm.finish())
}

struct Encoder<'a> {
    asm: Asm,
    /// Names in scope, innermost last.
    scope: Vec<(String, Local)>,
    functions: &'a mut Functions,
    memory: &'a mut usize,
}

/// What a condition of constants says.
fn known(e: &Expr) -> Option<bool> {
    let ExprKind::Binary(op, a, b) = &e.kind else { return None };
    let (ExprKind::Int(a), ExprKind::Int(b)) = (&a.kind, &b.kind) else { return None };
    match op {
        BinOp::Lt => Some(a < b),
        BinOp::Le => Some(a <= b),
        BinOp::Gt => Some(a > b),
        BinOp::Ge => Some(a >= b),
        BinOp::Eq => Some(a == b),
        BinOp::Ne => Some(a != b),
        _ => None,
    }
}

/// The power of two of an element's size.
fn log_bytes(elem: Elem) -> u32 {
    elem.bytes().trailing_zeros()
}

impl Encoder<'_> {
    fn find(&self, name: &str) -> Result<Local> {
        let found = self.scope.iter().rev().find(|(n, _)| n == name);
        found.map(|f| f.1).ok_or_else(|| Diagnostic::error(UNSUPPORTED, format!("{name} is not known")))
    }

    fn declare(&mut self, name: &str, ty: ValType) -> Local {
        let local = self.asm.local(ty);
        self.scope.push((name.to_owned(), local));
        local
    }

    fn block(&mut self, body: &[Stmt]) -> Result<()> {
        let depth = self.scope.len();
        for statement in body {
            self.statement(statement)?;
        }
        self.scope.truncate(depth);
        Ok(())
    }

    fn statement(&mut self, statement: &Stmt) -> Result<()> {
        match statement {
            Stmt::Let { name, value: e, .. } => {
                self.expr(e)?;
                let ty = value(e.ty).ok_or_else(|| Diagnostic::error(UNSUPPORTED, "a variable without a value"))?;
                let local = self.declare(name, ty);
                self.asm.s().local_set(local);
            }
            Stmt::Array { name, elem, len } => {
                let place = self.memory.next_multiple_of(16);
                *self.memory = place + elem.bytes() * len;
                let place = address(place)?;
                let local = self.declare(name, ValType::I32);
                self.asm.s().i32_const(place).local_set(local);
            }
            Stmt::Assign { name, value } => {
                self.expr(value)?;
                let local = self.find(name)?;
                self.asm.s().local_set(local);
            }
            Stmt::Store { pointer, index, value } => {
                let Ty::Ptr { elem, .. } = pointer.ty else {
                    return Err(Diagnostic::error(UNSUPPORTED, "a store to what is no memory"));
                };
                let offset = self.place(pointer, index, elem)?;
                self.expr(value)?;
                let place = at(offset, log_bytes(elem));
                let mut s = self.asm.s();
                match elem {
                    Elem::I8 | Elem::U8 => s.i32_store8(place),
                    Elem::I16 | Elem::U16 => s.i32_store16(place),
                    Elem::I32 => s.i32_store(place),
                    Elem::I64 => s.i64_store(place),
                    Elem::F32 => s.f32_store(place),
                };
            }
            Stmt::For { var, from, to, step, body } => {
                let depth = self.scope.len();
                self.expr(from)?;
                let step = i32::try_from(*step).map_err(|_| Diagnostic::error(UNSUPPORTED, "a step is too wide"))?;
                let counter = self.asm.local(ValType::I32);
                self.asm.s().local_set(counter);
                self.expr(to)?;
                let end = self.asm.local(ValType::I32);
                self.asm.s().local_tee(end).local_get(counter).i32_gt_s().if_(BlockType::Empty).loop_(BlockType::Empty);
                self.scope.push((var.clone(), counter));
                self.block(body)?;
                let mut s = self.asm.s();
                s.local_get(counter).i32_const(step).i32_add().local_tee(counter).local_get(end).i32_lt_s().br_if(0).end().end();
                self.scope.truncate(depth);
            }
            Stmt::While { condition, body } => {
                self.asm.s().block(BlockType::Empty).loop_(BlockType::Empty);
                self.expr(condition)?;
                self.asm.s().i32_eqz().br_if(1);
                self.block(body)?;
                self.asm.s().br(0).end().end();
            }
            Stmt::If { condition, then, otherwise } => match known(condition) {
                Some(true) => self.block(then)?,
                Some(false) => self.block(otherwise)?,
                None => {
                    self.expr(condition)?;
                    self.asm.s().if_(BlockType::Empty);
                    self.block(then)?;
                    if !otherwise.is_empty() {
                        self.asm.s().else_();
                        self.block(otherwise)?;
                    }
                    self.asm.s().end();
                }
            },
            Stmt::Return(value) => {
                if let Some(value) = value {
                    self.expr(value)?;
                }
                self.asm.s().return_();
            }
            Stmt::Call(call) => {
                self.expr(call)?;
                if call.ty != Ty::Void {
                    self.asm.s().drop();
                }
            }
        }
        Ok(())
    }

    /// Pushes the address of an element, and answers the constant distance that is still to be added.
    fn place(&mut self, pointer: &Expr, index: &Expr, elem: Elem) -> Result<u64> {
        self.expr(pointer)?;
        let bytes = elem.bytes();
        if let ExprKind::Int(i) = index.kind
            && let Ok(i) = u64::try_from(i)
        {
            return Ok(i * u64::try_from(bytes).unwrap_or(1));
        }
        self.scaled(index, elem)?;
        self.asm.s().i32_add();
        Ok(0)
    }

    /// Pushes the bytes before an element.
    fn scaled(&mut self, index: &Expr, elem: Elem) -> Result<()> {
        self.expr(index)?;
        if elem.bytes() > 1 {
            self.asm.s().i32_const(i32::try_from(log_bytes(elem)).unwrap_or(0)).i32_shl();
        }
        Ok(())
    }

    fn expr(&mut self, e: &Expr) -> Result<()> {
        match &e.kind {
            ExprKind::Int(i) => match e.ty {
                Ty::I64 => drop(self.asm.s().i64_const(*i)),
                _ => {
                    let i = i32::try_from(*i).map_err(|_| Diagnostic::error(UNSUPPORTED, format!("{i} is no 32-bit number")))?;
                    self.asm.s().i32_const(i);
                }
            },
            ExprKind::Float(x) => drop(self.asm.s().f32_const((*x).into())),
            ExprKind::Var(name) => {
                let local = self.find(name)?;
                self.asm.s().local_get(local);
            }
            ExprKind::Load(pointer, index) => {
                let Ty::Ptr { elem, .. } = pointer.ty else {
                    return Err(Diagnostic::error(UNSUPPORTED, "a load from what is no memory"));
                };
                let place = at(self.place(pointer, index, elem)?, log_bytes(elem));
                let mut s = self.asm.s();
                match elem {
                    Elem::I8 => s.i32_load8_s(place),
                    Elem::U8 => s.i32_load8_u(place),
                    Elem::I16 => s.i32_load16_s(place),
                    Elem::U16 => s.i32_load16_u(place),
                    Elem::I32 => s.i32_load(place),
                    Elem::I64 => s.i64_load(place),
                    Elem::F32 => s.f32_load(place),
                };
            }
            ExprKind::Offset(pointer, index) => {
                let Ty::Ptr { elem, .. } = pointer.ty else {
                    return Err(Diagnostic::error(UNSUPPORTED, "a place in what is no memory"));
                };
                self.expr(pointer)?;
                if !matches!(index.kind, ExprKind::Int(0)) {
                    self.scaled(index, elem)?;
                    self.asm.s().i32_add();
                }
            }
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b)?,
            ExprKind::Neg(a) => match e.ty {
                Ty::F32 => {
                    self.expr(a)?;
                    self.asm.s().f32_neg();
                }
                Ty::I64 => {
                    self.asm.s().i64_const(0);
                    self.expr(a)?;
                    self.asm.s().i64_sub();
                }
                _ => {
                    self.asm.s().i32_const(0);
                    self.expr(a)?;
                    self.asm.s().i32_sub();
                }
            },
            ExprKind::Not(a) => {
                self.expr(a)?;
                match e.ty {
                    Ty::I64 => drop(self.asm.s().i64_const(-1).i64_xor()),
                    _ => drop(self.asm.s().i32_const(-1).i32_xor()),
                }
            }
            ExprKind::Cast(a) => self.cast(a, e.ty)?,
            ExprKind::Builtin(builtin, arguments) => self.builtin(*builtin, arguments, e.ty)?,
            ExprKind::Call(name, arguments) => {
                for argument in arguments {
                    self.expr(argument)?;
                }
                let index = self.functions.named(name)?;
                self.asm.s().call(index);
            }
        }
        Ok(())
    }

    fn cast(&mut self, a: &Expr, to: Ty) -> Result<()> {
        self.expr(a)?;
        let mut s = self.asm.s();
        match (a.ty, to) {
            (Ty::I32, Ty::I64) => drop(s.i64_extend_i32_s()),
            (Ty::I64, Ty::I32) => drop(s.i32_wrap_i64()),
            (Ty::I32, Ty::F32) => drop(s.f32_convert_i32_s()),
            (Ty::I64, Ty::F32) => drop(s.f32_convert_i64_s()),
            (Ty::F32, Ty::I32) => drop(s.i32_trunc_sat_f32_s()),
            (Ty::F32, Ty::I64) => drop(s.i64_trunc_sat_f32_s()),
            (from, to) if from == to => {}
            (from, to) => return Err(Diagnostic::error(UNSUPPORTED, format!("{from} does not become {to}"))),
        }
        Ok(())
    }

    fn binary(&mut self, op: BinOp, a: &Expr, b: &Expr) -> Result<()> {
        use BinOp as B;
        if matches!(op, B::AndAlso | B::OrElse) {
            self.expr(a)?;
            self.asm.s().if_(BlockType::Result(ValType::I32));
            if op == B::AndAlso {
                self.expr(b)?;
                self.asm.s().else_().i32_const(0).end();
            } else {
                self.asm.s().i32_const(1).else_();
                self.expr(b)?;
                self.asm.s().end();
            }
            return Ok(());
        }
        self.expr(a)?;
        self.expr(b)?;
        let mut s = self.asm.s();
        match (a.ty, op) {
            (Ty::F32, B::Add) => s.f32_add(),
            (Ty::F32, B::Sub) => s.f32_sub(),
            (Ty::F32, B::Mul) => s.f32_mul(),
            (Ty::F32, B::Div) => s.f32_div(),
            (Ty::F32, B::Lt) => s.f32_lt(),
            (Ty::F32, B::Le) => s.f32_le(),
            (Ty::F32, B::Gt) => s.f32_gt(),
            (Ty::F32, B::Ge) => s.f32_ge(),
            (Ty::F32, B::Eq) => s.f32_eq(),
            (Ty::F32, B::Ne) => s.f32_ne(),
            (Ty::I64, B::Add | B::WrapAdd) => s.i64_add(),
            (Ty::I64, B::Sub | B::WrapSub) => s.i64_sub(),
            (Ty::I64, B::Mul | B::WrapMul) => s.i64_mul(),
            (Ty::I64, B::Div) => s.i64_div_s(),
            (Ty::I64, B::Rem) => s.i64_rem_s(),
            (Ty::I64, B::Shl) => s.i64_extend_i32_u().i64_shl(),
            (Ty::I64, B::Shr) => s.i64_extend_i32_u().i64_shr_s(),
            (Ty::I64, B::And) => s.i64_and(),
            (Ty::I64, B::Or) => s.i64_or(),
            (Ty::I64, B::Xor) => s.i64_xor(),
            (Ty::I64, B::Lt) => s.i64_lt_s(),
            (Ty::I64, B::Le) => s.i64_le_s(),
            (Ty::I64, B::Gt) => s.i64_gt_s(),
            (Ty::I64, B::Ge) => s.i64_ge_s(),
            (Ty::I64, B::Eq) => s.i64_eq(),
            (Ty::I64, B::Ne) => s.i64_ne(),
            (Ty::I32 | Ty::Bool, B::Add | B::WrapAdd) => s.i32_add(),
            (Ty::I32 | Ty::Bool, B::Sub | B::WrapSub) => s.i32_sub(),
            (Ty::I32 | Ty::Bool, B::Mul | B::WrapMul) => s.i32_mul(),
            (Ty::I32 | Ty::Bool, B::Div) => s.i32_div_s(),
            (Ty::I32 | Ty::Bool, B::Rem) => s.i32_rem_s(),
            (Ty::I32 | Ty::Bool, B::Shl) => s.i32_shl(),
            (Ty::I32 | Ty::Bool, B::Shr) => s.i32_shr_s(),
            (Ty::I32 | Ty::Bool, B::And) => s.i32_and(),
            (Ty::I32 | Ty::Bool, B::Or) => s.i32_or(),
            (Ty::I32 | Ty::Bool, B::Xor) => s.i32_xor(),
            (Ty::I32 | Ty::Bool, B::Lt) => s.i32_lt_s(),
            (Ty::I32 | Ty::Bool, B::Le) => s.i32_le_s(),
            (Ty::I32 | Ty::Bool, B::Gt) => s.i32_gt_s(),
            (Ty::I32 | Ty::Bool, B::Ge) => s.i32_ge_s(),
            (Ty::I32 | Ty::Bool, B::Eq) => s.i32_eq(),
            (Ty::I32 | Ty::Bool, B::Ne) => s.i32_ne(),
            (ty, op) => return Err(Diagnostic::error(UNSUPPORTED, format!("{op:?} of {ty}"))),
        };
        Ok(())
    }

    fn builtin(&mut self, builtin: Builtin, arguments: &[Expr], ty: Ty) -> Result<()> {
        match (builtin, arguments) {
            (Builtin::Select, [condition, a, b]) => {
                self.expr(a)?;
                self.expr(b)?;
                self.expr(condition)?;
                self.asm.s().select();
            }
            (Builtin::Min | Builtin::Max, [a, b]) => {
                let kind = value(ty).unwrap_or(ValType::I32);
                self.expr(a)?;
                let first = self.asm.local(kind);
                self.asm.s().local_tee(first);
                self.expr(b)?;
                let second = self.asm.local(kind);
                let mut s = self.asm.s();
                s.local_tee(second).local_get(first).local_get(second);
                // Written as comparisons, so that NaN goes where it goes in C.
                match (kind, builtin) {
                    (ValType::I64, Builtin::Min) => s.i64_lt_s(),
                    (ValType::I64, _) => s.i64_gt_s(),
                    (ValType::F32, Builtin::Min) => s.f32_lt(),
                    (ValType::F32, _) => s.f32_gt(),
                    (_, Builtin::Min) => s.i32_lt_s(),
                    (_, _) => s.i32_gt_s(),
                };
                s.select();
            }
            (_, arguments) => {
                for argument in arguments {
                    self.expr(argument)?;
                }
                match builtin {
                    Builtin::Clz => drop(self.asm.s().i32_clz()),
                    Builtin::Sqrt => drop(self.asm.s().f32_sqrt()),
                    Builtin::Floor => drop(self.asm.s().f32_floor()),
                    Builtin::Exp | Builtin::Log | Builtin::Sin | Builtin::Cos | Builtin::Tanh | Builtin::Erfc | Builtin::Pow => {
                        let index = self.functions.math(builtin);
                        self.asm.s().call(index);
                    }
                    Builtin::Min | Builtin::Max | Builtin::Select => {
                        return Err(Diagnostic::error(UNSUPPORTED, format!("{builtin:?} takes another number of arguments")));
                    }
                }
            }
        }
        Ok(())
    }
}

/// An address as an immediate.
pub(crate) fn address(place: usize) -> Result<i32> {
    i32::try_from(place).map_err(|_| Diagnostic::error("WGN003", "the model needs more than 2 GiB of memory"))
}

/// Every kernel that the program calls, callees first.
pub(crate) fn kernels(program: &octet_loops::Program, functions: &mut Functions, memory: &mut usize) -> Result<()> {
    let mut done: BTreeMap<&str, ()> = BTreeMap::new();
    for kernel in program.kernels() {
        if done.insert(&kernel.name, ()).is_none() {
            let body = function(kernel, functions, memory)?;
            functions.add(&kernel.name, &signature(kernel), body);
        }
    }
    Ok(())
}
