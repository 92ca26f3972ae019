#!/bin/sh
# Builds the pass with AssemblyScript's compiler, which npm installs into node_modules; then octet makes a plugin of the module.
# OCTET names another command.
set -e
cd "$(dirname "$0")"
need() { command -v "$1" > /dev/null || { echo "build.sh: there is no $1: $2" >&2; exit 1; }; }
need npm "apt install npm"
[ -n "$OCTET" ] || need octet "put it into PATH, or OCTET=/path/of/octet"
npm install --silent
npm run --silent build
${OCTET:-octet} plugin pack pass.core.wasm -o pass.wasm
rm pass.core.wasm
