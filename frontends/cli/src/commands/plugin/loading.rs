//! Loading plugins: those that are asked for, and those of the user's folder.

use std::path::{Path, PathBuf};

use octet_ir::Diagnostic;
use octet_plugin::{KernelEntry, PassEntry, Registry, install};
use octet_plugin_host::{Cache, Limits, Plugin, load, pack};

use super::{Exit, Failure, Plugins, Terminal, What, project};
use crate::driver::Destination;
use crate::table::Table;

impl Plugins {
    /// Loads the plugins. No name is taken twice.
    fn load(&self, terminal: &Terminal) -> Result<Vec<Plugin>, Failure> {
        let limits = limits(&self.limits)?;
        let cache = Cache::of_user();
        let mut plugins = Vec::new();
        for file in &self.files {
            plugins.push(load(file, &limits, cache.as_ref())?);
        }
        let given: Vec<PathBuf> = self.files.iter().filter_map(|f| f.canonicalize().ok()).collect();
        for file in of_folder() {
            if file.canonicalize().is_ok_and(|f| given.contains(&f)) {
                continue;
            }
            match load(&file, &limits, cache.as_ref()) {
                Ok(plugin) => plugins.push(plugin),
                // Nobody asked for it by name, so that nothing is held up.
                Err(why) => terminal.tell(&Diagnostic {
                    severity: octet_ir::Severity::Warning,
                    ..why.with_note("it lies in the folder of plugins and is left out")
                }),
            }
        }
        let passes: Vec<&PassEntry> = plugins.iter().filter_map(Plugin::pass).collect();
        let kernels: Vec<&KernelEntry> = plugins.iter().filter_map(Plugin::kernel).collect();
        Registry::<PassEntry>::collect_with(&passes)?;
        Registry::<KernelEntry>::collect_with(&kernels)?;
        Ok(plugins)
    }

    /// Loads the plugins. Kernels are found from now on wherever a model runs; passes are for pipelines.
    pub(crate) fn install(&self, terminal: &Terminal) -> Result<&'static [&'static PassEntry], Failure> {
        let plugins = self.load(terminal)?;
        for kernel in plugins.iter().filter_map(Plugin::kernel) {
            install(kernel)?;
        }
        // Loaded plugins stay until the program ends.
        Ok(Vec::leak(plugins.iter().filter_map(Plugin::pass).collect()))
    }

    /// A row of `octet list plugins` for each.
    pub(crate) fn rows(&self, terminal: &Terminal) -> Result<Vec<Vec<String>>, Failure> {
        let row = |p: Plugin| vec![p.name().to_owned(), p.version.clone(), p.kind().into(), p.file.clone(), p.interface().into()];
        Ok(self.load(terminal)?.into_iter().map(row).collect())
    }
}

/// The plugins of the user's folder, by name: `$OCTET_PLUGINS`, else `octet/plugins` in the system's folder for data. There is none where `$OCTET_PLUGINS` is
/// empty.
fn of_folder() -> Vec<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = match std::env::var_os("OCTET_PLUGINS") {
        Some(given) => Some(PathBuf::from(given)).filter(|f| !f.as_os_str().is_empty()),
        None => {
            let system = if cfg!(windows) {
                named("LOCALAPPDATA")
            } else if cfg!(target_os = "macos") {
                named("HOME").map(|home| home.join("Library/Application Support"))
            } else {
                named("XDG_DATA_HOME").or_else(|| named("HOME").map(|home| home.join(".local/share")))
            };
            system.filter(|folder| folder.is_absolute()).map(|folder| folder.join("octet").join("plugins"))
        }
    };
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "wasm"));
    files.sort();
    files
}

fn limits(texts: &[String]) -> Result<Limits, Failure> {
    let mut limits = Limits::default();
    for text in texts {
        let pair = text.split_once('=').and_then(|(name, value)| Some((name, value.parse().ok()?)));
        if !pair.is_some_and(|(name, value)| limits.set(name, value)) {
            let known: Vec<&str> = Limits::NAMES.iter().map(|(name, _)| *name).collect();
            return Err(Failure::usage(
                Diagnostic::error("CLI002", format!("'{text}' is no limit of plugins"))
                    .with_note(format!("limits: {}, each NAME=NUMBER", known.join(", "))),
            ));
        }
    }
    Ok(limits)
}

pub(super) fn run(what: &What, terminal: &Terminal) -> Result<Exit, Failure> {
    match what {
        What::New { folder, kind, lang } => project::begin(folder, *kind, *lang, terminal),
        What::Pack { module, output } => {
            let name = module.display().to_string();
            let unreadable = |e| Diagnostic::error("PLG010", format!("cannot read the module: {e}")).in_file(&name);
            let core = std::fs::read(module).map_err(unreadable)?;
            let component = pack(&core).map_err(|d| d.in_file(&name))?;
            Destination::new(output)?.write(&component)?;
            terminal.line(&format!("{name} -> {} ({} bytes)", output.display(), component.len()));
            Ok(Exit::Success)
        }
        What::Check { file, limits: texts } => check(file, &limits(texts)?, terminal),
    }
}

fn check(file: &Path, limits: &Limits, terminal: &Terminal) -> Result<Exit, Failure> {
    let plugin = load(file, limits, None)?;
    let contents = octet_plugin_host::contents(&std::fs::read(file).unwrap_or_default());
    let none = |list: &[String]| if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
    let used = |used: usize, limit: usize| format!("{used} of {limit}");
    let mut table = Table::new(&["property", "value"]);
    let rows = [
        ("name", plugin.name().to_owned()),
        ("version", plugin.version.clone()),
        ("kind", plugin.kind().into()),
        ("summary", plugin.summary().to_owned()),
        ("interface", plugin.interface().into()),
        ("imports", none(&contents.imports)),
        ("exports", none(&contents.exports)),
        ("bytes of the file", used(contents.file, limits.file)),
        ("functions", used(contents.functions, limits.functions)),
        ("bytes of the largest function", used(contents.largest, limits.function)),
        ("bytes of memory at the start", used(contents.memory, limits.memory)),
        ("fuel to describe itself", format!("{} of {}", plugin.fuel, limits.fuel)),
    ];
    rows.into_iter().for_each(|(name, value)| table.row([name.to_owned(), value]));
    terminal.print(&table.text(0))?;
    Ok(Exit::Success)
}
