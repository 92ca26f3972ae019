//! `octet plugin`: help for those who write WebAssembly plugins. And `--plugin`, for all commands that run passes.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use octet_plugin::PassEntry;

use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// WebAssembly plugins to load.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Plugins")]
pub(crate) struct Plugins {
    /// A WebAssembly plugin, whose pass pipelines may then name. May be given again
    #[arg(long = "plugin", value_name = "FILE.wasm")]
    files: Vec<PathBuf>,
    /// A limit of plugins, such as fuel=1000000, memory=16777216 (bytes) or time=500 (ms). May be given again
    #[arg(long = "plugin-limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
}

/// Begin, pack and check WebAssembly plugins
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a working pass in C, with what it takes to build it
    New {
        /// The folder to make
        folder: PathBuf,
    },
    /// Make a plugin of a core module, as compilers for C write them
    Pack {
        /// The core module
        module: PathBuf,
        /// The plugin to write
        #[arg(short, long, value_name = "OUT.wasm")]
        output: PathBuf,
    },
    /// Load a plugin and say what it is
    Check {
        /// The plugin
        file: PathBuf,
        /// A limit, as with compile
        #[arg(long = "plugin-limit", value_name = "NAME=VALUE")]
        limits: Vec<String>,
    },
}

#[cfg(feature = "wasm-plugins")]
mod loading {
    use std::path::{Path, PathBuf};

    use octet_ir::Diagnostic;
    use octet_plugin_host::{INTERFACE, Limits, Plugin, WIT, load, pack};

    use super::{Exit, Failure, PassEntry, Plugins, Terminal, What};
    use crate::driver::Destination;
    use crate::table::Table;

    impl Plugins {
        /// Loads the plugins.
        pub(crate) fn load(&self) -> Result<Vec<Plugin>, Failure> {
            let limits = limits(&self.limits)?;
            self.files.iter().map(|file| load(file, &limits).map_err(Failure::from)).collect()
        }

        /// Loads the plugins, for pipelines.
        pub(crate) fn passes(&self) -> Result<&'static [&'static PassEntry], Failure> {
            // Loaded plugins stay until the program ends.
            Ok(Vec::leak(self.load()?.into_iter().map(|plugin| plugin.entry).collect()))
        }

        /// A row of `octet list plugins` for each.
        pub(crate) fn rows(&self) -> Result<Vec<Vec<String>>, Failure> {
            let row = |p: Plugin| vec![p.entry.name.to_owned(), p.version, "pass".into(), p.file, INTERFACE.into()];
            Ok(self.load()?.into_iter().map(row).collect())
        }
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
            What::New { folder } => begin(folder, terminal),
            What::Pack { module, output } => {
                let unreadable =
                    |e| Diagnostic::error("PLG010", format!("cannot read the module: {e}")).in_file(module.display().to_string());
                let core = std::fs::read(module).map_err(unreadable)?;
                let component = pack(&core).map_err(|d| d.in_file(module.display().to_string()))?;
                Destination::new(output)?.write(&component)?;
                terminal.line(&format!("{} -> {} ({} bytes)", module.display(), output.display(), component.len()));
                Ok(Exit::Success)
            }
            What::Check { file, limits: texts } => {
                let limits = limits(texts)?;
                let plugin = load(file, &limits)?;
                let mut table = Table::new(&["property", "value"]);
                let rows = [
                    ("name", plugin.entry.name.to_owned()),
                    ("version", plugin.version),
                    ("kind", "pass".into()),
                    ("summary", plugin.entry.summary.to_owned()),
                    ("interface", INTERFACE.into()),
                    ("fuel to describe itself", plugin.fuel.to_string()),
                ];
                rows.into_iter().for_each(|(name, value)| table.row([name.to_owned(), value]));
                terminal.print(&table.text(0))?;
                Ok(Exit::Success)
            }
        }
    }

    /// The files of the example, which is tested as it stands.
    const PROJECT: &[(&str, &str)] = &[
        ("octet_plugin.h", include_str!("../../../../plugins/examples/c-pass/octet_plugin.h")),
        ("pass.c", include_str!("../../../../plugins/examples/c-pass/log_softmax.c")),
        ("build.sh", include_str!("../../../../plugins/examples/c-pass/build.sh")),
        ("plugin.wit", WIT),
    ];

    fn begin(folder: &Path, terminal: &Terminal) -> Result<Exit, Failure> {
        let cannot = |path: PathBuf, e: std::io::Error| {
            Diagnostic::error("CLI010", format!("cannot write: {e}")).in_file(path.display().to_string())
        };
        std::fs::create_dir(folder).map_err(|e| cannot(folder.to_owned(), e))?;
        for (name, text) in PROJECT {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|e| cannot(path, e))?;
        }
        terminal.line(&format!("sh {0}/build.sh makes {0}/pass.wasm; octet plugin check looks at it", folder.display()));
        Ok(Exit::Success)
    }
}

#[cfg(not(feature = "wasm-plugins"))]
mod loading {
    use octet_ir::Diagnostic;

    use super::{Exit, Failure, PassEntry, Plugins, Terminal, What};

    fn missing() -> Failure {
        Failure::usage(
            Diagnostic::error("CLI011", "this build of octet has no WebAssembly engine")
                .with_help("build it with the feature wasm-plugins"),
        )
    }

    impl Plugins {
        /// No passes, or an error when some are asked for.
        pub(crate) fn passes(&self) -> Result<&'static [&'static PassEntry], Failure> {
            if self.files.is_empty() && self.limits.is_empty() { Ok(&[]) } else { Err(missing()) }
        }

        /// No rows.
        pub(crate) fn rows(&self) -> Result<Vec<Vec<String>>, Failure> {
            self.passes().map(|_| Vec::new())
        }
    }

    pub(super) fn run(_: &What, _: &Terminal) -> Result<Exit, Failure> {
        Err(missing())
    }
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    loading::run(&arguments.what, terminal)
}
