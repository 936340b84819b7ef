#!/bin/sh
# `npm run demo`: makes sure of Node and packages, then hands over to scripts/demo.ts.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup/node.sh
exec "$node" scripts/demo.ts "$@"
