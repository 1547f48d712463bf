#!/usr/bin/env bash
# Make the virtual environment .venv from the pinned packages. Quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/../.."

stamp=.venv/.terralab-setup
want=$(cat requirements/lock.txt requirements/uv.txt pyproject.toml | sha256sum | cut -d' ' -f1)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && exit 0

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'; then
    echo "setup: Python 3.11, 3.12 or 3.13 is needed, $("$python" --version) was found; set PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    echo "setup: making .venv"
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        . infra/setup/apt.sh
        apt_install python3-venv || {
            echo "setup: the venv module of Python is missing; install it (Debian, Ubuntu: apt-get install python3-venv)" >&2
            exit 1
        }
        "$python" -m venv .venv
    fi
fi
echo "setup: installing pinned packages (about 7 GB with PyTorch; once)"
.venv/bin/python -m pip install --quiet --require-hashes --requirement requirements/uv.txt
.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes --requirement requirements/lock.txt
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
echo "$want" >"$stamp"
