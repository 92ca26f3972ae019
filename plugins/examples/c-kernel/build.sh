#!/bin/sh
# Builds the kernel: clang for wasm32 and lld (Debian: apt install clang lld). LD names another linker: LD="rust-lld -flavor wasm".
set -e
cd "$(dirname "$0")"
need() { command -v "$1" > /dev/null || { echo "build.sh: there is no $1: $2" >&2; exit 1; }; }
need clang "apt install clang lld"
[ -n "$LD" ] || need wasm-ld 'apt install lld, or LD="/path/of/rust-lld -flavor wasm", which every Rust toolchain has below lib/rustlib'
source=$(ls *.c)
clang --target=wasm32 -O2 -Wall -ffreestanding -fno-builtin -c "$source" -o kernel.o
${LD:-wasm-ld} --no-entry --strip-all kernel.o -o kernel.wasm
rm kernel.o
