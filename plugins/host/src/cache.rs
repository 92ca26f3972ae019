//! Compiled code, kept in the user's cache folder from one command to the next.
//!
//! An entry is named by a SHA-256 of the plugin's bytes, the engine's version and everything in its settings that compiled code depends on. Nothing that the
//! user hands in is ever taken for compiled code: entries are read only where this module wrote them, from a folder that nobody else may write, and only when
//! their own SHA-256 is right. A damaged one is compiled again. Entries are written under another name and then renamed.

use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use octet_ir::Diagnostic;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Module};

use crate::screen::malformed;

/// What an entry begins with.
const HEAD: &[u8] = b"octet plugin code 1\n";
/// Entries that are kept; the oldest go first.
const MOST: usize = 128;

/// The folder of compiled code.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// What can be compiled.
trait Compiled: Sized {
    const KIND: &'static [u8];
    fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self>;
    fn code(&self) -> wasmtime::Result<Vec<u8>>;
    /// # Safety
    /// `code` must be what [`code`](Self::code) gave.
    #[expect(unsafe_code, reason = "code that is not the engine's own could do anything")]
    unsafe fn revive(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self>;
}

macro_rules! compiled {
    ($ty:ty, $kind:literal) => {
        impl Compiled for $ty {
            const KIND: &'static [u8] = $kind;
            fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
                Self::from_binary(engine, bytes)
            }
            fn code(&self) -> wasmtime::Result<Vec<u8>> {
                self.serialize()
            }
            #[expect(unsafe_code, reason = "the caller vouches for the code")]
            unsafe fn revive(engine: &Engine, code: &[u8]) -> wasmtime::Result<Self> {
                // SAFETY: what the engine asks for is what this function asks of its caller.
                unsafe { Self::deserialize(engine, code) }
            }
        }
    };
}

compiled!(Component, b"component");
compiled!(Module, b"module");

impl Cache {
    /// The user's: `$OCTET_CACHE`, else `octet` in the system's folder for caches. None where there is no such folder or others may write it, or where
    /// `$OCTET_CACHE` is empty.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(given) = std::env::var_os("OCTET_CACHE") {
            return Some(PathBuf::from(given)).filter(|f| !f.as_os_str().is_empty()).map(Self::at);
        }
        let system = if cfg!(windows) {
            named("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            named("HOME").map(|home| home.join("Library/Caches"))
        } else {
            named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")))
        };
        system.filter(|folder| folder.is_absolute()).map(|folder| Self::at(folder.join("octet")))
    }

    /// One in this folder, which is made when something is kept.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into().join("plugins") }
    }

    /// The engine for these settings, and the component compiled for it.
    pub(crate) fn component(cache: Option<&Self>, config: &Config, bytes: &[u8]) -> Result<(Engine, Component), Diagnostic> {
        compiled(cache, config, bytes)
    }

    /// The engine for these settings, and the core module compiled for it.
    pub(crate) fn module(cache: Option<&Self>, config: &Config, bytes: &[u8]) -> Result<(Engine, Module), Diagnostic> {
        compiled(cache, config, bytes)
    }

    /// Whether nobody but this user can put anything into the folder, or another folder in its place.
    fn is_private(&self) -> bool {
        is_ours(&self.folder) && std::fs::canonicalize(&self.folder).is_ok_and(|folder| folder.ancestors().skip(1).all(keeps))
    }

    /// The code of an entry that is whole.
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        if !self.is_private() {
            return None;
        }
        let path = self.folder.join(name);
        if !is_ours(&path) {
            return None;
        }
        let entry = std::fs::read(path).ok()?;
        let (sum, code) = entry.strip_prefix(HEAD)?.split_at_checked(32)?;
        (Sha256::digest(code).as_slice() == sum).then(|| code.to_vec())
    }

    /// Keeps an entry. What cannot be kept is compiled again another time.
    fn write(&self, name: &str, code: &[u8]) -> std::io::Result<()> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        make_folder(&self.folder)?;
        if !self.is_private() {
            return Ok(());
        }
        let unfinished = self.folder.join(format!("{name}.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let entry = [HEAD, Sha256::digest(code).as_slice(), code].concat();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&unfinished)?.write_all(&entry);
        written
            .and_then(|()| std::fs::rename(&unfinished, self.folder.join(name)))
            .inspect_err(|_| drop(std::fs::remove_file(&unfinished)))?;
        self.forget()
    }

    /// Removes the oldest entries beyond those that are kept.
    fn forget(&self) -> std::io::Result<()> {
        let mut entries: Vec<_> = std::fs::read_dir(&self.folder)?
            .filter_map(|entry| entry.ok().and_then(|e| Some((e.metadata().ok()?.modified().ok()?, e.path()))))
            .collect();
        entries.sort();
        let surplus = entries.len().saturating_sub(MOST);
        entries.into_iter().take(surplus).try_for_each(|(_, path)| std::fs::remove_file(path))
    }
}

fn compiled<C: Compiled>(cache: Option<&Cache>, config: &Config, bytes: &[u8]) -> Result<(Engine, C), Diagnostic> {
    let engine = Engine::new(config).map_err(|e| Diagnostic::error("PLG019", format!("the WebAssembly engine does not start: {e:#}")))?;
    let compile = || C::compile(&engine, bytes).map_err(|e| malformed(&e.root_cause().to_string()));
    let Some(cache) = cache else { return Ok((engine.clone(), compile()?)) };
    let name = key::<C>(&engine, bytes);
    if let Some(code) = cache.read(&name) {
        // SAFETY: the entry lies in a folder that only this user may write, where only `write` puts any, and it is whole: it is what the engine of this
        // version and these settings gave for these bytes.
        #[expect(unsafe_code, reason = "the one place where compiled code is taken from a file")]
        if let Ok(compiled) = unsafe { C::revive(&engine, &code) } {
            return Ok((engine.clone(), compiled));
        }
    }
    let compiled = compile()?;
    if let Ok(code) = compiled.code() {
        drop(cache.write(&name, &code));
    }
    Ok((engine.clone(), compiled))
}

/// The name of an entry.
fn key<C: Compiled>(engine: &Engine, bytes: &[u8]) -> String {
    struct Sum(Sha256);
    impl Hasher for Sum {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sum = Sum(Sha256::new());
    sum.0.update(C::KIND);
    engine.precompile_compatibility_hash().hash(&mut sum);
    sum.0.update(bytes);
    sum.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the folder for this user alone.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Whether a file or folder is there, and nobody but its owner may write it.
#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // The process's own folder says who we are; where there is none, the folder's mode alone counts.
    let me = std::fs::metadata("/proc/self").map(|m| m.uid()).ok();
    std::fs::symlink_metadata(path).is_ok_and(|m| !m.is_symlink() && m.mode() & 0o022 == 0 && me.is_none_or(|me| me == m.uid()))
}

/// Whether not just anybody may rename what lies in this folder: it is sticky where everybody writes.
#[cfg(unix)]
fn keeps(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder).is_ok_and(|m| m.mode() & 0o002 == 0 || m.mode() & 0o1000 != 0)
}

#[cfg(not(unix))]
fn keeps(_: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn is_ours(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|m| !m.is_symlink())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use wasmtime::{Config, Engine, Module};

    use super::{Cache, HEAD, key};

    /// `(module)`.
    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("octet-cache-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        folder
    }

    fn entries(cache: &Cache) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&cache.folder).into_iter().flatten();
        entries.map(|e| e.expect("an entry").path()).collect()
    }

    #[test]
    fn a_damaged_entry_is_compiled_again() {
        let root = folder("damaged");
        let (cache, config) = (Cache::at(&root), Config::new());
        Cache::module(Some(&cache), &config, EMPTY).expect("compiles");
        let [entry] = entries(&cache).try_into().expect("one entry");
        let whole = std::fs::read(&entry).expect("the entry");
        let name = entry.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
        assert!(cache.read(&name).is_some());
        let mut flipped = whole.clone();
        *flipped.last_mut().expect("bytes") ^= 1;
        for damaged in [&flipped[..], &whole[..whole.len() / 2], &HEAD[..5], b""] {
            std::fs::write(&entry, damaged).expect("writes");
            assert!(cache.read(&name).is_none());
            Cache::module(Some(&cache), &config, EMPTY).expect("compiles again");
            assert_eq!(std::fs::read(&entry).expect("the entry"), whole);
        }
        assert_eq!(entries(&cache).len(), 1, "nothing unfinished stays");
        std::fs::remove_dir_all(root).expect("removes");
    }

    #[test]
    fn settings_and_bytes_are_in_the_name() {
        let plain = Engine::new(&Config::new()).expect("starts");
        let mut config = Config::new();
        config.consume_fuel(true);
        let metered = Engine::new(&config).expect("starts");
        let name = key::<Module>(&plain, EMPTY);
        assert_ne!(name, key::<Module>(&metered, EMPTY));
        assert_ne!(name, key::<Module>(&plain, b"\0asm\x01\0\0\0\0"));
        assert_ne!(name, key::<wasmtime::component::Component>(&plain, EMPTY));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let root = folder("shared");
        let (cache, config) = (Cache::at(&root), Config::new());
        Cache::module(Some(&cache), &config, EMPTY).expect("compiles");
        let [entry] = entries(&cache).try_into().expect("one entry");
        let name = entry.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
        let chmod = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changes the mode");
        };
        chmod(&cache.folder, 0o777);
        assert!(cache.read(&name).is_none());
        chmod(&cache.folder, 0o700);
        assert!(cache.read(&name).is_some());
        chmod(&root, 0o777);
        assert!(cache.read(&name).is_none(), "somebody could put another folder in its place");
        chmod(&root, 0o1777);
        assert!(cache.read(&name).is_some());
        chmod(&entry, 0o666);
        assert!(cache.read(&name).is_none());
        std::fs::remove_dir_all(root).expect("removes");
    }

    #[test]
    fn old_entries_go() {
        let root = folder("many");
        let cache = Cache::at(&root);
        for i in 0..super::MOST + 3 {
            cache.write(&format!("{i:04}"), b"code").expect("writes");
        }
        assert_eq!(entries(&cache).len(), super::MOST);
        std::fs::remove_dir_all(root).expect("removes");
    }
}
