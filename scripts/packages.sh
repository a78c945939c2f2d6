#!/bin/bash
# Installs the Debian packages it is given, unless they are there.
#
#   scripts/packages.sh PACKAGE...
#
# It needs root or sudo only where something is missing; where it has neither, or this is no Debian,
# it says what to install and fails. No service that comes with a package is started, and Postfix
# is left without a configuration, so that it does not start with the machine either.
set -euo pipefail

is_installed() {
    [[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) == "install ok installed" ]]
}

missing=()
if command -v dpkg-query >/dev/null; then
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || exit 0
else
    echo "This is no Debian; it is assumed that this is installed: $*" >&2
    exit 0
fi

root=()
if ((EUID)); then
    if ! command -v sudo >/dev/null; then
        echo "Please install as root: apt-get install ${missing[*]}" >&2
        exit 69
    fi
    root=(sudo)
fi

apt() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"
}

policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap '"${root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
fi
if [[ " ${missing[*]} " == *" postfix "* ]]; then
    echo "postfix postfix/main_mailer_type select No configuration" |
        "${root[@]}" debconf-set-selections
fi

echo "Installing ${missing[*]}"
# The lists may be missing or old; they are fetched only where it does not work without.
apt install --no-install-recommends "${missing[@]}" || {
    apt update
    apt install --no-install-recommends "${missing[@]}"
}
