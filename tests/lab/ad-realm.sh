#!/usr/bin/env bash
# A throw-away Active Directory domain TEST.EXAMPLE: Samba's domain controller, its KDC only.
#
#   ad-realm.sh up DIR PORT
#   ad-realm.sh down DIR
#
# Everything lives below DIR; `down` ends the one process by its recorded id and removes DIR. A domain takes seconds to make, so it is made
# once, below target/lab/, and copied: the copy's key is the text of these scripts.
#
# People, password Passw0rd!: alice, bob, dave, carol (can't be delegated).
# Services: svc-gw@ may impersonate anybody towards HTTP/ and WSMAN/ of web01 to web04, not towards web05; svc-plain@ may delegate but not
# without the person's own ticket; HTTP/, WSMAN/ and HOST/gw.test.example are svc-gw@ itself, whose keys are in gw.keytab.
# Keytabs below DIR/kt: alice, bob, carol, dave, svc-gw, svc-plain, gw, web01 to web05, hosts (all of web*).
set -euo pipefail

REALM=TEST.EXAMPLE
DOMAIN=test.example
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB=$(cd "$HERE/../.." && pwd)/target/lab

die() { echo "ad-realm.sh: $*" >&2; exit 1; }

pause() { read -rt 0.02 <> <(:) || true; }

# Whether a process is there and is no zombie, which nobody may collect for a while.
runs() { grep -qs '^State:.[^Z]' "/proc/$1/status"; }

down() {
  local dir=$1 pid
  [ -d "$dir" ] || return 0
  if [ -f "$dir/samba.pid" ]; then
    pid=$(cat "$dir/samba.pid")
    # At once, with any helper of its process group: nothing of it is kept, and an orderly end takes two seconds.
    kill -KILL -- "-$pid" 2>/dev/null || true
    for _ in $(seq 250); do runs "$pid" || break; pause; done
  fi
  rm -rf -- "$dir"
}

write_smb_conf() {
  local dir=$1 port=$2
  cat > "$dir/smb.conf" <<CONF
[global]
    netbios name = DC1
    realm = $REALM
    workgroup = TEST
    server role = active directory domain controller
    interfaces = 127.0.0.1/8
    bind interfaces only = yes
    server services = kdc
    dcerpc endpoint servers = -winreg, -srvsvc
    krb5 port = $port
    kpasswd port = 0
    disable netbios = yes
    pid directory = $dir/run
    lock directory = $dir/locks
    state directory = $dir/state
    cache directory = $dir/cache
    private dir = $dir/private
    binddns dir = $dir/bind-dns
    ncalrpc dir = $dir/ncalrpc
    ntp signd socket directory = $dir/ntp_signd
    winbindd socket directory = $dir/winbindd
    usershare path =
    log file = $dir/log/log.%m
    logging = file
    log level = 1
    tls enabled = no
    kdc default domain supported enctypes = aes128-cts-hmac-sha1-96 aes256-cts-hmac-sha1-96
    allow dns updates = disabled
    dns update command = /bin/true
    spn update command = /bin/true
    samba kcc command = /bin/true
    gpo update command = /bin/true
    winbind nss info = template
    posix:eadb = $dir/eadb.tdb
[sysvol]
    path = $dir/state/sysvol
    read only = no
[netlogon]
    path = $dir/state/sysvol/$DOMAIN/scripts
    read only = no
CONF
}

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

# Makes the domain in a directory that has nobody's ports in it.
provision() {
  local dir=$1
  mkdir -p "$dir"/{run,log,kt,locks,ncalrpc,state,cache,private,bind-dns}
  write_smb_conf "$dir" 0
  write_krb5_conf "$dir" 1
  cp "$dir/smb.conf" "$dir/base.conf"
  samba-tool domain provision -s "$dir/smb.conf" --realm=$REALM --domain=TEST --server-role=dc --dns-backend=NONE --host-name=dc1 \
    --host-ip=127.0.0.1 --adminpass='Adm1n!Passw0rd' > "$dir/provision.log" 2>&1 || { tail -5 "$dir/provision.log" >&2; die "no domain"; }
  mv "$dir/base.conf" "$dir/smb.conf"
  KRB5_CONFIG=$dir/krb5.conf /usr/bin/python3 "$HERE/ad-populate.py" "$dir/smb.conf" "$dir/kt" > "$dir/populate.log" 2>&1 ||
    { tail -5 "$dir/populate.log" >&2; die "the domain could not be filled"; }
}

# Prints the directory of a domain to copy; makes it where there is none.
template() {
  local key made
  key=$(cat "$HERE/ad-realm.sh" "$HERE/ad-populate.py" | sha256sum | cut -c1-16)
  mkdir -p "$LAB"
  # Tests start in parallel; one of them makes it.
  exec 9> "$LAB/ad-template.lock"
  flock -w 300 9 || die "another process has been making a domain for five minutes"
  if [ ! -d "$LAB/ad-template-$key" ]; then
    rm -rf -- "$LAB"/ad-template-*
    made=$(mktemp -d /tmp/wg-ad.XXXXXX)
    # shellcheck disable=SC2064 # the name as it is now
    trap "rm -rf -- '$made'" EXIT
    provision "$made/domain"
    mv "$made/domain" "$LAB/ad-template-$key.new"
    mv "$LAB/ad-template-$key.new" "$LAB/ad-template-$key"
  fi
  exec 9>&-
  echo "$LAB/ad-template-$key"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

up() {
  local dir=$1 port=$2 source pid
  for tool in samba samba-tool flock; do
    command -v "$tool" >/dev/null 2>&1 || [ -x "/usr/sbin/$tool" ] || die "$tool is missing; run tests/lab/install.sh"
  done
  export PATH="$PATH:/usr/sbin"
  source=$(template)
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  # Sockets below it must fit in 108 bytes.
  [ ${#dir} -le 70 ] || die "the path $dir is too long"
  cp -a "$source/." "$dir"
  write_smb_conf "$dir" "$port"
  write_krb5_conf "$dir" "$port"
  # setsid: a process group of its own, which `down` can end as a whole.
  setsid samba -s "$dir/smb.conf" -l "$dir/log" -F --no-process-group -M single > "$dir/log/stdout" 2>&1 < /dev/null &
  pid=$!
  echo "$pid" > "$dir/samba.pid"
  for _ in $(seq 1500); do
    if listens "$port"; then return 0; fi
    kill -0 "$pid" 2>/dev/null || { cat "$dir"/log/* >&2; die "samba ended at once"; }
    pause
  done
  tail -5 "$dir"/log/* >&2
  down "$dir"
  die "samba does not listen after thirty seconds"
}

case ${1-} in
  up) [ $# -eq 3 ] || die "usage: ad-realm.sh up DIR PORT"; up "$2" "$3" ;;
  down) [ $# -eq 2 ] || die "usage: ad-realm.sh down DIR"; down "$2" ;;
  *) die "usage: ad-realm.sh up DIR PORT | down DIR" ;;
esac
