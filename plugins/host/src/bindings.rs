//! What `plugins/wit/plugin.wit` says, as Rust.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from the WIT package, which documents every type")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "pass-plugin",
    with: { "octet:plugin/host.graph": super::view::GraphView },
    imports: { default: trappable },
});
