#!/usr/bin/env bash
# Runs fuzz targets, one after the other, each for some seconds of CPU: run.sh SECONDS [TARGET…]
# Needs a nightly compiler and cargo-fuzz; a missing tool is a failure.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seconds=$1
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(envelope sealed fragments clixml xpress)
cd "$here/../.."
for target in "${targets[@]}"; do
    # What is found on the way goes into a folder of its own; the committed seeds stay as they are.
    found=$(mktemp -d)
    cargo +nightly fuzz run --fuzz-dir "$here" "$target" "$found" "$here/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=10 -print_final_stats=1
    rm -rf "$found"
done
