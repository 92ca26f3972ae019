//! What a generated model has to give: TFLite Micro's own outputs for random inputs, and the program that compares them on a board.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use octet_peers::{Array, Element, Peers, read_npz, write_npz};
use serde_json::{Value, json};

use crate::run::Outcome;

/// Inferences of every network.
pub(crate) const RUNS: usize = 10;

/// An input or output as the header tells it.
struct Port {
    element: Element,
    shape: Vec<usize>,
}

/// Inputs and outputs of a generated model.
pub(crate) struct Ports {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl Ports {
    /// Reads them from the header's accessors and shapes.
    pub(crate) fn of(header: &str) -> Outcome<Self> {
        let all = |kind: &str| -> Outcome<Vec<Port>> {
            let mut found = Vec::new();
            while let Some(port) = port(header, kind, found.len())? {
                found.push(port);
            }
            Ok(found)
        };
        Ok(Self { inputs: all("input")?, outputs: all("output")? })
    }
}

fn port(header: &str, kind: &str, index: usize) -> Outcome<Option<Port>> {
    let accessor = format!(" *model_{kind}_{index}(");
    let Some(line) = header.lines().find(|l| l.starts_with("static inline") && l.contains(&accessor)) else { return Ok(None) };
    let element = match line.split_whitespace().nth(2) {
        Some("int8_t") => Element::I8,
        Some("uint8_t") => Element::U8,
        Some("int16_t") => Element::I16,
        Some("int32_t") => Element::I32,
        Some("int64_t") => Element::I64,
        Some("float") => Element::F32,
        other => return Err(format!("the accessor of {kind} {index} gives {other:?}")),
    };
    let define = format!("#define MODEL_{}_{index}_SHAPE ", kind.to_uppercase());
    let shape = header.lines().find_map(|l| l.strip_prefix(&define)).unwrap_or("{}");
    let sizes = shape.trim_matches(['{', '}']).split(',').map(str::trim).filter(|s| !s.is_empty());
    let shape = sizes.map(|s| s.parse().map_err(|e| format!("{shape}: {e}"))).collect::<Outcome<Vec<usize>>>()?;
    Ok(Some(Port { element, shape }))
}

/// Random values: whole ranges for integers, [-1, 1) for reals. The same on every machine.
fn random(port: &Port, state: &mut u64) -> Array {
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 16).to_le_bytes()
    };
    let count = RUNS * port.shape.iter().product::<usize>();
    let mut bytes = Vec::new();
    for _ in 0..count {
        let word = next();
        match port.element {
            Element::F32 => bytes.extend((f32::from(i16::from_le_bytes([word[0], word[1]])) / 32768.0).to_le_bytes()),
            element => bytes.extend(&word[..element.size()]),
        }
    }
    Array { element: port.element, shape: std::iter::once(RUNS).chain(port.shape.iter().copied()).collect(), bytes }
}

/// A network on its way to the boards: its job for TFLite Micro, and where the answer will lie.
pub(crate) struct Judged {
    inputs: BTreeMap<String, Array>,
    job: Value,
    outputs: Vec<Element>,
}

impl Judged {
    /// Makes inputs for `model`, whose C lies in `folder`.
    pub(crate) fn new(model: &Path, folder: &Path, ports: &Ports) -> Outcome<Self> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let inputs: BTreeMap<String, Array> =
            ports.inputs.iter().enumerate().map(|(i, port)| (i.to_string(), random(port, &mut state))).collect();
        let given = folder.join("given.npz");
        write_npz(&given, &inputs)?;
        let job = json!({"op": "tflm", "model": model, "inputs": given, "out": folder.join("wanted.npz"), "reset": true});
        Ok(Self { inputs, job, outputs: ports.outputs.iter().map(|p| p.element).collect() })
    }

    /// What TFLite Micro computes for all of them, or why it does not.
    pub(crate) fn ask(peers: &Peers, all: &[Self]) -> Outcome<Vec<Outcome>> {
        let jobs: Vec<Value> = all.iter().map(|j| j.job.clone()).collect();
        let short = |text: String| text.lines().next().unwrap_or_default().to_owned();
        Ok(peers.run(&jobs)?.into_iter().map(|a| if a.ok { Ok(()) } else { Err(short(a.error)) }).collect())
    }

    /// Writes `board.c`: one inference between the counters and all of them compared with what was wanted.
    pub(crate) fn program(&self, folder: &Path) -> Outcome {
        let wanted = read_npz(&folder.join("wanted.npz"))?;
        let outputs: Vec<&Array> = (0..self.outputs.len())
            .map(|i| wanted.get(&format!("o{i}")).ok_or_else(|| format!("TFLite Micro gave no output {i}")))
            .collect::<Outcome<_>>()?;
        if outputs.iter().zip(&self.outputs).any(|(array, element)| array.element != *element) {
            return Err("TFLite Micro's outputs are of other types".into());
        }
        let inputs: Vec<&Array> = (0..self.inputs.len()).filter_map(|i| self.inputs.get(&i.to_string())).collect();
        let laid = |arrays: &[&Array]| -> Vec<u8> {
            (0..RUNS).flat_map(|run| arrays.iter().filter_map(move |a| a.sample(run)).flatten().copied().collect::<Vec<u8>>()).collect()
        };
        let write = |name: &str, bytes: Vec<u8>| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|e| format!("{}: {e}", path.display())).map(|()| path.display().to_string())
        };
        let (given, expected) = (write("given.bin", laid(&inputs))?, write("wanted.bin", laid(&outputs))?);
        let (mut fill, mut check) = (String::new(), String::new());
        for (i, array) in inputs.iter().enumerate() {
            let size = array.bytes.len() / RUNS;
            let _ = writeln!(fill, "        memcpy(model_input_{i}(&model), in, {size});\n        in += {size};");
        }
        for (i, array) in outputs.iter().enumerate() {
            let size = array.bytes.len() / RUNS;
            let differs = if array.element == Element::F32 { "reals_differ" } else { "bytes_differ" };
            let _ = writeln!(check, "        failures += {differs}(model_output_{i}(&model), want, {size});\n        want += {size};");
        }
        let text = PROGRAM
            .replace("@GIVEN@", &given)
            .replace("@WANTED@", &expected)
            .replace("@RUNS@", &RUNS.to_string())
            .replace("@FILL@", &fill)
            .replace("@CHECK@", &check);
        write("board.c", text.into_bytes()).map(drop)
    }
}

/// Reals of integer networks come out of DEQUANTIZE and are equal too; those of float networks are within 1e-5.
const PROGRAM: &str = r#"#include "model.h"
#include "lab.h"
#include <string.h>

__asm__(".section .rodata.samples,\"a\"\n.balign 8\n.global given\ngiven:\n.incbin \"@GIVEN@\"\n"
        ".balign 8\n.global wanted\nwanted:\n.incbin \"@WANTED@\"\n.balign 8\n.text\n");
extern const uint8_t given[];
extern const uint8_t wanted[];

static model_arena arena;
static model_model model;

__attribute__((unused)) static uint32_t bytes_differ(const void *got, const uint8_t *want, size_t size) {
    return (memcmp(got, want, size) == 0) ? 0 : 1;
}

__attribute__((unused)) static uint32_t reals_differ(const float *got, const uint8_t *want, size_t size) {
    for (size_t i = 0; i < size / sizeof(float); i++) {
        float real;
        memcpy(&real, &want[i * sizeof(float)], sizeof(float));
        const float difference = got[i] - real;
        const float limit = 1e-5f * (1.0f + ((real < 0.0f) ? -real : real));
        if (!((difference <= limit) && (difference >= -limit))) {
            return 1;
        }
    }
    return 0;
}

int main(void) {
    const uint8_t *in = given;
    const uint8_t *want = wanted;
    uint32_t failures = 0;
    for (int run = 0; run < @RUNS@; run++) {
        model_init(&model, &arena);
@FILL@        if (run == 0) {
            bench_begin();
        }
        model_invoke(&model);
        if (run == 0) {
            bench_end();
        }
@CHECK@    }
    sh_u32("failures", failures);
    return 0;
}
"#;
