#!/bin/sh
# Makes ready what a make target needs; does nothing, quickly, when it is ready already.
# usage: tools/setup.sh run|dev|node [folder of the virtual environment]
#
#   run   a virtual environment with requirements.lock and this checkout in it
#   dev   the same with requirements-dev.lock: tests, checks, the Python SDKs
#   node  tests/sdk/node/node_modules from its package-lock.json
#
# What is on PATH is used. A missing system package is installed with apt when root; otherwise the one
# line to run is printed and the script stops.
set -eu
cd "$(dirname "$0")/.."
what=$1
venv=${2:-.venv}

say() { printf 'setup: %s\n' "$*"; }

stop() {
    printf 'setup: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'setup: run:  %s\n' "$2" >&2
    exit 1
}

# Installs Debian packages, or says how: need "what is missing" package...
need() {
    missing=$1
    shift
    if ! command -v apt-get >/dev/null 2>&1; then
        stop "$missing is missing, and there is no apt-get here to install it with ($*)"
    fi
    if [ "$(id -u)" -ne 0 ]; then
        stop "$missing is missing" "sudo apt-get update && sudo apt-get install -y $*"
    fi
    say "$missing is missing; installing $* with apt-get"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 && supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

# A hash of everything that decides what is installed; cksum is in every POSIX system.
stamp_of() { cat "$@" pyproject.toml tools/setup.sh | cksum; }

make_venv() {
    [ -x "$venv/bin/python" ] && supported "$venv/bin/python" && return
    python=$(find_python)
    if [ -z "$python" ]; then
        need "Python 3.11 to 3.14" python3 python3-venv
        python=$(find_python)
        [ -n "$python" ] || stop "this system's python3 is not 3.11 to 3.14; install one and set PYTHON=/path/to/it"
    fi
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        need "the venv module of $python" \
            "$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    fi
    say "making $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
}

install() {
    lock=$1
    mark=$venv/.ready-$2
    stamp=$(stamp_of "$lock" requirements-build.lock)
    if [ -x "$venv/bin/turnout" ] && [ -f "$mark" ] && [ "$(cat "$mark")" = "$stamp" ]; then
        return
    fi
    make_venv
    say "installing $lock into $venv"
    pip="$venv/bin/python -m pip --disable-pip-version-check --quiet"
    $pip install --require-hashes -r "$lock" -r requirements-build.lock
    $pip install --no-deps --no-build-isolation --no-index -e .
    printf '%s' "$stamp" >"$mark"
}

install_node() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || need "Node.js with npm" nodejs npm
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)' ||
        stop "Node.js $(node --version) is too old: the SDKs need 18 or newer"
    folder=tests/sdk/node
    stamp=$(cat $folder/package.json $folder/package-lock.json | cksum)
    mark=$folder/node_modules/.ready
    if [ -f $mark ] && [ "$(cat $mark)" = "$stamp" ]; then
        return
    fi
    say "installing the Node SDKs into $folder/node_modules"
    (cd $folder && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    printf '%s' "$stamp" >$mark
}

case $what in
    # The dev lock is a superset of the run lock, with equal versions (make check holds that).
    run) if [ -f "$venv/.ready-dev" ]; then install requirements-dev.lock dev; else install requirements.lock run; fi ;;
    dev) install requirements-dev.lock dev ;;
    node) install_node ;;
    *) stop "usage: tools/setup.sh run|dev|node [folder]" ;;
esac
