"""Postfix asks this server about each recipient of a submission (SMTPD_POLICY_README).

It refuses as many as a test asks for, with the reply that the test wants, and counts them.
"""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Policy:
    """Use as a context manager; Postfix is told ``check_policy_service inet:127.0.0.1:port``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = 0
        self._recipient = ""
        self._reply = ""
        self.refused = 0
        policy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                asked: dict[str, str] = {}
                for line in self.rfile:
                    key, _, value = line.decode(errors="replace").rstrip("\n").partition("=")
                    asked[key] = value
                    if not key:
                        verdict = policy.judge(asked.get("recipient", ""))
                        self.wfile.write(f"action={verdict}\n\n".encode())
                        asked = {}

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="policy")

    def refuse(self, reply: str, *, recipient: str = "") -> None:
        """Refuse one more recipient (that one, where given) with ``reply``."""
        with self._lock:
            self._left += 1
            self._recipient, self._reply = recipient, reply

    def judge(self, recipient: str) -> str:
        with self._lock:
            if not self._left or self._recipient not in ("", recipient):
                return "DUNNO"
            self._left -= 1
            self.refused += 1
            return self._reply

    def __enter__(self) -> Policy:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)
