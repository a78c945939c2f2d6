"""The transaction of a durable delivery by hand, in psycopg: ``PORT COUNTER CONNINFO``.

What a good programmer would write who knows PostgreSQL: one thread and one connection to the
database for each LMTP session, prepared statements, two round trips: what was seen, the state and
the reply's row, then the new state and the commit. The tables are Lamson's own. What it leaves out
is all the rest: routes, parsing beyond the header block, a log, submission of the replies.
"""

from __future__ import annotations

import hashlib
import json
import socketserver
import sys
import time
from email.parser import BytesHeaderParser
from email.policy import compat32
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

import psycopg

from tests.bench.counter import Counter

_SEEN = """INSERT INTO lamson_seen (key, content, handled_at) VALUES (%s, '', %s)
    ON CONFLICT DO NOTHING RETURNING key"""
# Takes the row's lock and tells the state, as two messages of one author must not race.
_STATE = """INSERT INTO lamson_state (module, author, state) VALUES ('by hand', %s, 'START')
    ON CONFLICT (module, author) DO UPDATE SET state = lamson_state.state RETURNING state"""
_MOVE = "UPDATE lamson_state SET state = %s WHERE module = 'by hand' AND author = %s"
_REPLY = """INSERT INTO lamson_outbox (id, source, message_id, sender, recipients, conversation,
    smtputf8, content, created_at, attempts, due_at, lease_owner, lease_until, last_error)
    VALUES (%s, '', %s, %s, %s, %s, false, %s, %s, 0, %s, '', 0, '')"""


class Session(socketserver.StreamRequestHandler):
    """One LMTP session."""

    server: Server

    def handle(self) -> None:
        self._say("220 bench")
        with psycopg.connect(self.server.conninfo) as database:
            while line := self.rfile.readline():
                verb, _, rest = line.decode().strip().partition(":")
                match verb.split()[0].upper():
                    case "LHLO":
                        self._say("250-bench\r\n250 PIPELINING")
                    case "MAIL":
                        sender, recipients = rest.strip("<>"), []
                        self._say("250 2.1.0 Ok")
                    case "RCPT":
                        recipients.append(rest.strip("<>"))
                        self._say("250 2.1.5 Ok")
                    case "DATA":
                        self._say("354 End with .")
                        content = self._content()
                        for recipient in recipients:
                            self.server.deliver(database, sender, recipient, content)
                            self._say("250 2.0.0 Ok")
                    case "QUIT":
                        self._say("221 2.0.0 Bye")
                        return

    def _say(self, reply: str) -> None:
        self.wfile.write(reply.encode() + b"\r\n")

    def _content(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        return b"".join(lines)


class Server(socketserver.ThreadingTCPServer):
    """Counts what was committed."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 500

    def __init__(self, port: int, counter: Counter, conninfo: str) -> None:
        super().__init__(("127.0.0.1", port), Session)
        self.conninfo = conninfo
        self._counter = counter
        self._lock = Lock()
        self._ids = count(time.time_ns())

    def deliver(
        self, database: psycopg.Connection[Any], sender: str, recipient: str, content: bytes
    ) -> None:
        message = BytesHeaderParser(policy=compat32).parsebytes(content)
        author = message["From"]
        parts = b"\0".join([hashlib.sha256(content).digest(), sender.encode(), recipient.encode()])
        key, now = hashlib.sha256(parts).digest(), time.time()
        reply = f"To: {author}\r\nSubject: Re: {message['Subject']}\r\n\r\nThank you.\r\n".encode()
        name = f"{recipient} {sender}"
        row = (next(self._ids), key.hex(), recipient, json.dumps([sender]), name, reply, now, now)
        with database.pipeline(), database.transaction():
            seen = database.execute(_SEEN, (key, now), prepare=True)
            state = database.execute(_STATE, (author,), prepare=True)
            database.execute(_REPLY, row, prepare=True)
            if seen.fetchone() is None:
                raise psycopg.Rollback
            ((current,),) = state.fetchall()
            other = "SECOND" if current == "START" else "START"
            database.execute(_MOVE, (other, author), prepare=True)
        with self._lock:
            self._counter.add()


if __name__ == "__main__":
    Server(int(sys.argv[1]), Counter(Path(sys.argv[2])), sys.argv[3]).serve_forever()
