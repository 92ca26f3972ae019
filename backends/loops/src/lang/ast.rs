//! The loop language after type checking: what backends print or encode.

use std::fmt;

/// What an element of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Elem {
    I8,
    U8,
    I16,
    U16,
    I32,
    I64,
    F32,
}

impl Elem {
    /// Bytes of one element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 => 8,
        }
    }

    /// Its name in the language, which instance names end in.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
        }
    }

    /// The element of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::I8, Self::U8, Self::I16, Self::U16, Self::I32, Self::I64, Self::F32].into_iter().find(|e| e.name() == name)
    }

    /// What a load gives: integers below 32 bits widen.
    #[must_use]
    pub fn loaded(self) -> Ty {
        match self {
            Self::I8 | Self::U8 | Self::I16 | Self::U16 | Self::I32 => Ty::I32,
            Self::I64 => Ty::I64,
            Self::F32 => Ty::F32,
        }
    }
}

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// Single precision.
    F32,
    /// A condition; never stored.
    Bool,
    /// What a call without result has.
    Void,
    /// Memory.
    Ptr {
        /// What it holds.
        elem: Elem,
        /// Whether it may be written.
        mutable: bool,
    },
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32 => f.write_str("i32"),
            Self::I64 => f.write_str("i64"),
            Self::F32 => f.write_str("f32"),
            Self::Bool => f.write_str("bool"),
            Self::Void => f.write_str("nothing"),
            Self::Ptr { elem, mutable } => write!(f, "*{}{}", if *mutable { "mut " } else { "" }, elem.name()),
        }
    }
}

/// Operators on two values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    /// Truncates toward zero.
    Div,
    /// Remainder with the dividend's sign.
    Rem,
    /// Modulo 2^32 (or 2^64).
    WrapAdd,
    WrapSub,
    WrapMul,
    /// Bits that leave are lost.
    Shl,
    /// Arithmetic.
    Shr,
    And,
    Or,
    Xor,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    /// On conditions, from left to right, as far as needed.
    AndAlso,
    OrElse,
}

/// Functions that every backend knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Builtin {
    Min,
    Max,
    /// `select(condition, a, b)`; both are evaluated.
    Select,
    /// Leading zeros of 32 bits; 32 for 0.
    Clz,
    Sqrt,
    Exp,
    Log,
    Sin,
    Cos,
    Tanh,
    Pow,
    Floor,
    Erfc,
}

impl Builtin {
    /// All of them with their names and numbers of arguments.
    pub const ALL: [(Self, &'static str, usize); 13] = [
        (Self::Min, "min", 2),
        (Self::Max, "max", 2),
        (Self::Select, "select", 3),
        (Self::Clz, "clz", 1),
        (Self::Sqrt, "sqrt", 1),
        (Self::Exp, "exp", 1),
        (Self::Log, "log", 1),
        (Self::Sin, "sin", 1),
        (Self::Cos, "cos", 1),
        (Self::Tanh, "tanh", 1),
        (Self::Pow, "pow", 2),
        (Self::Floor, "floor", 1),
        (Self::Erfc, "erfc", 1),
    ];

    /// Whether it is a function of real numbers that a C library provides.
    #[must_use]
    pub fn is_math(self) -> bool {
        !matches!(self, Self::Min | Self::Max | Self::Select | Self::Clz)
    }
}

/// An expression with its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Ty,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ExprKind {
    Int(i64),
    Float(f32),
    Var(String),
    /// `p[i]`
    Load(Box<Expr>, Box<Expr>),
    /// `&p[i]`
    Offset(Box<Expr>, Box<Expr>),
    Binary(BinOp, Box<Expr>, Box<Expr>),
    Neg(Box<Expr>),
    Not(Box<Expr>),
    /// `e as type`; to integers of fewer bits it wraps, from floats it truncates.
    Cast(Box<Expr>),
    Builtin(Builtin, Vec<Expr>),
    Call(String, Vec<Expr>),
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Stmt {
    Let {
        name: String,
        value: Expr,
        mutable: bool,
    },
    /// A local array; its elements are arbitrary.
    Array {
        name: String,
        elem: Elem,
        len: usize,
    },
    Assign {
        name: String,
        value: Expr,
    },
    Store {
        pointer: Expr,
        index: Expr,
        value: Expr,
    },
    /// `for var in from..to step by`
    For {
        var: String,
        from: Expr,
        to: Expr,
        step: i64,
        body: Vec<Stmt>,
    },
    While {
        condition: Expr,
        body: Vec<Stmt>,
    },
    If {
        condition: Expr,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    Return(Option<Expr>),
    Call(Expr),
}

/// A function for certain element types.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Unique name: that of the source with the element types behind it.
    pub name: String,
    /// Name in the source.
    pub source: String,
    /// What it does.
    pub doc: Vec<String>,
    /// Whether a backend may have a body of its own for it, with equal results.
    pub primitive: bool,
    /// Names and types of its parameters.
    pub params: Vec<(String, Ty)>,
    /// What it returns.
    pub result: Ty,
    /// What it does.
    pub body: Vec<Stmt>,
    /// Names of the functions that it calls, in order of first appearance.
    pub callees: Vec<String>,
}
