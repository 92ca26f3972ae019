//! `octet list`: what is linked into this command.

use clap::{Args, ValueEnum};
use octet_ir::Op;
use octet_plugin::{BackendEntry, Entry, FrontendEntry, KernelEntry, PassEntry, Registry};
use serde_json::{Value, json};

use super::plugin::Plugins;
use crate::exit::{Exit, Failure};
use crate::table::Table;
use crate::terminal::Terminal;

/// List what this build of octet holds
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to list
    #[arg(value_enum)]
    what: What,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plugins: Plugins,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Passes that pipelines may name
    Passes,
    /// Formats that can be read
    Frontends,
    /// Formats that can be written
    Backends,
    /// Kernels of custom operations
    Kernels,
    /// Operations of the IR
    Ops,
    /// Targets that check knows
    Targets,
    /// Everything that is registered, with where it comes from
    Plugins,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let (titles, rows): (&[&str], Vec<Vec<String>>) = match arguments.what {
        What::Passes => (&["name", "summary", "from"], entries::<PassEntry>(arguments.plugins.install(terminal)?)?),
        What::Frontends => (&["name", "summary", "from"], entries::<FrontendEntry>(&[])?),
        What::Backends => (&["name", "summary", "from"], entries::<BackendEntry>(&[])?),
        What::Kernels => {
            arguments.plugins.install(terminal)?;
            (&["name", "summary", "from"], entries::<KernelEntry>(&[])?)
        }
        What::Ops => (&["name", "operands"], ops()),
        What::Targets => (&["name", "title", "source"], targets()),
        What::Plugins => (&["name", "version", "kind", "origin", "interface"], plugins(&arguments.plugins, terminal)?),
    };
    if arguments.json {
        let object = |row: &Vec<String>| Value::Object(titles.iter().zip(row).map(|(k, v)| ((*k).to_owned(), json!(v))).collect());
        terminal.print_json(&Value::Array(rows.iter().map(object).collect()))?;
        return Ok(Exit::Success);
    }
    let mut table = Table::new(titles);
    rows.into_iter().for_each(|row| table.row(row));
    terminal.print(&table.text(0))?;
    Ok(Exit::Success)
}

fn entries<E: Entry>(loaded: &[&'static E]) -> Result<Vec<Vec<String>>, Failure> {
    let registry = Registry::<E>::collect_with(loaded)?;
    Ok(registry.iter().map(|e| vec![e.name().to_owned(), e.summary().to_owned(), e.origin().to_owned()]).collect())
}

fn ops() -> Vec<Vec<String>> {
    let operands = |mnemonic: &str| {
        let op = Op::from_attributes(mnemonic, Vec::new()).ok()?;
        let names = op.operand_spec().iter().map(|o| {
            let suffix = match o.arity {
                octet_ir::ops::Arity::Required => "",
                octet_ir::ops::Arity::Optional => "?",
                octet_ir::ops::Arity::Variadic => "..",
            };
            format!("{}{suffix}", o.name)
        });
        Some(names.collect::<Vec<_>>().join(", "))
    };
    let mut names: Vec<&str> = Op::mnemonics().collect();
    names.sort_unstable();
    names.into_iter().map(|name| vec![name.to_owned(), operands(name).unwrap_or_default()]).collect()
}

fn targets() -> Vec<Vec<String>> {
    octet_targets::profiles().iter().map(|p| vec![p.name.clone(), p.title.clone(), p.source.clone()]).collect()
}

fn plugins(loaded: &Plugins, terminal: &Terminal) -> Result<Vec<Vec<String>>, Failure> {
    fn add<E: Entry>(rows: &mut Vec<Vec<String>>) -> Result<(), Failure> {
        for entry in Registry::<E>::collect()?.iter() {
            let (origin, version) = entry.origin().rsplit_once(' ').unwrap_or((entry.origin(), ""));
            rows.push([entry.name(), version, E::KIND, origin, octet_plugin::INTERFACE].map(str::to_owned).to_vec());
        }
        Ok(())
    }
    let mut rows = Vec::new();
    add::<PassEntry>(&mut rows)?;
    add::<FrontendEntry>(&mut rows)?;
    add::<BackendEntry>(&mut rows)?;
    add::<KernelEntry>(&mut rows)?;
    rows.extend(loaded.rows(terminal)?);
    Ok(rows)
}
