#!/bin/sh
# Builds the kernel with AssemblyScript's compiler, which npm installs into node_modules.
set -e
cd "$(dirname "$0")"
need() { command -v "$1" > /dev/null || { echo "build.sh: there is no $1: $2" >&2; exit 1; }; }
need npm "apt install npm"
npm install --silent
npm run --silent build
