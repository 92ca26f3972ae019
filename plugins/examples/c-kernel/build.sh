#!/bin/sh
# Builds the kernel: clang for wasm32 and lld (Debian: apt install clang lld). LD names another linker: LD="rust-lld -flavor wasm".
set -e
cd "$(dirname "$0")"
source=$(ls *.c)
clang --target=wasm32 -O2 -Wall -ffreestanding -fno-builtin -c "$source" -o kernel.o
${LD:-wasm-ld} --no-entry --strip-all kernel.o -o kernel.wasm
rm kernel.o
