//! From tokens to a typed function in one go: names are known when they are read.

use std::collections::BTreeMap;

use super::ast::{BinOp, Builtin, Elem, Expr, ExprKind, Function, Stmt, Ty};
use super::lexer::{Kind, Token};
use super::library::Library;

type Result<T> = std::result::Result<T, String>;

pub(super) struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    bindings: BTreeMap<String, Elem>,
    library: &'a mut Library,
    /// Names in scope, innermost last: type, and whether they may be assigned.
    scope: Vec<(String, Ty, bool)>,
    callees: Vec<String>,
    result: Ty,
}

impl<'a> Parser<'a> {
    pub(super) fn new(tokens: &'a [Token], bindings: BTreeMap<String, Elem>, library: &'a mut Library) -> Self {
        Self { tokens, at: 0, bindings, library, scope: Vec::new(), callees: Vec::new(), result: Ty::Void }
    }

    pub(super) fn function(mut self, name: String) -> Result<Function> {
        let mut doc = Vec::new();
        while let Some(Kind::Doc(text)) = self.peek() {
            doc.push(text.clone());
            self.at += 1;
        }
        let primitive = self.eat_word("primitive");
        self.word_is("fn")?;
        let source = self.word()?;
        if self.eat("<") {
            while !self.eat(">") {
                self.word()?;
                self.eat(",");
            }
        }
        self.expect("(")?;
        let mut params = Vec::new();
        while !self.eat(")") {
            let param = self.word()?;
            self.expect(":")?;
            let ty = self.ty()?;
            self.scope.push((param.clone(), ty, false));
            params.push((param, ty));
            self.eat(",");
        }
        self.result = if self.eat("->") { self.ty()? } else { Ty::Void };
        let body = self.block()?;
        Ok(Function { name, source, doc, primitive, params, result: self.result, body, callees: self.callees })
    }

    fn peek(&self) -> Option<&'a Kind> {
        self.tokens.get(self.at).map(|t| &t.kind)
    }

    fn error<T>(&self, what: impl std::fmt::Display) -> Result<T> {
        let line = self.tokens.get(self.at.min(self.tokens.len().saturating_sub(1))).map_or(0, |t| t.line);
        Err(format!("line {line}: {what}"))
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Kind::Symbol(s)) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Kind::Word(w)) if w == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.eat(symbol) { Ok(()) } else { self.error(format!("expected '{symbol}', found {:?}", self.peek())) }
    }

    fn word_is(&mut self, word: &str) -> Result<()> {
        if self.eat_word(word) { Ok(()) } else { self.error(format!("expected {word}")) }
    }

    fn word(&mut self) -> Result<String> {
        match self.peek() {
            Some(Kind::Word(w)) => {
                self.at += 1;
                Ok(w.clone())
            }
            other => self.error(format!("expected a name, found {other:?}")),
        }
    }

    fn int(&mut self) -> Result<i64> {
        match self.peek() {
            Some(Kind::Int(i)) => {
                self.at += 1;
                Ok(*i)
            }
            other => self.error(format!("expected a number, found {other:?}")),
        }
    }

    fn elem(&mut self) -> Result<Elem> {
        let name = self.word()?;
        match self.bindings.get(&name).copied().or_else(|| Elem::from_name(&name)) {
            Some(elem) => Ok(elem),
            None => self.error(format!("{name} is no element type")),
        }
    }

    fn ty(&mut self) -> Result<Ty> {
        if self.eat("*") {
            let mutable = self.eat_word("mut");
            return Ok(Ty::Ptr { elem: self.elem()?, mutable });
        }
        Ok(match self.elem()? {
            Elem::I32 => Ty::I32,
            Elem::I64 => Ty::I64,
            Elem::F32 => Ty::F32,
            other => return self.error(format!("a variable cannot be {}", other.name())),
        })
    }

    fn lookup(&self, name: &str) -> Result<(Ty, bool)> {
        match self.scope.iter().rev().find(|(n, ..)| n == name) {
            Some((_, ty, mutable)) => Ok((*ty, *mutable)),
            None => self.error(format!("{name} is not known here")),
        }
    }

    fn declare(&mut self, name: &str, ty: Ty, mutable: bool) -> Result<()> {
        // Names are unique in a function, so that a target without nested scopes has no trouble.
        if self.scope.iter().any(|(n, ..)| n == name) {
            return self.error(format!("{name} is in scope already"));
        }
        self.scope.push((name.to_owned(), ty, mutable));
        Ok(())
    }

    fn block(&mut self) -> Result<Vec<Stmt>> {
        self.expect("{")?;
        let depth = self.scope.len();
        let mut body = Vec::new();
        while !self.eat("}") {
            body.push(self.statement()?);
        }
        self.scope.truncate(depth);
        Ok(body)
    }

    fn statement(&mut self) -> Result<Stmt> {
        if self.eat_word("let") {
            return self.declaration();
        }
        if self.eat_word("for") {
            let var = self.word()?;
            self.word_is("in")?;
            let from = self.typed(Ty::I32)?;
            self.expect("..")?;
            let to = self.typed(Ty::I32)?;
            let step = if self.eat_word("step") { self.int()? } else { 1 };
            let depth = self.scope.len();
            self.declare(&var, Ty::I32, false)?;
            let body = self.block()?;
            self.scope.truncate(depth);
            return Ok(Stmt::For { var, from, to, step, body });
        }
        if self.eat_word("while") {
            let condition = self.typed(Ty::Bool)?;
            return Ok(Stmt::While { condition, body: self.block()? });
        }
        if self.eat_word("if") {
            return self.conditional();
        }
        if self.eat_word("return") {
            let value = if self.result == Ty::Void { None } else { Some(self.typed(self.result)?) };
            self.expect(";")?;
            return Ok(Stmt::Return(value));
        }
        self.assignment()
    }

    fn declaration(&mut self) -> Result<Stmt> {
        let mutable = self.eat_word("mut");
        let name = self.word()?;
        if self.eat(":") {
            self.expect("[")?;
            let elem = self.elem()?;
            self.expect(";")?;
            let len = usize::try_from(self.int()?).unwrap_or(0);
            self.expect("]")?;
            self.expect(";")?;
            self.declare(&name, Ty::Ptr { elem, mutable: true }, false)?;
            return Ok(Stmt::Array { name, elem, len });
        }
        self.expect("=")?;
        let value = self.expr()?;
        if matches!(value.ty, Ty::Bool | Ty::Void) {
            return self.error(format!("{name} cannot be {}", value.ty));
        }
        self.expect(";")?;
        self.declare(&name, value.ty, mutable)?;
        Ok(Stmt::Let { name, value, mutable })
    }

    fn conditional(&mut self) -> Result<Stmt> {
        let condition = self.typed(Ty::Bool)?;
        let then = self.block()?;
        let otherwise = if !self.eat_word("else") {
            Vec::new()
        } else if self.eat_word("if") {
            vec![self.conditional()?]
        } else {
            self.block()?
        };
        Ok(Stmt::If { condition, then, otherwise })
    }

    fn assignment(&mut self) -> Result<Stmt> {
        let target = self.unary()?;
        let sugar = [("+=", BinOp::Add), ("-=", BinOp::Sub), ("*=", BinOp::Mul)].into_iter().find(|(s, _)| self.eat(s));
        if sugar.is_none() && !self.eat("=") {
            self.expect(";")?;
            return if matches!(target.kind, ExprKind::Call(..)) { Ok(Stmt::Call(target)) } else { self.error("this does nothing") };
        }
        let mut value = match target.ty {
            Ty::Ptr { .. } => self.expr()?,
            other => self.typed(other)?,
        };
        if let Some((_, op)) = sugar {
            value = self.binary(op, target.clone(), value)?;
        }
        self.expect(";")?;
        match target.kind {
            ExprKind::Var(name) => {
                if !self.lookup(&name)?.1 {
                    return self.error(format!("{name} cannot be assigned"));
                }
                Ok(Stmt::Assign { name, value })
            }
            ExprKind::Load(pointer, index) => {
                if !matches!(pointer.ty, Ty::Ptr { mutable: true, .. }) {
                    return self.error("this memory cannot be written");
                }
                Ok(Stmt::Store { pointer: *pointer, index: *index, value })
            }
            _ => self.error("this cannot be assigned"),
        }
    }

    /// An expression of this type; literals take it.
    fn typed(&mut self, ty: Ty) -> Result<Expr> {
        let value = adopt(self.expr()?, ty);
        if value.ty == ty { Ok(value) } else { self.error(format!("expected {ty}, found {}", value.ty)) }
    }

    fn expr(&mut self) -> Result<Expr> {
        self.level(0)
    }

    /// Binary operators by precedence.
    fn level(&mut self, level: usize) -> Result<Expr> {
        const LEVELS: [&[(&str, BinOp)]; 9] = [
            &[("||", BinOp::OrElse)],
            &[("&&", BinOp::AndAlso)],
            &[("<=", BinOp::Le), (">=", BinOp::Ge), ("==", BinOp::Eq), ("!=", BinOp::Ne), ("<", BinOp::Lt), (">", BinOp::Gt)],
            &[("|", BinOp::Or)],
            &[("^", BinOp::Xor)],
            &[("&", BinOp::And)],
            &[("<<", BinOp::Shl), (">>", BinOp::Shr)],
            &[("+%", BinOp::WrapAdd), ("-%", BinOp::WrapSub), ("+", BinOp::Add), ("-", BinOp::Sub)],
            &[("*%", BinOp::WrapMul), ("*", BinOp::Mul), ("/", BinOp::Div), ("%", BinOp::Rem)],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.cast() };
        let mut left = self.level(level + 1)?;
        while let Some((_, op)) = operators.iter().find(|(symbol, _)| self.eat(symbol)) {
            let right = self.level(level + 1)?;
            left = self.binary(*op, left, right)?;
        }
        Ok(left)
    }

    fn binary(&self, op: BinOp, left: Expr, right: Expr) -> Result<Expr> {
        use BinOp as B;
        let (left, right) = if matches!(op, B::Shl | B::Shr) {
            (left, adopt(right, Ty::I32))
        } else {
            let (l, r) = (left.ty, right.ty);
            (adopt(left, r), adopt(right, l))
        };
        let numbers = matches!(left.ty, Ty::I32 | Ty::I64 | Ty::F32);
        let integers = matches!(left.ty, Ty::I32 | Ty::I64);
        let same = left.ty == right.ty;
        let ty = match op {
            B::Add | B::Sub | B::Mul | B::Div if numbers && same => left.ty,
            B::Rem | B::WrapAdd | B::WrapSub | B::WrapMul | B::And | B::Or | B::Xor if integers && same => left.ty,
            B::Shl | B::Shr if integers && right.ty == Ty::I32 => left.ty,
            B::Lt | B::Le | B::Gt | B::Ge | B::Eq | B::Ne if numbers && same => Ty::Bool,
            B::AndAlso | B::OrElse if left.ty == Ty::Bool && same => Ty::Bool,
            _ => return self.error(format!("{op:?} does not take {} and {}", left.ty, right.ty)),
        };
        Ok(Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(right)), ty })
    }

    fn cast(&mut self) -> Result<Expr> {
        let mut value = self.unary()?;
        while self.eat_word("as") {
            let ty = self.ty()?;
            value = if value.ty == ty { value } else { Expr { kind: ExprKind::Cast(Box::new(value)), ty } };
        }
        Ok(value)
    }

    fn unary(&mut self) -> Result<Expr> {
        if self.eat("-") {
            let value = self.unary()?;
            return Ok(match value.kind {
                ExprKind::Int(i) => Expr { kind: ExprKind::Int(-i), ty: value.ty },
                ExprKind::Float(x) => Expr { kind: ExprKind::Float(-x), ty: value.ty },
                _ => Expr { ty: value.ty, kind: ExprKind::Neg(Box::new(value)) },
            });
        }
        if self.eat("~") {
            let value = self.unary()?;
            return Ok(Expr { ty: value.ty, kind: ExprKind::Not(Box::new(value)) });
        }
        if self.eat("&") {
            let place = self.postfix()?;
            return match place.kind {
                ExprKind::Load(pointer, index) => Ok(Expr { ty: pointer.ty, kind: ExprKind::Offset(pointer, index) }),
                _ => self.error("'&' needs an element"),
            };
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Expr> {
        let mut value = self.primary()?;
        while self.eat("[") {
            let index = self.typed(Ty::I32)?;
            self.expect("]")?;
            let Ty::Ptr { elem, .. } = value.ty else { return self.error(format!("{} has no elements", value.ty)) };
            value = Expr { kind: ExprKind::Load(Box::new(value), Box::new(index)), ty: elem.loaded() };
        }
        Ok(value)
    }

    fn primary(&mut self) -> Result<Expr> {
        if self.eat("(") {
            let inner = self.expr()?;
            self.expect(")")?;
            return Ok(inner);
        }
        match self.peek().cloned() {
            Some(Kind::Int(i)) => {
                self.at += 1;
                let ty = if i32::try_from(i).is_ok() { Ty::I32 } else { Ty::I64 };
                Ok(Expr { kind: ExprKind::Int(i), ty })
            }
            Some(Kind::Float(x)) => {
                self.at += 1;
                Ok(Expr { kind: ExprKind::Float(x), ty: Ty::F32 })
            }
            Some(Kind::Word(name)) => {
                self.at += 1;
                let mut types = Vec::new();
                while self.eat("@") {
                    types.push(self.elem()?);
                }
                if !types.is_empty() {
                    self.expect("(")?;
                    return self.call(&name, Some(types));
                }
                if self.eat("(") {
                    return self.call(&name, None);
                }
                let (ty, _) = self.lookup(&name)?;
                Ok(Expr { kind: ExprKind::Var(name), ty })
            }
            other => self.error(format!("expected an expression, found {other:?}")),
        }
    }

    /// The arguments of a call; element types are the caller's own unless they stand behind the name: `copy_run@i8(...)`.
    fn call(&mut self, name: &str, types: Option<Vec<Elem>>) -> Result<Expr> {
        if name == "unsigned" {
            let unsigned = i64::from(matches!(self.elem()?, Elem::U8 | Elem::U16));
            self.expect(")")?;
            let number = |i| Box::new(Expr { kind: ExprKind::Int(i), ty: Ty::I32 });
            return Ok(Expr { kind: ExprKind::Binary(BinOp::Ne, number(unsigned), number(0)), ty: Ty::Bool });
        }
        if name == "sizeof" {
            let bytes = i64::try_from(self.elem()?.bytes()).unwrap_or(0);
            self.expect(")")?;
            return Ok(Expr { kind: ExprKind::Int(bytes), ty: Ty::I32 });
        }
        let mut arguments = Vec::new();
        while !self.eat(")") {
            arguments.push(self.expr()?);
            self.eat(",");
        }
        if let Some(&(builtin, _, count)) = Builtin::ALL.iter().find(|(_, n, _)| *n == name) {
            if arguments.len() != count {
                return self.error(format!("{name} takes {count} arguments"));
            }
            return self.builtin(builtin, arguments);
        }
        let types = match types {
            Some(types) => types,
            None => self.library.bind(name, &self.bindings).or_else(|e| self.error(e))?,
        };
        let instance = self.library.instantiate(name, &types)?;
        let Some(function) = self.library.function(&instance) else { return self.error(format!("{name} calls itself")) };
        if function.params.len() != arguments.len() {
            return self.error(format!("{name} takes {} arguments, not {}", function.params.len(), arguments.len()));
        }
        let ty = function.result;
        let params: Vec<Ty> = function.params.iter().map(|p| p.1).collect();
        let arguments: Vec<Expr> = arguments.into_iter().zip(&params).map(|(a, p)| adopt(a, *p)).collect();
        for (argument, param) in arguments.iter().zip(&params) {
            let fits = match (argument.ty, *param) {
                (Ty::Ptr { elem: a, mutable: from }, Ty::Ptr { elem: b, mutable: to }) => a == b && (from || !to),
                (a, b) => a == b,
            };
            if !fits {
                return self.error(format!("{name}: {} given for {param}", argument.ty));
            }
        }
        if !self.callees.contains(&instance) {
            self.callees.push(instance.clone());
        }
        Ok(Expr { kind: ExprKind::Call(instance, arguments), ty })
    }

    fn builtin(&self, builtin: Builtin, mut arguments: Vec<Expr>) -> Result<Expr> {
        let first = usize::from(builtin == Builtin::Select);
        let target = arguments[first..].iter().find(|a| !is_literal(a)).map_or(arguments[first].ty, |a| a.ty);
        let tail = arguments.split_off(first);
        arguments.extend(tail.into_iter().map(|a| adopt(a, target)));
        if arguments[first..].iter().any(|a| a.ty != target) || (first == 1 && arguments[0].ty != Ty::Bool) {
            return self.error(format!("{builtin:?}: arguments of different types"));
        }
        if builtin.is_math() && target != Ty::F32 {
            return self.error(format!("{builtin:?} takes f32"));
        }
        Ok(Expr { kind: ExprKind::Builtin(builtin, arguments), ty: target })
    }
}

fn is_literal(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Int(_))
}

/// An integer literal becomes 64 bits wide where the other side is.
fn adopt(e: Expr, ty: Ty) -> Expr {
    match (&e.kind, e.ty, ty) {
        (ExprKind::Int(_), Ty::I32, Ty::I64) => Expr { kind: e.kind, ty },
        _ => e,
    }
}
