"""lamson.postfix.checks.next_hop: what keeps Postfix's LMTP client from our LMTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.settings import Lmtp, Socketmap
from tests.unit.postfix.checks.broken import is_named_and_mended
from tests.unit.postfix.paper import project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (["-MX", "lamson/unix"], "lamson"),
        (["-e", "defer_transports=smtp, lamson"], "transport-deferred"),
        (["-e", "master_service_disable=!smtp/unix, lamson/unix, fifo"], "lmtp-disabled"),
        (["-e", "master_service_disable=unix"], "lmtp-disabled"),
        (["-P", "lamson/unix/lmtp_tls_security_level=secure"], "lmtp-tls"),
        (["-P", "lamson/unix/lmtp_tls_security_level=encrypt"], "lmtp-tls"),
    ],
)
def test_it_is_named_and_its_cure_mends_it(
    paper: Callable[..., Paper], broken: list[str], code: str
) -> None:
    is_named_and_mended(paper(), code, broken)


def test_a_list_of_what_is_disabled_is_read_from_its_begin(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "master_service_disable=!lamson/unix, unix, other/inet")
    assert one.codes() == []


@pytest.mark.parametrize("listen", ["127.0.0.1:8823", "unix:sockets/lmtp"])
def test_tls_on_our_side_alone(paper: Callable[..., Paper], tmp_path: Path, listen: str) -> None:
    """Without STARTTLS each transaction is answered 530, for which Postfix bounces."""
    one = paper()
    for name in ("cert", "key"):
        (tmp_path / name).touch(mode=0o600)
    one.settings = project(lmtp=Lmtp(listen))
    one.run("-X", "transport_maps")
    one.apply()
    one.settings = project(
        lmtp=Lmtp(listen, tls_certificate=tmp_path / "cert", tls_key=tmp_path / "key")
    )
    (finding,) = one.findings()
    assert finding.code == "lmtp-tls"
    one.cure(finding)
    assert one.findings() == []
    one.run("-P", "lamson/unix/lmtp_tls_security_level=may")
    assert one.findings() == []
    one.run("-P", "lamson/unix/lmtp_tls_security_level=")
    one.run("-e", "lmtp_tls_policy_maps=inline:{x=secure}")
    assert one.findings() == [], "whatever the table says"


def test_protocols_that_postfix_is_not_to_speak(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "inet_protocols=ipv6")
    assert one.codes() == ["inet-protocols", "inet-protocols"]
    one.run("-e", "inet_protocols=ipv4")
    assert one.codes() == []
    one.settings = project(lmtp=Lmtp("[::1]:8823"), socketmap=Socketmap("[::1]:8824"))
    one.run("-X", "relay_recipient_maps")
    one.apply()
    found = one.findings()
    assert [finding.code for finding in found] == ["inet-protocols", "inet-protocols"]
    assert found[0].fix == (
        "postconf -e 'inet_protocols = all' && postfix stop && postfix start"
    ), "a reload is not enough for it"
    one.run("-e", "inet_protocols=all")
    assert one.codes() == []
