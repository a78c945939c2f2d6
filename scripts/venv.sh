#!/bin/bash
# Makes a virtual environment, unless it is there, and installs into it: of each package the release
# that constraints.txt names, so that everybody tests with the same.
#
#   scripts/venv.sh PYTHON DIRECTORY [PIP-ARGUMENT...]
#
# Fails, saying so, where PYTHON is older than 3.11.
set -euo pipefail
constraints=$(dirname "$0")/../constraints.txt
python=$1 directory=$2
shift 2

if [[ ! -x $directory/bin/pip ]]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "$python is $("$python" --version 2>&1), and 3.11 or later is needed:" \
            "make PYTHON=python3.12 ..." >&2
        exit 69
    }
    "$python" -m venv "$directory"
fi
((!$#)) || "$directory/bin/pip" install -qq --constraint "$constraints" "$@"
