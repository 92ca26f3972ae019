//! Plugins as they were built for each published version of the interfaces: they load and work as long as there is an Octet. They are never built again.

use octet_plugin_host::{Limits, load_bytes};

use crate::examples::cases;
use crate::kernels::floats;

/// The C example, for `octet:plugin@0.1.0`.
const PASS: &[u8] = include_bytes!("../fixtures/pass-0.1.0.wasm");
/// The C example, for version 1 of the ABI.
const KERNEL: &[u8] = include_bytes!("../fixtures/kernel-1.wasm");

#[test]
fn the_pass_of_0_1_0_works() {
    let plugin = load_bytes(PASS, "pass.wasm", &Limits::default(), None).expect("loads");
    assert_eq!((plugin.name(), plugin.version.as_str(), plugin.interface()), ("fuse-log-softmax", "1.0.0", "octet:plugin@0.1.0"));
    cases("c-pass", &plugin, 3);
}

#[test]
fn the_kernel_of_version_1_works() {
    let plugin = load_bytes(KERNEL, "kernel.wasm", &Limits::default(), None).expect("loads");
    assert_eq!((plugin.name(), plugin.version.as_str(), plugin.interface()), ("AcmeSquaredRelu", "1.0.0", "octet.kernel 1"));
    let kernel = plugin.kernel().expect("a kernel").kernel;
    let answer = kernel.run(&[Some(&floats(&[-1.0, 0.5, 2.0, 9.0]))], &6f32.to_le_bytes()).expect("runs");
    assert_eq!(answer, [floats(&[0.0, 0.25, 4.0, 6.0])]);
}
