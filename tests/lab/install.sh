#!/usr/bin/env bash
# Installs what the lab needs on Debian 12: packages, and a Python with the real clients below target/lab/venv. Does nothing where all is
# there. Needs root for packages; says what is missing where it can't install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

PACKAGES=(
  # to build: the bindings to GSSAPI, and Python's extensions
  build-essential cmake pkg-config libkrb5-dev libclang-dev python3 python3-dev python3-venv
  # the MIT realm
  krb5-kdc krb5-admin-server krb5-kdc-ldap krb5-user slapd ldap-utils
  # the Active Directory domain
  samba samba-ad-dc samba-ad-provision samba-dsdb-modules python3-samba
  # tests and benchmarks
  faketime haproxy curl openssl procps util-linux
)
VENV=target/lab/venv
STAMP=$VENV/requirements.sha256
POLICY=/usr/sbin/policy-rc.d

say() { printf 'install: [%3d s] %s\n' "$SECONDS" "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }

missing_packages() {
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
  printf '%s\n' "${PACKAGES[@]}" | grep -vxF "$installed" || true
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=400 -o Acquire::Retries=3 "$@" >> target/lab/install.log 2>&1; }

install_packages() {
  local missing=("$@") policy_is_ours=
  [ "$(id -u)" = 0 ] || die "not root, so these packages have to be installed by somebody who is: ${missing[*]}"
  say "packages: ${missing[*]}"
  # The lab starts its own daemons; the packages must not start theirs.
  if [ ! -e $POLICY ]; then
    printf '#!/bin/sh\nexit 101\n' > $POLICY
    chmod 755 $POLICY
    policy_is_ours=yes
    trap 'rm -f $POLICY' EXIT
  fi
  apt update || { tail -20 target/lab/install.log >&2; die "apt-get update failed; all of it is in target/lab/install.log"; }
  # A slim system leaves documentation out; the directory's schema for Kerberos is there.
  apt install --no-install-recommends -o 'Dpkg::Options::=--path-include=/usr/share/doc/krb5-kdc-ldap/*' "${missing[@]}" ||
    { tail -20 target/lab/install.log >&2; die "apt-get install failed; all of it is in target/lab/install.log"; }
  if [ -n "$policy_is_ours" ]; then
    rm -f $POLICY
    trap - EXIT
  fi
  say "packages are there"
}

wanted() { sha256sum < tests/lab/requirements.txt | cut -d' ' -f1; }

venv_is_there() { [ "$(cat $STAMP 2>/dev/null)" = "$(wanted)" ] && [ -x $VENV/bin/python ] && $VENV/bin/python -c '' 2>/dev/null; }

install_venv() {
  # Two of these at once: the second finds it done.
  exec 8> target/lab/install.lock
  flock -w 900 8 || die "another install has been running for fifteen minutes"
  if venv_is_there; then return 0; fi
  say "the clients' Python in $VENV; some of it is compiled, which takes minutes"
  rm -rf $VENV
  # Debian's own: another Python in PATH may lack what venv needs.
  /usr/bin/python3 -m venv $VENV
  $VENV/bin/python -m pip --disable-pip-version-check --retries 5 --timeout 60 install -q -r tests/lab/requirements.txt \
    >> target/lab/install.log 2>&1 || { tail -20 target/lab/install.log >&2; die "pip failed; all of it is in target/lab/install.log"; }
  wanted > $STAMP
  say "the clients are there"
}

main() {
  local id=unknown missing
  command -v cargo >/dev/null || die "cargo is missing; a Rust toolchain of at least $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) is needed (https://rustup.rs)"
  mkdir -p target/lab
  if command -v dpkg-query >/dev/null; then
    mapfile -t missing < <(missing_packages)
    if [ ${#missing[@]} -gt 0 ]; then
      # shellcheck disable=SC1091
      [ -r /etc/os-release ] && id=$(. /etc/os-release && echo "$ID ${VERSION_ID-}")
      [ "$id" = "debian 12" ] || die "this is $id and not Debian 12; the lab needs what these Debian packages hold: ${missing[*]}"
      install_packages "${missing[@]}"
    fi
  else
    die "this is no Debian; the lab needs what these Debian 12 packages hold: ${PACKAGES[*]}"
  fi
  venv_is_there || install_venv
}

main
