//! The functions of a module by name, and those of mathematics that are made when they are first called.

use std::collections::BTreeMap;

use octet_ir::Diagnostic;
use octet_loops::lang::Builtin;
use wasm_encoder::{CodeSection, Function, FunctionSection, TypeSection};

use crate::asm::Signature;
use crate::{encode, math};

/// Functions in the order of their numbers.
#[derive(Default)]
pub(crate) struct Functions {
    kinds: Vec<Signature>,
    /// The number of each function's type, and its body.
    list: Vec<(u32, Option<Function>)>,
    names: BTreeMap<String, u32>,
}

impl Functions {
    /// The number of a type.
    pub(crate) fn kind(&mut self, signature: &Signature) -> u32 {
        let found = self.kinds.iter().position(|k| k == signature).unwrap_or_else(|| {
            self.kinds.push(signature.clone());
            self.kinds.len() - 1
        });
        u32::try_from(found).unwrap_or(u32::MAX)
    }

    /// The number of a function without a name, whose body follows by [`define`](Self::define).
    pub(crate) fn declare(&mut self, kind: u32) -> u32 {
        self.list.push((kind, None));
        u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX)
    }

    /// Gives a function its body.
    pub(crate) fn define(&mut self, index: u32, body: Function) {
        if let Some((_, place)) = usize::try_from(index).ok().and_then(|i| self.list.get_mut(i)) {
            *place = Some(body);
        }
    }

    fn reserve(&mut self, name: &str, signature: &Signature, body: Option<Function>) -> u32 {
        let kind = self.kind(signature);
        let index = self.declare(kind);
        if let Some(body) = body {
            self.define(index, body);
        }
        self.names.insert(name.to_owned(), index);
        index
    }

    /// Adds a function and answers its number.
    pub(crate) fn add(&mut self, name: &str, signature: &Signature, body: Function) -> u32 {
        self.reserve(name, signature, Some(body))
    }

    /// The number of a function.
    pub(crate) fn named(&self, name: &str) -> Result<u32, Diagnostic> {
        self.names.get(name).copied().ok_or_else(|| Diagnostic::error(encode::UNSUPPORTED, format!("there is no function {name}")))
    }

    /// The number of a function of one or two real numbers; it is written when the module is finished.
    pub(crate) fn math(&mut self, builtin: Builtin) -> u32 {
        let name = format!("math.{builtin:?}");
        match self.names.get(&name) {
            Some(&index) => index,
            None => self.reserve(&name, &math::signature(builtin), None),
        }
    }

    /// Sections of types, functions and code.
    pub(crate) fn sections(mut self) -> (TypeSection, FunctionSection, CodeSection) {
        for (builtin, ..) in Builtin::ALL {
            if let Some(&index) = self.names.get(&format!("math.{builtin:?}")) {
                self.define(index, math::function(builtin));
            }
        }
        let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
        for kind in &self.kinds {
            types.ty().function(kind.params.clone(), kind.results.clone());
        }
        for (kind, body) in &self.list {
            functions.function(*kind);
            if let Some(body) = body {
                code.function(body);
            }
        }
        (types, functions, code)
    }
}
