//! Acme's passes for Octet: an example of a crate that is no part of the compiler.
//!
//! It sees what every user of the library sees, registers one pass, and is found by whatever program links it. `src/main.rs` is such a program.

mod hard_swish;

use octet::ir::{Attr, Diagnostic, Diagnostics, Module};
use octet::passes::rewrite::rewrite_module;
use octet::plugin::{Options, Pass, PassContext, register_pass};

/// The name in pipelines.
const NAME: &str = "acme-fuse";

struct AcmeFuse {
    tolerance: f32,
}

impl Pass for AcmeFuse {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        rewrite_module(NAME, module, &[&hard_swish::HardSwish { tolerance: self.tolerance }], context.observer)
    }
}

fn create(options: Options) -> Result<Box<dyn Pass>, Diagnostic> {
    let wrong = |what: String| Diagnostic::error("ACM001", format!("options of pass '{NAME}': {what}"));
    let mut pass = AcmeFuse { tolerance: 1e-6 };
    for (name, value) in options {
        match (name.as_str(), value) {
            ("tolerance", Attr::Float(v)) if v >= 0.0 => pass.tolerance = v,
            ("tolerance", other) => return Err(wrong(format!("tolerance is a number from 0 up, not {other}"))),
            (other, _) => return Err(wrong(format!("there is no '{other}'"))),
        }
    }
    Ok(Box::new(pass))
}

register_pass!("acme-fuse", "Fuses x * relu6(x + 3) / 6 into one HARD_SWISH.", create);
