"""Dovecot's LMTP server as a peer: it stores each message in a mailbox on the disk.

A private instance (own configuration, base directory, log), started as root and ended by its
process id. Mail is kept as by default: one fsync'd file a message in a Maildir, one mailbox for
each recipient.
"""

from __future__ import annotations

import os
import pwd
import shutil
from typing import TYPE_CHECKING

from tests.bench.linecount import LineCount
from tests.bench.peer import Child

if TYPE_CHECKING:
    from pathlib import Path

_OWNER = "nobody"
_CONFIGURATION = """\
protocols = lmtp
listen = 127.0.0.1
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
ssl = no
auth_mechanisms = plain
mail_location = maildir:{base}/mail/%n
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/mail/%n allow_all_users=yes
}}
passdb {{
  driver = static
  args = nopassword=y
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""


class Dovecot(Child):
    """Dovecot with LMTP alone."""

    name = "dovecot"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        owner = pwd.getpwnam(_OWNER)
        (directory / "mail").mkdir()
        os.chown(directory / "mail", owner.pw_uid, owner.pw_gid)
        (directory / "dovecot.conf").write_text(
            _CONFIGURATION.format(
                base=directory, port=self.port, uid=owner.pw_uid, gid=owner.pw_gid
            )
        )
        self._stored = LineCount(directory / "log", b": saved mail to ")

    @classmethod
    def unavailable(cls) -> str | None:
        if shutil.which("dovecot", path="/usr/sbin:/usr/bin") is None:
            return "Dovecot is not installed (Debian: apt-get install dovecot-lmtpd)"
        if os.geteuid() != 0:
            return "a private Dovecot needs root"
        return None

    def command(self) -> list[str]:
        return ["/usr/sbin/dovecot", "-F", "-c", str(self.directory / "dovecot.conf")]

    def stop(self) -> None:
        """End the master, and with it its children, which SIGKILL would leave alone."""
        self._process.stop()

    def count(self) -> int:
        return self._stored()
