//! Parsing a module. One grammar serves all operations.

use std::sync::Arc;

use bytes::Bytes;

use super::blob_hash;
use super::lexer::{Cursor, Parse, parse_f32};
use crate::attr::{Attr, from_attr};
use crate::constant::Constant;
use crate::diagnostic::Diagnostic;
use crate::entity::{EntityId, GraphId, ValueId};
use crate::graph::{GraphBuilder, Range};
use crate::location::Loc;
use crate::module::{Metadata, Module, Signature};
use crate::ops::Op;
use crate::quant::{Granularity, Quantization};
use crate::sparsity::Sparsity;
use crate::types::{ElementType, Shape, Type};

/// How deep attribute lists and maps may nest.
const MAX_DEPTH: usize = 32;
/// A value number costs room for all the numbers below it, so the numbers of all graphs together may ask for as much room as the text is
/// long, and this much more.
const ROOM_SLACK: usize = 1 << 18;
/// Gaps that the numbers may leave for every value, besides the slack: fewer than any text of it has room for, as the shortest declaration,
/// `%0: f32`, is longer.
const GAPS_PER_VALUE: usize = 4;
const TOO_MANY_GAPS: &str = "the value numbers of this module leave too many gaps";
/// Bytes that all `splat`s of a text may make: so many for each of its own, which is more than any that was printed asks for, and this much more.
const SPLAT_PER_BYTE: usize = 512;
const SPLAT_SLACK: usize = 16 << 20;

/// Parses a module; `blobs` is the side file (empty when the text names no blob). Errors (`IRT001`) point at line and column.
///
/// The result is well formed as far as ids go; run [`crate::verify::verify`] for the rest.
pub fn parse(text: &str, blobs: &Bytes) -> Result<Module, Diagnostic> {
    let splat_budget = text.len().saturating_mul(SPLAT_PER_BYTE).saturating_add(SPLAT_SLACK);
    let mut parser = Parser { cursor: Cursor::new(text), blobs: blobs.clone(), splat_budget, room_budget: text.len() + ROOM_SLACK };
    let mut module = Module::new();
    parser.cursor.expect("octet.ir")?;
    if parser.cursor.uint()? != 1 {
        return Err(parser.cursor.error("this version of the text form is not known; version 1 is"));
    }
    while !parser.cursor.at_end() {
        parser.item(&mut module)?;
    }
    let gaps: usize = module.graphs().map(|(_, g)| g.value_capacity() - g.values().count()).sum();
    let values: usize = module.graphs().map(|(_, g)| g.values().count()).sum();
    if gaps > ROOM_SLACK + GAPS_PER_VALUE * values {
        return Err(parser.cursor.error(TOO_MANY_GAPS));
    }
    Ok(module)
}

/// Parses `name{option = value, ...}, name, ...` in the attribute grammar of the text form: pipelines are written like this. The braces may be
/// left out; so may everything. Errors (`IRT001`) point at line and column.
pub fn parse_calls(text: &str) -> Result<Vec<(String, Vec<(String, Attr)>)>, Diagnostic> {
    let mut parser = Parser { cursor: Cursor::new(text), blobs: Bytes::new(), splat_budget: 0, room_budget: 0 };
    let mut calls = Vec::new();
    while !parser.cursor.at_end() {
        if !calls.is_empty() {
            parser.cursor.expect(",")?;
        }
        let name = parser.cursor.word()?.to_owned();
        let options = if parser.cursor.peek_token() == Some('{') { parser.entries(0)? } else { Vec::new() };
        calls.push((name, options));
    }
    Ok(calls)
}

/// Parses one type: `1x28x28x1 !q<i8, 0.5:-3>`. Errors (`IRT001`) point at the column.
pub fn parse_type(text: &str) -> Result<Type, Diagnostic> {
    let mut parser = Parser { cursor: Cursor::new(text), blobs: Bytes::new(), splat_budget: 0, room_budget: 0 };
    let ty = parser.ty()?;
    if parser.cursor.at_end() { Ok(ty) } else { Err(parser.cursor.error("the type ends before this")) }
}

struct Parser<'s> {
    cursor: Cursor<'s>,
    blobs: Bytes,
    splat_budget: usize,
    room_budget: usize,
}

/// Type and notes of one value.
struct Declared {
    ty: Type,
    range: Option<Range>,
    sparsity: Option<Arc<Sparsity>>,
    loc: Loc,
}

impl Parser<'_> {
    fn item(&mut self, module: &mut Module) -> Parse<()> {
        match self.cursor.word()? {
            "description" => module.description = self.cursor.string()?,
            "metadata" => {
                let name = self.cursor.string()?;
                self.cursor.expect("=")?;
                let bytes = self.cursor.bytes()?.into();
                module.metadata.push(Metadata { name, bytes });
            }
            "signature" => {
                let key = self.cursor.string()?;
                self.cursor.expect("=")?;
                self.cursor.expect("@")?;
                let graph = GraphId::from_index(self.cursor.uint()?);
                let inputs = self.pairs()?;
                self.cursor.expect("->")?;
                let outputs = self.pairs()?;
                module.signatures.push(Signature { key, graph, inputs, outputs });
            }
            "graph" => self.graph(module)?,
            other => return Err(self.cursor.error(format!("'{other}' begins no item of a module"))),
        }
        Ok(())
    }

    fn pairs(&mut self) -> Parse<Vec<(String, usize)>> {
        self.list("(", ")", |p| {
            let name = p.cursor.string()?;
            p.cursor.expect("=")?;
            Ok((name, p.cursor.uint()?))
        })
    }

    /// `open item, item, ... close`.
    fn list<T>(&mut self, open: &str, close: &str, mut item: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        self.cursor.expect(open)?;
        let mut items = Vec::new();
        while !self.cursor.eat(close) {
            if !items.is_empty() {
                self.cursor.expect(",")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn graph(&mut self, module: &mut Module) -> Parse<()> {
        self.cursor.expect("@")?;
        let name = if self.cursor.peek() == Some('"') { self.cursor.string()? } else { self.cursor.word()?.to_owned() };
        let mut builder = GraphBuilder::new(module, name);
        self.list("(", ")", |p| {
            let id = p.value_id()?;
            p.cursor.expect(":")?;
            p.declare(&mut builder, id)?;
            builder.bind_input(id);
            Ok(())
        })?;
        self.cursor.expect("{")?;
        while !self.cursor.eat_word("return") {
            self.statement(&mut builder)?;
        }
        if self.cursor.peek_token() == Some('%') {
            loop {
                let id = self.value_id()?;
                if !builder.output(id) {
                    return Err(self.cursor.error(format!("{id} is not defined")));
                }
                if !self.cursor.eat(",") {
                    break;
                }
            }
        }
        self.cursor.expect("}")?;
        builder.finish();
        Ok(())
    }

    fn value_id(&mut self) -> Parse<ValueId> {
        self.cursor.expect("%")?;
        let number = self.cursor.digits_here()?;
        Ok(ValueId::from_index(number))
    }

    fn declare(&mut self, builder: &mut GraphBuilder<'_>, id: ValueId) -> Parse<Type> {
        let declared = self.declared()?;
        let more = (id.index() + 1).saturating_sub(builder.graph().value_capacity());
        let left = self.room_budget.checked_sub(more);
        self.room_budget = left.ok_or_else(|| self.cursor.error(TOO_MANY_GAPS))?;
        if !builder.declare_at(id, declared.ty.clone(), declared.loc) {
            return Err(self.cursor.error(format!("{id} is defined twice")));
        }
        builder.set_range(id, declared.range);
        builder.set_sparsity(id, declared.sparsity);
        Ok(declared.ty)
    }

    fn statement(&mut self, builder: &mut GraphBuilder<'_>) -> Parse<()> {
        let mut results = Vec::new();
        if self.cursor.peek_token() == Some('%') {
            results.push(self.value_id()?);
            while self.cursor.eat(",") {
                results.push(self.value_id()?);
            }
            self.cursor.expect("=")?;
        }
        let mnemonic = self.cursor.word()?;
        match (mnemonic, results.as_slice()) {
            ("const", &[id]) => self.constant(builder, id),
            ("variable", &[id]) => {
                self.cursor.expect(":")?;
                self.declare(builder, id)?;
                builder.bind_variable(id);
                Ok(())
            }
            ("unbound", &[id]) => {
                self.cursor.expect(":")?;
                self.declare(builder, id).map(drop)
            }
            _ => self.operation(builder, mnemonic, results),
        }
    }

    fn operation(&mut self, builder: &mut GraphBuilder<'_>, mnemonic: &str, results: Vec<ValueId>) -> Parse<()> {
        let here = self.cursor.clone();
        let operands = self.list("(", ")", |p| if p.cursor.eat("_") { Ok(None) } else { p.value_id().map(Some) })?;
        if let Some(missing) = operands.iter().flatten().find(|v| builder.graph().get_value(**v).is_none()) {
            return Err(here.error(format!("{missing} is not defined before it is read")));
        }
        let attributes = if self.cursor.peek_token() == Some('{') { self.entries(0)? } else { Vec::new() };
        let op = Op::from_attributes(mnemonic, attributes).map_err(|e| here.error(e.to_string()))?;
        let intermediates = if self.cursor.eat_word("intermediates") { self.list("(", ")", Self::value_id)? } else { Vec::new() };
        if let Some(missing) = intermediates.iter().find(|v| builder.graph().get_value(**v).is_none()) {
            return Err(here.error(format!("{missing} is not defined")));
        }
        for (index, &result) in results.iter().enumerate() {
            self.cursor.expect(if index == 0 { ":" } else { "," })?;
            self.declare(builder, result)?;
        }
        if builder.bind_op(op, operands, results, intermediates).is_none() {
            return Err(here.error("a result is defined twice"));
        }
        Ok(())
    }

    fn constant(&mut self, builder: &mut GraphBuilder<'_>, id: ValueId) -> Parse<()> {
        enum Data {
            Numbers(Vec<String>),
            Splat(String),
            Bytes(Bytes),
        }
        let here = self.cursor.clone();
        let data = if self.cursor.peek_token() == Some('[') {
            Data::Numbers(self.list("[", "]", |p| p.cursor.number().map(str::to_owned))?)
        } else if self.cursor.eat_word("splat") {
            self.cursor.expect("(")?;
            let number = self.cursor.number()?.to_owned();
            self.cursor.expect(")")?;
            Data::Splat(number)
        } else if self.cursor.eat_word("blob") {
            Data::Bytes(self.blob()?)
        } else {
            Data::Bytes(self.cursor.bytes()?.into())
        };
        self.cursor.expect(":")?;
        let ty = self.declare(builder, id)?;
        let bytes: Bytes = match data {
            Data::Bytes(bytes) => bytes,
            Data::Numbers(numbers) => {
                let mut bytes = Vec::new();
                for number in &numbers {
                    bytes.extend(element_bytes(ty.elem, number).ok_or_else(|| here.error(format!("'{number}' is no {}", ty.elem)))?);
                }
                bytes.into()
            }
            Data::Splat(number) => {
                let element = element_bytes(ty.elem, &number).ok_or_else(|| here.error(format!("'{number}' is no {}", ty.elem)))?;
                let length = ty.byte_len().filter(|&l| l <= self.splat_budget);
                let length = length.ok_or_else(|| here.error("the splat constant is too large"))?;
                self.splat_budget -= length;
                element.repeat(length / element.len().max(1)).into()
            }
        };
        // Equal blobs at one offset share their bytes: slices of one buffer.
        let constant = builder.add_constant(Constant::new(bytes));
        builder.bind_constant(id, constant);
        Ok(())
    }

    fn blob(&mut self) -> Parse<Bytes> {
        let here = self.cursor.clone();
        self.cursor.expect("(")?;
        let offset = self.cursor.uint()?;
        self.cursor.expect(",")?;
        let length = self.cursor.uint()?;
        self.cursor.expect(",")?;
        let hash = self.cursor.hex()?;
        self.cursor.expect(")")?;
        let end = offset.checked_add(length).filter(|&end| end <= self.blobs.len());
        let end = end.ok_or_else(|| {
            here.error("the blob is not in the side file").with_help("give the .bin file that was written with this text")
        })?;
        let bytes = self.blobs.slice(offset..end);
        if blob_hash(&bytes) != hash {
            return Err(here.error("the blob's bytes have another hash: the side file belongs to another text"));
        }
        Ok(bytes)
    }

    fn declared(&mut self) -> Parse<Declared> {
        let ty = self.ty()?;
        let range = if self.cursor.eat_word("range") {
            self.cursor.expect("(")?;
            let min = self.range_side()?;
            self.cursor.expect(",")?;
            let max = self.range_side()?;
            self.cursor.expect(")")?;
            Some(Range { min, max })
        } else {
            None
        };
        let sparsity = if self.cursor.eat_word("sparse") {
            let here = self.cursor.clone();
            let attr = Attr::Map(self.entries(0)?);
            Some(Arc::new(from_attr(attr).map_err(|e| here.error(e.to_string()))?))
        } else {
            None
        };
        let loc =
            if self.cursor.eat_word("loc") { self.list("(", ")", |p| p.cursor.string())?.into_iter().collect() } else { Loc::unknown() };
        Ok(Declared { ty, range, sparsity, loc })
    }

    fn range_side(&mut self) -> Parse<Vec<f32>> {
        if self.cursor.peek_token() == Some('[') { self.list("[", "]", Self::f32) } else { Ok(vec![self.f32()?]) }
    }

    fn f32(&mut self) -> Parse<f32> {
        let text = self.cursor.plain_number()?;
        parse_f32(text).ok_or_else(|| self.cursor.error(format!("'{text}' is no float")))
    }

    fn ty(&mut self) -> Parse<Type> {
        let shape = self.shape()?;
        if self.cursor.eat("!q<") {
            let elem = self.element()?;
            self.cursor.expect(",")?;
            let quant = self.quantization()?;
            self.cursor.expect(">")?;
            return Ok(Type::quantized(elem, shape, quant));
        }
        Ok(Type::new(self.element()?, shape))
    }

    fn element(&mut self) -> Parse<ElementType> {
        let name = self.cursor.word()?;
        ElementType::from_name(name).ok_or_else(|| self.cursor.error(format!("'{name}' is no element type")))
    }

    fn shape(&mut self) -> Parse<Shape> {
        if self.cursor.eat("*") {
            return Ok(Shape::unranked());
        }
        let mut dims = Vec::new();
        let mut names = Vec::new();
        loop {
            match self.cursor.peek_token() {
                Some('?') => {
                    self.cursor.expect("?:")?;
                    names.push((dims.len(), "?".to_owned()));
                }
                Some('"') => {
                    names.push((dims.len(), self.cursor.string()?));
                    self.cursor.expect(":")?;
                }
                Some(c) if c.is_ascii_digit() => {}
                _ if dims.is_empty() => return Ok(Shape::scalar()),
                _ => return Err(self.cursor.error("expected a size")),
            }
            dims.push(self.cursor.digits_here()?);
            if !self.cursor.eat_here("x") {
                break;
            }
        }
        let mut shape = Shape::new(dims);
        for (axis, name) in names {
            shape = shape.with_dynamic(axis, &name);
        }
        Ok(shape)
    }

    fn quantization(&mut self) -> Parse<Quantization> {
        let granularity = if self.cursor.eat_word("axis") {
            Granularity::PerAxis(self.cursor.uint()?)
        } else if self.cursor.eat_word("block") {
            Granularity::Blockwise { block: self.cursor.uint()? }
        } else {
            Granularity::PerTensor
        };
        let entries = if granularity == Granularity::PerTensor {
            vec![self.scale()?]
        } else {
            self.cursor.expect(",")?;
            self.list("[", "]", Self::scale)?
        };
        let (scales, zero_points) = entries.into_iter().unzip();
        Quantization::with_granularity(granularity, scales, zero_points).ok_or_else(|| self.cursor.error("there is no scale"))
    }

    fn scale(&mut self) -> Parse<(f32, i64)> {
        let scale = self.f32()?;
        let zero_point = if self.cursor.eat(":") {
            let text = self.cursor.plain_number()?;
            text.parse().map_err(|_| self.cursor.error(format!("'{text}' is no zero point")))?
        } else {
            0
        };
        Ok((scale, zero_point))
    }

    fn entries(&mut self, depth: usize) -> Parse<Vec<(String, Attr)>> {
        self.list("{", "}", |p| {
            let name = p.cursor.word()?.to_owned();
            p.cursor.expect("=")?;
            Ok((name, p.attr(depth + 1)?))
        })
    }

    fn attr(&mut self, depth: usize) -> Parse<Attr> {
        if depth > MAX_DEPTH {
            return Err(self.cursor.error("attributes nest too deeply"));
        }
        match self.cursor.peek_token() {
            Some('[') => Ok(Attr::List(self.list("[", "]", |p| p.attr(depth + 1))?)),
            Some('{') => Ok(Attr::Map(self.entries(depth)?)),
            Some('"') => Ok(Attr::Str(self.cursor.string()?)),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => match self.cursor.peek_word() {
                "x" => Ok(Attr::Bytes(self.cursor.bytes()?)),
                "true" | "false" => Ok(Attr::Bool(self.cursor.word()? == "true")),
                "none" => self.cursor.word().map(|_| Attr::None),
                "inf" | "nan" => self.f32().map(Attr::Float),
                _ => Ok(Attr::Word(self.cursor.word()?.to_owned())),
            },
            _ => {
                let text = self.cursor.plain_number()?;
                if let Ok(value) = text.parse() {
                    return Ok(Attr::Int(value));
                }
                parse_f32(text).map(Attr::Float).ok_or_else(|| self.cursor.error(format!("'{text}' is no number")))
            }
        }
    }
}

/// The little-endian bytes of one element written as text; `None` when it is not of the type.
fn element_bytes(elem: ElementType, text: &str) -> Option<Vec<u8>> {
    macro_rules! int {
        ($ty:ty) => {
            text.parse::<$ty>().ok().map(|v| v.to_le_bytes().to_vec())
        };
    }
    match elem {
        ElementType::F32 => parse_f32(text).map(|v| v.to_le_bytes().to_vec()),
        ElementType::I8 => int!(i8),
        ElementType::U8 => int!(u8),
        ElementType::I16 => int!(i16),
        ElementType::I32 => int!(i32),
        ElementType::I64 => int!(i64),
        ElementType::Bool => match text {
            "0" | "false" => Some(vec![0]),
            "1" | "true" => Some(vec![1]),
            _ => None,
        },
        ElementType::F16
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
        | ElementType::Variant => None,
    }
}
