//! Two plugins with one name: nothing runs, and the message names both crates.

use octet::plugin::{Options, Pass, PassEntry, Registry, register_pass};

fn create(_: Options) -> Result<Box<dyn Pass>, octet::Diagnostic> {
    Err(octet::Diagnostic::error("ACM002", "never made"))
}

register_pass!("fold", "Takes a name that is taken.", create);

#[test]
fn a_name_that_is_taken_is_refused() {
    let refused = Registry::<PassEntry>::collect().expect_err("two passes are called fold");
    assert_eq!(refused.code, "PLG001");
    assert!(refused.message.contains("acme-passes 0.3.0"), "{}", refused.message);
    assert!(refused.message.contains("octet-passes 0."), "{}", refused.message);
    assert_eq!(octet::run(["octet", "list", "passes"].map(Into::into)), octet::Exit::Failure);
}
