#!/usr/bin/env bash
# All benchmarks: the codecs and the seal by criterion, then the gateway beside HAProxy and nginx. Prints one table and writes
# target/bench/report.json. Takes some four minutes once built; everything listens on loopback and ends with it.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "benches/run.sh: $*" >&2; exit 1; }

command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || die "haproxy is missing; run tests/lab/install.sh"
export PATH="$PATH:/usr/sbin"

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/bench"
realm=$(cd "$target/bench" && pwd)/realm
trap 'bash tests/lab/mit-realm.sh down "$realm"' EXIT

echo "building"
cargo bench --locked --no-run --quiet

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
bash tests/lab/mit-realm.sh down "$realm"
bash tests/lab/mit-realm.sh up "$realm" "$port" --users 50 --hosts 100

# The fleet keeps five thousand connections open; the hosts' acceptors need no replay cache to be measured.
ulimit -n "$(ulimit -Hn)"
export BENCH_REALM=$realm KRB5_CONFIG=$realm/krb5.conf KRB5RCACHENAME=none:

rm -rf "$target/criterion"
echo "codecs and seal"
cargo bench --locked --quiet --bench codecs --bench seal > "$target/bench/criterion.log" 2>&1 || {
  cat "$target/bench/criterion.log" >&2
  die "the benchmarks of the codecs failed"
}
echo "proxies side by side"
timeout 240 cargo bench --locked --quiet --bench proxy
