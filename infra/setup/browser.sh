#!/usr/bin/env bash
# Install Chromium for the browser tests where this is Debian; the tests are skipped, with a reason, where it is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
. infra/setup/apt.sh
command -v chromium >/dev/null && exit 0
# Ubuntu's package is a snap, which headless machines cannot run.
grep -q '^ID=debian' /etc/os-release 2>/dev/null || exit 0
apt_install chromium || echo "setup: no Chromium; browser tests will be skipped" >&2
