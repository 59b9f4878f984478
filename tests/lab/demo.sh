#!/usr/bin/env bash
# The product end to end: people with nothing but a certificate, a host that says whom it saw, a refusal, the records and the metrics.
# Goes on as lab.sh does until Ctrl-C, or ends after it where ONCE=1.
set -euo pipefail
# shellcheck source=tests/lab/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# run PERSON CLIENT OPTION TEXT: prints what came of it as a line of JSON.
run() {
  "$PYTHON" tests/lab/client.py --client "$2" --url "https://localhost:$GATEWAY_PORT/hosts/${HOSTS[0]}/wsman" \
    --cert "$RUN/pki/$1.pem" --key "$RUN/pki/$1.key" --ca "$RUN/pki/ca.pem" "$3" "$4"
}

field() { "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]] or "")' "$1"; }

# expect PERSON CLIENT OPTION TEXT WANTED: fails unless the first line of the output is WANTED.
expect() {
  local result seen
  result=$(run "$1" "$2" "$3" "$4")
  seen=$(field stdout <<< "$result" | tr -d '\r')
  printf '%s\n' "$seen" | sed '/^$/d; s/^/    /'
  [ "$(head -1 <<< "$seen")" = "$5" ] || fail "wanted $5, and this came: $result"
}

person() {
  step "$1: pypsrp execute_cmd, whoami"
  expect "$1" pypsrp-cmd --command whoami "$1@$REALM"
  step "$1: pypsrp execute_ps, a PowerShell script"
  # shellcheck disable=SC2016 # PowerShell's variables
  expect "$1" pypsrp-ps --script 'Write-Output "$(whoami)"; "on $env:COMPUTERNAME"' "$1@$REALM"
}

refused() {
  local result error
  step "carol, who can't be delegated, is refused"
  result=$(run carol pypsrp-cmd --command whoami)
  error=$(field error <<< "$result")
  printf '    %s\n' "$error"
  [[ $error == *"can't be delegated"* ]] || fail "carol was not refused for the right reason: $result"
  grep -qE '[0-9a-f]{32}' <<< "$error" || fail "the refusal has no request id"
}

records() {
  step "the audit records: intent and outcome under one id"
  # The last outcome is written after the client has its answer.
  await grep -q not_delegable "$RUN/audit/audit.jsonl"
  "$PYTHON" tests/lab/show.py audit "$RUN/audit/audit.jsonl"
}

moved() {
  step "the metrics that moved"
  admin /metrics > "$RUN/after.prom"
  "$PYTHON" tests/lab/show.py metrics "$RUN/before.prom" "$RUN/after.prom" | tee "$RUN/moved"
  [ -s "$RUN/moved" ] || fail "no metric has moved"
}

bring_up
admin /metrics > "$RUN/before.prom"
person alice
person bob
refused
records
moved
say "that is all of it"
[ -n "${ONCE-}" ] || stay
