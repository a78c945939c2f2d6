"""A set-up of Postfix as somebody has it before we come: what it says, and where its mail goes.

Text only: nothing runs here. What is private to a test stands between at-signs: ``@etc@`` is the
directory of main.cf, ``@smtp@`` the port that stands for 25, and so on (see `.town`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STRANGER = "zed@sender.test"

# As Debian 12 installs it, but for the port.
MASTER = """\
# Postfix master process configuration file.  For details on the format
# of the file, see the master(5) manual page (command: "man 5 master").
#
# ==========================================================================
# service type  private unpriv  chroot  wakeup  maxproc command + args
#               (yes)   (yes)   (no)    (never) (100)
# ==========================================================================
@smtp@      inet  n       -       y       -       -       smtpd
#smtp      inet  n       -       y       -       1       postscreen
#submission inet n       -       y       -       -       smtpd
#  -o syslog_name=postfix/submission
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       y       1000?   1       tlsmgr
rewrite   unix  -       -       y       -       -       trivial-rewrite
bounce    unix  -       -       y       -       0       bounce
defer     unix  -       -       y       -       0       bounce
trace     unix  -       -       y       -       0       bounce
verify    unix  -       -       y       -       1       verify
flush     unix  n       -       y       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
showq     unix  n       -       y       -       -       showq
error     unix  -       -       y       -       -       error
retry     unix  -       -       y       -       -       error
discard   unix  -       -       y       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       y       -       -       lmtp
anvil     unix  -       -       y       -       1       anvil
scache    unix  -       -       y       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
#
# ====================================================================
# Interfaces to non-Postfix software.
# ====================================================================
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
"""


@dataclass(frozen=True)
class Old:
    """Mail that has always come, and what becomes of it: a place where it arrives (for ``becomes``,
    where that is another), a bounce, or how RCPT is answered.

    ``by`` is how it comes: from a stranger, from this machine by SMTP (``here``), by sendmail(1)
    or at the submission port (``login``).
    """

    address: str
    to: str | int
    by: str = "stranger"
    sender: str = STRANGER
    becomes: str = ""


@dataclass(frozen=True)
class Setup:
    """One set-up.

    ``main`` and ``master`` are the text of main.cf and what is added to Debian's master.cf, or put
    in the place of lines of it (``instead``). ``tables`` are files beside main.cf; those of
    ``hashed`` are given to postmap(1). ``lamson`` are settings of the project that its operator
    has to make of lmtp; with ``sockets`` it listens on unix sockets within the chroot. ``second``
    is another instance beside it, at ``@second@``. ``outside`` is the place of all mail for others.
    It ``remembers`` whom it has found to be unknown.
    """

    name: str
    main: str
    old: Sequence[Old]
    tables: Mapping[str, str] = field(default_factory=dict)
    hashed: Sequence[str] = ()
    master: str = ""
    instead: Mapping[str, str] = field(default_factory=dict)
    lamson: Mapping[str, object] = field(default_factory=dict)
    sockets: bool = False
    second: Setup | None = None
    outside: str = "world"
    remembers: bool = False
