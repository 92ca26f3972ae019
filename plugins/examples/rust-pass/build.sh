#!/bin/sh
# Builds the pass: rustup target add wasm32-unknown-unknown; then octet makes a plugin of the module. OCTET names another command.
set -e
cd "$(dirname "$0")"
need() { command -v "$1" > /dev/null || { echo "build.sh: there is no $1: $2" >&2; exit 1; }; }
need cargo "https://rustup.rs; then rustup target add wasm32-unknown-unknown"
[ -n "$OCTET" ] || need octet "put it into PATH, or OCTET=/path/of/octet"
cargo build --quiet --release --target wasm32-unknown-unknown --target-dir "${CARGO_TARGET_DIR:-target}"
${OCTET:-octet} plugin pack "${CARGO_TARGET_DIR:-target}/wasm32-unknown-unknown/release/acme_wasm_pass.wasm" -o pass.wasm
