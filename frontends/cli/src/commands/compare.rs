//! `octet compare`: two models on the same data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use octet_data::{Feed, FileStream, Input, Source, read_arrays};
use octet_eval::{Event, Interpreter, Options};
use octet_ir::{Diagnostic, Diagnostics, ElementType, EntityId, GraphId, Module, ValueDef};
use octet_plugin::SampleStream;
use serde_json::{Value, json};

use super::plugin::Plugins;
use crate::args::{Data, Importing};
use crate::driver::{Comparison, Difference, Feeder, Plan, argmax, for_each_sample, numbers, real};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::table::{self, Table};
use crate::terminal::Terminal;

/// Compare two models on the same data
///
/// SQNR (10 log10 of sum a^2 / sum (a - b)^2, in dB), the largest absolute error, the cosine and the agreement of the largest element, for each output over
/// all samples; integers count as the real numbers that they stand for. Inputs and outputs are paired by name where both models have the same
/// names, else by position. Exit code 4 if a threshold is missed.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The reference
    a: PathBuf,
    /// The model that is measured against it
    b: PathBuf,
    #[command(flatten)]
    importing: Importing,
    #[command(flatten)]
    data: Data,
    /// Also every tensor that has the same name in both
    #[arg(long)]
    per_tensor: bool,
    /// Classes of the samples (.npy, or an .npz with one array or one called y): both models' top-1 accuracy
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    labels: Option<PathBuf>,
    /// Fail with code 4 if the SQNR of an output is below this
    #[arg(long, value_name = "DB", help_heading = "Thresholds")]
    min_sqnr: Option<f64>,
    /// Fail with code 4 if the largest element agrees for a smaller part of the samples, 0 to 1
    #[arg(long, value_name = "PART", help_heading = "Thresholds")]
    min_top1: Option<f64>,
    /// Fail with code 4 if an output is off by more
    #[arg(long, value_name = "ERROR", help_heading = "Thresholds")]
    max_error: Option<f64>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Threads; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    plugins: Plugins,
}

/// A model ready to run over its data.
struct Side {
    module: Module,
    interpreter: Interpreter,
    feeder: Feeder,
    stream: FileStream,
}

/// What one sample gives: differences by output, and by tensor name, and the classes that both sides chose.
struct Sample {
    outputs: Vec<Option<Difference>>,
    tensors: BTreeMap<String, Difference>,
    top: [Option<usize>; 2],
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    arguments.plugins.install(terminal)?;
    // The choices are for whichever of the two files leaves them open.
    let load = |path: &PathBuf| super::load(path, &arguments.importing.for_model(path, &[&arguments.a, &arguments.b]), terminal);
    let (a, b) = (load(&arguments.a)?, load(&arguments.b)?);
    if arguments.data.data.is_empty() {
        return Err(Failure::usage(Diagnostic::error("CLI002", "compare needs data to run both models on").with_help("give --data")));
    }
    let names = names(&a, &b, &arguments.a)?;
    let pairs = paired(&output_names(&a), &output_names(&b));
    crosswise(&names, &output_names(&b), &pairs).iter().for_each(|d| terminal.tell(d));
    // Integers of the reference's own type are its integers, and the other model gets the reals that they stand for.
    let (inputs, others) = (Input::of(&a, a.main_id()), Input::of(&b, b.main_id()));
    let input_names = |of: &[Input]| of.iter().map(|i| Some(i.name.clone())).collect::<Vec<_>>();
    let like = paired(&input_names(&others), &input_names(&inputs)).into_iter().filter_map(|at| inputs.get(at).cloned()).collect();
    let (a, b) = (side(a, arguments, None, terminal)?, side(b, arguments, Some(like), terminal)?);
    let total = a.stream.samples();
    let labels = arguments.labels.as_deref().map(|path| labels(path, total, scores(&a.module))).transpose()?;
    if labels.is_some() {
        one_row_a_sample(&a.module)?;
    }
    let threads = arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    // Samples of a model with state follow one another: both sides run in order then.
    let threads = if a.module.has_state() || b.module.has_state() { 1 } else { threads };
    let plan = Plan { threads, reset: false };
    let mut progress = Progress::new(terminal);
    progress.begin("compare");
    let mut outputs = vec![Comparison::default(); names.len()];
    let mut tensors: BTreeMap<String, Comparison> = BTreeMap::new();
    let mut right = [0usize; 2];
    let pool = std::sync::Mutex::new(Vec::new());
    let each = |own: &mut Interpreter, sample: usize| {
        // The other side's interpreter: as many as threads, handed on.
        let spare = pool.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let mut other = spare.unwrap_or_else(|| b.interpreter.clone());
        let compared = compare(own, &mut other, [&a, &b], &pairs, sample, arguments.per_tensor);
        pool.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(other);
        compared
    };
    for_each_sample(&a.interpreter, total, plan, each, |sample, result| {
        for (output, difference) in outputs.iter_mut().zip(&result.outputs) {
            let different = || Diagnostic::error("CLI007", format!("an output of sample {sample} has different sizes in the two models"));
            output.add(&difference.ok_or_else(different)?);
        }
        for (name, difference) in &result.tensors {
            tensors.entry(name.clone()).or_default().add(difference);
        }
        if let Some(label) = labels.as_ref().and_then(|l| l.get(sample)) {
            for (right, top) in right.iter_mut().zip(result.top) {
                *right += usize::from(top.and_then(|t| i64::try_from(t).ok()) == Some(*label));
            }
        }
        progress.set(sample + 1, total, "samples");
        Ok(())
    })?;
    progress.end();
    let accuracy = labels.map(|_| right.map(|r| r as f64 / total.max(1) as f64));
    let missed = missed(arguments, &names, &outputs);
    if arguments.json {
        terminal.print_json(&as_json(arguments, &names, &outputs, &a.module, &tensors, accuracy, &missed))?;
    } else {
        terminal.print(&shown(&names, &outputs, &a.module, &tensors, accuracy))?;
    }
    missed.iter().for_each(|d| terminal.tell(d));
    Ok(if missed.is_empty() { Exit::Success } else { Exit::Below })
}

/// Names of the reference's outputs; the other model has as many.
fn names(a: &Module, b: &Module, file: &Path) -> Result<Vec<String>, Diagnostic> {
    let (x, y) = (a.main(), b.main());
    if x.outputs().len() != y.outputs().len() {
        let message = format!("the models have different numbers of outputs: {} and {}", x.outputs().len(), y.outputs().len());
        return Err(Diagnostic::error("CLI007", message).in_file(file.display().to_string()));
    }
    Ok(x.outputs().iter().map(|v| x.value_name(*v)).collect())
}

/// The outputs' names, where they have one.
fn output_names(module: &Module) -> Vec<Option<String>> {
    let main = module.main();
    main.outputs().iter().map(|v| main.value(*v).loc().name().map(str::to_owned)).collect()
}

/// For each of these names the position among the others that it is paired with: that of the same name if both sides have the same distinct
/// names, else its own.
fn paired(names: &[Option<String>], others: &[Option<String>]) -> Vec<usize> {
    let places = |of: &[Option<String>]| -> Option<BTreeMap<String, usize>> {
        let places: BTreeMap<String, usize> = of.iter().enumerate().filter_map(|(at, name)| Some((name.clone()?, at))).collect();
        (places.len() == of.len()).then_some(places)
    };
    let by_name = || {
        let (own, places) = (places(names)?, places(others)?);
        if own.len() != places.len() {
            return None;
        }
        names.iter().map(|name| places.get(name.as_ref()?).copied()).collect::<Option<Vec<usize>>>()
    };
    by_name().unwrap_or_else(|| (0..names.len()).collect())
}

/// A note where the models have their outputs in different orders, or several under different names.
fn crosswise(names: &[String], others: &[Option<String>], pairs: &[usize]) -> Option<Diagnostic> {
    if pairs.iter().enumerate().any(|(at, other)| at != *other) {
        return Some(Diagnostic::note("CLI007", "the models give their outputs in different orders: they are paired by name"));
    }
    let other = names.iter().zip(others).find(|(name, other)| other.as_ref().is_some_and(|other| other != *name));
    let (name, other) = other.filter(|_| names.len() > 1)?;
    let other = other.clone().unwrap_or_default();
    Some(Diagnostic::note("CLI007", format!("outputs are paired by position: '{name}' of the reference with '{other}'")))
}

/// `like`: the reference's inputs in the order of the module's, for the model that is measured.
fn side(module: Module, arguments: &Arguments, like: Option<Vec<Input>>, terminal: &Terminal) -> Result<Side, Failure> {
    let source = Source::new(Input::of(&module, module.main_id())).feed(Feed::Real);
    let source = like.into_iter().fold(source, Source::like);
    let source = arguments.data.preprocess.preprocess.iter().cloned().fold(source, Source::preprocess);
    let stream = source.open_files(&arguments.data.data.join(", "), &arguments.data.data)?;
    source.take_notes().iter().for_each(|d| terminal.tell(d));
    let feeder = Feeder::new(&module, &stream)?;
    let mut interpreter = Interpreter::new(&module, Options::default())?;
    feeder.allocate(&mut interpreter)?;
    Ok(Side { module, interpreter, feeder, stream })
}

fn compare(
    x: &mut Interpreter,
    y: &mut Interpreter,
    [a, b]: [&Side; 2],
    pairs: &[usize],
    sample: usize,
    all: bool,
) -> Result<Sample, Diagnostics> {
    let mut reference: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut tensors = BTreeMap::new();
    run_side(
        x,
        a,
        sample,
        all.then_some(&mut |name: &str, values| {
            reference.insert(name.to_owned(), values);
        }),
    )?;
    run_side(
        y,
        b,
        sample,
        all.then_some(&mut |name: &str, values: Vec<f64>| {
            if let Some(difference) = reference.get(name).and_then(|r| Difference::new(r, &values)) {
                tensors.insert(name.to_owned(), difference);
            }
        }),
    )?;
    let (left, right) = (outputs(x, a)?, outputs(y, b)?);
    // Both sides have as many outputs, and each is paired once.
    let right: Vec<&Vec<f64>> = pairs.iter().filter_map(|at| right.get(*at)).collect();
    let left: Vec<&Vec<f64>> = left.iter().collect();
    let top = [&left, &right].map(|side| side.first().and_then(|o| argmax(o)));
    Ok(Sample { outputs: left.iter().zip(right).map(|(l, r)| Difference::new(l, r)).collect(), tensors, top })
}

fn run_side<F: FnMut(&str, Vec<f64>)>(
    interpreter: &mut Interpreter,
    side: &Side,
    sample: usize,
    see: Option<&mut F>,
) -> Result<(), Diagnostics> {
    side.feeder.feed(interpreter, &side.stream, sample)?;
    let Some(see) = see else { return Ok(interpreter.invoke()?) };
    let main = side.module.main();
    interpreter.invoke_observed(&mut |event: &Event<'_>| {
        let Some(value) = main.get_value(event.value).filter(|_| event.graph == GraphId::MAIN) else { return };
        let computed = matches!(value.def(), ValueDef::Result { .. });
        if let (true, Some(name)) = (computed, value.loc().name())
            && (value.ty().elem.is_float() || value.ty().is_quantized())
            && let Some(values) = real(value.ty(), event.ty.shape.dims(), event.bytes)
        {
            see(name, values);
        }
    })?;
    Ok(())
}

/// Outputs as real numbers.
fn outputs(interpreter: &Interpreter, side: &Side) -> Result<Vec<Vec<f64>>, Diagnostic> {
    let main = side.module.main();
    let one = |value: &octet_ir::ValueId| {
        let tensor = interpreter.get_tensor(value.index())?;
        let no_numbers = || {
            Diagnostic::error("CLI007", format!("an output of type {} cannot be compared", tensor.elem)).on_tensor(main.value_name(*value))
        };
        real(main.ty(*value), &tensor.shape, &tensor.bytes).ok_or_else(no_numbers)
    };
    main.outputs().iter().map(one).collect()
}

/// Refuses labels for a model whose every run gives the scores of several samples: a fixed batch.
fn one_row_a_sample(module: &Module) -> Result<(), Failure> {
    let main = module.main();
    let Some(&scores) = main.outputs().first() else { return Ok(()) };
    let rows: usize = main.ty(scores).shape.dims().split_last().map_or(1, |(_, rows)| rows.iter().product());
    if rows <= 1 {
        return Ok(());
    }
    let message = format!("--labels has one class a sample, and a run of this model gives {rows} rows of scores");
    Err(Failure::usage(Diagnostic::error("CLI002", message).on_tensor(main.value_name(scores))))
}

/// Class numbers, one a sample, below `classes` where that is known.
fn labels(path: &Path, samples: usize, classes: Option<usize>) -> Result<Vec<i64>, Failure> {
    let arrays = read_arrays(path)?;
    let chosen = match arrays.as_slice() {
        [only] => Some(only),
        several => several.iter().find(|a| matches!(a.name.as_str(), "y" | "label" | "labels")),
    };
    let at = |d: Diagnostic| Failure::from(d.in_file(path.display().to_string()));
    let array = chosen.ok_or_else(|| at(Diagnostic::error("DAT010", "no array holds labels").with_help("name it y")))?;
    let integer = array.tensor.elem.is_integer() || array.tensor.elem == ElementType::Bool;
    let values = numbers(array.tensor.elem, &array.tensor.bytes).filter(|_| integer);
    let values = values.ok_or_else(|| at(Diagnostic::error("DAT012", format!("labels are integers, not {}", array.tensor.elem))))?;
    if values.len() != samples {
        return Err(at(Diagnostic::error("DAT014", format!("there are {} labels for {samples} samples", values.len()))));
    }
    let labels: Vec<i64> = values.into_iter().map(|v| v as i64).collect();
    let is_class = |label: &i64| usize::try_from(*label).is_ok_and(|label| classes.is_none_or(|classes| label < classes));
    if let Some((sample, label)) = labels.iter().enumerate().find(|(_, label)| !is_class(label)) {
        let message = match classes {
            Some(classes) => format!(
                "label {label} of sample {sample} is no class: the model gives {classes} scores, of classes 0 to {}",
                classes.saturating_sub(1)
            ),
            None => format!("label {label} of sample {sample} is no class"),
        };
        return Err(at(Diagnostic::error("DAT012", message)));
    }
    Ok(labels)
}

/// How many scores the first output holds, where that is fixed.
fn scores(module: &Module) -> Option<usize> {
    let main = module.main();
    let ty = main.ty(*main.outputs().first()?);
    let last = ty.shape.dims().len().checked_sub(1)?;
    ty.shape.dynamic(last).is_none().then(|| ty.shape.dims().get(last).copied())?
}

fn missed(arguments: &Arguments, names: &[String], outputs: &[Comparison]) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for (name, output) in names.iter().zip(outputs) {
        // A NaN is below every threshold.
        let mut check = |met: bool, message: String| {
            if !met {
                out.push(Diagnostic::error("CLI008", message).on_tensor(name));
            }
        };
        if let Some(least) = arguments.min_sqnr {
            check(output.sqnr() >= least, format!("SQNR is {:.2} dB, at least {least} is asked for", output.sqnr()));
        }
        if let (Some(least), Some(agreement)) = (arguments.min_top1, output.top1_agreement()) {
            check(
                agreement >= least,
                format!("the largest element agrees for {agreement:.4} of the samples, at least {least} is asked for"),
            );
        }
        if let Some(most) = arguments.max_error {
            check(output.max_error() <= most, format!("the largest error is {}, at most {most} is asked for", output.max_error()));
        }
    }
    out
}

/// Tensors in the order of the reference's operations.
fn in_order<'t>(module: &Module, tensors: &'t BTreeMap<String, Comparison>) -> Vec<(&'t String, &'t Comparison)> {
    let main = module.main();
    let names = main.ops().flat_map(|(_, op)| op.results().to_vec()).filter_map(|v| main.value(v).loc().name());
    let mut out: Vec<(&String, &Comparison)> = Vec::new();
    let mut seen = BTreeSet::new();
    for found in names.filter_map(|name| tensors.get_key_value(name)) {
        if seen.insert(found.0) {
            out.push(found);
        }
    }
    out
}

fn cells(name: &str, c: &Comparison) -> [String; 5] {
    let sqnr = if c.sqnr() == f64::INFINITY { "equal".to_owned() } else { format!("{:.2}", c.sqnr()) };
    let agreement = c.top1_agreement().map_or("-".to_owned(), |a| format!("{:.2} %", 100.0 * a));
    [table::name(name), sqnr, format!("{:.3e}", c.max_error()), format!("{:.6}", c.cosine()), agreement]
}

fn shown(
    names: &[String],
    outputs: &[Comparison],
    module: &Module,
    tensors: &BTreeMap<String, Comparison>,
    accuracy: Option<[f64; 2]>,
) -> String {
    let titles = [">SQNR dB", ">max error", ">cosine", ">same top-1"];
    let mut table = Table::new(&[&["output"], titles.as_slice()].concat());
    names.iter().zip(outputs).for_each(|(name, c)| table.row(cells(name, c)));
    let mut out = table.text(0);
    if !tensors.is_empty() {
        let mut table = Table::new(&[&["tensor"], titles.as_slice()].concat());
        in_order(module, tensors).into_iter().for_each(|(name, c)| table.row(cells(name, c)));
        out.push('\n');
        out.push_str(&table.text(0));
    }
    if let Some([a, b]) = accuracy {
        out.push_str(&format!("\ntop-1 accuracy: {:.2} % and {:.2} %\n", 100.0 * a, 100.0 * b));
    }
    let samples = outputs.first().map_or(0, Comparison::samples);
    out.push_str(&format!("{samples} samples\n"));
    out
}

fn as_json(
    arguments: &Arguments,
    names: &[String],
    outputs: &[Comparison],
    module: &Module,
    tensors: &BTreeMap<String, Comparison>,
    accuracy: Option<[f64; 2]>,
    missed: &[Diagnostic],
) -> Value {
    // JSON has no infinity: equal outputs have no finite SQNR, and say so.
    let one = |name: &str, c: &Comparison| {
        json!({
            "name": name,
            "sqnr_db": c.sqnr(),
            "equal": c.sqnr() == f64::INFINITY,
            "max_error": c.max_error(),
            "cosine": c.cosine(),
            "top1_agreement": c.top1_agreement(),
        })
    };
    json!({
        "a": arguments.a.display().to_string(),
        "b": arguments.b.display().to_string(),
        "samples": outputs.first().map_or(0, Comparison::samples),
        "outputs": names.iter().zip(outputs).map(|(n, c)| one(n, c)).collect::<Vec<_>>(),
        "tensors": in_order(module, tensors).into_iter().map(|(n, c)| one(n, c)).collect::<Vec<_>>(),
        "accuracy": accuracy.map(|[a, b]| json!({"a": a, "b": b})),
        "missed": missed,
    })
}
