"""lamson.postfix.checks.outgoing: where what we send goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper

BY_SENDER = "sender_dependent_default_transport_maps"


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("mail-loops", ["-e", "relayhost=[127.0.0.1]:2525"]),
        ("mail-loops", ["-e", "default_transport=lamson:inet:127.0.0.1:8823"]),
        ("outgoing-goes-nowhere", ["-e", "default_transport=error:no"]),
        (
            "outgoing-goes-nowhere",
            ["-e", BY_SENDER + "=inline:{@app.test=discard:}"],
        ),
        ("outgoing-bind-address", ["-e", "smtp_bind_address=127.0.0.1"]),
        ("outgoing-tls", ["-e", "smtp_tls_security_level=secure"]),
        ("outgoing-without-dns", ["-e", "disable_dns_lookups=yes"]),
        ("myhostname-is-no-full-name", ["-e", "myhostname=mail"]),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
