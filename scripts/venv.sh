#!/bin/bash
# Makes a virtual environment, unless it is there.
#
#   scripts/venv.sh PYTHON DIRECTORY
#
# Fails, saying so, where PYTHON is older than 3.11.
set -euo pipefail
python=$1 directory=$2

[[ ! -x $directory/bin/pip ]] || exit 0
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "$python is $("$python" --version 2>&1), and 3.11 or later is needed:" \
        "make PYTHON=python3.12 ..." >&2
    exit 69
}
"$python" -m venv "$directory"
