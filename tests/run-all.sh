#!/usr/bin/env bash
# Everything that must hold, in the order in which it fails fastest. CI runs this through `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s (%s)\n' "$1" "$(date +%T)"; }

step "format"
cargo fmt --check

step "lints"
cargo clippy --locked --all-targets -- -D warnings

step "tests"
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --locked
else
  cargo test --locked --lib --bins --tests
fi

step "documentation tests"
cargo test --locked --doc

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --quiet

step "every file in config/"
cargo build --locked --quiet
for file in config/*.yaml; do
  "${CARGO_TARGET_DIR:-target}/debug/winrm-gateway" check --syntax --config "$file"
done

step "benchmarks compile"
cargo bench --locked --no-run --quiet

printf '\nall of it holds (%s)\n' "$(date +%T)"
