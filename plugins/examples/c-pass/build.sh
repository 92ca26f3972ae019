#!/bin/sh
# Builds the pass: clang for wasm32 and lld (Debian: apt install clang lld), then octet makes a plugin of the module.
# LD and OCTET name other linkers and commands: LD="rust-lld -flavor wasm".
set -e
cd "$(dirname "$0")"
need() { command -v "$1" > /dev/null || { echo "build.sh: there is no $1: $2" >&2; exit 1; }; }
need clang "apt install clang lld"
[ -n "$LD" ] || need wasm-ld 'apt install lld, or LD="/path/of/rust-lld -flavor wasm", which every Rust toolchain has below lib/rustlib'
[ -n "$OCTET" ] || need octet "put it into PATH, or OCTET=/path/of/octet"
source=$(ls *.c)
clang --target=wasm32 -O2 -Wall -ffreestanding -fno-builtin -c "$source" -o pass.o
${LD:-wasm-ld} --no-entry --strip-all pass.o -o pass.core.wasm
${OCTET:-octet} plugin pack pass.core.wasm -o pass.wasm
rm pass.o pass.core.wasm
