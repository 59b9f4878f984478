#!/usr/bin/env bash
# A realm, an emulated Windows host and the gateway on loopback, until Ctrl-C. `source target/lab/env` gives any client what it needs.
set -euo pipefail
# shellcheck source=tests/lab/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

bring_up
stay
