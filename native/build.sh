#!/bin/sh
# Builds every native/*.c into an addon beside it, where the source is newer than what is there. About a second each.
# Exit codes: 0 all built (or nothing to do), 3 no C compiler, 4 the Node-API headers are not installed, 1 a build failed.
# The appliance works without these addons, more slowly and with fewer holes kept: the caller decides what a failure means.
set -eu
cd "$(dirname "$0")"

headers=../node_modules/node-api-headers/include
compiler=${CC:-cc}

for source in *.c; do
  addon="${source%.c}.node"
  [ "$addon" -nt "$source" ] && continue
  if ! command -v "$compiler" >/dev/null 2>&1; then
    echo "native: no C compiler ($compiler): ${addon} is not built" >&2
    exit 3
  fi
  if [ ! -f "$headers/node_api.h" ]; then
    echo "native: node-api-headers is not installed (bun install): ${addon} is not built" >&2
    exit 4
  fi
  # Built under another name first: a process that has the old addon mapped must not see it change.
  "$compiler" -O2 -Wall -Wextra -Werror -shared -fPIC -I "$headers" "$source" -o "$addon.tmp"
  mv "$addon.tmp" "$addon"
  echo "native: built $addon"
done
