//! Sizes that the file leaves open, and whether what is computed depends on them.
//!
//! An axis without a number gets a nominal size and stays open. Lowerings work with the nominal size; most of what they make of it holds
//! for every other one. To know, the model is imported again with other sizes: where an operation, an attribute or a constant comes
//! out differently, the size decides what is computed. A batch is then taken as 1, and a note says so; any other size must be given.

use std::collections::{BTreeMap, BTreeSet};

use octet_ir::{Constant, Diagnostic, Diagnostics, Graph, Module, Operation, Type, ValueId};
use octet_plugin::ImportOptions;

use crate::proto::{DimensionProto, DimensionValue, GraphProto, TypeKind, TypeProto, ValueInfoProto};

/// A size that the file leaves open: a symbol, or an axis of an input that has not even that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Open {
    Named(String),
    Unnamed { input: String, axis: usize },
}

/// What open sizes are taken for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizes {
    taken: BTreeMap<Open, usize>,
    settled: BTreeSet<Open>,
}

impl Sizes {
    /// The size that stands for an open one, and whether the axis stays open.
    pub(crate) fn of(&self, open: &Open) -> (usize, bool) {
        (self.taken.get(open).copied().unwrap_or(1), !self.settled.contains(open))
    }

    fn with<'o>(&self, open: impl IntoIterator<Item = &'o Open>, size: usize) -> Self {
        let mut other = self.clone();
        other.taken.extend(open.into_iter().map(|o| (o.clone(), size)));
        other
    }
}

/// An open size, and the inputs that have it.
struct Place<'g> {
    open: Open,
    inputs: Vec<&'g ValueInfoProto>,
    /// Whether it is the outermost axis wherever it occurs.
    is_batch: bool,
}

/// The open sizes of inputs for which the user gives none.
fn places<'g>(graph: &'g GraphProto, options: &ImportOptions) -> Vec<Place<'g>> {
    let filled: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let given = |name: &str| options.shapes.iter().any(|(n, _)| n == name) || options.constants.iter().any(|(n, _)| n == name);
    let mut places: Vec<Place<'g>> = Vec::new();
    for input in graph.input.iter().filter(|i| !filled.contains(i.name.as_str()) && !given(&i.name)) {
        for (axis, dim) in dims(input).iter().enumerate() {
            let Err(open) = size(dim, &input.name, axis) else { continue };
            if matches!(&open, Open::Named(name) if options.dims.iter().any(|(n, _)| n == name)) {
                continue;
            }
            match places.iter_mut().find(|p| p.open == open) {
                Some(place) => {
                    place.is_batch &= axis == 0;
                    place.inputs.push(input);
                }
                None => places.push(Place { open, inputs: vec![input], is_batch: axis == 0 }),
            }
        }
    }
    places
}

/// Imports with nominal sizes; what depends on them is settled or refused.
pub(crate) fn settle(
    graph: &GraphProto,
    options: &ImportOptions,
    import: &dyn Fn(&Sizes) -> Result<Module, Diagnostics>,
    notes: &mut Diagnostics,
) -> Result<Module, Diagnostics> {
    // A window or a slice may not fit into a single element: another nominal size may do.
    const SECOND: usize = 64;
    let mut sizes = Sizes::default();
    let mut nominal = import(&sizes);
    let places = places(graph, options);
    let can_be_lowered = |e: &Diagnostics| e.0.iter().all(|d| d.code == "ONX010");
    if places.is_empty() || nominal.as_ref().is_err_and(|e| !can_be_lowered(e)) {
        return nominal;
    }
    let inner: Vec<&Open> = places.iter().filter(|p| !p.is_batch).map(|p| &p.open).collect();
    let mut others: &[usize] = if inner.is_empty() { &[11] } else { &[11, SECOND] };
    if nominal.is_err() && !inner.is_empty() {
        let larger = sizes.with(inner.iter().copied(), SECOND);
        let second = import(&larger);
        if second.is_ok() {
            (sizes, nominal, others) = (larger, second, &[77, 224]);
        }
    }
    let depends = |which: &[&Open]| others.iter().find_map(|&size| difference(&nominal, &import(&sizes.with(which.iter().copied(), size))));
    let all: Vec<&Open> = places.iter().map(|p| &p.open).collect();
    let Some(first) = depends(&all) else { return whole(&places, sizes, nominal, import, notes) };
    let mut decisive: Vec<(&Place<'_>, String)> = match places.as_slice() {
        [only] => vec![(only, first.clone())],
        several => several.iter().filter_map(|p| Some((p, depends(&[&p.open])?))).collect(),
    };
    if decisive.is_empty() {
        decisive = places.iter().map(|p| (p, first.clone())).collect();
    }
    if decisive.iter().any(|(place, _)| !place.is_batch) {
        let last = others.last().copied().unwrap_or(1);
        return Err(undecided(&decisive, nominal.err(), import(&sizes.with(all, last)).err()));
    }
    sizes.settled.extend(decisive.iter().map(|(place, _)| place.open.clone()));
    let module = import(&sizes)?;
    tell_batches(&decisive, notes);
    Ok(module)
}

/// What fails whatever the open sizes are taken for may do so because they are open.
fn whole(
    places: &[Place<'_>],
    mut sizes: Sizes,
    nominal: Result<Module, Diagnostics>,
    import: &dyn Fn(&Sizes) -> Result<Module, Diagnostics>,
    notes: &mut Diagnostics,
) -> Result<Module, Diagnostics> {
    let Err(errors) = nominal else { return nominal };
    sizes.settled.extend(places.iter().map(|p| p.open.clone()));
    let Ok(module) = import(&sizes) else { return Err(errors) };
    let decisive: Vec<(&Place<'_>, String)> = places.iter().map(|p| (p, first_of(&errors))).collect();
    if places.iter().any(|p| !p.is_batch) {
        return Err(undecided(&decisive, None, None));
    }
    tell_batches(&decisive, notes);
    Ok(module)
}

/// Notes about batches that are taken as 1.
fn tell_batches(decisive: &[(&Place<'_>, String)], notes: &mut Diagnostics) {
    for (place, cause) in decisive {
        for input in &place.inputs {
            let taken =
                format!("the batch that input '{}' leaves open, {}, is taken as 1 and does not stay open", input.name, shown(input));
            let note = Diagnostic::note("ONX015", taken).with_note(format!("'{cause}' depends on it"));
            notes.push(note.with_help(format!("for another batch, give {}", way(place, input))));
        }
    }
}

/// The tensor of the first error.
fn first_of(errors: &Diagnostics) -> String {
    errors.0.first().and_then(|e| e.location.tensor.clone()).unwrap_or_default()
}

/// The option that settles a size.
fn way(place: &Place<'_>, input: &ValueInfoProto) -> String {
    match &place.open {
        Open::Named(name) => format!("--dim '{name}=SIZE'"),
        Open::Unnamed { .. } => shape_option(input),
    }
}

/// What to say when sizes other than a batch decide what is computed: that, and the errors that hold for every size.
fn undecided(decisive: &[(&Place<'_>, String)], nominal: Option<Diagnostics>, other: Option<Diagnostics>) -> Diagnostics {
    let mut errors = Diagnostics::default();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let inner: Vec<&(&Place<'_>, String)> = decisive.iter().filter(|(p, _)| !p.is_batch).collect();
    for input in inner.iter().flat_map(|(p, _)| &p.inputs).filter(|i| told.insert(&i.name)) {
        let own: Vec<_> = inner.iter().filter(|(p, _)| p.inputs.iter().any(|i| i.name == input.name)).collect();
        let Some((_, cause)) = own.first() else { continue };
        let message = format!("what is computed depends on sizes that input '{}' leaves open: {}", input.name, shown(input));
        let named: Option<Vec<String>> = own
            .iter()
            .map(|(place, _)| match &place.open {
                Open::Named(_) => Some(way(place, input)),
                Open::Unnamed { .. } => None,
            })
            .collect();
        let help = format!("give {}", named.map_or_else(|| shape_option(input), |ways| ways.join(" ")));
        errors.push(Diagnostic::error("ONX015", message).with_note(format!("the first that does is '{cause}'")).with_help(help));
    }
    let lasting = other.unwrap_or_default();
    for error in nominal.unwrap_or_default().0.into_iter().filter(|e| lasting.0.contains(e)) {
        errors.push(error);
    }
    errors
}

/// The name of the first thing that differs between two imports of one model; sizes of values may.
fn difference(a: &Result<Module, Diagnostics>, b: &Result<Module, Diagnostics>) -> Option<String> {
    let (a, b) = match (a, b) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(a), Err(b)) => return (a != b).then(|| first_of(a)),
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => return Some(first_of(errors)),
    };
    a.graphs().zip(b.graphs()).find_map(|((_, x), (_, y))| Comparison { a: (a, x), b: (b, y), pairs: BTreeMap::new() }.run())
}

/// Two graphs side by side.
struct Comparison<'m> {
    a: (&'m Module, &'m Graph),
    b: (&'m Module, &'m Graph),
    /// Values of the first and what stands for them in the second.
    pairs: BTreeMap<ValueId, ValueId>,
}

impl Comparison<'_> {
    fn run(mut self) -> Option<String> {
        let ((_, a), (_, b)) = (self.a, self.b);
        self.pairs.extend(a.inputs().iter().copied().zip(b.inputs().iter().copied()));
        let (mut left, mut right) = (a.ops(), b.ops());
        loop {
            match (left.next(), right.next()) {
                (None, None) => break,
                (Some((_, x)), Some((_, y))) => {
                    if !self.same_operation(x, y) {
                        return Some(name(a, x));
                    }
                    self.pairs.extend(x.results().iter().copied().zip(y.results().iter().copied()));
                }
                (Some((_, x)), None) => return Some(name(a, x)),
                (None, Some((_, y))) => return Some(name(b, y)),
            }
        }
        let same = a.outputs().len() == b.outputs().len() && a.outputs().iter().zip(b.outputs()).all(|(&x, &y)| self.same_value(x, y));
        (!same).then(|| a.outputs().first().map_or_else(String::new, |&o| a.value_name(o)))
    }

    fn same_operation(&self, x: &Operation, y: &Operation) -> bool {
        let same_operands = x.operands().iter().zip(y.operands()).all(|pair| match pair {
            (Some(x), Some(y)) => self.same_value(*x, *y),
            (x, y) => x.is_none() && y.is_none(),
        });
        let same_results = x.results().iter().zip(y.results()).all(|(&x, &y)| same_kind(self.a.1.ty(x), self.b.1.ty(y)));
        same_operands
            && same_results
            && x.op() == y.op()
            && x.operands().len() == y.operands().len()
            && x.results().len() == y.results().len()
    }

    fn same_value(&self, x: ValueId, y: ValueId) -> bool {
        match (self.a.0.constant_of(self.a.1, x), self.b.0.constant_of(self.b.1, y)) {
            (Some(p), Some(q)) => self.a.1.ty(x) == self.b.1.ty(y) && same_bytes(p, q),
            (None, None) => self.pairs.get(&x) == Some(&y),
            _ => false,
        }
    }
}

fn same_bytes(a: &Constant, b: &Constant) -> bool {
    let (a, b) = (a.bytes(), b.bytes());
    // Both imports share what stands in the file.
    std::ptr::eq(a.as_ptr(), b.as_ptr()) && a.len() == b.len() || a == b
}

fn same_kind(a: &Type, b: &Type) -> bool {
    a.elem == b.elem && a.quant == b.quant && a.shape.rank() == b.shape.rank()
}

fn name(graph: &Graph, operation: &Operation) -> String {
    operation.results().first().map_or_else(String::new, |&r| graph.value_name(r))
}

/// The declared axes of an input.
fn dims(info: &ValueInfoProto) -> &[DimensionProto] {
    match &info.r#type {
        Some(TypeProto { value: Some(TypeKind::Tensor(t)) }) => t.shape.as_ref().map_or(&[], |s| s.dim.as_slice()),
        _ => &[],
    }
}

/// The size of an axis, or what stands in its place.
pub(crate) fn size(dim: &DimensionProto, input: &str, axis: usize) -> Result<i64, Open> {
    match &dim.value {
        Some(DimensionValue::Value(size)) if *size >= 0 => Ok(*size),
        // Some exporters write `?` for what has no name.
        Some(DimensionValue::Param(name)) if !matches!(name.as_str(), "" | "?") => Err(Open::Named(name.clone())),
        Some(DimensionValue::Value(_) | DimensionValue::Param(_)) | None => Err(Open::Unnamed { input: input.to_owned(), axis }),
    }
}

/// The sizes that a file declares for an input, where all are numbers.
pub(crate) fn declared_sizes(info: &ValueInfoProto) -> Option<Vec<usize>> {
    let Some(TypeProto { value: Some(TypeKind::Tensor(declared)) }) = &info.r#type else { return None };
    let dims = declared.shape.as_ref()?.dim.iter().enumerate();
    dims.map(|(axis, dim)| usize::try_from(size(dim, &info.name, axis).ok()?).ok()).collect()
}

/// The symbols among an input's sizes.
pub(crate) fn symbols(info: &ValueInfoProto) -> impl Iterator<Item = String> {
    dims(info).iter().enumerate().filter_map(|(axis, dim)| match size(dim, &info.name, axis) {
        Err(Open::Named(name)) => Some(name),
        Err(Open::Unnamed { .. }) | Ok(_) => None,
    })
}

/// An input's shape as the file has it, `?` where it says nothing.
pub(crate) fn shown(info: &ValueInfoProto) -> String {
    match &info.r#type {
        Some(TypeProto { value: Some(TypeKind::Tensor(t)) }) if t.shape.is_some() => {}
        _ => return "unknown".into(),
    }
    let size = |(axis, dim)| match size(dim, &info.name, axis) {
        Ok(size) => size.to_string(),
        Err(Open::Named(name)) => name,
        Err(Open::Unnamed { .. }) => "?".into(),
    };
    dims(info).iter().enumerate().map(size).collect::<Vec<_>>().join("x")
}

/// The option that settles an input's sizes. An open first axis is a batch, for which 1 will do.
pub(crate) fn shape_option(info: &ValueInfoProto) -> String {
    let shape = shown(info);
    if shape == "unknown" {
        return format!("--shape '{}=SIZES', such as 1x3x224x224", info.name);
    }
    let settled = dims(info).iter().enumerate().map(|(axis, dim)| match (size(dim, &info.name, axis), axis) {
        (Ok(size), _) => size.to_string(),
        (Err(_), 0) => "1".into(),
        (Err(_), _) => "?".into(),
    });
    let settled = settled.collect::<Vec<_>>().join("x");
    let rest = if settled.contains('?') { ", with numbers for the ?" } else { "" };
    format!("--shape '{}={settled}'{rest}", info.name)
}
