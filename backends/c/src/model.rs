//! The files of one model: header, code, weights, and a test if asked for.

use std::fmt::Write as _;

use octet_loops::plan::Plan;
use octet_loops::{Arg, BufferKind, ConstantData, Control, Data, Port, Program, Role, Step};

use crate::primitives;
use crate::print::{self, Needs, c_elem, float};

/// Everything that the files are printed from.
pub(crate) struct Printed<'a> {
    pub(crate) name: &'a str,
    pub(crate) program: &'a Program,
    /// Memories by the names of their fields, "arena" where there is one.
    pub(crate) regions: &'a [(String, Plan)],
    /// Without instructions of certain processors, for the sake of size.
    portable: bool,
    /// Byte offsets of states, and their bytes in all.
    states: (Vec<Option<usize>>, usize),
    constants: Vec<String>,
}

/// A name as C has them.
pub(crate) fn identifier(name: &str) -> String {
    let mut text: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if text.chars().next().is_none_or(|c| c.is_ascii_digit()) {
        text.insert(0, 'm');
    }
    text
}

/// Text that may stand in a comment.
fn comment(text: &str) -> String {
    text.replace("*/", "* /").replace("/*", "/ *").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl<'a> Printed<'a> {
    pub(crate) fn new(name: &'a str, program: &'a Program, regions: &'a [(String, Plan)], portable: bool) -> Self {
        let mut total = 0usize;
        let states = program.buffers.iter().map(|b| {
            (b.kind == BufferKind::State).then(|| {
                let at = total;
                total += b.bytes().div_ceil(8) * 8;
                at
            })
        });
        let states = states.collect();
        let constants = program.constants.iter().enumerate();
        let constants = constants.map(|(i, c)| format!("{}_{i}", role_name(c.role))).collect();
        Self { name, program, regions, portable, states: (states, total), constants }
    }

    fn upper(&self) -> String {
        self.name.to_ascii_uppercase()
    }

    /// The pointer to a place, typed.
    fn place(&self, place: Arg) -> String {
        match place {
            Arg::Int(i) => i.to_string(),
            Arg::Backward { input, output } => i32::from(self.regions.iter().any(|(_, p)| p.is_backward(input, output))).to_string(),
            Arg::Constant { constant, offset: 0 } => self.constants[constant].clone(),
            Arg::Constant { constant, offset } => format!("&{}[{offset}]", self.constants[constant]),
            Arg::Buffer { buffer, offset } => {
                let b = &self.program.buffers[buffer];
                let within = offset * b.elem.bytes();
                let region = self.regions.iter().find_map(|(field, plan)| Some((format!("model->{field}"), plan.offsets[buffer]?)));
                let (base, at) = match (self.states.0[buffer], region) {
                    (Some(at), _) => ("model->state.bytes".to_owned(), at + within),
                    (None, Some((base, at))) => (base, at + within),
                    (None, None) if self.stack() > 0 => ("scratch.bytes".to_owned(), within),
                    (None, None) => (format!("model->{}", self.regions[0].0), within),
                };
                format!("({} *)(void *)&{base}[{at}]", c_elem(b.elem))
            }
        }
    }

    /// Bytes of the stack for scratch memory.
    fn stack(&self) -> usize {
        self.regions.iter().map(|(_, p)| p.stack).max().unwrap_or(0)
    }

    /// The parameters of the function that binds an instance to its memory.
    fn init(&self) -> String {
        let name = self.name;
        let memories: String = self.regions.iter().map(|(field, _)| format!(", {name}_{field} *{field}")).collect();
        format!("void {name}_init({name}_model *model{memories})")
    }

    pub(crate) fn header(&self) -> String {
        let (name, upper) = (self.name, self.upper());
        let mut text = format!("/* Made by Octet. Include this file; compile {name}.c. */\n#ifndef {upper}_H\n#define {upper}_H\n\n");
        text.push_str("#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
        for (field, plan) in self.regions {
            let (size, all) = (format!("{upper}_{}", field.to_ascii_uppercase()), plan.size.max(1));
            let _ = writeln!(
                text,
                "/* Bytes of the memory that {name}_invoke works in; no plan of this order of operations is smaller than the bound. */"
            );
            let _ = writeln!(text, "#define {size}_SIZE {}\n#define {size}_LOWER_BOUND {}\n", plan.size, plan.lower_bound);
            let _ = writeln!(text, "/* Memory for one model, aligned as its data need: static {name}_{field} {field}; */");
            let _ = writeln!(text, "typedef union {{\n    int64_t align;\n    uint8_t bytes[{all}];\n}} {name}_{field};\n");
        }
        let _ = writeln!(text, "/* Bytes of the stack that kernels take for scratch memory, besides their variables. */");
        let _ = writeln!(text, "#define {upper}_STACK_SCRATCH {}", self.stack());
        let _ = writeln!(text, "\n/* One instance. Its fields are its own business. */\ntypedef struct {{");
        for (field, _) in self.regions {
            let _ = writeln!(text, "    uint8_t *{field};");
        }
        if self.states.1 > 0 {
            let _ = writeln!(text, "    union {{\n        int64_t align;\n        uint8_t bytes[{}];\n    }} state;", self.states.1);
        }
        let _ = writeln!(text, "}} {name}_model;\n");
        let _ = writeln!(text, "/* Binds an instance to its memory and sets its state to zero. The memory's content does not matter. */");
        let _ = writeln!(text, "{};\n", self.init());
        let _ = writeln!(
            text,
            "/* Computes the outputs from the inputs. Inputs have to be written anew before every call: their memory is used again. */"
        );
        let _ = writeln!(text, "void {name}_invoke({name}_model *model);\n");
        for (kind, ports) in [("input", &self.program.inputs), ("output", &self.program.outputs)] {
            for (index, port) in ports.iter().enumerate() {
                text.push_str(&self.port(kind, index, port));
            }
        }
        let _ = writeln!(text, "#ifdef __cplusplus\n}}\n#endif\n\n#endif");
        text
    }

    fn port(&self, kind: &str, index: usize, port: &Port) -> String {
        let upper = format!("{}_{}_{index}", self.upper(), kind.to_ascii_uppercase());
        let shape: Vec<String> = port.shape.iter().map(ToString::to_string).collect();
        let count: usize = port.shape.iter().product();
        let mut text = format!("/* {kind} {index}: \"{}\", {} [{}]", comment(&port.name), c_elem(port.elem), shape.join(", "));
        if let Some((scale, zero)) = port.quantization {
            let _ = write!(text, ", real = (stored - {zero}) * {scale:?}");
        }
        let _ = writeln!(text, " */\n#define {upper}_COUNT {count}");
        if !shape.is_empty() {
            let _ = writeln!(text, "#define {upper}_SHAPE {{{}}}", shape.join(", "));
        }
        if let Some((scale, zero)) = port.quantization {
            let _ = writeln!(text, "#define {upper}_SCALE {}\n#define {upper}_ZERO_POINT ({zero})", float(scale));
        }
        let ty = c_elem(port.elem);
        let place = self.place(port.place);
        let _ =
            writeln!(text, "static inline {ty} *{}_{kind}_{index}({}_model *model) {{\n    return {place};\n}}\n", self.name, self.name);
        text
    }

    /// Weights and tables.
    pub(crate) fn weights(&self) -> String {
        let upper = self.upper();
        let mut text = format!(
            "/* Constants of {}; included by {}.c alone. */\n#ifndef {upper}_WEIGHTS_H\n#define {upper}_WEIGHTS_H\n\n",
            self.name, self.name
        );
        for (constant, name) in self.program.constants.iter().zip(&self.constants) {
            text.push_str(&array(constant, name));
        }
        text.push_str("#endif\n");
        text
    }

    pub(crate) fn code(&self) -> String {
        let name = self.name;
        let mut needs = Needs::default();
        let called = self.program.steps.iter().flat_map(|s| &s.calls).map(|c| c.kernel.as_str()).collect();
        let functions = print::functions(&self.program.kernels(), &called, self.portable, &mut needs);
        let reals = self.program.constants.iter().any(|c| matches!(&c.data, Data::F32(v) if v.iter().any(|x| !x.is_finite())));
        let mut text = format!("/* Made by Octet. */\n#include \"{name}.h\"\n\n#include <stddef.h>\n#include <string.h>\n");
        if needs.math || reals {
            text.push_str("#include <math.h>\n");
        }
        let prologue = primitives::prologue(self.portable);
        let _ = writeln!(text, "\n{prologue}\n#include \"{name}_weights.h\"\n");
        text.push_str(&print::helpers(&needs));
        text.push_str(&functions);
        let _ = writeln!(text, "{} {{", self.init());
        for (field, _) in self.regions {
            let _ = writeln!(text, "    model->{field} = {field}->bytes;");
        }
        if self.states.1 > 0 {
            text.push_str("    memset(&model->state, 0, sizeof(model->state));\n");
        }
        let _ = writeln!(text, "}}\n\nvoid {name}_invoke({name}_model *model) {{");
        if self.stack() > 0 {
            let _ = writeln!(text, "    union {{\n        int64_t align;\n        uint8_t bytes[{}];\n    }} scratch;", self.stack());
        }
        if self.program.steps.is_empty() {
            text.push_str("    (void)model;\n");
        }
        let mut depth = 1;
        for step in &self.program.steps {
            self.step(step, &mut depth, &mut text);
        }
        text.push_str("}\n");
        text
    }

    /// What a step runs, or the statement that says what runs.
    fn step(&self, step: &Step, depth: &mut usize, text: &mut String) {
        let (before, statement, after) = match step.control {
            Control::Next => {
                let pad = "    ".repeat(*depth);
                let _ = writeln!(text, "{pad}/* {} */", comment(&step.label));
                for call in &step.calls {
                    let args: Vec<String> = call.args.iter().map(|&a| self.place(a)).collect();
                    let _ = writeln!(text, "{pad}{}({});", call.kernel, args.join(", "));
                }
                return;
            }
            Control::If(place) => (0, format!("if (({})[0] != 0) {{", self.place(place)), 1),
            Control::Else => (1, "} else {".into(), 1),
            Control::Loop => (0, "for (;;) {".into(), 1),
            Control::BreakUnless(place) => (0, format!("if (({})[0] == 0) {{ break; }}", self.place(place)), 0),
            Control::EndIf | Control::EndLoop => (1, "}".into(), 0),
        };
        *depth = depth.saturating_sub(before);
        let _ = writeln!(text, "{}{statement}", "    ".repeat(*depth));
        *depth += after;
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Weights => "weights",
        Role::Scales => "scales",
        Role::Table => "table",
        Role::Parameters => "sizes",
    }
}

fn array(constant: &ConstantData, name: &str) -> String {
    fn row<T: Copy>(values: &[T], text: &mut String, show: impl Fn(T) -> String) {
        for line in values.chunks(16) {
            let line: Vec<String> = line.iter().map(|&v| show(v)).collect();
            let _ = writeln!(text, "    {},", line.join(", "));
        }
    }
    let data = &constant.data;
    let mut text = format!("/* {} */\nstatic const {} {name}[{}] = {{\n", comment(&constant.name), c_elem(data.elem()), data.len().max(1));
    match data {
        Data::I8(v) => row(v, &mut text, |v| v.to_string()),
        Data::U8(v) => row(v, &mut text, |v| v.to_string()),
        Data::I16(v) => row(v, &mut text, |v| v.to_string()),
        Data::U16(v) => row(v, &mut text, |v| v.to_string()),
        Data::I32(v) => row(v, &mut text, |v| if v == i32::MIN { "(-2147483647 - 1)".into() } else { v.to_string() }),
        Data::I64(v) => row(v, &mut text, |v| if v == i64::MIN { "INT64_MIN".into() } else { format!("{v}LL") }),
        Data::F32(v) => row(v, &mut text, float),
    }
    if data.is_empty() {
        text.push_str("    0,\n");
    }
    text.push_str("};\n\n");
    text
}
