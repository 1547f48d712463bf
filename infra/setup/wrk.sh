#!/usr/bin/env bash
# Install wrk, the load client of the catalog's benchmark, where this is Debian; without it a slower one stands in.
set -euo pipefail
cd "$(dirname "$0")/../.."
. infra/setup/apt.sh
command -v wrk >/dev/null && exit 0
apt_install wrk || echo "setup: no wrk; the catalog's benchmark uses a client in Python, which understates fast servers" >&2
