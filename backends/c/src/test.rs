//! `NAME_test.c`: inputs, the interpreter's outputs, and a main that compares.

use std::fmt::Write as _;

use octet_eval::Interpreter;
use octet_ir::{Diagnostics, Module};
use octet_loops::lang::Elem;
use octet_loops::{Port, Program};
use octet_plugin::Tensor;

use crate::print::{c_elem, float};

/// Runs of the model.
const RUNS: usize = 3;

/// The program's text.
pub(crate) fn program(name: &str, module: &Module, program: &Program, fields: &[&str]) -> Result<String, Diagnostics> {
    let mut interpreter = Interpreter::new(module, octet_eval::Options::default())?;
    interpreter.allocate_tensors()?;
    let (inputs, outputs) = (interpreter.input_details(), interpreter.output_details());
    let mut text = format!("/* Made by Octet: runs {name} and compares with what its interpreter computed. */\n");
    let _ = writeln!(text, "#include \"{name}.h\"\n\n#include <stdio.h>\n#include <string.h>\n");
    let mut state = 0x2545_f491_4f6c_dd1du64;
    for run in 0..RUNS {
        for (index, (port, details)) in program.inputs.iter().zip(&inputs).enumerate() {
            let bytes = random(port, &mut state);
            let shape = details.shape.clone();
            interpreter.set_tensor(details.index, &Tensor { elem: details.dtype, shape, bytes: bytes.clone() })?;
            array(&mut text, &format!("input_{run}_{index}"), port, &bytes);
        }
        interpreter.invoke()?;
        for (index, (port, details)) in program.outputs.iter().zip(&outputs).enumerate() {
            let tensor = interpreter.get_tensor(details.index)?;
            array(&mut text, &format!("output_{run}_{index}"), port, &tensor.bytes);
        }
    }
    for field in fields {
        let _ = writeln!(text, "static {name}_{field} {field};");
    }
    let _ = writeln!(text, "static {name}_model model;\nstatic int failures;\n");
    text.push_str(COMPARE);
    let memories: String = fields.iter().map(|f| format!(", &{f}")).collect();
    let _ = writeln!(text, "int main(void) {{\n    {name}_init(&model{memories});");
    for run in 0..RUNS {
        for index in 0..program.inputs.len() {
            let _ = writeln!(text, "    memcpy({name}_input_{index}(&model), input_{run}_{index}, sizeof(input_{run}_{index}));");
        }
        let _ = writeln!(text, "    {name}_invoke(&model);");
        for (index, port) in program.outputs.iter().enumerate() {
            let compare = if port.elem == Elem::F32 { "compare_reals" } else { "compare_bytes" };
            let _ = writeln!(text, "    {compare}({name}_output_{index}(&model), output_{run}_{index}, sizeof(output_{run}_{index}));");
        }
    }
    text.push_str("    printf(\"%s\\n\", (failures == 0) ? \"passed\" : \"FAILED\");\n    return (failures == 0) ? 0 : 1;\n}\n");
    let reals = program.outputs.iter().any(|p| p.elem == Elem::F32);
    let integers = program.outputs.iter().any(|p| p.elem != Elem::F32);
    for (wanted, begin, end) in [(integers, "/* bytes */", "/* end bytes */\n"), (reals, "/* reals */", "/* end reals */\n")] {
        if let (Some(from), Some(to)) = (text.find(begin), text.find(end)) {
            let keep = if wanted { text[from + begin.len() + 1..to].to_owned() } else { String::new() };
            text.replace_range(from..to + end.len(), &keep);
        }
    }
    Ok(text)
}

const COMPARE: &str = "/* bytes */
static void compare_bytes(const void *got, const void *want, size_t size) {
    failures += (memcmp(got, want, size) == 0) ? 0 : 1;
}

/* end bytes */
/* reals */
static void compare_reals(const float *got, const float *want, size_t size) {
    for (size_t i = 0; i < size / sizeof(float); i++) {
        const float difference = got[i] - want[i];
        const float limit = 1e-5f * (1.0f + ((want[i] < 0.0f) ? -want[i] : want[i]));
        failures += ((difference <= limit) && (difference >= -limit)) ? 0 : 1;
    }
}

/* end reals */
";

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
