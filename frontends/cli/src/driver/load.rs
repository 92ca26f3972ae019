//! Models from files: whichever registered frontend knows the format, or IR text.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use octet_data::map_file;
use octet_ir::{Diagnostic, Diagnostics, Module, text, verify};
use octet_plugin::{FrontendEntry, Import, ImportOptions, Registry};

/// Bytes of a file at which frontends look to recognize it.
const HEAD: usize = 4096;

/// Loads and verifies a model: a file of a registered frontend, memory-mapped, or IR text with its side file (`m.ir` and `m.ir.bin`).
///
/// # Errors
/// `CLI012` when there is no such file, `DAT001` when it cannot be read, `CLI001` when no frontend knows it, and whatever the frontend and the verifier find.
pub fn load(path: impl AsRef<Path>) -> Result<Module, Diagnostics> {
    load_with(path, &ImportOptions::default())
}

/// [`load`], with choices about what the file leaves open: shapes, layouts, inputs that become constants.
///
/// # Errors
/// Those of [`load`], and `CLI002` when the format leaves nothing open.
pub fn load_with(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Module, Diagnostics> {
    load_with_notes(path.as_ref(), options, &mut Diagnostics::default())
}

/// [`load_with`], with the frontend's notes and warnings.
pub fn load_with_notes(path: &Path, options: &ImportOptions, notes: &mut Diagnostics) -> Result<Module, Diagnostics> {
    if !path.exists() {
        return Err(Diagnostic::error("CLI012", "there is no such model file").in_file(path.display().to_string()).into());
    }
    let bytes = map_file(path)?;
    let side = || {
        let mut name = path.as_os_str().to_owned();
        name.push(".bin");
        let side = PathBuf::from(name);
        if side.exists() { map_file(&side) } else { Ok(Bytes::new()) }
    };
    let module = if is_text(&bytes) {
        if options.is_empty() { parse(&bytes, side) } else { Err(nothing_open("IR text").into()) }
    } else {
        read(&bytes, path, options, notes)
    };
    let located = |mut found: Diagnostics| {
        for d in found.0.iter_mut().filter(|d| d.location.file.is_none()) {
            d.location.file = Some(path.display().to_string());
        }
        found
    };
    let module = module.map_err(located)?;
    *notes = located(std::mem::take(notes));
    verify::verify(&module).map_err(located)?;
    Ok(module)
}

/// Whether a file is IR text: comments, then `octet.ir`.
fn is_text(bytes: &[u8]) -> bool {
    let lines = bytes.get(..bytes.len().min(HEAD)).unwrap_or_default().split(|b| *b == b'\n');
    let mut lines = lines.map(<[u8]>::trim_ascii_start).skip_while(|l| l.is_empty() || l.starts_with(b"//"));
    lines.next().is_some_and(|l| l.starts_with(b"octet.ir"))
}

fn parse(bytes: &Bytes, side: impl FnOnce() -> Result<Bytes, Diagnostic>) -> Result<Module, Diagnostics> {
    let source = std::str::from_utf8(bytes).map_err(|e| {
        let line = bytes.get(..e.valid_up_to()).map_or(1, |b| b.split(|b| *b == b'\n').count());
        Diagnostic::error("IRT001", format!("line {line} is not UTF-8 text"))
    })?;
    Ok(text::parse(source, &side()?)?)
}

/// Reads the bytes of a model file with the frontend that recognizes them, else with the one that its name's ending asks for.
/// Files beside the model are opened for it, and no others. The result is not verified yet.
pub fn read(bytes: &Bytes, name: &Path, options: &ImportOptions, notes: &mut Diagnostics) -> Result<Module, Diagnostics> {
    let frontends = Registry::<FrontendEntry>::collect()?;
    let head = bytes.get(..bytes.len().min(HEAD)).unwrap_or_default();
    let ending = name.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let by_content = frontends.iter().find(|e| e.frontend.recognizes(head));
    let chosen = by_content.or_else(|| frontends.iter().find(|e| e.frontend.extensions().contains(&ending.as_str())));
    let Some(entry) = chosen else {
        let known: Vec<String> = frontends.iter().map(|e| format!("{} (.{})", e.name, e.frontend.extensions().join(", ."))).collect();
        return Err(Diagnostic::error("CLI001", "this is no model of a known format")
            .with_note(format!("formats: {}, IR text (.ir)", known.join(", ")))
            .into());
    };
    if !options.is_empty() && !entry.frontend.takes_options() {
        return Err(nothing_open(entry.name).into());
    }
    entry.frontend.read(bytes.clone(), &Import { options, siblings: &|relative| sibling(name, relative) }, notes)
}

/// Import options for a format that says everything itself.
fn nothing_open(format: &str) -> Diagnostic {
    Diagnostic::error(
        "CLI002",
        format!("{format} leaves nothing open that --shape, --dim, --layout, --constant or --keep-state could settle"),
    )
    .with_help("leave them out: a size that is open there stays open, and the samples of --data decide the batch")
}

/// A file beside the model, mapped. What lies elsewhere once links are followed is not opened.
fn sibling(model: &Path, relative: &str) -> Result<Bytes, Diagnostic> {
    let folder = model.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot =
        |e: std::io::Error| Diagnostic::error("DAT001", format!("cannot read: {e}")).in_file(folder.join(relative).display().to_string());
    let folder = folder.canonicalize().map_err(cannot)?;
    let file = folder.join(relative).canonicalize().map_err(cannot)?;
    if !file.starts_with(&folder) {
        return Err(Diagnostic::error("CLI008", format!("'{relative}' lies outside the model's folder")));
    }
    map_file(&file)
}
