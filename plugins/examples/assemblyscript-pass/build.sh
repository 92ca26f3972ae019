#!/bin/sh
# Builds the pass with AssemblyScript's compiler, which npm installs into node_modules; then octet makes a plugin of the module.
# OCTET names another command.
set -e
cd "$(dirname "$0")"
npm install --silent
npm run --silent build
${OCTET:-octet} plugin pack pass.core.wasm -o pass.wasm
rm pass.core.wasm
