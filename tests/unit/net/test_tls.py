"""lamson.net.tls: the name a certificate has to have. What TLS does with it: tests/unit/lmtp."""

from __future__ import annotations

import socket

from lamson.net.tls import client_context


def test_the_expected_name_counts_however_the_context_is_used() -> None:
    context = client_context(None, "mail.example")
    ours, theirs = socket.socketpair()
    with (
        theirs,
        context.wrap_socket(
            ours, server_hostname="127.0.0.1", do_handshake_on_connect=False
        ) as wrapped,
    ):
        assert wrapped.server_hostname == "mail.example"
