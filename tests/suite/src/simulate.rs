//! Lowered programs run step by step in one arena whose every byte knows whose it is: a kernel that reads what another value has written over is
//! found, whatever the values are. So are places outside a buffer, memory that nobody wrote, and sums that leave their width.

use octet_loops::lang::{BinOp, Builtin, Elem, Expr, ExprKind, Function, Stmt, Ty};
use octet_loops::plan::Plan;
use octet_loops::{Arg, Control, Port, Program};

/// Bytes, and for each the buffer that wrote it last.
struct Memory {
    bytes: Vec<u8>,
    owner: Vec<Option<usize>>,
}

impl Memory {
    fn new(size: usize, owner: Option<usize>) -> Self {
        Self { bytes: vec![0; size], owner: vec![owner; size] }
    }
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Buffer(usize),
    Constant(usize),
    Local(usize),
}

#[derive(Clone, Copy, Debug)]
enum Value {
    I32(i32),
    I64(i64),
    F32(f32),
    Bool(bool),
    Pointer(Place, i64),
    Nothing,
}

type Result<T> = std::result::Result<T, String>;

/// A program with its plan and memory.
pub struct Simulation<'p> {
    program: &'p Program,
    plan: &'p Plan,
    arena: Memory,
    /// Memory of buffers outside the arena, by buffer.
    apart: Vec<Option<Memory>>,
    constants: Vec<Vec<u8>>,
    locals: Vec<Memory>,
}

impl<'p> Simulation<'p> {
    /// States are zero, everything else is nobody's.
    #[must_use]
    pub fn new(program: &'p Program, plan: &'p Plan) -> Self {
        let apart = |(at, b): (usize, &octet_loops::Buffer)| {
            let state = b.kind == octet_loops::BufferKind::State;
            (state || plan.offsets[at].is_none()).then(|| Memory::new(b.bytes(), state.then_some(at)))
        };
        Self {
            program,
            plan,
            arena: Memory::new(plan.size, None),
            apart: program.buffers.iter().enumerate().map(apart).collect(),
            constants: program.constants.iter().map(|c| c.data.to_le_bytes()).collect(),
            locals: Vec::new(),
        }
    }

    /// Pairs of buffers that share bytes while both hold something wanted.
    #[must_use]
    pub fn shared(&self) -> usize {
        let spans: Vec<_> = (0..self.program.buffers.len())
            .filter_map(|b| Some((self.plan.offsets[b]?, self.program.buffers[b].bytes(), self.plan.lives[b]?)))
            .collect();
        let meet = |a: &(usize, usize, (usize, usize)), b: &(usize, usize, (usize, usize))| {
            a.2.0 <= b.2.1 && b.2.0 <= a.2.1 && a.0 < b.0 + b.1 && b.0 < a.0 + a.1
        };
        spans.iter().enumerate().map(|(i, a)| spans[i + 1..].iter().filter(|b| meet(a, b)).count()).sum()
    }

    /// Runs the program once.
    ///
    /// # Errors
    /// The first access or sum that is not as it should be.
    pub fn run(&mut self, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let program = self.program;
        for (port, bytes) in program.inputs.iter().zip(inputs) {
            let (buffer, offset) = place_of(port)?;
            for (at, byte) in bytes.iter().enumerate() {
                self.store_byte(buffer, offset + at, *byte)?;
            }
        }
        let jumps = program.jumps();
        let mut next = 0;
        while let Some(step) = program.steps.get(next) {
            let jump = jumps[next].ok_or("this step leads nowhere else");
            next += 1;
            match step.control {
                Control::If(place) | Control::BreakUnless(place) if self.byte_at(place)? == 0 => next = jump? + 1,
                Control::Else => next = jump? + 1,
                Control::EndLoop => next = jump?,
                Control::Next | Control::If(_) | Control::EndIf | Control::Loop | Control::BreakUnless(_) => {}
            }
            for call in &step.calls {
                let function = program.library.function(&call.kernel).ok_or("no such kernel")?;
                let args = call.args.iter().map(|&a| self.argument(a)).collect::<Result<Vec<_>>>()?;
                self.call(function, args).map_err(|why| format!("{}: {}: {why}", step.label, call.kernel))?;
            }
        }
        program
            .outputs
            .iter()
            .map(|port| {
                let (buffer, offset) = place_of(port)?;
                let size = port.shape.iter().product::<usize>() * port.elem.bytes();
                (0..size).map(|at| self.load_byte(buffer, offset + at)).collect()
            })
            .collect()
    }

    /// The first byte at a place.
    fn byte_at(&mut self, place: Arg) -> Result<u8> {
        match place {
            Arg::Buffer { buffer, offset } => self.load_byte(buffer, offset * self.program.buffers[buffer].elem.bytes()),
            Arg::Constant { constant, offset } => self.constants[constant].get(offset).copied().ok_or_else(|| "an empty condition".into()),
            other => Err(format!("{other:?} is no condition")),
        }
    }

    fn argument(&self, arg: Arg) -> Result<Value> {
        let wide = |n: usize| i64::try_from(n).map_err(|e| e.to_string());
        Ok(match arg {
            Arg::Buffer { buffer, offset } => Value::Pointer(Place::Buffer(buffer), wide(offset)?),
            Arg::Constant { constant, offset } => Value::Pointer(Place::Constant(constant), wide(offset)?),
            Arg::Int(i) => Value::I32(i),
            Arg::Backward { input, output } => Value::I32(i32::from(self.plan.is_backward(input, output))),
        })
    }

    /// The memory of a buffer and where in it a byte lies.
    fn byte(&mut self, buffer: usize, at: usize) -> Result<(&mut Memory, usize)> {
        if at >= self.program.buffers[buffer].bytes() {
            return Err(format!("byte {at} of {}, which is shorter", self.program.buffers[buffer].name));
        }
        match &mut self.apart[buffer] {
            Some(memory) => Ok((memory, at)),
            None => Ok((&mut self.arena, self.plan.offsets[buffer].unwrap_or_default() + at)),
        }
    }

    fn load_byte(&mut self, buffer: usize, at: usize) -> Result<u8> {
        let (memory, index) = self.byte(buffer, at)?;
        let (owner, byte) = (memory.owner[index], memory.bytes[index]);
        if owner == Some(buffer) {
            return Ok(byte);
        }
        let name = |b: usize| self.program.buffers[b].name.as_str();
        Err(format!("byte {at} of {} is read and is {}", name(buffer), owner.map_or("nobody's", name)))
    }

    fn store_byte(&mut self, buffer: usize, at: usize, byte: u8) -> Result<()> {
        let (memory, index) = self.byte(buffer, at)?;
        memory.bytes[index] = byte;
        memory.owner[index] = Some(buffer);
        Ok(())
    }

    fn load(&mut self, place: Place, at: i64, elem: Elem) -> Result<Value> {
        let mut raw = [0u8; 8];
        let from = usize::try_from(at).map_err(|_| format!("element {at} of {place:?}"))? * elem.bytes();
        for (k, slot) in raw.iter_mut().enumerate().take(elem.bytes()) {
            *slot = match place {
                Place::Buffer(buffer) => self.load_byte(buffer, from + k)?,
                Place::Constant(c) => *self.constants[c].get(from + k).ok_or_else(|| format!("element {at} of constant {c}"))?,
                Place::Local(l) => {
                    let memory = &self.locals[l];
                    match memory.owner.get(from + k) {
                        Some(Some(_)) => memory.bytes[from + k],
                        _ => return Err(format!("element {at} of a local array")),
                    }
                }
            };
        }
        let four = [raw[0], raw[1], raw[2], raw[3]];
        Ok(match elem {
            Elem::I8 => Value::I32(raw[0].cast_signed().into()),
            Elem::U8 => Value::I32(raw[0].into()),
            Elem::I16 => Value::I32(i16::from_le_bytes([raw[0], raw[1]]).into()),
            Elem::U16 => Value::I32(u16::from_le_bytes([raw[0], raw[1]]).into()),
            Elem::I32 => Value::I32(i32::from_le_bytes(four)),
            Elem::I64 => Value::I64(i64::from_le_bytes(raw)),
            Elem::F32 => Value::F32(f32::from_le_bytes(four)),
        })
    }

    fn store(&mut self, place: Place, at: i64, elem: Elem, value: Value) -> Result<()> {
        let raw = match value {
            Value::I32(i) => i64::from(i).to_le_bytes(),
            Value::I64(i) => i.to_le_bytes(),
            Value::F32(x) => u64::from(x.to_bits()).to_le_bytes(),
            other => return Err(format!("{other:?} is stored")),
        };
        let to = usize::try_from(at).map_err(|_| format!("element {at} of {place:?}"))? * elem.bytes();
        for (k, &byte) in raw.iter().enumerate().take(elem.bytes()) {
            match place {
                Place::Buffer(buffer) => self.store_byte(buffer, to + k, byte)?,
                Place::Constant(_) => return Err("a constant is written".into()),
                Place::Local(l) => {
                    let memory = &mut self.locals[l];
                    *memory.bytes.get_mut(to + k).ok_or_else(|| format!("element {at} of a local array"))? = byte;
                    memory.owner[to + k] = Some(l);
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, function: &'p Function, args: Vec<Value>) -> Result<Value> {
        let depth = self.locals.len();
        let mut frame = Frame { names: function.params.iter().map(|p| p.0.as_str()).zip(args).collect() };
        let returned = self.block(&function.body, &mut frame)?;
        self.locals.truncate(depth);
        Ok(returned.unwrap_or(Value::Nothing))
    }

    fn block(&mut self, body: &'p [Stmt], frame: &mut Frame<'p>) -> Result<Option<Value>> {
        let depth = frame.names.len();
        let mut returned = None;
        for statement in body {
            returned = self.statement(statement, frame)?;
            if returned.is_some() {
                break;
            }
        }
        frame.names.truncate(depth);
        Ok(returned)
    }

    fn statement(&mut self, statement: &'p Stmt, frame: &mut Frame<'p>) -> Result<Option<Value>> {
        match statement {
            Stmt::Let { name, value, .. } => {
                let value = self.expr(value, frame)?;
                frame.names.push((name, value));
            }
            Stmt::Array { name, elem, len } => {
                self.locals.push(Memory::new(len * elem.bytes(), None));
                frame.names.push((name, Value::Pointer(Place::Local(self.locals.len() - 1), 0)));
            }
            Stmt::Assign { name, value } => {
                let value = self.expr(value, frame)?;
                *frame.find(name)? = value;
            }
            Stmt::Store { pointer, index, value } => {
                let value = self.expr(value, frame)?;
                let (place, at) = self.address(pointer, index, frame)?;
                let Ty::Ptr { elem, .. } = pointer.ty else { return Err("a store without memory".into()) };
                self.store(place, at, elem, value)?;
            }
            Stmt::For { var, from, to, step, body } => {
                let (mut at, end) = (self.int(from, frame)?, self.int(to, frame)?);
                while at < end {
                    frame.names.push((var, Value::I32(i32::try_from(at).map_err(|e| e.to_string())?)));
                    let returned = self.block(body, frame)?;
                    frame.names.pop();
                    if returned.is_some() {
                        return Ok(returned);
                    }
                    at += step;
                }
            }
            Stmt::While { condition, body } => {
                while self.truth(condition, frame)? {
                    let returned = self.block(body, frame)?;
                    if returned.is_some() {
                        return Ok(returned);
                    }
                }
            }
            Stmt::If { condition, then, otherwise } => {
                return if self.truth(condition, frame)? { self.block(then, frame) } else { self.block(otherwise, frame) };
            }
            Stmt::Return(value) => {
                return Ok(Some(match value {
                    Some(value) => self.expr(value, frame)?,
                    None => Value::Nothing,
                }));
            }
            Stmt::Call(call) => {
                self.expr(call, frame)?;
            }
        }
        Ok(None)
    }

    fn truth(&mut self, e: &'p Expr, frame: &mut Frame<'p>) -> Result<bool> {
        match self.expr(e, frame)? {
            Value::Bool(b) => Ok(b),
            other => Err(format!("{other:?} is no condition")),
        }
    }

    fn int(&mut self, e: &'p Expr, frame: &mut Frame<'p>) -> Result<i64> {
        match self.expr(e, frame)? {
            Value::I32(i) => Ok(i.into()),
            Value::I64(i) => Ok(i),
            other => Err(format!("{other:?} is no integer")),
        }
    }

    fn address(&mut self, pointer: &'p Expr, index: &'p Expr, frame: &mut Frame<'p>) -> Result<(Place, i64)> {
        let by = self.int(index, frame)?;
        match self.expr(pointer, frame)? {
            Value::Pointer(place, at) => Ok((place, at + by)),
            other => Err(format!("{other:?} is no memory")),
        }
    }

    fn expr(&mut self, e: &'p Expr, frame: &mut Frame<'p>) -> Result<Value> {
        Ok(match &e.kind {
            ExprKind::Int(i) => match e.ty {
                Ty::I64 => Value::I64(*i),
                _ => Value::I32(i32::try_from(*i).map_err(|e| e.to_string())?),
            },
            ExprKind::Float(x) => Value::F32(*x),
            ExprKind::Var(name) => *frame.find(name)?,
            ExprKind::Load(pointer, index) => {
                let (place, at) = self.address(pointer, index, frame)?;
                let Ty::Ptr { elem, .. } = pointer.ty else { return Err("a load without memory".into()) };
                self.load(place, at, elem)?
            }
            ExprKind::Offset(pointer, index) => {
                let (place, at) = self.address(pointer, index, frame)?;
                Value::Pointer(place, at)
            }
            ExprKind::Binary(BinOp::AndAlso, a, b) => Value::Bool(self.truth(a, frame)? && self.truth(b, frame)?),
            ExprKind::Binary(BinOp::OrElse, a, b) => Value::Bool(self.truth(a, frame)? || self.truth(b, frame)?),
            ExprKind::Binary(op, a, b) => {
                let (a, b) = (self.expr(a, frame)?, self.expr(b, frame)?);
                binary(*op, a, b).ok_or_else(|| format!("{op:?} of {a:?} and {b:?}"))?
            }
            ExprKind::Neg(a) => match self.expr(a, frame)? {
                Value::I32(i) => Value::I32(i.checked_neg().ok_or("the least number is negated")?),
                Value::I64(i) => Value::I64(i.checked_neg().ok_or("the least number is negated")?),
                Value::F32(x) => Value::F32(-x),
                other => return Err(format!("{other:?} is negated")),
            },
            ExprKind::Not(a) => match self.expr(a, frame)? {
                Value::I32(i) => Value::I32(!i),
                Value::I64(i) => Value::I64(!i),
                other => return Err(format!("{other:?} is inverted")),
            },
            ExprKind::Cast(a) => cast(self.expr(a, frame)?, e.ty)?,
            ExprKind::Builtin(builtin, arguments) => {
                let values = arguments.iter().map(|a| self.expr(a, frame)).collect::<Result<Vec<_>>>()?;
                builtin_of(*builtin, &values).ok_or_else(|| format!("{builtin:?} of {values:?}"))?
            }
            ExprKind::Call(name, arguments) => {
                let values = arguments.iter().map(|a| self.expr(a, frame)).collect::<Result<Vec<_>>>()?;
                let function = self.program.library.function(name).ok_or_else(|| format!("there is no {name}"))?;
                self.call(function, values)?
            }
        })
    }
}

fn place_of(port: &Port) -> Result<(usize, usize)> {
    match port.place {
        Arg::Buffer { buffer, offset } => Ok((buffer, offset * port.elem.bytes())),
        other => Err(format!("{} lies in {other:?}", port.name)),
    }
}

struct Frame<'p> {
    names: Vec<(&'p str, Value)>,
}

impl Frame<'_> {
    fn find(&mut self, name: &str) -> Result<&mut Value> {
        self.names.iter_mut().rev().find(|(n, _)| *n == name).map(|(_, v)| v).ok_or_else(|| format!("{name} is not known"))
    }
}

fn binary(op: BinOp, a: Value, b: Value) -> Option<Value> {
    use BinOp as B;
    Some(match (a, b) {
        (Value::I32(a), Value::I32(b)) => {
            let wide = |f: fn(i64, i64) -> i64| i32::try_from(f(a.into(), b.into())).ok();
            Value::I32(match op {
                B::Add => wide(|a, b| a + b)?,
                B::Sub => wide(|a, b| a - b)?,
                B::Mul => wide(|a, b| a * b)?,
                B::Div => a.checked_div(b)?,
                B::Rem => a.checked_rem(b)?,
                B::WrapAdd => a.wrapping_add(b),
                B::WrapSub => a.wrapping_sub(b),
                B::WrapMul => a.wrapping_mul(b),
                B::Shl => a.checked_shl(u32::try_from(b).ok()?)?,
                B::Shr => a.checked_shr(u32::try_from(b).ok()?)?,
                B::And => a & b,
                B::Or => a | b,
                B::Xor => a ^ b,
                other => return Some(Value::Bool(compare(other, a.cmp(&b))?)),
            })
        }
        (Value::I64(a), Value::I64(b)) => Value::I64(match op {
            B::Add => a.checked_add(b)?,
            B::Sub => a.checked_sub(b)?,
            B::Mul => a.checked_mul(b)?,
            B::Div => a.checked_div(b)?,
            B::Rem => a.checked_rem(b)?,
            B::WrapAdd => a.wrapping_add(b),
            B::WrapSub => a.wrapping_sub(b),
            B::WrapMul => a.wrapping_mul(b),
            B::And => a & b,
            B::Or => a | b,
            B::Xor => a ^ b,
            other => return Some(Value::Bool(compare(other, a.cmp(&b))?)),
        }),
        (Value::I64(a), Value::I32(b)) => {
            let b = u32::try_from(b).ok()?;
            Value::I64(if op == B::Shl { a.checked_shl(b)? } else { a.checked_shr(b)? })
        }
        (Value::F32(a), Value::F32(b)) => Value::F32(match op {
            B::Add => a + b,
            B::Sub => a - b,
            B::Mul => a * b,
            B::Div => a / b,
            // Comparisons with NaN are false, but for "not equal".
            other => return Some(Value::Bool(a.partial_cmp(&b).map_or(Some(other == B::Ne), |o| compare(other, o))?)),
        }),
        _ => return None,
    })
}

fn compare(op: BinOp, order: std::cmp::Ordering) -> Option<bool> {
    Some(match op {
        BinOp::Lt => order.is_lt(),
        BinOp::Le => order.is_le(),
        BinOp::Gt => order.is_gt(),
        BinOp::Ge => order.is_ge(),
        BinOp::Eq => order.is_eq(),
        BinOp::Ne => order.is_ne(),
        _ => return None,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "casts of the loop language wrap and truncate")]
fn cast(value: Value, ty: Ty) -> Result<Value> {
    Ok(match (value, ty) {
        (Value::I32(i), Ty::I64) => Value::I64(i.into()),
        (Value::I32(i), Ty::F32) => Value::F32(i as f32),
        (Value::I64(i), Ty::I32) => Value::I32(i as i32),
        (Value::I64(i), Ty::F32) => Value::F32(i as f32),
        (Value::F32(x), Ty::I32) if x.is_finite() && x.abs() < 2_147_483_648.0 => Value::I32(x as i32),
        (Value::F32(x), Ty::I64) if x.is_finite() && x.abs() < 9_223_372_036_854_775_808.0 => Value::I64(x as i64),
        (value, _) => return Err(format!("{value:?} as {ty}")),
    })
}

fn builtin_of(builtin: Builtin, values: &[Value]) -> Option<Value> {
    let real = |f: fn(f32) -> f32| match values {
        [Value::F32(x)] => Some(Value::F32(f(*x))),
        _ => None,
    };
    match (builtin, values) {
        (Builtin::Min, [Value::I32(a), Value::I32(b)]) => Some(Value::I32(*a.min(b))),
        (Builtin::Max, [Value::I32(a), Value::I32(b)]) => Some(Value::I32(*a.max(b))),
        (Builtin::Min, [Value::I64(a), Value::I64(b)]) => Some(Value::I64(*a.min(b))),
        (Builtin::Max, [Value::I64(a), Value::I64(b)]) => Some(Value::I64(*a.max(b))),
        (Builtin::Min, [Value::F32(a), Value::F32(b)]) => Some(Value::F32(if a < b { *a } else { *b })),
        (Builtin::Max, [Value::F32(a), Value::F32(b)]) => Some(Value::F32(if a > b { *a } else { *b })),
        (Builtin::Select, [Value::Bool(c), a, b]) => Some(if *c { *a } else { *b }),
        (Builtin::Clz, [Value::I32(i)]) => Some(Value::I32(i32::try_from(i.leading_zeros()).ok()?)),
        (Builtin::Pow, [Value::F32(a), Value::F32(b)]) => Some(Value::F32(a.powf(*b))),
        (Builtin::Sqrt, _) => real(f32::sqrt),
        (Builtin::Exp, _) => real(f32::exp),
        (Builtin::Log, _) => real(f32::ln),
        (Builtin::Sin, _) => real(f32::sin),
        (Builtin::Cos, _) => real(f32::cos),
        (Builtin::Tanh, _) => real(f32::tanh),
        (Builtin::Floor, _) => real(f32::floor),
        _ => None,
    }
}
