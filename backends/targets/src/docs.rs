//! The manual page of the targets, from the same data that checks use.

use std::fmt::Write;

use crate::profile::{Profile, profiles};

/// `docs/targets.md`: every built-in profile, operation by operation.
pub fn docs() -> String {
    let mut out = String::from(
        "# Targets\n\n\
         <!-- Generated from backends/targets/profiles by `cargo xtask docs`; change them there. -->\n\n\
         What `octet check MODEL --target NAME` holds a model against. A row of types lists operands, then results: `i8|i16` are alternatives, `?`\n\
         may be left out, `_` is left out, `..` is any number, `*` is any type, and a capital letter is one type throughout. An operation without\n\
         types moves elements of any type, calls graphs, or its types are not stated. Of an accelerator, what it does not take runs on the CPU beside it.\n",
    );
    for profile in profiles() {
        // Writing to a string cannot fail.
        let _ = section(profile, &mut out);
    }
    out
}

fn section(profile: &Profile, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n## {}\n\n{}. Source: {}.", profile.name, profile.title, profile.source)?;
    if !profile.aliases.is_empty() {
        writeln!(out, "Also called {}.", profile.aliases.join(", "))?;
    }
    if profile.static_shapes {
        writeln!(out, "Every rank is known before the model runs.")?;
    }
    if let Some(accelerator) = &profile.accelerator {
        if accelerator.one_cluster {
            writeln!(out, "One cluster is mapped: an operation after a CPU operation that itself follows a mapped one stays on the CPU.")?;
        }
        if accelerator.drops_shapes {
            writeln!(out, "Operations whose results only tell RESHAPE a shape that is known do not run.")?;
        }
        if let (Some(newest), Some(oldest)) = (accelerator.runtime, accelerator.oldest_runtime) {
            writeln!(out, "Constraints are those of runtime {newest}; `--min-runtime-version` goes back to {oldest}.")?;
        }
    }
    if !profile.rewritten.is_empty() {
        let names: Vec<String> = profile.rewritten.iter().map(|n| n.to_uppercase()).collect();
        writeln!(out, "`octet compile --target {}` computes {} with operations that it has.", profile.name, names.join(", "))?;
    }
    for every in &profile.every {
        let upper = |list: &[String]| list.iter().map(|n| n.to_uppercase()).collect::<Vec<_>>().join(", ");
        let of = if every.only.is_empty() { "every operation".to_owned() } else { upper(&every.only) };
        let except = if every.except.is_empty() { String::new() } else { format!(" but {}", upper(&every.except)) };
        writeln!(out, "\nFor {of}{except}:\n")?;
        for rule in &every.rules {
            writeln!(out, "- {}", capital(&rule.sentence()))?;
        }
    }
    writeln!(out, "\n| operation | types | constraints |\n|---|---|---|")?;
    for rule in &profile.ops {
        let names: Vec<String> =
            rule.ops.iter().map(|o| o.strip_prefix("custom:").map_or_else(|| o.to_uppercase(), str::to_owned)).collect();
        let types: Vec<String> = rule.types.iter().map(|t| format!("`{}`", t.to_string().replace('|', "\\|"))).collect();
        let mut constraints: Vec<String> = rule.rules.iter().map(|r| capital(&r.sentence())).collect();
        constraints.extend(rule.since.map(|since| format!("From runtime {since} on.")));
        constraints.extend(rule.version.map(|version| format!("At most version {version}.")));
        constraints.extend(rule.note.clone());
        writeln!(out, "| {} | {} | {} |", names.join(", "), types.join("<br>"), constraints.join(" "))?;
    }
    Ok(())
}

fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
