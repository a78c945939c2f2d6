"""The socket on which the journal of systemd takes entries with fields (its native protocol).

For the log. What an entry is made of is `lamson.journald.entry`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket

SOCKET = "/run/systemd/journal/socket"
_TIMEOUT = 0.2  # seconds that a full journal is waited for; then the entry is lost
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Journal:
    """Sends entries to the journal that listens at ``path``. For all threads, and forked children.

    Raises OSError where none does.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path = path or SOCKET
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_TIMEOUT)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def send(self, entry: bytes) -> None:
        """Send what `entry` made. Raises OSError where the journal does not take it.

        One that is too large for a datagram goes as a sealed file, as the journal wants it.
        """
        try:
            self._socket.send(entry)
        except OSError as error:
            if error.errno in (errno.EMSGSIZE, errno.ENOBUFS):
                self._send_file(entry)
                return
            if error.errno not in (errno.ECONNREFUSED, errno.ENOTCONN):
                raise
            self._socket.connect(self._path)  # it was started anew
            self._socket.send(entry)

    def _send_file(self, entry: bytes) -> None:
        file = os.memfd_create("lamson", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(file, "wb", closefd=False) as stream:
                stream.write(entry)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            socket.send_fds(self._socket, [b""], [file])
        finally:
            os.close(file)

    def close(self) -> None:
        self._socket.close()
