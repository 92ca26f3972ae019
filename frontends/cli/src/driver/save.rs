//! Files that appear whole or not at all: written under a temporary name in the same folder, then renamed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use octet_ir::{Diagnostic, Diagnostics, Module, text};
use octet_plugin::{Artifact, BackendEntry, Options, Registry};

/// A place where a file will be written.
#[derive(Clone, Debug)]
pub struct Destination {
    path: PathBuf,
    /// Something that is no regular file (`/dev/null`, a pipe): it is written to, not replaced.
    special: bool,
    /// A folder that will hold several files.
    folder: bool,
    /// Files that belong to others: no file beside this one, or in this folder, may have their names.
    reserved: Vec<PathBuf>,
}

impl Destination {
    /// Makes sure that the file can be written, before any work is done for it; leaves nothing behind.
    ///
    /// # Errors
    /// `CLI003`, with what the system says.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, Diagnostic> {
        let given: PathBuf = path.into();
        // A link stays a link; what it points to is replaced.
        let path = if given.is_symlink() { given.canonicalize().unwrap_or(given) } else { given };
        let failed = |e: &std::io::Error| cannot_write(&path, e);
        if path.is_dir() {
            return Err(Diagnostic::error("CLI003", "cannot write: this is a folder").in_file(path.display().to_string()));
        }
        if path.file_name().is_none() {
            return Err(Diagnostic::error("CLI003", "cannot write: this names no file").in_file(path.display().to_string()));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
            let message = format!("cannot write: there is no folder '{}'", folder.display());
            return Err(Diagnostic::error("CLI003", message).in_file(path.display().to_string()));
        }
        let special = path.exists() && !path.is_file();
        let probe = if special { OpenOptions::new().write(true).open(&path).map(drop) } else { temporary(&path).map(drop) };
        probe.map_err(|e| failed(&e))?;
        if path.metadata().is_ok_and(|m| m.permissions().readonly()) {
            return Err(Diagnostic::error("CLI003", "cannot write: the file is read-only").in_file(path.display().to_string()));
        }
        Ok(Self { path, special, folder: false, reserved: Vec::new() })
    }

    /// A folder for several files; it is made when they are written.
    ///
    /// # Errors
    /// `CLI003` where a file has its name.
    pub fn folder(path: impl Into<PathBuf>) -> Result<Self, Diagnostic> {
        let path = path.into();
        if path.exists() && !path.is_dir() {
            let error = Diagnostic::error("CLI003", "cannot write: this target writes a folder, and this is a file");
            return Err(error.in_file(path.display().to_string()));
        }
        Ok(Self { path, special: false, folder: true, reserved: Vec::new() })
    }

    /// Keeps a file that is written or read besides from being overwritten; `what` it is, for the message.
    ///
    /// # Errors
    /// `CLI002` where it is this very file.
    pub fn reserve(&mut self, other: &Path, what: &str) -> Result<(), Diagnostic> {
        if self.special {
            return Ok(());
        }
        if same_file(&self.path, other) {
            return Err(taken(&self.path, what));
        }
        self.reserved.push(other.to_owned());
        Ok(())
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the whole file; the error is `CLI003`, and what was there before is still there then.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Diagnostic> {
        self.write_with(|file| file.write_all(bytes).map_err(|e| cannot_write(&self.path, &e)))
    }

    /// Writes the file with `fill`, which gets it empty.
    pub fn write_with(&self, fill: impl FnOnce(&mut File) -> Result<(), Diagnostic>) -> Result<(), Diagnostic> {
        let failed = |e: &std::io::Error| cannot_write(&self.path, e);
        if self.special {
            return fill(&mut OpenOptions::new().write(true).open(&self.path).map_err(|e| failed(&e))?);
        }
        let mut file = temporary(&self.path).map_err(|e| failed(&e))?;
        fill(file.as_file_mut())?;
        file.as_file_mut().flush().map_err(|e| failed(&e))?;
        file.persist(&self.path).map_err(|e| failed(&e.error))?;
        Ok(())
    }
}

fn taken(path: &Path, what: &str) -> Diagnostic {
    Diagnostic::error("CLI002", format!("{what} would replace another file of this command"))
        .in_file(path.display().to_string())
        .with_help("give one of them another name")
}

/// Whether two paths name one file, which need not be there yet.
fn same_file(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| {
        let whole = || path.canonicalize().ok();
        let folder = || path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p })?.canonicalize().ok();
        whole().or_else(|| Some(folder()?.join(path.file_name()?))).unwrap_or_else(|| path.to_owned())
    };
    real(a) == real(b)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Diagnostic {
    // The temporary file's name, which the error may carry, says nothing to the user and differs every time.
    let error = error.to_string();
    let what = error.split_once(" at path ").map_or(error.as_str(), |(what, _)| what);
    Diagnostic::error("CLI003", format!("cannot write: {what}")).in_file(path.display().to_string())
}

/// A file beside `path` that goes away unless it is renamed. Its permissions are those of any new file.
fn temporary(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".octet-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Writes a module with a registered backend.
///
/// # Errors
/// `PLG002` when there is no such backend, `CLI003` when a file cannot be written, and what the backend reports.
pub fn save(
    module: &Module,
    target: &str,
    options: Options,
    destination: &Destination,
    notes: &mut Diagnostics,
) -> Result<usize, Diagnostics> {
    let backend = (Registry::<BackendEntry>::collect()?.get(target)?.create)(options)?;
    let artifacts = backend.write(module, notes)?;
    write_all(&artifacts, destination)
}

/// Writes a backend's files: the main one to `destination`, others beside it, or all of them into the folder that it is. They appear together, or
/// none does. Answers with the bytes of all.
fn write_all(artifacts: &[Artifact], destination: &Destination) -> Result<usize, Diagnostics> {
    let folder = if destination.folder { &destination.path } else { destination.path.parent().unwrap_or(Path::new("")) };
    let stem = destination.path.file_stem().unwrap_or_default();
    let mut others = Vec::new();
    for artifact in artifacts {
        let Some(name) = &artifact.path else { continue };
        let path = match name.strip_prefix('*') {
            Some(rest) => {
                let mut named = stem.to_owned();
                named.push(rest);
                folder.join(named)
            }
            None => folder.join(name),
        };
        if destination.reserved.iter().any(|reserved| same_file(reserved, &path)) {
            return Err(taken(&path, "an output").into());
        }
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|e| cannot_write(parent, &e))?;
        }
        others.push((path, artifact.bytes.as_slice()));
    }
    let main: Vec<&[u8]> = artifacts.iter().filter(|a| a.path.is_none()).map(|a| a.bytes.as_slice()).collect();
    place(&others, destination, &main)?;
    Ok(artifacts.iter().map(|a| a.bytes.len()).sum())
}

/// Writes several files at once. All are complete under temporary names, and nothing is known to be in their way, before the first appears;
/// the main one appears last.
fn place(others: &[(PathBuf, &[u8])], destination: &Destination, main: &[&[u8]]) -> Result<(), Diagnostic> {
    let written = |path: &Path, bytes: &[u8]| {
        Destination::new(path)?;
        let failed = |e: &std::io::Error| cannot_write(path, e);
        let mut file = temporary(path).map_err(|e| failed(&e))?;
        file.write_all(bytes).and_then(|()| file.flush()).map_err(|e| failed(&e))?;
        Ok::<_, Diagnostic>((file, path.to_owned()))
    };
    let mut waiting = others.iter().map(|(path, bytes)| written(path, bytes)).collect::<Result<Vec<_>, _>>()?;
    if destination.special {
        main.iter().try_for_each(|bytes| destination.write(bytes))?;
    } else {
        for bytes in main {
            waiting.push(written(&destination.path, bytes)?);
        }
    }
    for (file, path) in waiting {
        file.persist(&path).map_err(|e| cannot_write(&path, &e.error))?;
    }
    Ok(())
}

/// Writes a module as IR text, large constants into `PATH.bin` beside it. Both appear, or neither.
pub fn save_text(module: &Module, destination: &Destination) -> Result<(), Diagnostic> {
    let printed = text::print(module);
    save_printed(&printed.text, &printed.blobs, destination)
}

/// [`save_text`] of what was printed already.
pub fn save_printed(text: &str, blobs: &[u8], destination: &Destination) -> Result<(), Diagnostic> {
    let mut side = destination.path.as_os_str().to_owned();
    side.push(".bin");
    let side = PathBuf::from(side);
    let main = [text.as_bytes()];
    if !blobs.is_empty() {
        return place(&[(side, blobs)], destination, &main);
    }
    place(&[], destination, &main)?;
    if side.is_file() && !destination.special {
        // One of an earlier text would contradict this one.
        std::fs::remove_file(&side).map_err(|e| cannot_write(&side, &e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_constants_appear_together() {
        let folder = tempfile::tempdir().unwrap();
        let (text, side) = (folder.path().join("m.ir"), folder.path().join("m.ir.bin"));
        let destination = Destination::new(&text).unwrap();
        std::fs::write(&side, b"earlier").unwrap();
        // What nobody expects: the text cannot be put where it belongs any more.
        std::fs::create_dir(&text).unwrap();
        for blobs in [&b"constants"[..], b""] {
            assert_eq!(save_printed("text", blobs, &destination).unwrap_err().code, "CLI003");
            assert_eq!(std::fs::read(&side).unwrap(), b"earlier");
        }
        std::fs::remove_dir(&text).unwrap();
        save_printed("text", b"constants", &destination).unwrap();
        assert_eq!((std::fs::read(&text).unwrap(), std::fs::read(&side).unwrap()), (b"text".to_vec(), b"constants".to_vec()));
        save_printed("text", b"", &destination).unwrap();
        assert!(!side.exists());
    }
}
