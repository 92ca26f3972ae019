#!/bin/sh
# Builds the kernel: rustup target add wasm32-unknown-unknown.
set -e
cd "$(dirname "$0")"
need() { command -v "$1" > /dev/null || { echo "build.sh: there is no $1: $2" >&2; exit 1; }; }
need cargo "https://rustup.rs; then rustup target add wasm32-unknown-unknown"
cargo build --quiet --release --target wasm32-unknown-unknown --target-dir "${CARGO_TARGET_DIR:-target}"
cp "${CARGO_TARGET_DIR:-target}/wasm32-unknown-unknown/release/acme_kernel.wasm" kernel.wasm
