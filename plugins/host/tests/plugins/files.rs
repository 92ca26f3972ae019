//! What may lie where a plugin is looked for.
#![cfg(unix)]

use std::path::Path;

use octet_plugin_host::{Limits, load};

use crate::guest::Guest;

fn code(path: &Path, limits: &Limits) -> String {
    load(path, limits, None).map_or_else(|refused| refused.to_string(), |plugin| plugin.name().to_owned())
}

/// Devices never end, pipes never begin, and folders have names as files have: none of them holds up a command.
#[test]
fn only_regular_files_are_read() {
    let folder = std::env::temp_dir().join(format!("octet-plugin-files-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(folder.join("folder.wasm")).expect("a folder");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.join(name)).expect("a link");
    std::fs::write(folder.join("good.wasm"), Guest::default().build()).expect("a plugin");
    link("good.wasm", "link.wasm");
    link("/dev/zero", "zero.wasm");
    link("nowhere", "dangling.wasm");
    link("loop.wasm", "loop.wasm");
    let pipe = std::process::Command::new("mkfifo").arg(folder.join("pipe.wasm")).status().expect("mkfifo");
    assert!(pipe.success());
    let limits = Limits::default();
    for name in ["zero", "pipe", "folder"] {
        let said = code(&folder.join(format!("{name}.wasm")), &limits);
        assert!(said.starts_with("error[PLG010]") && said.contains("no regular file"), "{name}: {said}");
    }
    for name in ["dangling", "loop", "missing"] {
        let said = code(&folder.join(format!("{name}.wasm")), &limits);
        assert!(said.starts_with("error[PLG010]"), "{name}: {said}");
    }
    for name in ["good", "link"] {
        assert_eq!(code(&folder.join(format!("{name}.wasm")), &limits), "guest");
    }
    let small = code(&folder.join("good.wasm"), &Limits { file: 100, ..limits });
    assert!(small.starts_with("error[PLG024]") && small.contains("more than 100 bytes"), "{small}");
    std::fs::remove_dir_all(folder).expect("removes");
}
