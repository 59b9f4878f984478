#!/usr/bin/env bash
# What the dependencies are, judged by the tools that are installed. Says which it could not run.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=0
run() {
  local tool=$1; shift
  if command -v "$tool" >/dev/null 2>&1; then
    printf '== %s\n' "$*"
    "$@"
  else
    printf 'not run: %s is not installed (cargo install %s)\n' "$tool" "$tool"
    missing=1
  fi
}
run cargo-deny cargo deny --locked check
run cargo-machete cargo machete
exit "$missing"
