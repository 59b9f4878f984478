#!/usr/bin/env bash
# A throw-away MIT realm CORP.EXAMPLE with constrained delegation: krb5kdc over an LDAP directory that listens on a Unix socket only.
#
#   mit-realm.sh up DIR PORT [--users N] [--hosts N] [--max-life TIME]
#   mit-realm.sh rotate DIR PRINCIPAL KEYTAB    gives the principal a new key and adds it to the keytab
#   mit-realm.sh down DIR
#
# Everything lives below DIR (and one short directory for the socket, whose path must fit in 108 bytes); `down` ends the two processes by
# their recorded ids and removes both.
#
# People, password Passw0rd!: alice, bob, dave, carol (can't be delegated), user001 to userN.
# Services: svc-gw@ may impersonate anybody towards HTTP/ and WSMAN/ of web01 to web04 and of host001 to hostN.fleet, not towards web05;
# svc-plain@ may delegate but not without the person's own ticket; HTTP/, WSMAN/, host/ and HOST/gw.corp.example are the gateway's own, and may
# delegate as svc-plain@ does.
# Keytabs below DIR/kt: alice, bob, carol, dave, svc-gw, svc-plain, gw, web01 to web05, hosts (all of web*), fleet (all of host*).
set -euo pipefail

REALM=CORP.EXAMPLE
DOMAIN=corp.example
SUFFIX=dc=corp,dc=example
# HOST as Windows writes it, host as everybody else does: here these are two names.
GATEWAY=(HTTP/gw.$DOMAIN WSMAN/gw.$DOMAIN host/gw.$DOMAIN HOST/gw.$DOMAIN)

die() { echo "mit-realm.sh: $*" >&2; exit 1; }

need() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null 2>&1 || [ -x "/usr/sbin/$tool" ] || die "$tool is missing; run tests/lab/install.sh"
  done
}

# Whether a process is there and is no zombie, which nobody may collect for a while.
runs() { grep -qs '^State:.[^Z]' "/proc/$1/status"; }

stop() {
  local file=$1 pid
  [ -f "$file" ] || return 0
  pid=$(cat "$file")
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 100); do
    runs "$pid" || return 0
    read -rt 0.02 <> <(:) || true
  done
  kill -KILL "$pid" 2>/dev/null || true
}

down() {
  local dir=$1
  [ -d "$dir" ] || return 0
  stop "$dir/kdc.pid"
  stop "$dir/slapd.pid"
  if [ -f "$dir/socket-dir" ]; then rm -rf -- "$(cat "$dir/socket-dir")"; fi
  rm -rf -- "$dir"
}

# Waits up to ten seconds for a condition.
await() {
  local what=$1 pid=$2; shift 2
  for _ in $(seq 500); do
    if "$@" 2>/dev/null; then return 0; fi
    kill -0 "$pid" 2>/dev/null || die "$what ended at once; see the logs in its directory"
    read -rt 0.02 <> <(:) || true
  done
  die "$what is not ready after ten seconds"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

write_krb5_conf() {
  cat > "$1/krb5.conf" <<CONF
[libdefaults]
    default_realm = $REALM
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
    forwardable = true
    kdc_timesync = 0
    default_ccache_name = FILE:$1/ccache
[realms]
    $REALM = {
        kdc = 127.0.0.1:$2
    }
[domain_realm]
    .$DOMAIN = $REALM
    $DOMAIN = $REALM
CONF
}

write_kdc_conf() {
  local dir=$1 port=$2 life=$3 url=$4
  cat > "$dir/kdc.conf" <<CONF
[kdcdefaults]
    kdc_listen = 127.0.0.1:$port
    kdc_tcp_listen = 127.0.0.1:$port
[realms]
    $REALM = {
        database_module = directory
        key_stash_file = $dir/stash
        acl_file = $dir/acl
        supported_enctypes = aes256-cts-hmac-sha1-96:normal
        default_principal_flags = +preauth
        max_life = $life
        max_renewable_life = 7d
    }
[dbmodules]
    directory = {
        db_library = kldap
        ldap_kerberos_container_dn = cn=krb,$SUFFIX
        ldap_kdc_sasl_mech = EXTERNAL
        ldap_kadmind_sasl_mech = EXTERNAL
        ldap_servers = $url
    }
[logging]
    kdc = FILE:$dir/kdc.log
    default = FILE:$dir/default.log
CONF
}

start_directory() {
  local dir=$1 url=$2
  mkdir -p "$dir/directory"
  zcat -f /usr/share/doc/krb5-kdc-ldap/kerberos.schema* > "$dir/kerberos.schema"
  cat > "$dir/slapd.conf" <<CONF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include $dir/kerberos.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix $SUFFIX
directory $dir/directory
maxsize 268435456
dbnosync
rootdn gidNumber=$(id -g)+uidNumber=$(id -u),cn=peercred,cn=external,cn=auth
index krbPrincipalName eq
index objectClass eq
CONF
  printf 'dn: %s\nobjectClass: domain\ndc: corp\n' "$SUFFIX" > "$dir/base.ldif"
  slapadd -f "$dir/slapd.conf" -l "$dir/base.ldif"
  setsid slapd -d 0 -f "$dir/slapd.conf" -h "$url" > "$dir/slapd.log" 2>&1 < /dev/null &
  echo $! > "$dir/slapd.pid"
  # The socket's file is there before anybody listens on it: an answer is the sign.
  await slapd "$(cat "$dir/slapd.pid")" ldapwhoami -Q -Y EXTERNAL -H "$url" > /dev/null
}

# The kadmin commands that make people, services and keytabs.
population() {
  local dir=$1 users=$2 hosts=$3 n web
  for name in alice bob dave; do echo "addprinc -pw Passw0rd! $name"; done
  echo "addprinc -pw Passw0rd! -allow_forwardable carol"
  for ((n = 1; n <= users; n++)); do printf 'addprinc -randkey user%03d\n' "$n"; done
  echo "addprinc -randkey -requires_preauth +ok_to_auth_as_delegate svc-gw"
  echo "addprinc -randkey -requires_preauth svc-plain"
  for name in "${GATEWAY[@]}"; do echo "addprinc -randkey -requires_preauth $name"; done
  for name in alice bob carol dave; do echo "ktadd -q -norandkey -k $dir/kt/$name.keytab $name"; done
  echo "ktadd -q -k $dir/kt/svc-gw.keytab svc-gw"
  echo "ktadd -q -k $dir/kt/svc-plain.keytab svc-plain"
  for name in "${GATEWAY[@]}"; do echo "ktadd -q -k $dir/kt/gw.keytab $name"; done
  for n in 1 2 3 4 5; do
    web=web0$n.$DOMAIN
    echo "addprinc -randkey -requires_preauth HTTP/$web"
    echo "addprinc -randkey -requires_preauth WSMAN/$web"
    # -norandkey: the same keys in both files.
    echo "ktadd -q -norandkey -k $dir/kt/web0$n.keytab HTTP/$web WSMAN/$web"
    echo "ktadd -q -norandkey -k $dir/kt/hosts.keytab HTTP/$web WSMAN/$web"
  done
  for ((n = 1; n <= hosts; n++)); do
    web=$(printf 'host%03d.fleet.%s' "$n" "$DOMAIN")
    echo "addprinc -randkey -requires_preauth HTTP/$web"
    echo "ktadd -q -norandkey -k $dir/kt/fleet.keytab HTTP/$web"
  done
}

delegation() {
  local hosts=$1 account n
  for account in svc-gw svc-plain "${GATEWAY[@]}"; do
    printf 'dn: krbPrincipalName=%s@%s,cn=%s,cn=krb,%s\nchangetype: modify\nadd: krbAllowedToDelegateTo\n' \
      "$account" "$REALM" "$REALM" "$SUFFIX"
    for n in 1 2 3 4; do
      printf 'krbAllowedToDelegateTo: HTTP/web0%d.%s\nkrbAllowedToDelegateTo: WSMAN/web0%d.%s\n' "$n" "$DOMAIN" "$n" "$DOMAIN"
    done
    for ((n = 1; n <= hosts; n++)); do printf 'krbAllowedToDelegateTo: HTTP/host%03d.fleet.%s\n' "$n" "$DOMAIN"; done
    echo
  done
}

up() {
  local dir=$1 port=$2; shift 2
  local users=0 hosts=0 life=10h sockets url
  while [ $# -gt 0 ]; do
    case $1 in
      --users) users=$2 ;;
      --hosts) hosts=$2 ;;
      --max-life) life=$2 ;;
      *) die "unknown option $1" ;;
    esac
    shift 2
  done
  need slapd slapadd ldapmodify ldapwhoami krb5kdc kdb5_ldap_util kadmin.local
  mkdir -p "$dir/kt"
  dir=$(cd "$dir" && pwd)
  sockets=$(mktemp -d /tmp/wg-ldap.XXXXXX)
  echo "$sockets" > "$dir/socket-dir"
  url="ldapi://${sockets//\//%2F}%2Fs"
  export PATH="$PATH:/usr/sbin" KRB5_CONFIG=$dir/krb5.conf KRB5_KDC_PROFILE=$dir/kdc.conf
  trap 'tail -n 5 "$dir"/*.log "$dir"/*.out >&2 2>/dev/null || true; down "$dir"' ERR
  write_krb5_conf "$dir" "$port"
  write_kdc_conf "$dir" "$port" "$life" "$url"
  start_directory "$dir" "$url"
  kdb5_ldap_util -H "$url" create -r "$REALM" -subtrees "$SUFFIX" -s -P master > "$dir/create.log" 2>&1
  population "$dir" "$users" "$hosts" | kadmin.local > "$dir/kadmin.log" 2>&1
  delegation "$hosts" | ldapmodify -Q -Y EXTERNAL -H "$url" > "$dir/delegation.log" 2>&1
  setsid krb5kdc -n -P "$dir/krb5kdc.pid" > "$dir/kdc.out" 2>&1 < /dev/null &
  echo $! > "$dir/kdc.pid"
  await krb5kdc "$(cat "$dir/kdc.pid")" listens "$port"
}

# Old keys stay where they are: in the keytab, for tickets that clients hold, and in nobody's hands else.
rotate() {
  local dir=$1 principal=$2 keytab=$3
  export PATH="$PATH:/usr/sbin" KRB5_CONFIG=$dir/krb5.conf KRB5_KDC_PROFILE=$dir/kdc.conf
  kadmin.local -q "ktadd -q -k $keytab $principal" >> "$dir/kadmin.log" 2>&1
}

case ${1-} in
  up) [ $# -ge 3 ] || die "usage: mit-realm.sh up DIR PORT [options]"; shift; up "$@" ;;
  rotate) [ $# -eq 4 ] || die "usage: mit-realm.sh rotate DIR PRINCIPAL KEYTAB"; rotate "$2" "$3" "$4" ;;
  down) [ $# -eq 2 ] || die "usage: mit-realm.sh down DIR"; down "$2" ;;
  *) die "usage: mit-realm.sh up DIR PORT [options] | rotate DIR PRINCIPAL KEYTAB | down DIR" ;;
esac
