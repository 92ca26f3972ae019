//! Data sets for the inputs of a model: which array feeds which input, and samples as they are asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use octet_ir::arith::Affine;
use octet_ir::{Diagnostic, ElementType};
use octet_plugin::{Column, DataSource, Dataset, SampleStream, Samples, Tensor};

use crate::ahead::Ahead;
use crate::array::Array;
use crate::convert::{Misfit, Plan};
use crate::files::{Content, Found};
use crate::input::{Feed, Input};
use crate::npy;
use crate::picture::{Picture, picture_shape};
use crate::preprocess::Preprocess;

/// Opens data sets for a model.
///
/// ```no_run
/// use octet_data::{Input, Source};
/// use octet_plugin::DataSource;
///
/// # fn example(module: &octet_ir::Module) -> Result<(), octet_ir::Diagnostic> {
/// let source = Source::new(Input::of(module, module.main_id())).preprocess("scale=1/255".parse()?);
/// let stream = source.stream("calibration.npz")?;
/// let first = stream.read(0, 0..1)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Source {
    inputs: Vec<Input>,
    preprocess: Vec<Preprocess>,
    feed: Feed,
    reference: Vec<Input>,
    sets: BTreeMap<String, Vec<String>>,
    ahead: Ahead,
    notes: Mutex<Vec<Diagnostic>>,
}

impl Source {
    /// A source for these inputs.
    pub fn new(inputs: Vec<Input>) -> Self {
        Self { inputs, ..Self::default() }
    }

    /// Adds preprocessing. One that names an input takes precedence there over one that names none.
    #[must_use]
    pub fn preprocess(mut self, preprocess: Preprocess) -> Self {
        self.preprocess.push(preprocess);
        self
    }

    /// Says what becomes of real numbers for quantized inputs.
    #[must_use]
    pub fn feed(mut self, feed: Feed) -> Self {
        self.feed = feed;
        self
    }

    /// Feeds what another model's inputs, in the order of these, get from the same data under [`Feed::Real`]: integers that go in there as they
    /// are stand for real numbers by that model's scales, and all other numbers are real.
    #[must_use]
    pub fn like(mut self, reference: Vec<Input>) -> Self {
        self.reference = reference;
        self
    }

    /// Names a set of several arguments (`PATH` or `INPUT=PATH`): opening `name` opens all of them, one after the other.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, arguments: Vec<String>) -> Self {
        self.sets.insert(name.into(), arguments);
        self
    }

    /// Takes what has been opened ahead.
    #[must_use]
    pub fn ahead(mut self, ahead: Ahead) -> Self {
        self.ahead = ahead;
        self
    }

    /// What should be told of the sets opened so far, and has not been asked for yet.
    pub fn take_notes(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, note: Diagnostic) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// What preprocessing says of an input.
    fn preprocess_of(&self, input: &Input) -> Option<&Preprocess> {
        let named = |p: &&Preprocess| p.input.as_deref().is_some_and(|n| input.answers_to(n));
        let real = input.elem.is_float() || input.quant.is_some() || self.inputs.len() == 1;
        self.preprocess.iter().find(named).or_else(|| self.preprocess.iter().find(|p| p.input.is_none() && real))
    }

    fn check_preprocess(&self) -> Result<(), Diagnostic> {
        for name in self.preprocess.iter().filter_map(|p| p.input.as_deref()) {
            if !self.inputs.iter().any(|i| i.answers_to(name)) {
                return Err(Diagnostic::error("DAT031", format!("--preprocess is for an input '{name}', which the model does not have"))
                    .with_note(self.inputs_told()));
            }
        }
        for input in &self.inputs {
            let named = |p: &&Preprocess| p.input.as_deref().is_some_and(|n| input.answers_to(n));
            if self.preprocess.iter().filter(named).count() > 1 {
                let name = &input.name;
                return Err(Diagnostic::error("DAT031", format!("--preprocess is given more than once for input '{name}'")));
            }
        }
        if self.preprocess.iter().filter(|p| p.input.is_none()).count() > 1 {
            return Err(Diagnostic::error("DAT031", "--preprocess is given more than once without the name of an input")
                .with_help("one --preprocess takes several keys: scale=1/255,mean=0.5"));
        }
        let unnamed = self.preprocess.iter().any(|p| p.input.is_none() && p.changes_values());
        if unnamed && !self.inputs.iter().any(|i| self.preprocess_of(i).is_some()) {
            return Err(Diagnostic::error("DAT031", "--preprocess applies to no input of the model").with_note(self.inputs_told()));
        }
        Ok(())
    }

    fn inputs_told(&self) -> String {
        let each: Vec<String> = self.inputs.iter().map(|i| format!("'{}' {} {}", i.name, i.elem, i.shown_shape())).collect();
        format!("the model takes {}", each.join(", "))
    }

    /// Opens the arguments as one data set.
    pub fn open_files(&self, origin: &str, arguments: &[String]) -> Result<FileStream, Diagnostic> {
        self.check_preprocess()?;
        let mut parts: Vec<Vec<Part>> = self.inputs.iter().map(|_| Vec::new()).collect();
        let mut unbound = Vec::new();
        for argument in arguments {
            let (input, path) = self.argument(argument);
            for found in self.ahead.find(&path)? {
                self.bind(found, input, &mut parts, &mut unbound)?;
            }
        }
        let columns = self.inputs.iter().zip(parts).map(|(input, parts)| self.column(input, parts, origin, &unbound));
        FileStream::new(origin, columns.collect::<Result<_, _>>()?)
    }

    /// Takes `INPUT=PATH` apart where INPUT is one of the model's, by name or as `#` and its number; anything else is a path.
    fn argument(&self, argument: &str) -> (Option<usize>, PathBuf) {
        let named = argument.match_indices('=').find_map(|(at, _)| {
            let (name, path) = (argument.get(..at)?, argument.get(at + 1..)?);
            let numbered = || name.strip_prefix('#')?.parse().ok().filter(|&n: &usize| n < self.inputs.len());
            Some((self.inputs.iter().position(|i| i.answers_to(name)).or_else(numbered)?, path))
        });
        match named {
            Some((input, path)) => (Some(input), path.into()),
            None => (None, argument.into()),
        }
    }

    /// Finds the inputs that a file feeds. Names of arrays that feed none go into `unbound`.
    fn bind(&self, found: Found, given: Option<usize>, parts: &mut [Vec<Part>], unbound: &mut Vec<String>) -> Result<(), Diagnostic> {
        let file = found.path.display().to_string();
        let by_name = |name: &str| self.inputs.iter().position(|i| i.answers_to(name));
        let grouped = given.or_else(|| found.group.as_deref().and_then(by_name));
        let only = (self.inputs.len() == 1).then_some(0);
        let undecided = |what: &str| {
            Diagnostic::error("DAT010", format!("the model has several inputs, and nothing says which one {what} feeds"))
                .in_file(file.clone())
                .with_note(self.inputs_told())
                .with_help("give INPUT=PATH, or name the arrays of an .npz or the files of a folder as the inputs")
        };
        let mut add = |input: usize, part: Part| {
            if let Some(parts) = parts.get_mut(input) {
                parts.push(part);
            }
        };
        match found.content {
            Content::Array(array) => {
                let stem = found.path.file_stem().and_then(|s| s.to_str());
                let input = grouped.or_else(|| stem.and_then(by_name)).or(only).ok_or_else(|| undecided("this array"))?;
                add(input, Part { file, array: None, rows: Rows::Array(array) });
            }
            Content::Picture => {
                let pictures = || self.inputs.iter().enumerate().filter(|(_, i)| picture_shape(&i.shape).is_some()).map(|(n, _)| n);
                let single = || pictures().next().filter(|_| pictures().count() == 1);
                let input = grouped.or(only).or_else(single).ok_or_else(|| undecided("this picture"))?;
                let Some(target) = self.inputs.get(input) else { return Ok(()) };
                let shape = picture_shape(&target.shape).ok_or_else(|| {
                    let message = format!("the input '{}' {} takes no pictures", target.name, target.shown_shape());
                    Diagnostic::error("DAT022", message)
                        .in_file(file.clone())
                        .with_help("pictures feed inputs of (N, height, width, channels) with 1, 3 or 4 channels, or of (N, height, width)")
                })?;
                let picture = Picture::open(found.path, shape, self.preprocess_of(target))?;
                add(input, Part { file, array: None, rows: Rows::Picture(picture) });
            }
            Content::Arrays(arrays) => {
                let targets: Vec<usize> = match grouped.or(only) {
                    Some(one) => vec![one],
                    None => (0..self.inputs.len()).collect(),
                };
                let alone = targets.len() == 1;
                let mut used = Vec::new();
                for target in targets {
                    let Some(input) = self.inputs.get(target) else { continue };
                    let named = arrays.iter().position(|(name, _)| input.answers_to(name));
                    let chosen = match named {
                        None if alone => Some(choose(input, &arrays, &file)?),
                        other => other,
                    };
                    if let Some((name, array)) = chosen.and_then(|n| arrays.get(n)) {
                        if used.contains(name) {
                            return Err(Diagnostic::error("DAT010", format!("several inputs go by the name of the array '{name}'"))
                                .in_file(file)
                                .with_note(self.inputs_told())
                                .with_help("name inputs by their numbers: #0=a.npy and #1=b.npy, each with a file of its own"));
                        }
                        used.push(name.clone());
                        add(target, Part { file: file.clone(), array: Some(name.clone()), rows: Rows::Array(array.clone()) });
                    }
                }
                unbound.extend(arrays.into_iter().map(|(name, _)| name).filter(|n| !used.contains(n)));
            }
        }
        Ok(())
    }

    fn column(&self, input: &Input, parts: Vec<Part>, origin: &str, unbound: &[String]) -> Result<Fed, Diagnostic> {
        if parts.is_empty() {
            let mut missing = Diagnostic::error("DAT010", format!("no data for the input '{}'", input.name)).in_file(origin);
            if !unbound.is_empty() {
                missing = missing.with_note(format!("arrays that feed no input: {}", unbound.join(", ")));
            }
            return Err(missing.with_note(self.inputs_told()).with_help("name the arrays of an .npz as the inputs, or give INPUT=PATH"));
        }
        let preprocess = self.preprocess_of(input);
        if preprocess.is_some_and(|p| p.resize.is_some()) && !parts.iter().any(|p| matches!(p.rows, Rows::Picture(_))) {
            self.note(Diagnostic::warning("DAT031", "resize applies to pictures; arrays are taken as they are").in_file(origin));
        }
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut shape: Option<Vec<usize>> = None;
        for part in parts {
            let at = |d: Diagnostic| part.located(d);
            let (rows, tail) = match &part.rows {
                Rows::Array(array) => input.samples(&array.shape).ok_or_else(|| at(misshapen(input, &array.shape)))?,
                Rows::Picture(picture) => {
                    let tail = picture.shape();
                    (1, if input.shape.len() == 3 { tail.into_iter().take(2).collect() } else { tail })
                }
            };
            if tail.contains(&0) {
                return Err(at(Diagnostic::error("DAT011", format!("one sample is {}: it has no elements", npy::shown(&tail)))));
            }
            let shape = shape.get_or_insert_with(|| tail.clone());
            if *shape != tail {
                let message = format!("one sample is {}, those before are {}", npy::shown(&tail), npy::shown(shape));
                return Err(at(Diagnostic::error("DAT011", message)));
            }
            let from = match &part.rows {
                Rows::Array(array) => array.elem,
                Rows::Picture(_) => ElementType::U8,
            };
            let plan = self.plan(from, input, &tail).map_err(at)?;
            if plan.takes_integers_for_reals() && preprocess.is_none() {
                let (named, span) = if from == ElementType::U8 { ("uint8", ", 0 to 255") } else { (from.name(), "") };
                let message = format!("the input '{}' gets these {named} data as they are{span}", input.name);
                let help = "give --preprocess scale=1/255 if they are pixels and the model was trained on 0 to 1; \
                            --preprocess scale=1 says that they are right";
                self.note(Diagnostic::note("DAT032", message).in_file(origin).with_help(help));
            }
            if plan.rounds() {
                self.note(at(Diagnostic::note("DAT016", format!("{from} data are rounded to the input's {}", input.elem))));
            }
            chunks.push(Chunk { rows, part, plan });
        }
        let batch = if input.shape.first().copied().flatten().is_some() { input.batch.max(1) } else { 1 };
        let rows = chunks.iter().try_fold(0usize, |rows, chunk| rows.checked_add(chunk.rows));
        let rows = rows.ok_or_else(|| Diagnostic::error("DAT011", "the number of samples overflows").in_file(origin))?;
        if !rows.is_multiple_of(batch) {
            let message = format!("{rows} along the outermost axis do not fill whole inputs '{}' of {}", input.name, input.shown_shape());
            return Err(Diagnostic::error("DAT011", message).in_file(origin));
        }
        let tail = shape.unwrap_or_default();
        let channels = tail.last().copied().unwrap_or(1);
        let sample = if batch > 1 { [&[batch], tail.as_slice()].concat() } else { tail.clone() };
        let column = Column { input: Some(input.name.clone()), elem: input.elem, shape: sample };
        let float_plan = self.plan(ElementType::F32, input, &tail).ok();
        Ok(Fed { column, chunks, batch, row: npy::count(&tail), channels, samples: rows / batch, float_plan })
    }

    fn plan(&self, from: ElementType, input: &Input, tail: &[usize]) -> Result<Plan, Diagnostic> {
        let channels = tail.last().copied().unwrap_or(1);
        let preprocess = self.preprocess_of(input);
        let like = self.inputs.iter().position(|i| i == input).and_then(|at| self.reference.get(at));
        let stored = like.filter(|r| r.elem == from && preprocess.is_none_or(|p| !p.changes_values())).and_then(|r| r.quant);
        let planned = match (stored, like) {
            (Some(quant), Some(_)) if (from, Some(quant)) == (input.elem, input.quant) => {
                Plan::new(from, input, preprocess, channels, Feed::Real)
            }
            (Some((scale, zero_point)), _) => {
                let affine = i32::try_from(zero_point).map(|zero_point| Affine { scale, zero_point });
                let affine = affine.map_err(|_| ("DAT012", format!("a zero point of {zero_point}")));
                let real = Plan::new(ElementType::F32, input, preprocess, channels, Feed::RealOnly);
                affine.and_then(|affine| Ok(real?.dequantizing(from, affine)))
            }
            (None, Some(_)) => Plan::new(from, input, preprocess, channels, Feed::RealOnly),
            (None, None) => Plan::new(from, input, preprocess, channels, self.feed),
        };
        planned.map_err(|(code, message)| {
            let mut out = Diagnostic::error(code, message).on_tensor(input.name.clone());
            if let Some((scale, zero_point)) = input.quant {
                out = out.with_help(format!(
                    "give {} data, or let real numbers be quantized (scale {scale}, zero point {zero_point}): run --dequantize, or --preprocess",
                    input.elem
                ));
            } else if code == "DAT012" {
                out = out.with_help(format!("convert the data to {}", input.elem));
            }
            out
        })
    }
}

impl DataSource for Source {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        let stream = self.stream(name)?;
        let arrays = stream
            .columns()
            .iter()
            .enumerate()
            .map(|(n, column)| Ok(Samples { input: column.input.clone(), tensor: stream.read(n, 0..stream.samples())? }));
        Ok(Dataset { arrays: arrays.collect::<Result<_, Diagnostic>>()?, origin: name.to_owned() })
    }

    fn stream(&self, name: &str) -> Result<Box<dyn SampleStream>, Diagnostic> {
        let one = [name.to_owned()];
        let arguments = self.sets.get(name).map_or(one.as_slice(), Vec::as_slice);
        Ok(Box::new(self.open_files(&arguments.join(", "), arguments)?))
    }
}

/// The array of a `.npz` that feeds the only input when none bears its name.
fn choose(input: &Input, arrays: &[(String, Array)], file: &str) -> Result<usize, Diagnostic> {
    if arrays.len() == 1 {
        return Ok(0);
    }
    let fitting: Vec<usize> = arrays.iter().enumerate().filter(|(_, (_, a))| input.samples(&a.shape).is_some()).map(|(n, _)| n).collect();
    if let [one] = fitting.as_slice() {
        return Ok(*one);
    }
    if let Some(x) = fitting.iter().find(|n| arrays.get(**n).is_some_and(|(name, _)| name == "x")) {
        return Ok(*x);
    }
    let told: Vec<String> = arrays.iter().map(|(name, a)| format!("'{name}' {} {}", a.elem, npy::shown(&a.shape))).collect();
    let message = match fitting.len() {
        0 => format!("no array fits the input '{}' of {}", input.name, input.shown_shape()),
        n => format!("{n} arrays fit the input '{}' of {}", input.name, input.shown_shape()),
    };
    Err(Diagnostic::error("DAT010", message)
        .in_file(file)
        .with_note(format!("the file holds {}", if told.is_empty() { "no array".to_owned() } else { told.join(", ") }))
        .with_help(format!("name one of them '{}'", input.name)))
}

fn misshapen(input: &Input, shape: &[usize]) -> Diagnostic {
    let message = format!("an array of {} does not fit the input '{}' of {}", npy::shown(shape), input.name, input.shown_shape());
    let out = Diagnostic::error("DAT011", message);
    // What is most often wrong: the axis of channels, or that of samples, is missing.
    if input.samples(&[shape, &[1]].concat()).is_some() {
        return out.with_help("the innermost axis is missing: np.expand_dims(x, -1) adds it");
    }
    let wanted: Option<usize> = input.shape.get(1..).and_then(|t| t.iter().copied().try_fold(1usize, |n, d| n.checked_mul(d?)));
    let have = shape.get(1..).map(npy::count);
    if let (&[_, a, b, c], &[_, Some(x), Some(y), Some(z)]) = (shape, input.shape.as_slice()) {
        if [c, a, b] == [x, y, z] {
            return out.with_help(
                "the data have channels innermost, the input outermost: np.transpose(x, (0, 3, 1, 2)), or --layout nhwc for an ONNX model",
            );
        }
        if [b, c, a] == [x, y, z] {
            return out.with_help("the data have channels outermost, the input innermost: np.transpose(x, (0, 2, 3, 1))");
        }
    }
    if wanted.is_some() && wanted == have {
        return out.with_help(format!(
            "the outermost axis counts samples; each has the right number of elements: reshape to {}",
            input.shown_shape()
        ));
    }
    out.with_note("the outermost axis counts samples")
}

#[derive(Debug)]
struct Part {
    file: String,
    array: Option<String>,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Array(Array),
    Picture(Picture),
}

impl Part {
    fn located(&self, diagnostic: Diagnostic) -> Diagnostic {
        let out = diagnostic.in_file(self.file.clone());
        match &self.array {
            Some(name) => out.with_note(format!("the array is '{name}'")),
            None => out,
        }
    }
}

#[derive(Debug)]
struct Chunk {
    rows: usize,
    part: Part,
    plan: Plan,
}

/// One input with what feeds it.
#[derive(Debug)]
struct Fed {
    column: Column,
    chunks: Vec<Chunk>,
    /// Rows (indices of the outermost axis) in one sample.
    batch: usize,
    /// Elements in one row.
    row: usize,
    channels: usize,
    samples: usize,
    /// For pictures that decode to fractions.
    float_plan: Option<Plan>,
}

/// A data set in files.
#[derive(Debug)]
pub struct FileStream {
    origin: String,
    fed: Vec<Fed>,
    columns: Vec<Column>,
    samples: usize,
}

impl FileStream {
    fn new(origin: &str, fed: Vec<Fed>) -> Result<Self, Diagnostic> {
        let columns: Vec<Column> = fed.iter().map(|f| f.column.clone()).collect();
        let samples = fed.first().map_or(0, |f| f.samples);
        if fed.iter().any(|f| f.samples != samples) {
            let told: Vec<String> =
                fed.iter().map(|f| format!("'{}' has {}", f.column.input.as_deref().unwrap_or_default(), f.samples)).collect();
            let message = format!("the inputs have different numbers of samples: {}", told.join(", "));
            return Err(Diagnostic::error("DAT014", message).in_file(origin));
        }
        if samples == 0 && !fed.is_empty() {
            return Err(Diagnostic::error("DAT015", "the data hold no sample").in_file(origin));
        }
        Ok(Self { origin: origin.to_owned(), fed, columns, samples })
    }
}

impl SampleStream for FileStream {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn samples(&self) -> usize {
        self.samples
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn read(&self, column: usize, range: Range<usize>) -> Result<Tensor, Diagnostic> {
        let beyond =
            || Diagnostic::error("DAT023", format!("there are no samples {range:?} of column {column}")).in_file(self.origin.clone());
        let fed = self.fed.get(column).filter(|f| range.end <= f.samples && range.start <= range.end).ok_or_else(beyond)?;
        let (first, last) = (range.start * fed.batch, range.end * fed.batch);
        let mut bytes = Vec::new();
        let mut start = 0;
        for chunk in &fed.chunks {
            let (from, to) = (first.max(start), last.min(start + chunk.rows));
            if from < to {
                let read = fed.rows(chunk, from - start..to - start)?;
                // The common case is one chunk: its bytes need no copy.
                if bytes.is_empty() {
                    bytes = read;
                } else {
                    bytes.extend(read);
                }
            }
            start += chunk.rows;
        }
        let shape = [&[range.len()], fed.column.shape.as_slice()].concat();
        Ok(Tensor { elem: fed.column.elem, shape, bytes })
    }
}

impl Fed {
    fn rows(&self, chunk: &Chunk, rows: Range<usize>) -> Result<Vec<u8>, Diagnostic> {
        let first = rows.start;
        let told = |misfit: Misfit| {
            let row = self.row.max(1);
            let place = format!("sample {}, element {}", first + misfit.position / row, misfit.position % row);
            let out = Diagnostic::error(misfit.code, misfit.message).on_tensor(self.column.input.clone().unwrap_or_default());
            chunk.part.located(out.with_note(place))
        };
        match &chunk.part.rows {
            Rows::Array(array) => {
                let elements = array.elements(rows.start * self.row..rows.end * self.row);
                chunk.plan.convert(&elements).map_err(told)
            }
            Rows::Picture(picture) => {
                let array = picture.read()?;
                let plan = if array.elem == ElementType::U8 { Some(&chunk.plan) } else { self.float_plan.as_ref() };
                let plan = plan.ok_or_else(|| {
                    let message = format!("a 16-bit picture for an input of {} with {} channels", self.column.elem, self.channels);
                    Diagnostic::error("DAT012", message).in_file(picture.path.display().to_string())
                })?;
                plan.convert(&array.elements(0..array.len())).map_err(told)
            }
        }
    }
}

/// Opens one path for the inputs of a model: a shorthand for tests and small programs.
impl Source {
    /// Streams the samples of a path.
    pub fn open_path(&self, path: &Path) -> Result<FileStream, Diagnostic> {
        let text = path.display().to_string();
        self.open_files(&text, std::slice::from_ref(&text))
    }
}
