//! Runs models in the engine. Every line of standard input is a job: module, file of inputs, file for outputs, samples and rounds, separated by tabs. Every
//! answer is a line: `ok`, milliseconds to load and of one run; or `refused` or `error`, and why.
//!
//! A file of inputs holds the bytes of all inputs of all samples. With rounds above 0, so many batches of runs are timed, and the least is told.

use std::io::BufRead as _;
use std::time::{Duration, Instant};

use octet_ir::Diagnostic;
use octet_plugin_host::Model;

fn main() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let fields: Vec<&str> = line.split('\t').collect();
        match job(&fields) {
            Ok((load, ms)) => println!("ok\t{load}\t{ms}"),
            Err(why) if why.code == "PLG030" => println!("refused\t{}", why.message),
            Err(why) => println!("error\t{}", why.message.replace('\n', " ")),
        }
    }
}

fn job(fields: &[&str]) -> Result<(f64, f64), Diagnostic> {
    let wrong = |why: String| Diagnostic::error("PLG010", why);
    let &[model, inputs, outputs, samples, rounds] = fields else { return Err(wrong("a job has five fields".into())) };
    let read = |path: &str| std::fs::read(path).map_err(|e| wrong(format!("{path}: {e}")));
    let count = |text: &str| text.parse::<usize>().map_err(|e| wrong(format!("{text}: {e}")));
    let (samples, rounds) = (count(samples)?, count(rounds)?);
    let bytes = read(model)?;
    wasmparser::Validator::new().validate_all(&bytes).map_err(|e| wrong(format!("{model}: {e}")))?;
    let begin = Instant::now();
    let mut model = Model::load(&bytes)?;
    let load = begin.elapsed().as_secs_f64() * 1e3;
    let given = read(inputs)?;
    let sizes: Vec<usize> = model.input_bytes().collect();
    let (mut rest, mut found) = (given.as_slice(), Vec::new());
    for _ in 0..samples {
        for (index, &size) in sizes.iter().enumerate() {
            let (input, after) = rest.split_at_checked(size).ok_or_else(|| wrong("too few inputs".into()))?;
            model.set_input(index, input)?;
            rest = after;
        }
        model.invoke()?;
        for index in 0..model.output_bytes().len() {
            found.extend_from_slice(model.output(index).unwrap_or_default());
        }
    }
    std::fs::write(outputs, found).map_err(|e| wrong(format!("{outputs}: {e}")))?;
    let mut least = Duration::MAX;
    let mut batch = 1;
    for round in 0..rounds {
        let begin = Instant::now();
        for _ in 0..batch {
            model.invoke()?;
        }
        let took = begin.elapsed();
        if took < Duration::from_millis(1) && round < 20 {
            batch *= 2;
        } else {
            least = least.min(took / u32::try_from(batch).unwrap_or(1));
        }
    }
    Ok((load, if rounds > 0 { least.as_secs_f64() * 1e3 } else { 0.0 }))
}
