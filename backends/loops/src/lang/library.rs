//! The sources of all kernels, and their instances for element types.

use std::collections::BTreeMap;

use super::ast::{Elem, Function};
use super::lexer::{Kind, Token, tokens};
use super::parser::Parser;

/// Every source file of kernels.
const SOURCES: &[(&str, &str)] = &[
    ("arith", include_str!("../../kernels/arith.loops")),
    ("conv", include_str!("../../kernels/conv.loops")),
    ("wide", include_str!("../../kernels/wide.loops")),
    ("elementwise", include_str!("../../kernels/elementwise.loops")),
    ("reduce", include_str!("../../kernels/reduce.loops")),
    ("float", include_str!("../../kernels/float.loops")),
    ("plain", include_str!("../../kernels/plain.loops")),
    ("legacy", include_str!("../../kernels/legacy.loops")),
    ("recurrent", include_str!("../../kernels/recurrent.loops")),
    ("copy", include_str!("../../kernels/copy.loops")),
];

/// A function in the source: its tokens from the doc comment to the closing brace.
struct Template {
    file: &'static str,
    tokens: Vec<Token>,
    generics: Vec<String>,
}

/// Kernels by name, and those that were made for certain element types.
pub struct Library {
    templates: BTreeMap<String, Template>,
    instances: BTreeMap<String, Function>,
}

impl Library {
    /// Reads the sources. An error is a mistake in them.
    pub fn new() -> Result<Self, String> {
        let mut templates = BTreeMap::new();
        for (file, source) in SOURCES {
            let all = tokens(source).map_err(|e| format!("{file}.loops: {e}"))?;
            let mut rest: &[Token] = &all;
            while !rest.is_empty() {
                let (name, length, generics) = outline(rest).map_err(|e| format!("{file}.loops: {e}"))?;
                let (function, after) = rest.split_at(length);
                if templates.insert(name.clone(), Template { file, tokens: function.to_vec(), generics }).is_some() {
                    return Err(format!("{file}.loops: {name} is defined twice"));
                }
                rest = after;
            }
        }
        Ok(Self { templates, instances: BTreeMap::new() })
    }

    /// Names of all kernels with their type parameters.
    pub fn templates(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.templates.iter().map(|(name, t)| (name.as_str(), t.generics.as_slice()))
    }

    /// The kernel `name` for these element types, in the order of its type parameters; answers its unique name.
    pub fn instantiate(&mut self, name: &str, types: &[Elem]) -> Result<String, String> {
        let template = self.templates.get(name).ok_or_else(|| format!("there is no kernel {name}"))?;
        if template.generics.len() != types.len() {
            return Err(format!("{name} takes {} element types, not {}", template.generics.len(), types.len()));
        }
        let mut instance = name.to_owned();
        for ty in types {
            instance.push('_');
            instance.push_str(ty.name());
        }
        if !self.instances.contains_key(&instance) {
            let bindings = template.generics.iter().cloned().zip(types.iter().copied()).collect();
            let (file, source) = (template.file, template.tokens.clone());
            let function = Parser::new(&source, bindings, self)
                .function(instance.clone())
                .map_err(|e| if e.contains(".loops") { e } else { format!("{file}.loops: {e}") })?;
            self.instances.insert(instance.clone(), function);
        }
        Ok(instance)
    }

    /// The element types that a callee gets inside a function with these bindings: by the names of its parameters.
    pub(super) fn bind(&self, callee: &str, bindings: &BTreeMap<String, Elem>) -> Result<Vec<Elem>, String> {
        let template = self.templates.get(callee).ok_or_else(|| format!("there is no function {callee}"))?;
        let bound = |g: &String| bindings.get(g).copied().ok_or_else(|| format!("{callee} needs the element type {g}"));
        template.generics.iter().map(bound).collect()
    }

    /// An instance by its unique name.
    #[must_use]
    pub fn function(&self, instance: &str) -> Option<&Function> {
        self.instances.get(instance)
    }

    /// Instances in the order in which they can be defined: callees first.
    #[must_use]
    pub fn ordered(&self, roots: &[String]) -> Vec<&Function> {
        let mut order = Vec::new();
        for root in roots {
            self.visit(root, &mut order);
        }
        order
    }

    fn visit<'a>(&'a self, name: &str, order: &mut Vec<&'a Function>) {
        let Some(function) = self.instances.get(name) else { return };
        if order.iter().any(|f| f.name == function.name) {
            return;
        }
        for callee in &function.callees {
            self.visit(callee, order);
        }
        order.push(function);
    }
}

/// Name, number of tokens and type parameters of the function that stands first.
fn outline(tokens: &[Token]) -> Result<(String, usize, Vec<String>), String> {
    let at = tokens.iter().position(|t| t.kind == Kind::Word("fn".into())).ok_or("no function")?;
    let name = match tokens.get(at + 1).map(|t| &t.kind) {
        Some(Kind::Word(name)) => name.clone(),
        _ => return Err("a function without a name".into()),
    };
    let mut generics = Vec::new();
    if tokens.get(at + 2).is_some_and(|t| t.kind == Kind::Symbol("<")) {
        let words = tokens.iter().skip(at + 3).take_while(|t| t.kind != Kind::Symbol(">"));
        generics.extend(words.filter_map(|t| if let Kind::Word(w) = &t.kind { Some(w.clone()) } else { None }));
    }
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Symbol("{") => depth += 1,
            Kind::Symbol("}") => {
                depth = depth.checked_sub(1).ok_or_else(|| format!("line {}: '}}' too many", token.line))?;
                if depth == 0 {
                    return Ok((name, index + 1, generics));
                }
            }
            _ => {}
        }
    }
    Err(format!("{name} does not end"))
}

#[cfg(test)]
mod tests {
    use super::{Elem, Library};

    /// Every kernel, with the element types that its parameters' names stand for.
    #[test]
    fn every_kernel_reads() {
        let mut library = Library::new().expect("the sources");
        let all: Vec<(String, Vec<String>)> = library.templates().map(|(n, g)| (n.to_owned(), g.to_vec())).collect();
        let mut problems = Vec::new();
        for (name, generics) in all {
            let types: Vec<Elem> = generics.iter().map(|g| if matches!(g.as_str(), "B" | "I") { Elem::I32 } else { Elem::I16 }).collect();
            if let Err(why) = library.instantiate(&name, &types) {
                problems.push(format!("{name}: {why}"));
            }
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}
