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
    list: Vec<(Signature, Option<Function>)>,
    names: BTreeMap<String, u32>,
}

impl Functions {
    fn reserve(&mut self, name: &str, signature: Signature, body: Option<Function>) -> u32 {
        let index = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push((signature, body));
        self.names.insert(name.to_owned(), index);
        index
    }

    /// Adds a function and answers its number.
    pub(crate) fn add(&mut self, name: &str, signature: Signature, body: Function) -> u32 {
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
            None => self.reserve(&name, math::signature(builtin), None),
        }
    }

    /// Sections of types, functions and code.
    pub(crate) fn sections(mut self) -> (TypeSection, FunctionSection, CodeSection) {
        for (builtin, ..) in Builtin::ALL {
            if let Some(&index) = self.names.get(&format!("math.{builtin:?}"))
                && let Some((_, body)) = usize::try_from(index).ok().and_then(|i| self.list.get_mut(i))
            {
                *body = Some(math::function(builtin));
            }
        }
        let mut kinds: Vec<Signature> = Vec::new();
        let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
        for (signature, body) in &self.list {
            let kind = kinds.iter().position(|k| k == signature).unwrap_or_else(|| {
                types.ty().function(signature.params.clone(), signature.results.clone());
                kinds.push(signature.clone());
                kinds.len() - 1
            });
            functions.function(u32::try_from(kind).unwrap_or(u32::MAX));
            if let Some(body) = body {
                code.function(body);
            }
        }
        (types, functions, code)
    }
}
