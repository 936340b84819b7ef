#!/bin/sh
# `npm test`: makes sure of Node and packages, then hands over to scripts/test.ts.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup/node.sh
exec "$node" scripts/test.ts "$@"
