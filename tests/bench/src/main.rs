//! Measures what no command line shows by itself: calibration alone, and one inference on one thread.
//!
//!     octet-bench calibrate MODEL DATA [SCALE]
//!     octet-bench inference MODEL DATA [SCALE]
//!
//! It prints JSON, uses the library as its users do, and judges nothing: `cargo xtask bench` compares.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use octet::{Compiler, Interpreter, Mode, Preprocess};
use serde_json::{Value, json};

/// Times that the data set is read in one calibration, as the peer's is: neither should measure its start.
const REPEAT: usize = 4;
/// Calibrations of one run; the fastest counts, as the peer's does.
const ROUNDS: usize = 3;
/// How long inferences are measured.
const MEASURED: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, model, data, scale @ ..] = arguments.as_slice() else {
        eprintln!("usage: octet-bench calibrate|inference MODEL DATA [SCALE]");
        return ExitCode::FAILURE;
    };
    let scale = scale.first().map(String::as_str);
    let answer = match what.as_str() {
        "calibrate" => calibrate(model, data, scale),
        "inference" => inference(model, data, scale),
        other => Err(format!("no benchmark {other}").into()),
    };
    match answer {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// A compiler for int8 on a data set.
fn compiler(data: &str, scale: Option<&str>, repeat: usize) -> Result<Compiler, Box<dyn Error>> {
    let mut compiler = Compiler::new().quantize(Mode::Int8Only);
    for _ in 0..repeat {
        compiler = compiler.data(data);
    }
    if let Some(scale) = scale {
        compiler = compiler.preprocess(format!("scale={scale}").parse::<Preprocess>()?);
    }
    Ok(compiler)
}

/// Seconds of the calibrate pass on all cores: reading and scaling the samples, running them, keeping the ranges. The samples are
/// unpacked before: the peer's are too.
fn calibrate(model: &str, data: &str, scale: Option<&str>) -> Result<Value, Box<dyn Error>> {
    let module = octet::load(model)?;
    let arrays = octet::read_arrays(data.as_ref())?;
    let samples = &arrays.first().ok_or("the data are empty")?.tensor;
    let unpacked = tempfile::Builder::new().suffix(".npy").tempfile()?;
    octet::write_npy(samples, &mut unpacked.as_file())?;
    let samples = samples.shape.first().copied().unwrap_or(0);
    let data = unpacked.path().to_str().ok_or("the temporary folder's name is no text")?;
    let compiler = compiler(data, scale, REPEAT)?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let compiled = compiler.compile(&module)?;
        let pass = compiled.passes.iter().find(|p| p.pass.name == "calibrate").ok_or("int8 ran no calibrate pass")?;
        seconds.push(pass.time.as_secs_f64());
    }
    Ok(json!({"seconds": seconds, "samples": samples * REPEAT}))
}

/// Milliseconds of one float inference of the optimized model on one thread; only the invocation is inside the clock.
fn inference(model: &str, data: &str, scale: Option<&str>) -> Result<Value, Box<dyn Error>> {
    let module = Compiler::new().compile(&octet::load(model)?)?.module;
    let mut interpreter = Interpreter::new(&module, Default::default())?;
    interpreter.allocate_tensors()?;
    let input = interpreter.input_details().first().ok_or("the model has no input")?.index;
    let factor: f64 = scale.map_or(Ok(1.0), str::parse)?;
    let arrays = octet::read_arrays(data.as_ref())?;
    let array = &arrays.first().ok_or("the data are empty")?.tensor;
    let values = interpreter.elements_mut::<f32>(input)?;
    let wide = array.bytes.len() != array.shape.iter().product::<usize>();
    for (i, value) in values.iter_mut().enumerate() {
        *value = if wide {
            array.bytes.as_chunks().0.get(i).map_or(0.0, |b| f32::from_le_bytes(*b))
        } else {
            array.bytes.get(i).map_or(0.0, |&b| f32::from(b))
        } * factor as f32;
    }
    for _ in 0..20 {
        interpreter.invoke()?;
    }
    let mut times = Vec::new();
    let end = Instant::now() + MEASURED;
    while Instant::now() < end {
        let start = Instant::now();
        interpreter.invoke()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    Ok(json!({"ms": [median]}))
}
