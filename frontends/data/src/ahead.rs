//! Data files that are opened, and inflated where they are compressed, while the model that they will feed is still being loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use octet_ir::Diagnostic;

use crate::files::{Found, find};

type Opening = JoinHandle<Result<Vec<Found>, Diagnostic>>;

/// Files on their way: a [`Source`](crate::Source) that has them takes what is there instead of opening it again.
#[derive(Clone, Debug, Default)]
pub struct Ahead {
    opening: Arc<Mutex<BTreeMap<PathBuf, Opening>>>,
}

impl Ahead {
    /// Begins to open what these arguments (`PATH` or `INPUT=PATH`) name, each on a thread of its own. What is wrong with it is told when a source
    /// asks for it.
    pub fn open(arguments: &[String]) -> Self {
        let exists = |text: &str| Some(PathBuf::from(text)).filter(|p| p.is_file());
        let named = |text: &String| exists(text).or_else(|| text.match_indices('=').find_map(|(at, _)| exists(text.get(at + 1..)?)));
        let mut opening = BTreeMap::new();
        for path in arguments.iter().filter_map(named) {
            let own = path.clone();
            // Without a thread to spare, the source opens it.
            if let Ok(handle) = std::thread::Builder::new().spawn(move || find(&own)) {
                opening.insert(path, handle);
            }
        }
        Self { opening: Arc::new(Mutex::new(opening)) }
    }

    /// What lies under a path, from here or from the disk.
    pub(crate) fn find(&self, path: &Path) -> Result<Vec<Found>, Diagnostic> {
        let handle = self.opening.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        match handle.map(JoinHandle::join) {
            Some(Ok(found)) => found,
            Some(Err(_)) | None => find(path),
        }
    }
}
