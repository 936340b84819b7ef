#!/bin/bash
# Behaves like the official image's entrypoint: extra packages first, then the command in our place.
if [ -n "$EXTRA_PIP_PACKAGES" ]; then
  echo "+ uv pip install $EXTRA_PIP_PACKAGES"
  # shellcheck disable=SC2086 # a list of packages, split on purpose
  uv pip install $EXTRA_PIP_PACKAGES || exit 1
fi
if [ $# -eq 0 ]; then
  exec bash --login
fi
exec "$@"
