#!/bin/sh
# Remakes the lock files from pyproject.toml. Pins that still fit are kept; UPGRADE=1 takes the newest.
# usage: tools/lock.sh [folder of the virtual environment]
#
# requirements.lock        what a running data plane needs
# requirements-dev.lock    that, and everything for tests, checks and the wheel
# requirements-build.lock  what installs the checkout itself (a subset of dev)
# Hashes are kept and addresses left out, so that a lock works with any package index and no other file.
set -eu
cd "$(dirname "$0")/.."
uv=${1:-.venv}/bin/uv
[ -x "$uv" ] || uv=$(command -v uv) || {
    echo "lock: this needs uv; run: ${1:-.venv}/bin/python -m pip install 'uv>=0.9'" >&2
    exit 1
}
upgrade=${UPGRADE:+--upgrade}

compile() {
    out=$1
    shift
    # shellcheck disable=SC2086 # $upgrade is one option or none
    "$uv" pip compile --quiet --no-header --universal --generate-hashes --python-version 3.11 \
        --no-emit-index-url --no-emit-find-links $upgrade --output-file "$out" "$@" >/dev/null
    echo "$out: $(grep -c '^[a-z0-9].*==' "$out") packages"
}

compile requirements.lock pyproject.toml
compile requirements-dev.lock pyproject.toml --constraints requirements.lock \
    --group test --group sdk --group check --group build
compile requirements-build.lock --constraints requirements-dev.lock --group build
