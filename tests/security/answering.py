"""An application that answers and forwards, behind a real Postfix that asks it about everything.

For the tests in which strangers write to it. Postfix takes its domains, recipients and transports
from the socketmap, two workers share the database, and all the world is the sink.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.postfix.instance import PostfixInstance
from tests.postfix.sink import Sink
from tests.postfix.stage import Stage
from tests.service import LamsonService
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HANDLERS = """
from lamson import Delivery, MailRequest, route, stateless

@route("answer@(host)")
@stateless
def ANSWER(message: MailRequest, delivery: Delivery, host: str) -> None:
    delivery.reply(body="Thank you.")

@route("forward-(name)@(host)", name="[a-zü]+")
@stateless
def FORWARD(message: MailRequest, delivery: Delivery, name: str, host: str) -> None:
    delivery.forward(f"{name}@friend.test", sender=f"forward-{name}@{host}")
"""
HOST = r'{"host": "(localhost|test\\.com|tekst\\.com|b\u00fccher\\.example)"}'
AUTHSERV_ID = "mx.test.com"


class Answering(Stage):
    """What stands there: ``postfix``, ``lamson``, ``sink``; and the socketmap's port."""

    lookups: int

    def ask(self, name: str, key: str) -> str:
        """What the socketmap answers about a key."""
        request = f"{name} {key}".encode()
        with socket.create_connection(("127.0.0.1", self.lookups), timeout=60) as client:
            client.sendall(b"%d:%s," % (len(request), request))
            return client.recv(1000).partition(b":")[2].rstrip(b",").decode()


@contextmanager
def answering(directory: Path) -> Iterator[Answering]:
    """The application, generated in ``directory`` with the handlers above beside the sample."""
    lookups = free_port()
    asked = f"socketmap:inet:127.0.0.1:{lookups}"
    LamsonService(directory).command("gen", "-project", "answering")
    project = directory / "answering"
    (project / "app/handlers/strangers.py").write_text(HANDLERS, encoding="utf-8")
    with Sink() as sink:
        postfix = PostfixInstance(
            sink_port=sink.port,
            routes={},
            main={
                "relay_domains": f"{asked}:domain",
                "relay_recipient_maps": f"{asked}:recipient",
                "transport_maps": f"{asked}:transport",
                "unknown_relay_recipient_reject_code": "550",
            },
        )
        lamson = LamsonService(
            project,
            LAMSON_SOCKETMAP__LISTEN=f"127.0.0.1:{lookups}",
            LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{postfix.submission_port}",
            LAMSON_POSTFIX__TRANSPORT="lmtp",  # the tests' Postfix has no service of ours
            LAMSON_HANDLERS="app.handlers.strangers",
            LAMSON_ROUTE_DEFAULTS=HOST,
            LAMSON_AUTHSERV_ID=AUTHSERV_ID,
            LAMSON_WORKERS="2",
        )
        lamson.command("syncdb")
        with postfix, lamson:
            stage = Answering(postfix, lamson, sink)
            stage.lookups = lookups
            try:
                yield stage
            finally:
                print(postfix.log_text(), *lamson.log_lines(), sep="\n")
