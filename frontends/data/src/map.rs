//! Files as shared bytes: memory-mapped where they are files, read where they are not. The only module of this crate with `unsafe`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use octet_ir::Diagnostic;

/// The bytes of a file without copying them: pages are read when they are touched, and several users share them.
///
/// An empty file, and anything that cannot be mapped (a pipe), is read instead. The error is `DAT001`.
pub fn map_file(path: &Path) -> Result<Bytes, Diagnostic> {
    let failed = |e: &std::io::Error| cannot_read(path, e);
    let mut file = File::open(path).map_err(|e| failed(&e))?;
    let metadata = file.metadata().map_err(|e| failed(&e))?;
    if metadata.is_dir() {
        return Err(Diagnostic::error("DAT001", "this is a folder, not a file").in_file(path.display().to_string()));
    }
    if metadata.is_file() && metadata.len() > 0 {
        // SAFETY: the map is read-only and private. Another process that writes to or truncates the file while we use it could change
        // bytes under us or end this process with SIGBUS; no program that reads memory-mapped files can rule that out, every reader
        // here treats the bytes as untrusted and none keeps a reference across a check and its use of the same bytes as anything
        // but plain data (u8 has no invalid values).
        #[expect(unsafe_code, reason = "mapping a file is unsafe in Rust's terms; the module exists to hold this one call")]
        if let Ok(map) = unsafe { memmap2::Mmap::map(&file) } {
            return Ok(Bytes::from_owner(map));
        }
    }
    read_capped(&mut file, path).map(Bytes::from)
}

/// The bytes of a small file.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let mut file = File::open(path).map_err(|e| cannot_read(path, &e))?;
    read_capped(&mut file, path)
}

/// Most bytes that are read into memory: a device or a pipe may never end.
const MOST: u64 = 1 << 31;

fn read_capped(from: &mut dyn Read, path: &Path) -> Result<Vec<u8>, Diagnostic> {
    read_at_most(from, MOST, path)
}

fn read_at_most(from: &mut dyn Read, most: u64, path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let mut bytes = Vec::new();
    let read = from.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| cannot_read(path, &e))?;
    if u64::try_from(read).is_ok_and(|read| read <= most) {
        return Ok(bytes);
    }
    Err(Diagnostic::error("DAT001", format!("it does not end within {most} bytes")).in_file(path.display().to_string()))
}

/// `DAT001` for this file.
pub(crate) fn cannot_read(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("DAT001", format!("cannot read: {error}")).in_file(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_refused() {
        let path = Path::new("endless");
        let error = read_at_most(&mut std::io::repeat(0), 1 << 16, path).unwrap_err();
        assert_eq!(error.code, "DAT001");
        assert_eq!(read_at_most(&mut std::io::repeat(7).take(1 << 16), 1 << 16, path).map(|b| b.len()), Ok(1 << 16));
    }
}
