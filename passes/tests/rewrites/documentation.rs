//! The IR that a rewrite's module doc shows is what the rewrite does, and it computes the same.

use crate::common::{assert_same_numbers, assert_same_within, printed, read, rewritten};

/// Rewrites whose pages state an error, in levels.
const INEXACT: [(&str, u8); 7] =
    [("elu", 2), ("gelu", 1), ("hard_swish", 1), ("leaky_relu", 1), ("absolute", 1), ("negate", 1), ("mean", 1)];

#[test]
fn examples_run() {
    for (pass, rewrite) in octet_passes::rewrites() {
        let examples = octet_passes::examples(rewrite);
        assert!(!examples.is_empty(), "{pass}: {} shows no IR before and after", rewrite.name());
        for (before, after) in examples {
            assert_ne!(printed(read(&before)), printed(read(&after)), "{pass}: {} shows the same twice", rewrite.name());
            assert_eq!(printed(rewritten(rewrite, &before)), printed(read(&after)), "{pass}: {}", rewrite.name());
            match INEXACT.iter().find(|(name, _)| pass == "legalize" && *name == rewrite.name()) {
                Some((_, levels)) => assert_same_within(&read(&before), &read(&after), *levels),
                None => assert_same_numbers(&read(&before), &read(&after)),
            }
        }
    }
}

#[test]
fn nothing_is_left_to_rewrite() {
    for (pass, rewrite) in octet_passes::rewrites() {
        for (_, after) in octet_passes::examples(rewrite) {
            let once = printed(read(&after));
            assert_eq!(printed(rewritten(rewrite, &after)), once, "{pass}: {} changes its own result", rewrite.name());
        }
    }
}

#[test]
fn the_manual_names_every_pass_and_rewrite() {
    let page = octet_passes::docs();
    for (pass, rewrite) in octet_passes::rewrites() {
        assert!(page.contains(&format!("\n## {pass}\n")) && page.contains(&format!("\n### {}\n", rewrite.name())));
    }
}
