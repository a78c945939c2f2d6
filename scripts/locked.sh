#!/bin/bash
# Installs into a virtual environment what requirements-dev.lock names: all of it but one package, or
# that one alone. Each file is compared with its hashes, and nothing else is fetched, since what has
# to be built is built with what is there.
#
#   scripts/locked.sh DIRECTORY without|only PACKAGE
set -euo pipefail
lock=$(dirname "$0")/../requirements-dev.lock
directory=$1 which=$2 package=$3

chosen=$(mktemp)
trap 'rm -f "$chosen"' EXIT
# An entry is a line, and those below it that are indented.
awk -v start="$package==" -v wanted="$([[ $which == only ]] && echo 1 || echo 0)" \
    '/^[^ #]/ { is = index($0, start) == 1; seen += is } is == wanted; END { exit !seen }' \
    "$lock" >"$chosen" || {
    echo "requirements-dev.lock does not name $package: make lock" >&2
    exit 65
}
"$directory/bin/pip" install -qq --no-build-isolation --require-hashes -r "$chosen"
