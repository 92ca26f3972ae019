#!/bin/sh
# Builds the kernel with AssemblyScript's compiler, which npm installs into node_modules.
set -e
cd "$(dirname "$0")"
npm install --silent
npm run --silent build
