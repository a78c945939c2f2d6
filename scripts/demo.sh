#!/bin/bash
# `make demo`: the introduction of README.md, every line as one types it, in a directory of its own
# with an environment of its own. Shows the mail that comes out and the log that tells its way.
# Fails when any line fails. Ends the servers it started, and leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$PWD
[[ -e build ]] && had_build=yes || had_build=
[[ -e lamson_postfix.egg-info ]] && had_egg=yes || had_egg=
export TERM=${TERM:-dumb} PYTHONDONTWRITEBYTECODE=1 PIP_QUIET=2

say() { printf '\n# %s\n' "$*"; }

# Shows a line as it is typed, and runs it.
typed() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

fail() {
    echo "make demo: $*" >&2
    exit 1
}

tidy() {
    local status=$?
    trap - EXIT
    set +e
    if [[ -d $work/mymailserver/run && -x $work/venv/bin/lamson ]]; then
        (cd "$work/mymailserver" && "$work/venv/bin/lamson" stop -ALL run -KILL) >/dev/null 2>&1
        ((status)) && [[ -s $work/mymailserver/logs/lamson.log ]] &&
            cat "$work/mymailserver/logs/lamson.log" >&2
    fi
    rm -rf "$work"
    [[ $had_build ]] || rm -rf "$source/build" # of `pip install .`
    [[ $had_egg ]] || rm -rf "$source/lamson_postfix.egg-info"
    exit "$status"
}

scripts/packages.sh python3-venv less
work=$(mktemp -d "${TMPDIR:-/tmp}/lamson-demo.XXXXXX")
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "An environment for the demonstration"
scripts/venv.sh "${PYTHON:-python3}" "$work/venv"
export PATH=$work/venv/bin:$PATH

say "The introduction, as in README.md"
typed 'pip install .'
cd "$work"
typed 'lamson gen -project mymailserver'
typed 'cd mymailserver'
typed 'lamson syncdb'
typed 'lamson start'
typed 'lamson log -queue run/queue -port 8899'
typed 'pytest'
typed 'lamson help -for send'
typed 'lamson send -sender me@mydomain.com -to test@test.com -subject "My test." -body "Hi there." -port 8823'

# The answer to `send` means that the mail is safe; that it is forwarded too takes a moment.
for _ in {1..100}; do
    mail=$(find run/queue/new -type f 2>/dev/null)
    [[ -n $mail ]] && grep -q submitted logs/lamson.log && break
    sleep 0.1
done
[[ -n ${mail:-} ]] || fail "no mail came out in run/queue"

typed 'less logs/lamson.log' | cat

say "mutt -F muttrc wants a terminal and you: it shows this, the mail that was forwarded"
typed 'cat run/queue/new/*'
grep -q '^Subject: My test\.' "$mail" || fail "the mail in run/queue is not the one that was sent"

typed 'lamson stop -ALL run'
[[ -z $(find run -name '*.pid') ]] || fail "a server is still running: $(ls run)"

say "That is all. The project it worked in is gone; make your own: lamson gen -project NAME"
cd "$source"
