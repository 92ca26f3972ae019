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
        Ok(Self { path, special, folder: false })
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
        Ok(Self { path, special: false, folder: true })
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
    let mut waiting = Vec::new();
    for artifact in artifacts {
        let Some(name) = &artifact.path else { continue };
        let path = folder.join(name);
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|e| cannot_write(parent, &e))?;
        }
        Destination::new(&path)?;
        let failed = |e: &std::io::Error| cannot_write(&path, e);
        let mut file = temporary(&path).map_err(|e| failed(&e))?;
        file.write_all(&artifact.bytes).and_then(|()| file.flush()).map_err(|e| failed(&e))?;
        waiting.push((file, path));
    }
    // Other files first: when the main one appears, everything is there.
    for (file, path) in waiting {
        file.persist(&path).map_err(|e| cannot_write(&path, &e.error))?;
    }
    for artifact in artifacts.iter().filter(|a| a.path.is_none()) {
        destination.write(&artifact.bytes)?;
    }
    Ok(artifacts.iter().map(|a| a.bytes.len()).sum())
}

/// Writes a module as IR text, large constants into `PATH.bin` beside it.
pub fn save_text(module: &Module, destination: &Destination) -> Result<(), Diagnostic> {
    let printed = text::print(module);
    let mut side = destination.path.as_os_str().to_owned();
    side.push(".bin");
    let side = PathBuf::from(side);
    if !printed.blobs.is_empty() {
        Destination::new(&side)?.write(&printed.blobs)?;
    } else if side.is_file() && !destination.special {
        // One of an earlier text would contradict this one.
        std::fs::remove_file(&side).map_err(|e| cannot_write(&side, &e))?;
    }
    destination.write(printed.text.as_bytes())
}
