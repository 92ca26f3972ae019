//! Who may depend on whom. Each row is an invariant of the architecture with the reason for it; an edge that no row
//! allows is a finding, and so is a crate without a row.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{metadata, packages, told};
use crate::run::Outcome;

/// What one crate of the workspace may depend on outside its own tests.
struct Rule {
    name: &'static str,
    /// Crates of the workspace.
    rooms: &'static [&'static str],
    /// Crates from the registry; `None` leaves them open, save those that [`RESERVED`] names.
    libraries: Option<&'static [&'static str]>,
    /// Why.
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "octet-ir",
        rooms: &[],
        libraries: Some(&["bytes", "half", "petgraph", "serde"]),
        reason: "the IR does no I/O, starts no thread, knows no format, and builds for wasm32",
    },
    Rule {
        name: "octet-plugin",
        rooms: &["octet-ir"],
        libraries: Some(&["bytes", "inventory"]),
        reason: "a plugin author compiles the IR and the registries, nothing else",
    },
    Rule {
        name: "octet-eval",
        rooms: &["octet-ir", "octet-plugin"],
        libraries: None,
        reason: "what an op computes depends on no pass and no file format",
    },
    Rule {
        name: "octet-passes",
        rooms: &["octet-ir", "octet-eval", "octet-plugin"],
        libraries: None,
        reason: "a pass sees the IR and the evaluator, never a file format",
    },
    Rule { name: "octet-tflite-schema", rooms: &[], libraries: Some(&["flatbuffers"]), reason: "generated code stands alone" },
    Rule {
        name: "octet-frontend-tflite",
        rooms: &["octet-ir", "octet-plugin", "octet-tflite-schema"],
        libraries: None,
        reason: "a frontend sees its own codec and the IR, no backend and no pass",
    },
    Rule {
        name: "octet-frontend-onnx",
        rooms: &["octet-eval", "octet-ir", "octet-plugin"],
        libraries: None,
        reason: "an ONNX operator is static only once its constant inputs are evaluated, with the kernels that would run it",
    },
    Rule {
        name: "octet-backend-tflite",
        rooms: &["octet-ir", "octet-plugin", "octet-tflite-schema"],
        libraries: None,
        reason: "a backend sees its own codec and the IR, no frontend and no pass",
    },
    Rule {
        name: "octet-loops",
        rooms: &["octet-ir", "octet-eval"],
        libraries: Some(&[]),
        reason: "lowering sees the IR, and the evaluator for tables of what it computes; it writes no target's code",
    },
    Rule {
        name: "octet-backend-c",
        rooms: &["octet-backend-tflite", "octet-eval", "octet-ir", "octet-loops", "octet-plugin", "octet-targets"],
        libraries: None,
        reason: "a backend sees the IR, the shared lowering, the evaluator for what its test programs expect, and the file that its arrays hold",
    },
    Rule {
        name: "octet-backend-wasm",
        rooms: &["octet-backend-tflite", "octet-ir", "octet-loops", "octet-plugin"],
        libraries: None,
        reason: "a backend sees the IR, the shared lowering, and the file of a graph that calls its kernels",
    },
    Rule {
        name: "octet-edgetpu",
        rooms: &["octet-backend-tflite", "octet-ir", "octet-plugin", "octet-targets", "octet-tflite-schema"],
        libraries: None,
        reason: "mapping sees the IR, the profiles, and of a file what the IR does not keep; it sees no pass",
    },
    Rule {
        name: "octet-targets",
        rooms: &["octet-ir"],
        libraries: Some(&["serde", "toml"]),
        reason: "a target profile is data about the IR's operations, and knows no file format of models",
    },
    Rule {
        name: "octet-data",
        rooms: &["octet-ir", "octet-plugin"],
        libraries: None,
        reason: "data files become arrays without knowing what is computed from them",
    },
    Rule {
        name: "octet-cli",
        rooms: &[
            "octet-backend-c",
            "octet-backend-tflite",
            "octet-backend-wasm",
            "octet-data",
            "octet-edgetpu",
            "octet-eval",
            "octet-frontend-onnx",
            "octet-frontend-tflite",
            "octet-ir",
            "octet-passes",
            "octet-plugin",
            "octet-plugin-host",
            "octet-targets",
        ],
        libraries: None,
        reason: "the command joins the rooms, and only the facade and tests join the command",
    },
    Rule {
        name: "octet",
        rooms: &[
            "octet-backend-c",
            "octet-backend-tflite",
            "octet-cli",
            "octet-data",
            "octet-eval",
            "octet-frontend-tflite",
            "octet-ir",
            "octet-passes",
            "octet-plugin",
            "octet-targets",
        ],
        libraries: None,
        reason: "the facade re-exports the rooms and starts the command",
    },
    Rule {
        name: "octet-plugin-host",
        rooms: &["octet-ir", "octet-plugin"],
        libraries: Some(&["sha2", "wasm-encoder", "wasmparser", "wasmtime", "wit-component", "wit-parser"]),
        reason: "the sandbox sees graphs and the registries, and no file format of models",
    },
    Rule {
        name: "acme-passes",
        rooms: &["octet"],
        libraries: Some(&[]),
        reason: "an example of a third party's crate sees what third parties see",
    },
    Rule {
        name: "octet-graphgen",
        rooms: &["octet-ir"],
        libraries: None,
        reason: "random graphs are made from the IR alone, so that every room's tests can use them",
    },
    Rule {
        name: "octet-onnx-suite",
        rooms: &["octet", "octet-frontend-onnx", "octet-peers"],
        libraries: None,
        reason: "ONNX's cases run through what library users have",
    },
    Rule { name: "octet-peers", rooms: &[], libraries: None, reason: "the peers' driver builds without the compiler" },
    Rule {
        name: "octet-bench",
        rooms: &["octet", "octet-data", "octet-eval", "octet-frontend-tflite", "octet-ir", "octet-passes"],
        libraries: None,
        reason: "benchmarks use what library users have",
    },
    Rule {
        name: "octet-tests",
        rooms: &[
            "octet",
            "octet-backend-c",
            "octet-backend-tflite",
            "octet-backend-wasm",
            "octet-data",
            "octet-edgetpu",
            "octet-eval",
            "octet-frontend-tflite",
            "octet-graphgen",
            "octet-ir",
            "octet-loops",
            "octet-passes",
            "octet-peers",
            "octet-plugin",
            "octet-targets",
        ],
        libraries: None,
        reason: "tests may see every room, and no room sees the tests",
    },
    Rule {
        name: "xtask",
        rooms: &["octet-peers"],
        libraries: None,
        reason: "tasks run without building the compiler, and measure the binary that users run",
    },
];

/// Libraries that only the named crates may use.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("clap", &["octet-cli", "xtask"], "arguments are the command's business"),
    ("clap_complete", &["octet-cli"], "arguments are the command's business"),
    ("indicatif", &["octet-cli"], "progress bars are the command's business"),
    ("anstyle", &["octet-cli"], "colours are the command's business"),
    ("wasmtime", &["octet-plugin-host"], "one crate sees the WebAssembly engine"),
    ("flatbuffers", &["octet-tflite-schema", "octet-frontend-tflite", "octet-backend-tflite", "octet-edgetpu"], "one codec a room"),
    ("prost", &["octet-frontend-onnx"], "one codec a room"),
    ("wasm-encoder", &["octet-backend-wasm", "octet-plugin-host"], "one codec a room; and plugins get the names of their interface"),
];

/// Finds edges that no rule allows.
pub(crate) fn check() -> Outcome {
    let metadata = metadata()?;
    told("edges", &findings(&metadata))
}

fn findings(metadata: &Value) -> Vec<String> {
    let members: BTreeSet<&str> = metadata["workspace_members"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let ours: Vec<&Value> = packages(metadata).iter().filter(|p| p["id"].as_str().is_some_and(|id| members.contains(id))).collect();
    let names: BTreeSet<&str> = ours.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut found = Vec::new();
    for package in ours {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(rule) = RULES.iter().find(|r| r.name == name) else {
            found.push(format!("{name} has no row in the table of edges"));
            continue;
        };
        // A test may use whatever it needs; an edge of the architecture is one that users build.
        let edges = package["dependencies"].as_array().into_iter().flatten();
        for edge in edges.filter(|d| d["kind"] != "dev").filter_map(|d| d["name"].as_str()) {
            if names.contains(edge) {
                if !rule.rooms.contains(&edge) {
                    found.push(format!("{name} -> {edge}: {}", rule.reason));
                }
                continue;
            }
            if rule.libraries.is_some_and(|allowed| !allowed.contains(&edge)) {
                found.push(format!("{name} -> {edge}: {}", rule.reason));
            }
            if let Some((_, _, reason)) = RESERVED.iter().find(|(l, users, _)| *l == edge && !users.contains(&name)) {
                found.push(format!("{name} -> {edge}: {reason}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::findings;
    use serde_json::json;

    #[test]
    fn a_forbidden_edge_is_found() {
        let package = |name: &str, needs: &[&str]| {
            let dependencies: Vec<_> = needs.iter().map(|n| json!({"name": n, "kind": null})).collect();
            json!({"id": name, "name": name, "dependencies": dependencies})
        };
        let metadata = json!({
            "workspace_members": ["octet-ir", "octet-eval", "octet-frontend-tflite", "octet-backend-tflite", "new"],
            "packages": [
                package("octet-ir", &["petgraph", "tokio"]),
                package("octet-eval", &["octet-ir", "rayon", "clap"]),
                package("octet-frontend-tflite", &["octet-ir", "octet-backend-tflite"]),
                package("octet-backend-tflite", &["octet-ir"]),
                package("new", &[]),
            ],
        });
        let found: Vec<String> = findings(&metadata).iter().map(|f| f.split(':').next().unwrap_or_default().to_owned()).collect();
        assert_eq!(
            found,
            [
                "octet-ir -> tokio",
                "octet-eval -> clap",
                "octet-frontend-tflite -> octet-backend-tflite",
                "new has no row in the table of edges",
            ]
        );
    }
}
