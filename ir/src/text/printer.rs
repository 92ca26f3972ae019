//! Printing a module.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use bytes::Bytes;

use super::{INLINE_ELEMENTS, blob_hash};

/// Larger constants are not written as `splat`, however equal their elements: what a text asks for is bounded by its length.
const SPLAT_BYTES: usize = 8 << 10;
use crate::attr::{Attr, Quoted, fmt_entries, fmt_float, to_attr};
use crate::constant::Constant;
use crate::entity::{ConstId, EntityId, GraphId, ValueId};
use crate::graph::{Graph, Operation, Range, Value, ValueDef};
use crate::location::Loc;
use crate::module::{Module, Signature};
use crate::types::{ElementType, Type};

/// A printed module: the text, and the bytes of the constants that it names by offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// The text.
    pub text: String,
    /// The side file; empty when every constant stands in the text.
    pub blobs: Bytes,
}

/// Prints a module.
pub fn print(module: &Module) -> Printed {
    let mut printer = Printer { module, blobs: Some(Vec::new()), end: 0, placed: BTreeMap::new() };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = printer.module(&mut text);
    Printed { text, blobs: printer.blobs.unwrap_or_default().into() }
}

/// Prints one graph without a header, large constants by length and hash only: for messages and debugging.
pub fn print_graph(module: &Module, id: GraphId) -> String {
    let mut printer = Printer { module, blobs: None, end: 0, placed: BTreeMap::new() };
    let mut text = String::new();
    if let Some(graph) = module.get_graph(id) {
        let _ = printer.graph(graph, &mut text);
    }
    text
}

struct Printer<'m> {
    module: &'m Module,
    /// The side file; `None` when nobody wants it.
    blobs: Option<Vec<u8>>,
    /// Its length so far.
    end: usize,
    placed: BTreeMap<ConstId, usize>,
}

impl Printer<'_> {
    fn module(&mut self, out: &mut String) -> fmt::Result {
        writeln!(out, "octet.ir 1")?;
        if !self.module.description.is_empty() {
            writeln!(out, "description {}", Quoted(&self.module.description))?;
        }
        for entry in &self.module.metadata {
            writeln!(out, "metadata {} = {}", Quoted(&entry.name), Attr::Bytes(entry.bytes.to_vec()))?;
        }
        for signature in &self.module.signatures {
            print_signature(signature, out)?;
        }
        for (_, graph) in self.module.graphs() {
            self.graph(graph, out)?;
        }
        Ok(())
    }

    fn graph(&mut self, graph: &Graph, out: &mut String) -> fmt::Result {
        write!(out, "graph @{}(", Name(graph.name()))?;
        for (i, &input) in graph.inputs().iter().enumerate() {
            let separator = if i > 0 { ", " } else { "" };
            write!(out, "{separator}{input}: {}", Typed(graph.value(input)))?;
        }
        out.write_str(") {\n")?;
        // Constants stand before their first reader; everything else that no operation defines stands first.
        let mut printed = vec![false; graph.value_capacity()];
        for (id, value) in graph.values() {
            let alone = match value.def() {
                ValueDef::Variable | ValueDef::Unbound => true,
                ValueDef::Constant(_) => value.uses().is_empty(),
                ValueDef::Input(_) | ValueDef::Result { .. } => false,
            };
            if alone {
                self.leaf(id, value, out)?;
                printed[id.index()] = true;
            }
        }
        for (_, operation) in graph.ops() {
            for &operand in operation.operands().iter().flatten() {
                self.constant_once(graph, operand, &mut printed, out)?;
            }
            print_operation(graph, operation, out)?;
        }
        for &output in graph.outputs() {
            self.constant_once(graph, output, &mut printed, out)?;
        }
        out.write_str("  return")?;
        for (i, output) in graph.outputs().iter().enumerate() {
            write!(out, "{}{output}", if i > 0 { ", " } else { " " })?;
        }
        out.write_str("\n}\n")
    }

    fn constant_once(&mut self, graph: &Graph, id: ValueId, printed: &mut [bool], out: &mut String) -> fmt::Result {
        let value = graph.value(id);
        let is_constant = matches!(value.def(), ValueDef::Constant(_));
        if !is_constant || std::mem::replace(&mut printed[id.index()], true) {
            return Ok(());
        }
        self.leaf(id, value, out)
    }

    fn leaf(&mut self, id: ValueId, value: &Value, out: &mut String) -> fmt::Result {
        write!(out, "  {id} = ")?;
        match value.def() {
            ValueDef::Constant(constant) => {
                out.write_str("const ")?;
                self.data(constant, value.ty(), out)?;
            }
            ValueDef::Variable => out.write_str("variable")?,
            ValueDef::Unbound | ValueDef::Input(_) | ValueDef::Result { .. } => out.write_str("unbound")?,
        }
        writeln!(out, " : {}", Typed(value))
    }

    fn data(&mut self, id: ConstId, ty: &Type, out: &mut String) -> fmt::Result {
        let Some(constant) = self.module.get_constant(id) else { return out.write_str("x\"\"") };
        if ty.byte_len() == Some(constant.bytes().len()) {
            let elements = ty.shape.checked_elements().unwrap_or(usize::MAX);
            if elements <= INLINE_ELEMENTS {
                if let Some(numbers) = printable(ty.elem, constant) {
                    return write!(out, "[{}]", numbers.join(", "));
                }
            } else if constant.bytes().len() <= SPLAT_BYTES
                && let Some(first) = first_of_equals(ty.elem, constant)
                && let Some(number) = printable(ty.elem, &first).as_deref().and_then(<[String]>::first)
            {
                return write!(out, "splat({number})");
            }
        }
        if constant.bytes().len() <= INLINE_ELEMENTS {
            return write!(out, "{}", Attr::Bytes(constant.bytes().to_vec()));
        }
        let offset = match self.placed.get(&id) {
            Some(&offset) => offset,
            None => {
                let offset = self.end.next_multiple_of(16);
                self.end = offset + constant.bytes().len();
                if let Some(blobs) = &mut self.blobs {
                    blobs.resize(offset, 0);
                    blobs.extend_from_slice(constant.bytes());
                }
                self.placed.insert(id, offset);
                offset
            }
        };
        write!(out, "blob({offset}, {}, {:016x})", constant.bytes().len(), blob_hash(constant.bytes()))
    }
}

/// The first element, when all have the same bytes; `None` also for elements of less than a byte.
fn first_of_equals(elem: ElementType, constant: &Constant) -> Option<Constant> {
    let width = elem.byte_len(1).filter(|_| elem.bits().is_some_and(|bits| bits >= 8))?;
    let bytes = constant.bytes();
    let equal = bytes.get(width..)? == bytes.get(..bytes.len() - width)?;
    equal.then(|| Constant::new(bytes.slice(..width)))
}

/// The elements as text; `None` for types that have no number syntax.
fn printable(elem: ElementType, constant: &Constant) -> Option<Vec<String>> {
    fn ints<T: ToString>(values: &[T]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }
    Some(match elem {
        ElementType::F32 => constant.to_f32().into_iter().map(|v| Float(v).to_string()).collect(),
        ElementType::I8 => ints(&constant.to_i8()),
        ElementType::U8 => ints(&constant.to_u8()),
        ElementType::I16 => ints(&constant.to_i16()),
        ElementType::I32 => ints(&constant.to_i32()),
        ElementType::I64 => ints(&constant.to_i64()),
        ElementType::Bool if constant.bytes().iter().all(|&b| b <= 1) => ints(&constant.to_u8()),
        ElementType::Bool
        | ElementType::F16
        | ElementType::BF16
        | ElementType::F8E4M3FN
        | ElementType::F8E5M2
        | ElementType::F64
        | ElementType::I4
        | ElementType::I2
        | ElementType::U64
        | ElementType::U32
        | ElementType::U16
        | ElementType::U4
        | ElementType::String
        | ElementType::Complex64
        | ElementType::Complex128
        | ElementType::Resource
        | ElementType::Variant => return None,
    })
}

fn print_signature(signature: &Signature, out: &mut String) -> fmt::Result {
    let pairs =
        |pairs: &[(String, usize)]| pairs.iter().map(|(name, index)| format!("{} = {index}", Quoted(name))).collect::<Vec<_>>().join(", ");
    writeln!(
        out,
        "signature {} = @{}({}) -> ({})",
        Quoted(&signature.key),
        signature.graph.index(),
        pairs(&signature.inputs),
        pairs(&signature.outputs)
    )
}

fn print_operation(graph: &Graph, operation: &Operation, out: &mut String) -> fmt::Result {
    let list = |values: &[ValueId]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    out.write_str("  ")?;
    if !operation.results().is_empty() {
        write!(out, "{} = ", list(operation.results()))?;
    }
    let operands: Vec<String> = operation.operands().iter().map(|o| o.map_or("_".into(), |v| v.to_string())).collect();
    write!(out, "{}({})", operation.op().mnemonic(), operands.join(", "))?;
    // Every attribute struct of the IR serializes: floats are single and maps have string keys.
    let attributes = operation.op().attributes().map_err(|_| fmt::Error)?;
    if !attributes.is_empty() {
        write!(out, " {{{}}}", Entries(&attributes))?;
    }
    if !operation.intermediates().is_empty() {
        write!(out, " intermediates({})", list(operation.intermediates()))?;
    }
    for (i, &result) in operation.results().iter().enumerate() {
        write!(out, "{}{}", if i > 0 { ", " } else { " : " }, Typed(graph.value(result)))?;
    }
    out.write_char('\n')
}

struct Entries<'a>(&'a [(String, Attr)]);
impl fmt::Display for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_entries(self.0, f)
    }
}

struct Float(f32);
impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_float(self.0, f)
    }
}

/// A graph's name: bare where it can be.
struct Name<'a>(&'a str);
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if Attr::is_word(self.0) { f.write_str(self.0) } else { write!(f, "{}", Quoted(self.0)) }
    }
}

/// A value's type and notes.
struct Typed<'a>(&'a Value);
impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.ty())?;
        if let Some(range) = self.0.range() {
            write!(f, " {}", RangeNote(range))?;
        }
        if let Some(sparsity) = self.0.sparsity() {
            write!(f, " sparse {}", to_attr(sparsity.as_ref()).map_err(|_| fmt::Error)?)?;
        }
        fmt_loc(self.0.loc(), f)
    }
}

struct RangeNote<'a>(&'a Range);
impl fmt::Display for RangeNote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |values: &[f32]| match values {
            [one] => Float(*one).to_string(),
            many => format!("[{}]", many.iter().map(|v| Float(*v).to_string()).collect::<Vec<_>>().join(", ")),
        };
        write!(f, "range({}, {})", side(&self.0.min), side(&self.0.max))
    }
}

fn fmt_loc(loc: &Loc, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if loc.is_unknown() {
        return Ok(());
    }
    f.write_str(" loc(")?;
    for (i, name) in loc.names().enumerate() {
        write!(f, "{}{}", if i > 0 { ", " } else { "" }, Quoted(name))?;
    }
    f.write_str(")")
}
