//! `octet plugin`: help for those who write WebAssembly plugins. And `--plugin`, for all commands that run passes or models.

#[cfg(feature = "wasm-plugins")]
mod loading;
#[cfg(feature = "wasm-plugins")]
mod project;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// WebAssembly plugins to load.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Plugins")]
pub(crate) struct Plugins {
    /// A WebAssembly plugin: a pass, which pipelines may then name, or the kernel of a custom operation. May be given again
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
    /// Write a working plugin, with what it takes to build it
    New {
        /// The folder to make
        folder: PathBuf,
        /// What the plugin does
        #[arg(long, value_enum, default_value = "pass")]
        kind: Kind,
        /// The language to write it in
        #[arg(long, value_enum, default_value = "c")]
        lang: Language,
    },
    /// Make a pass of a core module, as compilers for C and AssemblyScript write them
    Pack {
        /// The core module
        module: PathBuf,
        /// The plugin to write
        #[arg(short, long, value_name = "OUT.wasm")]
        output: PathBuf,
    },
    /// Load a plugin and say what it is, what it exports and needs, and which limits it fits
    Check {
        /// The plugin
        file: PathBuf,
        /// A limit, as with compile
        #[arg(long = "plugin-limit", value_name = "NAME=VALUE")]
        limits: Vec<String>,
    },
}

/// What a new plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Rewrites graphs
    Pass,
    /// Computes a custom operation
    Kernel,
}

/// What a new plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// C, for clang and lld
    C,
    /// Rust, for the target wasm32-unknown-unknown
    Rust,
    /// AssemblyScript, for its compiler from npm
    #[value(name = "assemblyscript")]
    AssemblyScript,
}

#[cfg(not(feature = "wasm-plugins"))]
mod loading {
    use octet_ir::Diagnostic;
    use octet_plugin::PassEntry;

    use super::{Exit, Failure, Plugins, Terminal, What};

    fn missing() -> Failure {
        Failure::usage(
            Diagnostic::error("CLI011", "this build of octet loads no WebAssembly plugins: it was built without the engine")
                .with_help("build it with the feature wasm-plugins, which is on unless cargo is told --no-default-features"),
        )
    }

    impl Plugins {
        /// No passes, or an error when some are asked for.
        pub(crate) fn install(&self, _: &Terminal) -> Result<&'static [&'static PassEntry], Failure> {
            if self.files.is_empty() && self.limits.is_empty() { Ok(&[]) } else { Err(missing()) }
        }

        /// No rows.
        pub(crate) fn rows(&self, terminal: &Terminal) -> Result<Vec<Vec<String>>, Failure> {
            self.install(terminal).map(|_| Vec::new())
        }
    }

    pub(super) fn run(_: &What, _: &Terminal) -> Result<Exit, Failure> {
        Err(missing())
    }
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    loading::run(&arguments.what, terminal)
}

#[cfg(all(test, not(feature = "wasm-plugins")))]
mod tests {
    use super::{Exit, Plugins, Terminal};
    use crate::args::{Color, Global, MessageFormat};

    #[test]
    fn a_build_without_the_engine_says_how_to_get_it() {
        let terminal = Terminal::new(&Global { quiet: true, color: Color::Never, message_format: MessageFormat::Human });
        assert!(Plugins::default().install(&terminal).is_ok_and(<[_]>::is_empty));
        let asked = Plugins { files: vec!["a.wasm".into()], limits: Vec::new() };
        let failure = asked.install(&terminal).expect_err("there is no engine");
        let first = failure.diagnostics.0.first().expect("a diagnostic");
        assert_eq!((failure.exit, first.code), (Exit::Usage, "CLI011"));
        assert!(first.help.as_ref().is_some_and(|h| h.contains("--no-default-features")), "{first}");
    }
}
