//! `octet run`: a model over samples, as `tf.lite.Interpreter` runs it.

use std::path::PathBuf;

use clap::Args;
use octet_data::{Feed, Input, Source, write_npy, write_npz};
use octet_eval::{Event, Interpreter, Options};
use octet_ir::{Diagnostic, Diagnostics, EntityId, GraphId, Module, Type, ValueDef, ValueId};
use octet_plugin::{SampleStream, Tensor};

use super::plugin::Plugins;
use crate::args::{Importing, Preprocessing};
use crate::driver::{Destination, Feeder, Plan, dequantized, for_each_sample, numbers};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::table::Table;
use crate::terminal::Terminal;

/// Run a model over samples
///
/// Integer tensors go in and come out as integers; --dequantize gives real numbers and quantizes real inputs. A model with state carries it from
/// sample to sample.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The model: .tflite, .onnx or IR text
    model: PathBuf,
    #[command(flatten)]
    importing: Importing,
    /// Samples: a .npy, .npz, PNG or JPEG file, or a folder of them; INPUT=PATH for one input of several. May be given again
    #[arg(long, value_name = "[INPUT=]PATH", required = true, help_heading = "Data")]
    input: Vec<String>,
    #[command(flatten)]
    preprocess: Preprocessing,
    /// The outputs as .npz by name, or .npy if there is one; without it, a summary is printed
    #[arg(short, long, value_name = "OUT.npz")]
    output: Option<PathBuf>,
    /// Quantize real inputs, and give outputs as the real numbers that they stand for
    #[arg(long)]
    dequantize: bool,
    /// Run this signature; outputs have its names
    #[arg(long, value_name = "KEY")]
    signature: Option<String>,
    /// Give every tensor of the graph that an operation computes, not only the outputs
    #[arg(long, conflicts_with = "signature")]
    all_tensors: bool,
    /// Set all state back before each sample
    #[arg(long)]
    reset: bool,
    /// Threads; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    plugins: Plugins,
}

/// One output with its values for each sample.
struct Collected {
    name: String,
    ty: Type,
    samples: Vec<Tensor>,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let destination = arguments.output.as_ref().map(Destination::new).transpose()?;
    if let Some(ending) =
        destination.as_ref().and_then(|d| d.path().extension()).filter(|e| !e.eq_ignore_ascii_case("npy") && !e.eq_ignore_ascii_case("npz"))
    {
        let message = format!("outputs are written as .npz or .npy, not as '.{}'", ending.display());
        return Err(Failure::usage(Diagnostic::error("CLI002", message).with_help("give the output file the ending .npz")));
    }
    arguments.plugins.install(terminal)?;
    let module = super::load(&arguments.model, &arguments.importing, terminal)?;
    let signature = match &arguments.signature {
        Some(key) => Some(module.signatures.iter().find(|s| s.key == *key).ok_or_else(|| no_signature(&module, key))?),
        None => None,
    };
    if let Some(signature) = signature {
        all_inputs_named(&module, signature)?;
    }
    let graph = signature.map_or(module.main_id(), |s| s.graph);
    let feed = if arguments.dequantize { Feed::Real } else { Feed::Raw };
    let source = Source::new(Input::of(&module, graph)).feed(feed);
    let source = arguments.preprocess.preprocess.iter().cloned().fold(source, Source::preprocess);
    let stream = source.open_files(&arguments.input.join(", "), &arguments.input)?;
    source.take_notes().iter().for_each(|d| terminal.tell(d));
    let feeder = Feeder::of_graph(&module, graph, &stream)?;
    let mut interpreter = Interpreter::new(&module, Options::default())?;
    let mut outputs = match signature {
        Some(signature) => named(&module, graph, signature.outputs.iter().map(|(name, n)| (name.clone(), *n))),
        None if arguments.all_tensors => all(&module),
        None => {
            feeder.allocate(&mut interpreter)?;
            let main = module.main();
            named(&module, graph, main.outputs().iter().enumerate().map(|(n, &v)| (main.value_name(v), n)))
        }
    };
    if arguments.all_tensors {
        feeder.allocate(&mut interpreter)?;
    }
    if destination.as_ref().is_some_and(is_npy) && outputs.len() != 1 {
        return Err(one_array(outputs.len()));
    }
    let threads = arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let plan = Plan { threads, reset: arguments.reset };
    let mut progress = Progress::new(terminal);
    progress.begin("run");
    let total = stream.samples();
    let each = |own: &mut Interpreter, sample: usize| match &signature {
        Some(signature) => by_signature(own, signature, &feeder, &stream, sample),
        None if arguments.all_tensors => every_tensor(own, &module, &feeder, &stream, sample),
        None => outputs_of(own, &module, &feeder, &stream, sample),
    };
    for_each_sample(&interpreter, total, plan, each, |sample, tensors| {
        for (output, tensor) in outputs.iter_mut().zip(tensors) {
            output.samples.push(if arguments.dequantize { dequantized(&output.ty, tensor) } else { tensor });
        }
        progress.set(sample + 1, total, "samples");
        Ok(())
    })?;
    progress.end();
    match &destination {
        Some(destination) => write(destination, outputs, terminal)?,
        None => terminal.print(&summary(&outputs))?,
    }
    Ok(Exit::Success)
}

fn no_signature(module: &Module, key: &str) -> Failure {
    let keys: Vec<&str> = module.signatures.iter().map(|s| s.key.as_str()).collect();
    let known = if keys.is_empty() { "the model has none".to_owned() } else { format!("there are: {}", keys.join(", ")) };
    Failure::usage(Diagnostic::error("CLI002", format!("there is no signature '{key}'")).with_note(known))
}

/// Refuses a signature that leaves out an input of its graph: nothing would say what that input holds.
fn all_inputs_named(module: &Module, signature: &octet_ir::Signature) -> Result<(), Failure> {
    let Some(graph) = module.get_graph(signature.graph) else { return Ok(()) };
    let missing = graph.inputs().iter().enumerate().find(|(number, _)| signature.inputs.iter().all(|(_, named)| named != number));
    let Some((_, &input)) = missing else { return Ok(()) };
    let message = format!("the signature '{}' leaves out an input of its graph, which would have no value", signature.key);
    let error = Diagnostic::error("CLI002", message).on_tensor(graph.value_name(input));
    let main = signature.graph == module.main_id();
    Err(Failure::usage(if main { error.with_help("run the model without --signature and feed all its inputs") } else { error }))
}

/// A name that stands already gets its number.
fn unique(others: &[Collected], name: String, number: usize) -> String {
    if others.iter().any(|c| c.name == name) { format!("{name}#{number}") } else { name }
}

/// Outputs of a graph by name and number.
fn named(module: &Module, graph: GraphId, names: impl Iterator<Item = (String, usize)>) -> Vec<Collected> {
    let mut out: Vec<Collected> = Vec::new();
    let Some(graph) = module.get_graph(graph) else { return out };
    for (name, number) in names {
        let Some(&value) = graph.outputs().get(number) else { continue };
        let name = unique(&out, name, number);
        out.push(Collected { name, ty: graph.ty(value).clone(), samples: Vec::new() });
    }
    out
}

/// Everything that operations of the main graph compute, in execution order.
fn all(module: &Module) -> Vec<Collected> {
    let main = module.main();
    let mut out: Vec<Collected> = Vec::new();
    for value in computed(module) {
        let name = unique(&out, main.value_name(value), value.index());
        out.push(Collected { name, ty: main.ty(value).clone(), samples: Vec::new() });
    }
    out
}

fn computed(module: &Module) -> Vec<ValueId> {
    module.main().ops().flat_map(|(_, op)| op.results().to_vec()).collect()
}

fn outputs_of(
    interpreter: &mut Interpreter,
    module: &Module,
    feeder: &Feeder,
    stream: &dyn SampleStream,
    sample: usize,
) -> Result<Vec<Tensor>, Diagnostics> {
    feeder.feed(interpreter, stream, sample)?;
    interpreter.invoke()?;
    let outputs = module.main().outputs().iter().map(|v| interpreter.get_tensor(v.index()));
    Ok(outputs.collect::<Result<_, _>>()?)
}

fn by_signature(
    interpreter: &mut Interpreter,
    signature: &octet_ir::Signature,
    feeder: &Feeder,
    stream: &dyn SampleStream,
    sample: usize,
) -> Result<Vec<Tensor>, Diagnostics> {
    let tensors = feeder.tensors(stream, sample)?;
    let inputs: Vec<(&str, &Tensor)> = signature.inputs.iter().filter_map(|(name, n)| Some((name.as_str(), tensors.get(*n)?))).collect();
    let outputs = interpreter.signature_runner(Some(&signature.key))?.run(&inputs)?;
    Ok(outputs.into_iter().map(|(_, tensor)| tensor).collect())
}

fn every_tensor(
    interpreter: &mut Interpreter,
    module: &Module,
    feeder: &Feeder,
    stream: &dyn SampleStream,
    sample: usize,
) -> Result<Vec<Tensor>, Diagnostics> {
    feeder.feed(interpreter, stream, sample)?;
    let main = module.main();
    let mut seen: Vec<Option<Tensor>> = vec![None; main.value_capacity()];
    interpreter.invoke_observed(&mut |event: &Event<'_>| {
        let of_main =
            event.graph == GraphId::MAIN && matches!(main.get_value(event.value).map(octet_ir::Value::def), Some(ValueDef::Result { .. }));
        if let Some(slot) = seen.get_mut(event.value.index()).filter(|_| of_main) {
            *slot = Some(Tensor { elem: event.ty.elem, shape: event.ty.shape.dims().to_vec(), bytes: event.bytes.to_vec() });
        }
    })?;
    let missing = |v: ValueId| Diagnostic::error("CLI007", "the tensor was not computed").on_tensor(main.value_name(v));
    let all = computed(module).into_iter().map(|v| seen.get_mut(v.index()).and_then(Option::take).ok_or_else(|| missing(v)));
    Ok(all.collect::<Result<_, _>>()?)
}

/// Samples stacked along a new outermost axis, which takes the place of one of size 1. Where sizes differ from sample to sample, one
/// array for each: `name.0`, `name.1`, ...
fn stacked(collected: Collected) -> Vec<(String, Tensor)> {
    let Some(first) = collected.samples.first() else { return Vec::new() };
    if collected.samples.iter().any(|t| t.shape != first.shape) {
        let one = |(n, tensor)| (format!("{}.{n}", collected.name), tensor);
        return collected.samples.into_iter().enumerate().map(one).collect();
    }
    let tail = match first.shape.as_slice() {
        [1, tail @ ..] => tail,
        other => other,
    };
    let shape = [&[collected.samples.len()], tail].concat();
    let (elem, bits) = (first.elem, first.elem.bits().unwrap_or(8));
    let bytes =
        if bits < 8 { repack(&collected.samples, bits) } else { collected.samples.iter().flat_map(|t| t.bytes.iter().copied()).collect() };
    vec![(collected.name, Tensor { elem, shape, bytes })]
}

/// Packed elements of several tensors, without the gaps at their ends.
fn repack(samples: &[Tensor], bits: usize) -> Vec<u8> {
    let each = samples.iter().flat_map(|t| {
        let count: usize = t.shape.iter().product();
        (0..count).map(move |i| t.bytes.get(i * bits / 8).copied().unwrap_or(0) >> (i * bits % 8) & ((1u8 << bits) - 1))
    });
    let mut out = Vec::new();
    for (i, value) in each.enumerate() {
        if (i * bits).is_multiple_of(8) {
            out.push(0);
        }
        if let Some(last) = out.last_mut() {
            *last |= value << (i * bits % 8);
        }
    }
    out
}

fn is_npy(destination: &Destination) -> bool {
    destination.path().extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

fn one_array(count: usize) -> Failure {
    let message = format!("a .npy holds one array, there are {count}");
    Failure::usage(Diagnostic::error("CLI002", message).with_help("give the output file the ending .npz"))
}

fn write(destination: &Destination, outputs: Vec<Collected>, terminal: &Terminal) -> Result<(), Failure> {
    let mut arrays = Vec::new();
    for (name, tensor) in outputs.into_iter().flat_map(stacked) {
        // Strings and resources have no array; the others do.
        if tensor.elem.bits().is_none() {
            let message = format!("tensors of type {} are not written", tensor.elem);
            terminal.tell(&Diagnostic::warning("DAT040", message).on_tensor(name));
        } else {
            arrays.push((name, tensor));
        }
    }
    if is_npy(destination) {
        let [(_, tensor)] = arrays.as_slice() else { return Err(one_array(arrays.len())) };
        destination.write_with(|file| write_npy(tensor, file))?;
    } else {
        destination.write_with(|file| write_npz(arrays.iter().map(|(n, t)| (n.as_str(), t)), file).map(drop))?;
    }
    Ok(())
}

/// The values of a small result, or where they lie.
fn summary(outputs: &[Collected]) -> String {
    const MOST_SHOWN: usize = 16;
    let mut table = Table::new(&["output", "type", ">samples", ">min", ">max", "first sample"]);
    for output in outputs {
        let all = output.samples.iter().filter_map(|t| numbers(t.elem, &t.bytes)).flatten();
        let (min, max) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        let first = output.samples.first();
        let (elem, shape) = first.map_or((output.ty.elem, output.ty.shape.to_string()), |t| (t.elem, dims(&t.shape)));
        let mut shown = first.and_then(|t| numbers(t.elem, &t.bytes)).unwrap_or_default();
        let cut = shown.len() > MOST_SHOWN;
        shown.truncate(MOST_SHOWN);
        let values = shown.iter().map(|v| short(*v)).collect::<Vec<_>>().join(" ") + if cut { " ..." } else { "" };
        let ty = format!("{} [{shape}]", elem.numpy_name());
        table.row([output.name.clone(), ty, output.samples.len().to_string(), short(min), short(max), values]);
    }
    table.text(0)
}

fn dims(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A number with four digits, or whole.
fn short(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e9 { format!("{value}") } else { format!("{value:.4}") }
}
