//! The `.npz` format: a zip archive of `.npy` files. Stored entries stay in the mapped file, compressed ones are inflated into memory.

use std::io::{Cursor, Read};

use bytes::Bytes;
use octet_ir::Diagnostic;

use crate::array::Array;
use crate::npy;

/// Bytes to which compressed arrays of one file may inflate at any rate, and for each byte of the file: numbers that were measured take
/// far more than a hundredth of their size, and deflate would allow a thousandth.
const INFLATED_BASE: u64 = 64 << 20;
const INFLATED_FACTOR: u64 = 100;
/// And at most.
const MOST_INFLATED: u64 = 4 << 30;

/// Most bytes that one byte of deflated data stands for.
const DEFLATE_RATIO: u64 = 1032;

/// All arrays of an archive with their names, in the order of the archive.
pub(crate) fn arrays(bytes: &Bytes) -> Result<Vec<(String, Array)>, Diagnostic> {
    let damaged = |what: &dyn std::fmt::Display| Diagnostic::error("DAT006", format!("the .npz is damaged: {what}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes.clone())).map_err(|e| damaged(&e))?;
    let mut found: Vec<(String, Array)> = Vec::new();
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let most = size.saturating_mul(INFLATED_FACTOR).saturating_add(INFLATED_BASE).min(MOST_INFLATED);
    let mut left = most;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| damaged(&e))?;
        let file_name = entry.name().map_err(|e| damaged(&e))?.into_owned();
        let Some(name) = file_name.strip_suffix(".npy") else { continue };
        let on_entry = |d: Diagnostic| d.with_note(format!("in the entry '{file_name}'"));
        if found.iter().any(|(n, _)| n == name) {
            return Err(damaged(&format!("two arrays are called '{name}'")));
        }
        let array = if entry.compression() == zip::CompressionMethod::Stored && !entry.encrypted() {
            let range = entry.data_start().and_then(|start| {
                let start = usize::try_from(start).ok()?;
                Some(start..start.checked_add(usize::try_from(entry.size()).ok()?)?)
            });
            let range = range.filter(|r| r.end <= bytes.len()).ok_or_else(|| on_entry(damaged(&"an entry lies beyond the end")))?;
            npy::array(&bytes.slice(range)).map_err(on_entry)?
        } else {
            let array = inflate(&mut entry, left, most).map_err(on_entry)?;
            left = left.saturating_sub(entry.size());
            array
        };
        found.push((name.to_owned(), array));
    }
    Ok(found)
}

/// Reads the header first: nothing is allocated for data that the array's own shape does not account for.
fn inflate<R: Read>(entry: &mut zip::read::ZipFile<'_, R>, left: u64, most: u64) -> Result<Array, Diagnostic> {
    let damaged = |what: &str| Diagnostic::error("DAT006", format!("the .npz is damaged: {what}"));
    let declared = entry.size();
    let mut bytes = Vec::new();
    let prefix = u64::try_from(npy::MOST_PREFIX).unwrap_or(u64::MAX);
    entry.by_ref().take(prefix).read_to_end(&mut bytes).map_err(|e| damaged(&e.to_string()))?;
    let header = npy::header(&bytes)?;
    let total = header.data_start.checked_add(header.data_len).and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX);
    if total != declared {
        return Err(damaged(&format!("the array takes {total} bytes, the archive says {declared}")));
    }
    if total > left {
        let message = format!("{total} bytes of compressed arrays are more than is read into memory ({most} of a file of this size)");
        return Err(Diagnostic::error("DAT007", message)
            .with_help("save the array with np.save or np.savez: uncompressed arrays are read from the file as they are needed"));
    }
    // One byte more than declared, to notice an entry that goes on.
    let rest = total.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX)).saturating_add(1);
    // Room for all of it, as far as deflate can have packed it into what the file has; growing step by step copies everything several times.
    let room = entry.compressed_size().saturating_mul(DEFLATE_RATIO).min(rest);
    let _ = usize::try_from(room).map(|room| bytes.try_reserve_exact(room));
    entry.by_ref().take(rest).read_to_end(&mut bytes).map_err(|e| damaged(&e.to_string()))?;
    if u64::try_from(bytes.len()) != Ok(total) {
        return Err(damaged(&format!("an entry of {total} bytes inflates to {}", bytes.len())));
    }
    bytes.shrink_to_fit();
    npy::array(&bytes.into())
}
