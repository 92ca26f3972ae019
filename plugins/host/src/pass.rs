//! A loaded plugin as a pass like any other.

use std::sync::Arc;

use octet_ir::{Attr, Diagnostic, Diagnostics, Module, Severity, verify};
use octet_plugin::{Options, Pass, PassContext, PassEntry};

use crate::bindings::octet::plugin::types::Setting;
use crate::cache::Cache;
use crate::edits::{self, Edit};
use crate::legible;
use crate::limits::Limits;
use crate::load::{Loaded, Plugin, check_about};
use crate::run::Program;
use crate::view::Scene;

/// Makes a pass of a screened file.
pub(crate) fn load(bytes: &[u8], file: &str, limits: &Limits, cache: Option<&Cache>) -> Result<Plugin, Diagnostic> {
    let program = Program::new(bytes, limits, cache)?;
    let (description, fuel) = program.describe()?;
    check_name(&description.name)?;
    check_about(&description.version, &description.summary)?;
    let origin = format!("{file} {}", description.version);
    let shared = Arc::new(Shared { program, name: description.name.clone(), file: file.to_owned(), limits: *limits });
    let create = move |options: Options| -> Result<Box<dyn Pass>, Diagnostic> {
        let options = options.into_iter().map(|(name, value)| (name, setting(value))).collect();
        Ok(Box::new(WasmPass { shared: Arc::clone(&shared), options }))
    };
    // Registries hold entries for as long as the program runs, those of linked crates being static; a plugin is loaded once.
    let entry = Box::leak(Box::new(PassEntry {
        name: String::leak(description.name),
        summary: String::leak(description.summary),
        origin: String::leak(origin),
        create: Box::leak(Box::new(create)),
    }));
    Ok(Plugin { loaded: Loaded::Pass(entry), version: description.version, file: file.to_owned(), fuel })
}

fn check_name(name: &str) -> Result<(), Diagnostic> {
    let fits = |(index, c): (usize, char)| c.is_ascii_lowercase() || (index > 0 && (c.is_ascii_digit() || c == '-' || c == '_'));
    if !name.is_empty() && name.len() <= 64 && name.char_indices().all(fits) && name != "none" {
        return Ok(());
    }
    let shown: String = name.chars().take(64).flat_map(char::escape_default).collect();
    Err(Diagnostic::error("PLG015", format!("the plugin calls itself '{shown}'"))
        .with_help("a name has lower-case letters, digits, - and _, 64 at most, and begins with a letter"))
}

fn setting(value: Attr) -> Setting {
    match value {
        Attr::Bool(v) => Setting::Boolean(v),
        Attr::Int(v) => Setting::Integer(v),
        Attr::Float(v) => Setting::Real(v),
        Attr::Word(v) | Attr::Str(v) => Setting::Text(v),
        other @ (Attr::None | Attr::Bytes(_) | Attr::List(_) | Attr::Map(_)) => Setting::Other(other.to_string()),
    }
}

struct Shared {
    program: Program,
    name: String,
    file: String,
    limits: Limits,
}

struct WasmPass {
    shared: Arc<Shared>,
    options: Vec<(String, Setting)>,
}

impl Pass for WasmPass {
    fn run(&self, module: &mut Module, context: &mut PassContext<'_>) -> Result<bool, Diagnostics> {
        let mut next = module.clone();
        let mut changed = false;
        for graph in module.graph_ids() {
            let scene = Scene { module: Arc::new(next.clone()), graph };
            let answer = self.shared.program.run(scene.clone(), &self.options).map_err(|d| self.signed(d))?;
            answer.said.into_iter().for_each(|d| context.observer.report(self.signed(d)));
            let proposed = match answer.outcome {
                Ok(proposed) => proposed,
                Err(found) => return Err(self.refused(&scene, found)),
            };
            if proposed.is_empty() {
                continue;
            }
            if proposed.len() > self.shared.limits.edits {
                let message = format!("the plugin answered with {} edits; it may with {}", proposed.len(), self.shared.limits.edits);
                return Err(self.signed(Diagnostic::error("PLG018", message)).into());
            }
            let count = proposed.len();
            let proposed = proposed.into_iter().map(Edit::from).collect();
            let patch = edits::patch(next.graph(graph), proposed).map_err(|d| self.signed(d))?;
            if !context.observer.may_patch(&self.shared.name, &format!("{count} edits")) {
                continue;
            }
            patch
                .apply(&mut next, graph)
                .map_err(|e| self.signed(Diagnostic::error("PLG020", format!("the edits of the plugin do not fit: {e}"))))?;
            changed = true;
        }
        if changed {
            verify::verify(&next).map_err(|found| {
                let summary =
                    self.signed(Diagnostic::error("PLG021", "the edits of the plugin would break the module; nothing was changed"));
                Diagnostics(std::iter::once(summary).chain(found.0.into_iter().map(legible::diagnostic)).collect())
            })?;
            *module = next;
        }
        Ok(changed)
    }
}

impl WasmPass {
    /// Names the plugin in a diagnostic.
    fn signed(&self, diagnostic: Diagnostic) -> Diagnostic {
        legible::diagnostic(diagnostic).with_note(format!("plugin '{}' of {}", self.shared.name, self.shared.file))
    }

    /// What a plugin answers instead of edits: at least one error, whatever it calls them.
    fn refused(&self, scene: &Scene, found: Vec<crate::bindings::octet::plugin::types::Diagnostic>) -> Diagnostics {
        let mut all: Vec<Diagnostic> = found.into_iter().take(100).map(|d| self.signed(scene.diagnostic("PLG022", d))).collect();
        if !all.iter().any(|d| d.severity == Severity::Error) {
            all.push(self.signed(Diagnostic::error("PLG022", "the plugin refuses the model and does not say why")));
        }
        Diagnostics(all)
    }
}
