# Shared by lab.sh and demo.sh: brings up a realm, certificates, an emulated host and the gateway below target/lab/run, and ends all of it.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
LAB=$PWD/target/lab
RUN=$LAB/run
ENV_FILE=$LAB/env
PYTHON=$LAB/venv/bin/python
REALM=CORP.EXAMPLE
DOMAIN=corp.example
PEOPLE=(alice bob carol dave)
HOSTS=(web01.$DOMAIN web02.$DOMAIN web03.$DOMAIN web04.$DOMAIN)
PIDS=()
STEP="starting"

BOLD='' PLAIN=''
if [ -t 1 ]; then BOLD=$'\033[1m' PLAIN=$'\033[0m'; fi

say() { printf '%s[%3d s]%s %s\n' "$BOLD" "$SECONDS" "$PLAIN" "$*"; }

# What is under way, for the message if it fails.
step() { STEP=$*; say "$*"; }

fail() { echo "$*" >&2; exit 1; }

# Takes the lab for this process; one at a time.
claim() {
  mkdir -p "$LAB"
  exec 7> "$LAB/run.lock"
  flock -n 7 || fail "another lab is running in this checkout"
  [ -x "$PYTHON" ] || fail "$PYTHON is missing: run 'make install'"
  end_leftovers
  rm -rf "$RUN"
  mkdir -p "$RUN"
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

end_realm() { if [ -d "$RUN/realm" ]; then bash tests/lab/mit-realm.sh down "$RUN/realm"; fi; }

# What a run that was killed has left: by its recorded ids, where these are still programs of that run.
end_leftovers() {
  local pid
  if [ -f "$RUN/pids" ]; then
    while read -r pid; do
      if grep -qsF "$RUN/" "/proc/$pid/cmdline"; then kill -KILL "$pid"; fi
    done < "$RUN/pids"
  fi
  end_realm
}

# Ends everything that was started here, by its id. Keeps the logs of a run that failed.
finish() {
  local status=$? pid
  trap '' INT TERM
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ "$status" != 0 ] && [ "$status" != 130 ] && [ "$status" != 143 ]; then
    printf '\n%s: failed (status %d). The ends of the logs, which are in %s:\n' "$STEP" "$status" "$RUN" >&2
    tail -n 15 "$RUN"/*.log >&2 || true
    cp "$RUN/realm/kdc.log" "$RUN/kdc.log" 2>/dev/null || true
    end_realm
  else
    end_realm
    rm -rf "$RUN"
  fi
  rm -f "$ENV_FILE"
  exit "$status"
}

# Starts a program in the background with its output in a log.
start() {
  local name=$1; shift
  # Not the lock: it would be held by what outlives this script.
  "$@" > "$RUN/$name.log" 2>&1 < /dev/null 7>&- &
  PIDS+=($!)
  echo $! >> "$RUN/pids"
}

# Waits up to 30 seconds until a command succeeds, as long as the program started last is there.
await() {
  local pid=${PIDS[-1]} deadline=$((SECONDS + 30))
  until "$@" > /dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || fail "it ended at once"
    [ $SECONDS -lt $deadline ] || fail "it is not ready after 30 seconds"
    read -rt 0.02 <> <(:) || true
  done
}

# Prints free ports of 127.0.0.1.
free_ports() {
  "$PYTHON" - "$1" <<'CODE'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(one.getsockname()[1] for one in held))
CODE
}

start_realm() {
  step "a Kerberos realm $REALM, with delegation"
  bash tests/lab/mit-realm.sh up "$RUN/realm" "$KDC_PORT" 7>&-
  export KRB5_CONFIG=$RUN/realm/krb5.conf
}

# issue FILE SUBJECT-ALTERNATIVE-NAMES PURPOSE
issue() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -CA "$RUN/pki/ca.pem" -CAkey "$RUN/pki/ca.key" \
    -keyout "$RUN/pki/$1.key" -out "$RUN/pki/$1.pem" -subj "/CN=$1" -addext "subjectAltName=$2" -addext "extendedKeyUsage=$3" \
    -addext "keyUsage=critical,digitalSignature" -addext "basicConstraints=critical,CA:FALSE" 2>> "$RUN/openssl.out"
}

make_certificates() {
  step "certificates for the gateway, the host and ${PEOPLE[*]}"
  mkdir "$RUN/pki"
  (
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout "$RUN/pki/ca.key" -out "$RUN/pki/ca.pem" \
      -subj "/CN=Lab authority" -addext "keyUsage=critical,keyCertSign,cRLSign" 2>> "$RUN/openssl.out"
    issue gateway "DNS:gw.$DOMAIN,DNS:*.winrm.$DOMAIN,DNS:localhost,IP:127.0.0.1" serverAuth
    issue host "$(printf 'DNS:%s,' "${HOSTS[@]}" | sed 's/,$//')" serverAuth
    # A person's name is the UPN in the certificate, as on a smart card.
    for person in "${PEOPLE[@]}"; do issue "$person" "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:$person@$DOMAIN" clientAuth; done
  )
}

start_host() {
  step "an emulated Windows host, called ${HOSTS[*]}"
  start host env KRB5RCACHENAME=none: "$PYTHON" tests/lab/windows_host.py --name "${HOSTS[@]}" --keytab "$RUN/realm/kt/hosts.keytab" \
    --http "127.0.0.1:$HOST_HTTP_PORT" --https "127.0.0.1:$HOST_HTTPS_PORT" --cert "$RUN/pki/host.pem" --key "$RUN/pki/host.key" \
    --log "$RUN/host.jsonl" --ready-file "$RUN/host.ready"
  await test -e "$RUN/host.ready"
}

build_gateway() {
  step "the gateway, built from this checkout"
  cargo build --locked --quiet 7>&-
  BINARY=${CARGO_TARGET_DIR:-target}/debug/winrm-gateway
}

write_configuration() {
  local thumbprint
  thumbprint=$(openssl x509 -in "$RUN/pki/ca.pem" -outform DER | sha256sum | cut -d' ' -f1)
  cat > "$RUN/gateway.yaml" <<CONFIG
# Written by tests/lab/common.sh for one run.
realms:
  $REALM: { netbios: CORP }

accounts:
  delegation: { principal: svc-gw@$REALM, keytab: $RUN/realm/kt/svc-gw.keytab }

cert_mappings:
  - { issuer: "$thumbprint", subject: "*@$DOMAIN", uri: "*", principal: "{upn_user}@$REALM" }

listeners:
  - name: fleet
    address: "127.0.0.1:$GATEWAY_PORT"
    transport: https
    certificate: $RUN/pki/gateway.pem
    private_key: $RUN/pki/gateway.key
    client_certificates: { mode: optional, trust_anchors: $RUN/pki/ca.pem }
  - { name: loopback, address: "127.0.0.1:$GATEWAY_HTTP_PORT", transport: http, trust_loopback_as: alice@$REALM }

service:
  auth: { certificate: true }

# No DNS in the lab.
resolve: { "*.$DOMAIN": 127.0.0.1 }

routes:
  - name: sealed
    match: { path: "/hosts/{host}/wsman" }
    hosts: ["*.$DOMAIN"]
    networks: [127.0.0.0/8]
    accept: [certificate, peer]
    backend: { url: "http://{host}:$HOST_HTTP_PORT/wsman", auth: kerberos, credential: { s4u: delegation }, spn: "HTTP/{host}" }
    rules: &people
      - { name: auditors, who: { principals: [dave@$REALM] }, allow: [read] }
      - { name: people, who: { principals: ["*@$REALM"] }, allow: [read, write, execute] }
  - name: over-tls
    match: { path: "/tls/{host}/wsman" }
    hosts: ["*.$DOMAIN"]
    networks: [127.0.0.0/8]
    accept: [certificate, peer]
    backend:
      url: "https://{host}:$HOST_HTTPS_PORT/wsman"
      auth: negotiate
      credential: { s4u: delegation }
      spn: "HTTP/{host}"
      ca_file: $RUN/pki/ca.pem
    rules: *people

kerberos: { config: $RUN/realm/krb5.conf }
audit: { directory: $RUN/audit, before_run: durable }
admin: { address: "127.0.0.1:$ADMIN_PORT" }
CONFIG
}

admin() { curl -sf --max-time 5 "http://127.0.0.1:$ADMIN_PORT$1"; }

start_gateway() {
  step "the gateway"
  write_configuration
  start gateway "$BINARY" serve --config "$RUN/gateway.yaml"
  await admin /readyz
}

# What another terminal needs.
write_env() {
  local person
  {
    echo "# The lab that runs as process $$."
    echo "export GATEWAY_URL=https://localhost:$GATEWAY_PORT"
    echo "export GATEWAY_HTTP_URL=http://127.0.0.1:$GATEWAY_HTTP_PORT"
    echo "export GATEWAY_CA=$RUN/pki/ca.pem"
    echo "export GATEWAY_CONFIG=$RUN/gateway.yaml"
    echo "export ADMIN_URL=http://127.0.0.1:$ADMIN_PORT"
    echo "export AUDIT_DIR=$RUN/audit"
    echo "export HOSTS='${HOSTS[*]}'"
    echo "export HOST_LOG=$RUN/host.jsonl"
    echo "export KRB5_CONFIG=$RUN/realm/krb5.conf"
    for person in "${PEOPLE[@]}"; do
      echo "export CLIENT_CERT_$person=$RUN/pki/$person.pem CLIENT_KEY_$person=$RUN/pki/$person.key"
      echo "export KEYTAB_$person=$RUN/realm/kt/$person.keytab PASSWORD_$person='Passw0rd!'"
    done
  } > "$ENV_FILE.new"
  mv "$ENV_FILE.new" "$ENV_FILE"
}

bring_up() {
  claim
  read -r KDC_PORT HOST_HTTP_PORT HOST_HTTPS_PORT GATEWAY_PORT GATEWAY_HTTP_PORT ADMIN_PORT <<< "$(free_ports 6)"
  build_gateway
  start_realm
  make_certificates
  start_host
  start_gateway
  write_env
  say "all of it is up"
  STEP="showing it"
}

# Until Ctrl-C, or until one of the programs ends by itself.
stay() {
  cat <<TEXT

It stays up until Ctrl-C. In another terminal:

  source target/lab/env
  target/lab/venv/bin/python tests/lab/client.py --url \$GATEWAY_URL/hosts/${HOSTS[0]}/wsman \\
    --cert \$CLIENT_CERT_alice --key \$CLIENT_KEY_alice --ca \$GATEWAY_CA --command whoami

TEXT
  STEP="staying up"
  # From here on, to be stopped is no failure.
  trap 'exit 0' INT TERM
  wait -n "${PIDS[@]}" || true
  fail "a part of the lab has ended by itself"
}
