"""lamson_milter.libmilter.macros: what Postfix tells of the client."""

from __future__ import annotations

import pytest

from lamson.smtp.envelope import Daemon, Sasl, Tls
from tests.unit.milter.libmilter.fakes import FakeContext

milter = pytest.importorskip(
    "milter", reason="pymilter is not installed (pip install 'lamson-postfix[milter]')"
)

from lamson_milter.libmilter.macros import client, macro, sasl, tls  # noqa: E402


def test_a_macro_that_cannot_be_read_is_not_known() -> None:
    class Broken(FakeContext):
        def getsymval(self, name: str) -> str:
            return b"\xff".decode()

    assert macro(Broken(), "i") == ""
    ctx = FakeContext(i="4bYmCz0R3Dz1Xy")
    assert macro(ctx, "i") == "4bYmCz0R3Dz1Xy"
    assert macro(ctx, "{mail_addr}") == ""


def test_the_client() -> None:
    ctx = FakeContext(
        client_name="unknown", client_addr="192.0.2.1", client_port="25000",
        client_ptr="a.test", client_resolve="FORGED", client_connections="3",
        daemon_name="submission", daemon_addr="192.0.2.9", daemon_port="587",
    )  # fmt: skip
    peer = client(ctx)
    assert (peer.name, peer.addr, peer.port) == ("", "192.0.2.1", "25000")
    assert (peer.ptr, peer.resolve, peer.connections) == ("a.test", "FORGED", 3)
    assert peer.daemon == Daemon("submission", "192.0.2.9", "587")
    assert (peer.source, peer.is_local) == ("REMOTE", False)
    told = client(FakeContext(), "b.test", "192.0.2.2", "25")
    assert (told.name, told.addr, told.port) == ("b.test", "192.0.2.2", "25")
    assert client(FakeContext(), "[192.0.2.2]", "192.0.2.2", "25").name == ""
    assert client(FakeContext(client_connections="many")).connections == 0


def test_who_comes_by_no_network() -> None:
    assert client(FakeContext(), "localhost", "127.0.0.1", "0").is_local
    assert not client(FakeContext(), "localhost", "127.0.0.1", "25000").is_local
    assert not client(FakeContext(), "localhost", "192.0.2.1", "0").is_local


def test_how_it_has_proven_itself() -> None:
    ctx = FakeContext(
        auth_authen="zed", auth_type="PLAIN", auth_author="zed@test.com", tls_version="TLSv1.3",
        cipher="TLS_AES_256_GCM_SHA384", cipher_bits="256", cert_subject="zed", cert_issuer="CA",
    )  # fmt: skip
    assert sasl(ctx) == Sasl("zed", "PLAIN", "zed@test.com")
    assert tls(ctx) == Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, "zed", "CA")
    assert not sasl(FakeContext())
    assert not tls(FakeContext())
