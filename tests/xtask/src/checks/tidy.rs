//! How files must look: sizes, a doc at the head of each module, words that must not stand in the tree.

use std::path::Path;

use octet_peers::workspace_root;

use super::told;
use crate::run::{Outcome, command, output};

/// Lines that a source file may have. The generated module is exempt.
const MOST_LINES: usize = 800;
/// Lines from which a file is told about as growing out of one thing.
const MANY_LINES: usize = 600;
/// Characters that a line of code or prose may have (tables and links are exempt).
const LINE_LENGTH: usize = 160;

/// Words that must not stand in the tree, and why. Written in two halves, so that this file does not hold them.
const WORDS: [(&str, &str, &str); 7] = [
    ("TO", "DO", "work that is not done is an issue, not a comment"),
    ("FIX", "ME", "work that is not done is an issue, not a comment"),
    ("X", "XX", "work that is not done is an issue, not a comment"),
    ("/work", "/", "a path of one machine"),
    ("/home", "/", "a path of one machine"),
    ("/root", "/", "a path of one machine"),
    ("dbg", "!(", "left over from debugging"),
];

/// What the house's top level holds, beside dotfiles.
const TOP: [&str; 16] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "backends",
    "build.rs",
    "deny.toml",
    "docs",
    "frontends",
    "ir",
    "passes",
    "plugins",
    "rust-toolchain.toml",
    "src",
    "tests",
];

/// Checks every file that git tracks.
pub(crate) fn check() -> Outcome {
    let listed = output(&mut command("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let mut findings = Vec::new();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let top = name.split('/').next().unwrap_or_default();
        if !top.starts_with('.') && !TOP.contains(&top) {
            findings.push(format!("{name}: the top level holds only the rooms of the house"));
        }
        // Models and data are no text.
        if let Ok(text) = std::fs::read_to_string(workspace_root().join(name)) {
            findings.extend(file(name, &text).into_iter().map(|finding| format!("{name}: {finding}")));
        }
    }
    told("tidy", &findings)
}

/// What is wrong with one file.
fn file(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (first, second, reason) in WORDS {
        let word = format!("{first}{second}");
        if let Some(line) = text.lines().position(|line| holds(line, &word)) {
            found.push(format!("line {}: `{word}`: {reason}", line + 1));
        }
    }
    let extension = Path::new(name).extension().and_then(|e| e.to_str()).unwrap_or_default();
    if name.ends_with("generated.rs") || !matches!(extension, "rs" | "py") {
        return found;
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        found.push(format!("{lines} lines; a file does one thing in at most {MOST_LINES}"));
    } else if lines > MANY_LINES {
        println!("note: {name} has {lines} lines; about {MANY_LINES} is a file that does one thing");
    }
    if let Some(line) = text.lines().position(|l| l.chars().count() > LINE_LENGTH && !l.contains("http")) {
        found.push(format!("line {}: longer than {LINE_LENGTH} characters", line + 1));
    }
    let documented = match extension {
        "rs" => text.lines().find(|l| !l.is_empty()).is_some_and(|l| l.starts_with("//!")),
        _ => text.trim_start().starts_with("\"\"\""),
    };
    if !documented {
        found.push("begins without a doc that says what the module is for".into());
    }
    found
}

/// Whether a line holds the word, as a word where it is made of letters.
fn holds(line: &str, word: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = is_letter(line[..at].chars().next_back());
        let after = is_letter(line[at + word.len()..].chars().next());
        !(before && word.starts_with(char::is_alphabetic) || after && word.ends_with(char::is_alphabetic))
    })
}

#[cfg(test)]
mod tests {
    use super::{WORDS, file};

    #[test]
    fn findings() {
        assert!(file("a.rs", "//! Doc.\nfn main() {}\n").is_empty());
        assert_eq!(file("a.rs", "fn main() {}\n").len(), 1);
        assert_eq!(file("a.rs", &format!("//! Doc.\n// {}{}: later\n", WORDS[0].0, WORDS[0].1)).len(), 1);
        assert!(file("a.rs", &format!("//! Doc.\n// {}{}S is a word\n", WORDS[0].0, WORDS[0].1)).is_empty());
        assert_eq!(file("a.md", &format!("see {}{}x\n", WORDS[3].0, WORDS[3].1)).len(), 1);
        assert_eq!(file("a.py", &format!("\"\"\"Doc.\"\"\"\n{}\n", "x = 1\n".repeat(900))).len(), 1);
        assert_eq!(file("a.rs", &format!("//! Doc.\n// {}\n", "x".repeat(200))).len(), 1);
    }
}
