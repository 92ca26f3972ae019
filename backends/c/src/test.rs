//! `NAME_test.c`: inputs, the interpreter's outputs, and a main that compares.
//!
//! Integers have to be equal and reals as near as the order of additions leaves them, unless the model rounds reals on its way (QUANTIZE
//! behind a layer of reals): there a last bit can decide between two steps. How far that moves the outputs is measured with the
//! interpreter, on the same inputs with a little noise before every such rounding, and the program says what it allows.

use std::fmt::Write as _;

use octet_eval::Interpreter;
use octet_ir::{Diagnostics, ElementType, Module};
use octet_loops::lang::Elem;
use octet_loops::{Port, Program};
use octet_plugin::Tensor;

use crate::noise::noisy;
use crate::print::{c_elem, float};

/// Runs of the model.
const RUNS: usize = 3;
/// Noisy versions of a model that rounds reals.
const VERSIONS: u64 = 4;

/// Bytes of all inputs and outputs of one run.
struct Run {
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
}

/// Runs a module on inputs that are the same every time.
fn run(module: &Module, program: &Program) -> Result<Vec<Run>, Diagnostics> {
    let mut interpreter = Interpreter::new(module, octet_eval::Options::default())?;
    interpreter.allocate_tensors()?;
    let (inputs, outputs) = (interpreter.input_details(), interpreter.output_details());
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let mut run = Run { inputs: Vec::new(), outputs: Vec::new() };
        for (port, details) in program.inputs.iter().zip(&inputs) {
            let mut bytes = random(port, &mut state);
            if details.dtype == ElementType::Bool {
                bytes.iter_mut().for_each(|byte| *byte &= 1);
            }
            let shape = details.shape.clone();
            interpreter.set_tensor(details.index, &Tensor { elem: details.dtype, shape, bytes: bytes.clone() })?;
            run.inputs.push(bytes);
        }
        interpreter.invoke()?;
        for details in &outputs {
            run.outputs.push(interpreter.get_tensor(details.index)?.bytes);
        }
        runs.push(run);
    }
    Ok(runs)
}

/// Twice the most that noise moves each output, if the model rounds reals on its way.
fn slack(module: &Module, program: &Program, runs: &[Run]) -> Result<Option<Vec<f64>>, Diagnostics> {
    let mut slack = vec![0f64; program.outputs.len()];
    for version in 1..=VERSIONS {
        let mut state = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(version);
        let Some(noisy) = noisy(module, &mut state) else { return Ok(None) };
        for (here, there) in runs.iter().zip(run(&noisy, program)?) {
            for (index, port) in program.outputs.iter().enumerate() {
                let pair = (numbers(port.elem, &here.outputs[index]), numbers(port.elem, &there.outputs[index]));
                let moved = pair.0.iter().zip(&pair.1).map(|(a, b)| (a - b).abs()).filter(|d| d.is_finite());
                slack[index] = moved.map(|d| 2.0 * d).fold(slack[index], f64::max);
            }
        }
    }
    Ok(Some(slack))
}

/// The program's text.
pub(crate) fn program(name: &str, module: &Module, program: &Program, fields: &[&str]) -> Result<String, Diagnostics> {
    let runs = run(module, program)?;
    let slack = slack(module, program, &runs)?;
    let mut text = format!("/* Made by Octet: runs {name} and compares with what its interpreter computed. */\n");
    let reals = program.inputs.iter().chain(&program.outputs).any(|p| p.elem == Elem::F32);
    let math = if reals { "#include <math.h>\n" } else { "" };
    let _ = writeln!(text, "#include \"{name}.h\"\n\n{math}#include <stdio.h>\n#include <string.h>\n");
    for (at, run) in runs.iter().enumerate() {
        for (kind, ports, all) in [("input", &program.inputs, &run.inputs), ("output", &program.outputs, &run.outputs)] {
            for (index, (port, bytes)) in ports.iter().zip(all).enumerate() {
                array(&mut text, &format!("{kind}_{at}_{index}"), port, bytes);
            }
        }
    }
    for field in fields {
        let _ = writeln!(text, "static {name}_{field} {field};");
    }
    let _ = writeln!(text, "static {name}_model model;\nstatic int failures;\n");
    text.push_str(CHECK);
    if slack.is_some() {
        text.push_str(ROUNDS);
    }
    let mut elems: Vec<Elem> = program.outputs.iter().map(|p| p.elem).collect();
    elems.sort_unstable();
    elems.dedup();
    for elem in elems {
        let compare = match elem {
            Elem::F32 => COMPARE_REALS,
            _ if slack.is_some() => COMPARE_STEPS,
            _ => COMPARE,
        };
        text.push_str(&compare.replace("@T@", c_elem(elem)));
    }
    let memories: String = fields.iter().map(|f| format!(", &{f}")).collect();
    let _ = writeln!(text, "int main(void) {{\n    {name}_init(&model{memories});");
    for run in 0..RUNS {
        for index in 0..program.inputs.len() {
            let _ = writeln!(text, "    memcpy({name}_input_{index}(&model), input_{run}_{index}, sizeof(input_{run}_{index}));");
        }
        let _ = writeln!(text, "    {name}_invoke(&model);");
        for (index, port) in program.outputs.iter().enumerate() {
            let count: usize = port.shape.iter().product();
            let allowed = match (port.elem, slack.as_ref().and_then(|s| s.get(index))) {
                (Elem::F32, slack) => format!(", {}", float(slack.copied().unwrap_or_default() as f32)),
                (_, Some(slack)) => format!(", {slack:.0}"),
                (_, None) => String::new(),
            };
            let call = format!("compare_{}({name}_output_{index}(&model), output_{run}_{index}, {count}{allowed})", c_elem(port.elem));
            let _ = writeln!(text, "    check({run}, {index}, {call});");
        }
    }
    text.push_str("    printf(\"%s\\n\", (failures == 0) ? \"passed\" : \"FAILED\");\n    return (failures == 0) ? 0 : 1;\n}\n");
    Ok(text)
}

const CHECK: &str = "static void check(int run, int output, int equal) {
    if (equal == 0) {
        printf(\"run %d: output %d differs\\n\", run, output);
        failures++;
    }
}

";

const ROUNDS: &str = "/* The model rounds reals to steps on its way, where the last bit of a sum can decide between two of them. \
    The comparisons allow twice what a little
   noise before every such rounding did to the interpreter's outputs. */
";

const COMPARE: &str = "static int compare_@T@(const @T@ *got, const @T@ *want, size_t count) {
    return (memcmp(got, want, count * sizeof(*want)) == 0) ? 1 : 0;
}

";

const COMPARE_STEPS: &str = "static int compare_@T@(const @T@ *got, const @T@ *want, size_t count, int64_t steps) {
    int equal = 1;
    for (size_t i = 0; i < count; i++) {
        const int64_t difference = (int64_t)got[i] - (int64_t)want[i];
        if ((difference > steps) || (difference < -steps)) {
            equal = 0;
        }
    }
    return equal;
}

";

const COMPARE_REALS: &str = "/* Another order of additions gives other last bits; NaN is equal to itself, infinity too. */
static int compare_float(const float *got, const float *want, size_t count, float slack) {
    int equal = 1;
    for (size_t i = 0; i < count; i++) {
        const float limit = (1e-5f * (1.0f + fabsf(want[i]))) + slack;
        const int same = ((got[i] <= want[i]) && (got[i] >= want[i])) || (isnan(got[i]) && isnan(want[i]));
        if (!same && !(fabsf(got[i] - want[i]) <= limit && isfinite(want[i]))) {
            equal = 0;
        }
    }
    return equal;
}

";

/// What bytes hold, as numbers.
fn numbers(elem: Elem, bytes: &[u8]) -> Vec<f64> {
    let each = bytes.chunks_exact(elem.bytes());
    each.map(|chunk| match *chunk {
        [a] if elem == Elem::I8 => f64::from(a.cast_signed()),
        [a] => f64::from(a),
        [a, b] if elem == Elem::I16 => f64::from(i16::from_le_bytes([a, b])),
        [a, b] => f64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] if elem == Elem::F32 => f64::from(f32::from_le_bytes([a, b, c, d])),
        [a, b, c, d] => f64::from(i32::from_le_bytes([a, b, c, d])),
        // Indices, which are small.
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64,
        _ => 0.0,
    })
    .collect()
}

/// Values for one input: whole ranges for integers, about [-1, 1] for reals.
fn random(port: &Port, state: &mut u64) -> Vec<u8> {
    let count: usize = port.shape.iter().product();
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 20).to_le_bytes()
    };
    let mut bytes = Vec::new();
    for _ in 0..count {
        let word = next();
        match port.elem {
            Elem::F32 => {
                let real = f32::from(i16::from_le_bytes([word[0], word[1]])) / 32768.0;
                bytes.extend(real.to_le_bytes());
            }
            // Indices stay small.
            Elem::I32 => bytes.extend(i32::from(word[0] & 1).to_le_bytes()),
            Elem::I64 => bytes.extend(i64::from(word[0] & 1).to_le_bytes()),
            Elem::I8 | Elem::U8 | Elem::I16 | Elem::U16 => bytes.extend(&word[..port.elem.bytes()]),
        }
    }
    bytes
}

fn array(text: &mut String, name: &str, port: &Port, bytes: &[u8]) {
    let values: Vec<String> = bytes
        .chunks_exact(port.elem.bytes())
        .map(|chunk| match *chunk {
            [a] if port.elem == Elem::I8 => a.cast_signed().to_string(),
            [a] => a.to_string(),
            [a, b] if port.elem == Elem::I16 => i16::from_le_bytes([a, b]).to_string(),
            [a, b] => u16::from_le_bytes([a, b]).to_string(),
            [a, b, c, d] if port.elem == Elem::F32 => float(f32::from_le_bytes([a, b, c, d])),
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).to_string(),
            [a, b, c, d, e, f, g, h] => format!("{}LL", i64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => String::new(),
        })
        .collect();
    let _ = writeln!(text, "static const {} {name}[{}] = {{", c_elem(port.elem), values.len().max(1));
    for line in values.chunks(16) {
        let _ = writeln!(text, "    {},", line.join(", "));
    }
    if values.is_empty() {
        text.push_str("    0,\n");
    }
    text.push_str("};\n\n");
}
