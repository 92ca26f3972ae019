//! A kernel's module, read: its parts, and which functions its calls can reach.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{
    Data, DataKind, Element, ElementItems, ElementKind, ExternalKind, FromReader, FuncType, FunctionBody, Global, Operator, Parser,
    Payload, SectionLimited, Table,
};

/// Bytes of a page.
const PAGE: u64 = 65536;
/// Bytes that addresses of 32 bits can name.
const ALL: u64 = 1 << 32;

type Result<T> = std::result::Result<T, String>;

/// A module in parts, numbered as the module numbers them.
pub(super) struct Object<'a> {
    pub(super) types: Vec<FuncType>,
    /// The type of each function, and its body.
    pub(super) functions: Vec<(u32, FunctionBody<'a>)>,
    pub(super) tables: Vec<Table<'a>>,
    pub(super) globals: Vec<Global<'a>>,
    pub(super) elements: Vec<Element<'a>>,
    /// What memory holds at first: the expression of an address, and bytes.
    pub(super) data: Vec<(wasmparser::ConstExpr<'a>, &'a [u8])>,
    pub(super) start: Option<u32>,
    /// Functions by the names of their exports.
    pub(super) exports: BTreeMap<&'a str, u32>,
    /// Bytes of the memory at first, and at most.
    pub(super) memory: (u64, u64),
    /// Functions that calls can reach.
    pub(super) reachable: BTreeSet<u32>,
    /// Functions whose references are taken.
    pub(super) referenced: BTreeSet<u32>,
    /// Whether its memory can grow.
    pub(super) grows: bool,
}

fn broken(e: impl std::error::Error) -> String {
    e.to_string()
}

/// The items of a section.
fn items<'a, T: FromReader<'a>>(section: SectionLimited<'a, T>) -> Result<Vec<T>> {
    section.into_iter().collect::<std::result::Result<_, _>>().map_err(broken)
}

impl<'a> Object<'a> {
    /// Reads a valid module without imports. `roots` are the exports that are called.
    pub(super) fn read(bytes: &'a [u8], roots: &[&str]) -> Result<Self> {
        let mut object = Self {
            types: Vec::new(),
            functions: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            elements: Vec::new(),
            data: Vec::new(),
            start: None,
            exports: BTreeMap::new(),
            memory: (0, 0),
            reachable: BTreeSet::new(),
            referenced: BTreeSet::new(),
            grows: false,
        };
        let mut kinds = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(broken)? {
                Payload::ImportSection(_) => return Err("it has imports".into()),
                Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        object.types.push(ty.map_err(broken)?);
                    }
                }
                Payload::FunctionSection(section) => kinds = items(section)?,
                Payload::TableSection(section) => object.tables = items(section)?,
                Payload::MemorySection(section) => {
                    for memory in section {
                        let memory = memory.map_err(broken)?;
                        object.memory = (memory.initial * PAGE, memory.maximum.map_or(ALL, |m| (m * PAGE).min(ALL)));
                    }
                }
                Payload::GlobalSection(section) => object.globals = items(section)?,
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.map_err(broken)?;
                        if export.kind == ExternalKind::Func {
                            object.exports.insert(export.name, export.index);
                        }
                    }
                }
                Payload::StartSection { func, .. } => object.start = Some(func),
                Payload::ElementSection(section) => object.elements = items(section)?,
                Payload::DataSection(section) => {
                    for data in section {
                        let Data { kind, data, .. } = data.map_err(broken)?;
                        // Nothing reads a passive segment: `memory.init` is refused.
                        if let DataKind::Active { offset_expr, .. } = kind {
                            object.data.push((offset_expr, data));
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let kind = kinds.get(object.functions.len()).copied().ok_or("a function has no type")?;
                    object.functions.push((kind, body));
                }
                _ => {}
            }
        }
        object.reach(roots)?;
        Ok(object)
    }

    /// Finds what calls can reach: from exports, the start function and tables.
    fn reach(&mut self, roots: &[&str]) -> Result<()> {
        let mut open: Vec<u32> = roots.iter().filter_map(|name| self.exports.get(name).copied()).chain(self.start).collect();
        for element in &self.elements {
            if matches!(element.kind, ElementKind::Declared) {
                continue;
            }
            match &element.items {
                ElementItems::Functions(functions) => {
                    for function in functions.clone() {
                        open.push(function.map_err(broken)?);
                    }
                }
                ElementItems::Expressions(_, expressions) => {
                    for expression in expressions.clone() {
                        for operator in expression.map_err(broken)?.get_operators_reader() {
                            if let Operator::RefFunc { function_index } = operator.map_err(broken)? {
                                open.push(function_index);
                            }
                        }
                    }
                }
            }
        }
        for global in &self.globals {
            for operator in global.init_expr.get_operators_reader() {
                if let Operator::RefFunc { function_index } = operator.map_err(broken)? {
                    open.push(function_index);
                    self.referenced.insert(function_index);
                }
            }
        }
        while let Some(function) = open.pop() {
            if !self.reachable.insert(function) {
                continue;
            }
            let body = usize::try_from(function).ok().and_then(|f| self.functions.get(f)).ok_or("a call of no function")?;
            for operator in body.1.get_operators_reader().map_err(broken)? {
                match operator.map_err(broken)? {
                    Operator::Call { function_index } | Operator::ReturnCall { function_index } => open.push(function_index),
                    Operator::RefFunc { function_index } => {
                        self.referenced.insert(function_index);
                        open.push(function_index);
                    }
                    Operator::MemoryGrow { .. } => self.grows = true,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
