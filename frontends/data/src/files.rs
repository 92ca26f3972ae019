//! What lies under a path: arrays and pictures, folders walked in sorted order.

use std::path::{Path, PathBuf};

use octet_ir::Diagnostic;
use octet_plugin::Tensor;

use crate::array::Array;
use crate::map::{cannot_read, map_file};
use crate::picture::is_picture;
use crate::{npy, npz};

/// Folders within folders that are walked.
const MOST_DEPTH: usize = 16;

/// One thing that holds samples.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The file.
    pub(crate) path: PathBuf,
    /// Name of the folder, below the one that was asked for, in which it lies.
    pub(crate) group: Option<String>,
    /// What it is.
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The array of a `.npy`.
    Array(Array),
    /// The arrays of a `.npz`, by name.
    Arrays(Vec<(String, Array)>),
    /// A picture, not yet opened.
    Picture,
}

/// Everything that a path holds: one file, or what lies in a folder and its folders, sorted by path. Files of a folder that are no data
/// (by their ending) are left out.
pub(crate) fn find(path: &Path) -> Result<Vec<Found>, Diagnostic> {
    let metadata = std::fs::metadata(path).map_err(|e| cannot_read(path, &e))?;
    if !metadata.is_dir() {
        let content = open(path).map_err(|d| if d.location.file.is_none() { d.in_file(path.display().to_string()) } else { d })?;
        return Ok(vec![Found { path: path.to_owned(), group: None, content }]);
    }
    let mut files = Vec::new();
    walk(path, None, 0, &mut files)?;
    let mut found = Vec::new();
    for (path, group) in files {
        let content = open(&path).map_err(|d| if d.location.file.is_none() { d.in_file(path.display().to_string()) } else { d })?;
        found.push(Found { path, group, content });
    }
    if found.is_empty() {
        return Err(
            Diagnostic::error("DAT002", "the folder holds no .npy, .npz, .png, .jpg or .jpeg file").in_file(path.display().to_string())
        );
    }
    Ok(found)
}

fn walk(folder: &Path, group: Option<&str>, depth: usize, files: &mut Vec<(PathBuf, Option<String>)>) -> Result<(), Diagnostic> {
    let failed = |e: std::io::Error| cannot_read(folder, &e);
    let mut entries = std::fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth + 1 >= MOST_DEPTH {
                let message = format!("folders are nested more than {MOST_DEPTH} deep");
                return Err(Diagnostic::error("DAT002", message).in_file(path.display().to_string()));
            }
            walk(&path, Some(group.unwrap_or(&name)), depth + 1, files)?;
        } else if is_picture(&path) || ending(&path).is_some_and(|e| e == "npy" || e == "npz") {
            files.push((path, group.map(str::to_owned)));
        }
    }
    Ok(())
}

fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// Opens one file by what it begins with.
fn open(path: &Path) -> Result<Content, Diagnostic> {
    if is_picture(path) {
        return Ok(Content::Picture);
    }
    let bytes = map_file(path)?;
    if bytes.starts_with(b"\x93NUMPY") {
        return Ok(Content::Array(npy::array(&bytes)?));
    }
    if bytes.starts_with(b"PK") {
        return Ok(Content::Arrays(npz::arrays(&bytes)?));
    }
    match ending(path).as_deref() {
        Some("npy") => npy::array(&bytes).map(Content::Array),
        Some("npz") => npz::arrays(&bytes).map(Content::Arrays),
        _ => {
            Err(Diagnostic::error("DAT002", "this is no data file")
                .with_help("data are .npy, .npz, .png or .jpg files, or a folder of them"))
        }
    }
}

/// An array as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Its name in a `.npz`; empty for a `.npy`.
    pub name: String,
    /// Its elements, in the stored type.
    pub tensor: Tensor,
}

/// The arrays of a `.npy` or `.npz` file as they are, in the order of the file.
pub fn read_arrays(path: &Path) -> Result<Vec<NamedTensor>, Diagnostic> {
    let located = |d: Diagnostic| d.in_file(path.display().to_string());
    let tensor =
        |array: &Array| Tensor { elem: array.elem, shape: array.shape.clone(), bytes: array.elements(0..array.len()).into_owned() };
    match open(path).map_err(located)? {
        Content::Array(array) => Ok(vec![NamedTensor { name: String::new(), tensor: tensor(&array) }]),
        Content::Arrays(arrays) => Ok(arrays.iter().map(|(name, a)| NamedTensor { name: name.clone(), tensor: tensor(a) }).collect()),
        Content::Picture => Err(located(Diagnostic::error("DAT002", "this is a picture, not an array"))),
    }
}
