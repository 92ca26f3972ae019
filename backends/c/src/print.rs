//! The loop language as C99 that is C++ too.
//!
//! Expressions carry all their parentheses and casts, so that neither the width of `int` nor the precedence of an operator matters.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use octet_loops::lang::{BinOp, Builtin, Elem, Expr, ExprKind, Function, Stmt, Ty};

use crate::primitives;

/// C's name of an element type.
pub(crate) fn c_elem(elem: Elem) -> &'static str {
    match elem {
        Elem::I8 => "int8_t",
        Elem::U8 => "uint8_t",
        Elem::I16 => "int16_t",
        Elem::U16 => "uint16_t",
        Elem::I32 => "int32_t",
        Elem::I64 => "int64_t",
        Elem::F32 => "float",
    }
}

fn c_type(ty: Ty) -> String {
    match ty {
        Ty::I32 | Ty::Bool => "int32_t".into(),
        Ty::I64 => "int64_t".into(),
        Ty::F32 => "float".into(),
        Ty::Void => "void".into(),
        Ty::Ptr { elem, mutable: true } => format!("{} *", c_elem(elem)),
        Ty::Ptr { elem, mutable: false } => format!("const {} *", c_elem(elem)),
    }
}

fn declared(ty: Ty, name: &str) -> String {
    let ty = c_type(ty);
    if ty.ends_with('*') { format!("{ty}{name}") } else { format!("{ty} {name}") }
}

/// A float constant with every bit of its value.
pub(crate) fn float(x: f32) -> String {
    if x.is_nan() {
        "NAN".into()
    } else if x.is_infinite() {
        if x > 0.0 { "INFINITY".into() } else { "-INFINITY".into() }
    } else {
        format!("{x:?}f")
    }
}

/// What the printed functions need around them.
#[derive(Default)]
pub(crate) struct Needs {
    /// Helpers by name: `min_int32_t` and the like.
    pub(crate) helpers: BTreeSet<String>,
    /// `<math.h>`.
    pub(crate) math: bool,
}

/// Definitions of functions, in order; helpers come with them. `kernels` are those that the model calls.
pub(crate) fn functions(functions: &[&Function], kernels: &BTreeSet<&str>, portable: bool, needs: &mut Needs) -> String {
    let mut text = String::new();
    for function in functions {
        let kernel = kernels.contains(function.name.as_str());
        text.push_str(&Printer { needs, portable }.function(function, kernel));
        text.push('\n');
    }
    text
}

struct Printer<'a> {
    needs: &'a mut Needs,
    /// Only what the loop language says, in as little code as the compiler can.
    portable: bool,
}

impl Printer<'_> {
    fn function(&mut self, f: &Function, kernel: bool) -> String {
        let mut text = String::new();
        for line in &f.doc {
            let _ = writeln!(text, "/* {line} */");
        }
        let params: Vec<String> = f.params.iter().map(|(name, ty)| declared(*ty, name)).collect();
        let inline = if f.primitive && !self.portable && !kernel { "inline " } else { "" };
        let attribute = if kernel { "OCTET_KERNEL" } else { "OCTET_UNUSED" };
        let _ = writeln!(text, "{attribute} static {inline}{}({}) {{", declared(f.result, &f.name), params.join(", "));
        let bodies = if self.portable { Vec::new() } else { primitives::bodies(f) };
        if bodies.iter().any(|(_, body)| body.contains("min_i32(")) {
            self.needs.helpers.insert("min_i32".into());
        }
        for (index, (condition, body)) in bodies.iter().enumerate() {
            let _ = writeln!(text, "#{} {condition}\n{}", if index == 0 { "if" } else { "elif" }, body.trim_matches('\n'));
        }
        if !bodies.is_empty() {
            text.push_str("#else\n");
        }
        self.block(&f.body, 1, &mut text);
        if !bodies.is_empty() {
            text.push_str("#endif\n");
        }
        text.push_str("}\n");
        text
    }

    fn block(&mut self, body: &[Stmt], depth: usize, text: &mut String) {
        for statement in body {
            self.statement(statement, depth, text);
        }
    }

    fn statement(&mut self, statement: &Stmt, depth: usize, text: &mut String) {
        let pad = "    ".repeat(depth);
        match statement {
            Stmt::Let { name, value, mutable } => {
                let constant = if *mutable || matches!(value.ty, Ty::Ptr { .. }) { "" } else { "const " };
                let _ = writeln!(text, "{pad}{constant}{} = {};", declared(value.ty, name), self.expr(value));
            }
            Stmt::Array { name, elem, len } => {
                let _ = writeln!(text, "{pad}{} {name}[{len}];", c_elem(*elem));
            }
            Stmt::Assign { name, value } => {
                let _ = writeln!(text, "{pad}{name} = {};", self.expr(value));
            }
            Stmt::Store { pointer, index, value } => {
                let Ty::Ptr { elem, .. } = pointer.ty else { return };
                let value_text = self.expr(value);
                let value_text = if elem.bytes() < 4 { format!("({})({value_text})", c_elem(elem)) } else { value_text };
                let _ = writeln!(text, "{pad}{}[{}] = {value_text};", self.expr(pointer), self.expr(index));
            }
            Stmt::For { var, from, to, step, body } => {
                let from = self.expr(from);
                let end = self.expr(to);
                let simple = matches!(to.kind, ExprKind::Int(_) | ExprKind::Var(_));
                let (init, end) = if simple { (String::new(), end) } else { (format!(", {var}_end = {end}"), format!("{var}_end")) };
                let step = if *step == 1 { format!("{var}++") } else { format!("{var} += {step}") };
                let _ = writeln!(text, "{pad}for (int32_t {var} = {from}{init}; {var} < {end}; {step}) {{");
                self.block(body, depth + 1, text);
                let _ = writeln!(text, "{pad}}}");
            }
            Stmt::While { condition, body } => {
                let _ = writeln!(text, "{pad}while ({}) {{", self.bare(condition));
                self.block(body, depth + 1, text);
                let _ = writeln!(text, "{pad}}}");
            }
            Stmt::If { condition, then, otherwise } => {
                let _ = writeln!(text, "{pad}if ({}) {{", self.bare(condition));
                self.block(then, depth + 1, text);
                if !otherwise.is_empty() {
                    let _ = writeln!(text, "{pad}}} else {{");
                    self.block(otherwise, depth + 1, text);
                }
                let _ = writeln!(text, "{pad}}}");
            }
            Stmt::Return(value) => {
                let value = value.as_ref().map(|v| format!(" {}", self.expr(v))).unwrap_or_default();
                let _ = writeln!(text, "{pad}return{value};");
            }
            Stmt::Call(call) => {
                let _ = writeln!(text, "{pad}{};", self.expr(call));
            }
        }
    }

    /// An expression without the outer parentheses that a condition has of its own.
    fn bare(&mut self, e: &Expr) -> String {
        let text = self.expr(e);
        match (&e.kind, text.strip_prefix('(').and_then(|t| t.strip_suffix(')'))) {
            (ExprKind::Binary(..), Some(inner)) => inner.to_owned(),
            _ => text,
        }
    }

    fn expr(&mut self, e: &Expr) -> String {
        match &e.kind {
            ExprKind::Int(i) => match (e.ty, *i) {
                (Ty::I64, i) => format!("(int64_t)({i})"),
                (_, i) if i < 0 => format!("({i})"),
                (_, i) => i.to_string(),
            },
            ExprKind::Float(x) => {
                self.needs.math |= !x.is_finite();
                if *x < 0.0 { format!("({})", float(*x)) } else { float(*x) }
            }
            ExprKind::Var(name) => name.clone(),
            ExprKind::Load(pointer, index) => {
                let text = format!("{}[{}]", self.expr(pointer), self.expr(index));
                match pointer.ty {
                    Ty::Ptr { elem: Elem::I32 | Elem::I64 | Elem::F32, .. } => text,
                    _ => format!("(int32_t){text}"),
                }
            }
            ExprKind::Offset(pointer, index) => match index.kind {
                ExprKind::Int(0) => self.expr(pointer),
                _ => format!("&{}[{}]", self.expr(pointer), self.expr(index)),
            },
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b, e.ty),
            ExprKind::Neg(a) => format!("(-{})", self.expr(a)),
            ExprKind::Not(a) => format!("(~{})", self.expr(a)),
            ExprKind::Cast(a) => format!("({})({})", c_type(e.ty), self.expr(a)),
            ExprKind::Builtin(builtin, arguments) => self.builtin(*builtin, arguments, e.ty),
            ExprKind::Call(name, arguments) => {
                let arguments: Vec<String> = arguments.iter().map(|a| self.expr(a)).collect();
                format!("{name}({})", arguments.join(", "))
            }
        }
    }

    fn binary(&mut self, op: BinOp, a: &Expr, b: &Expr, ty: Ty) -> String {
        let (a, b) = (self.expr(a), self.expr(b));
        let (signed, unsigned) = if ty == Ty::I64 { ("int64_t", "uint64_t") } else { ("int32_t", "uint32_t") };
        let wrapped = |symbol: &str| format!("({signed})(({unsigned})({a}) {symbol} ({unsigned})({b}))");
        let symbol = match op {
            BinOp::WrapAdd => return wrapped("+"),
            BinOp::WrapSub => return wrapped("-"),
            BinOp::WrapMul => return wrapped("*"),
            BinOp::Shl => return format!("({signed})(({unsigned})({a}) << ({b}))"),
            BinOp::Add => "+",
            BinOp::Sub => "-",
            BinOp::Mul => "*",
            BinOp::Div => "/",
            BinOp::Rem => "%",
            BinOp::Shr => ">>",
            BinOp::And => "&",
            BinOp::Or => "|",
            BinOp::Xor => "^",
            BinOp::Lt => "<",
            BinOp::Le => "<=",
            BinOp::Gt => ">",
            BinOp::Ge => ">=",
            BinOp::Eq => "==",
            BinOp::Ne => "!=",
            BinOp::AndAlso => "&&",
            BinOp::OrElse => "||",
        };
        format!("({a} {symbol} {b})")
    }

    fn builtin(&mut self, builtin: Builtin, arguments: &[Expr], ty: Ty) -> String {
        let texts: Vec<String> = arguments.iter().map(|a| self.expr(a)).collect();
        let suffix = match ty {
            Ty::I64 => "i64",
            Ty::F32 => "f32",
            _ => "i32",
        };
        let name = match builtin {
            Builtin::Select => return format!("({} ? {} : {})", texts[0], texts[1], texts[2]),
            Builtin::Min => format!("min_{suffix}"),
            Builtin::Max => format!("max_{suffix}"),
            Builtin::Clz => "leading_zeros".into(),
            Builtin::Sqrt => "sqrtf".into(),
            Builtin::Exp => "expf".into(),
            Builtin::Log => "logf".into(),
            Builtin::Sin => "sinf".into(),
            Builtin::Cos => "cosf".into(),
            Builtin::Tanh => "tanhf".into(),
            Builtin::Pow => "powf".into(),
            Builtin::Floor => "floorf".into(),
            Builtin::Erfc => "erfcf".into(),
        };
        if builtin.is_math() {
            self.needs.math = true;
        } else {
            self.needs.helpers.insert(name.clone());
        }
        format!("{name}({})", texts.join(", "))
    }
}

/// The definitions of helpers.
pub(crate) fn helpers(needs: &Needs) -> String {
    let mut text = String::new();
    for name in &needs.helpers {
        if name == "leading_zeros" {
            text.push_str(LEADING_ZEROS);
            continue;
        }
        let (ty, symbol) = (
            if name.ends_with("i64") {
                "int64_t"
            } else if name.ends_with("f32") {
                "float"
            } else {
                "int32_t"
            },
            &name[..3],
        );
        let symbol = if symbol == "min" { "<" } else { ">" };
        let _ = writeln!(text, "OCTET_UNUSED static inline {ty} {name}({ty} a, {ty} b) {{\n    return (a {symbol} b) ? a : b;\n}}\n");
    }
    text
}

const LEADING_ZEROS: &str = "static inline int32_t leading_zeros(int32_t x) {
#if defined(__GNUC__) && defined(__SIZEOF_INT__) && (__SIZEOF_INT__ == 4)
    return (x == 0) ? 32 : (int32_t)__builtin_clz((unsigned int)x);
#else
    int32_t zeros = 32;
    for (uint32_t rest = (uint32_t)x; rest != 0U; rest >>= 1) {
        zeros--;
    }
    return zeros;
#endif
}

";
