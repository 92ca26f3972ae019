//! The IR that a rewrite's module doc shows is what the rewrite does.

use octet_ir::{Diagnostic, Module, text, verify};
use octet_passes::rewrite::{Rewrite, rewrite_module};
use octet_plugin::Observer;

struct Quiet;

impl Observer for Quiet {
    fn report(&mut self, _: Diagnostic) {}
    fn progress(&mut self, _: usize, _: usize, _: &'static str) {}
    fn may_patch(&mut self, _: &str, _: &str) -> bool {
        true
    }
}

fn read(source: &str) -> Module {
    let module = text::parse(source, &Default::default()).unwrap_or_else(|e| panic!("{e}\n{source}"));
    verify::verify(&module).unwrap_or_else(|e| panic!("{e}\n{source}"));
    module
}

fn printed(mut module: Module) -> String {
    module.compact();
    text::print(&module).text
}

fn rewritten(rewrite: &dyn Rewrite, before: &str) -> Module {
    let mut module = read(before);
    rewrite_module("test", &mut module, &[rewrite], &mut Quiet).expect("patches fit");
    verify::verify(&module).unwrap_or_else(|e| panic!("{}: {e}", rewrite.name()));
    module
}

#[test]
fn examples_run() {
    for (pass, rewrite) in octet_passes::rewrites() {
        let examples = octet_passes::examples(rewrite);
        assert!(!examples.is_empty(), "{pass}: {} shows no IR before and after", rewrite.name());
        for (before, after) in examples {
            assert_eq!(printed(rewritten(rewrite, &before)), printed(read(&after)), "{pass}: {}", rewrite.name());
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
