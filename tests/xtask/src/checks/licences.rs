//! Every dependency's licence is one that Apache-2.0 software may ship with. `deny.toml` says the same for cargo-deny.

use serde_json::Value;
use spdx::{Expression, ParseMode};

use super::{metadata, packages, told};
use crate::run::Outcome;

/// Licences that a dependency may have; an "OR" needs one of them, an "AND" all.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Whether a licence expression can be met from the list. "/" is the old way to write "OR".
fn allowed(expression: &str) -> bool {
    Expression::parse_mode(expression, ParseMode::LAX)
        .is_ok_and(|e| e.evaluate(|r| r.license.id().is_some_and(|id| ALLOWED.contains(&id.name))))
}

/// Finds packages whose licence is missing or not allowed.
pub(crate) fn check() -> Outcome {
    let metadata = metadata()?;
    let findings: Vec<String> = packages(&metadata)
        .iter()
        .filter_map(|package| {
            let licence = package["license"].as_str().unwrap_or_default();
            (!allowed(licence)).then(|| {
                let text = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                format!("{} {}: licence `{licence}`", text("name"), text("version"))
            })
        })
        .collect();
    told("licences", &findings)
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn expressions() {
        assert!(allowed("MIT OR GPL-3.0-only"));
        assert!(allowed("MIT/Apache-2.0"));
        assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(allowed("Apache-2.0 WITH LLVM-exception OR MIT"));
        assert!(!allowed("MIT AND GPL-3.0-only"));
        assert!(!allowed("MPL-2.0"));
        assert!(!allowed(""));
    }
}
