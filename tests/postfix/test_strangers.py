"""lamson.postfix.checks.relaying: whom a real Postfix's mynetworks lets in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix.checks import relaying
from tests.postfix.instance import why_not

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.patient import Patient

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]


@pytest.mark.parametrize(
    ("kind", "table", "is_world", "trusted"),
    [
        ("cidr", "127.0.0.1 OK\n0.0.0.0/0 OK\n", True, {"127.0.0.1", "192.0.2.1"}),
        ("cidr", "::/0 OK\n", True, {"2001:db8::1"}),
        ("cidr", "192.0.2.0/24 OK\n2001:db8::/32 OK\n", False, {"192.0.2.1", "2001:db8::1"}),
        ("regexp", "/[.]/ OK\n", True, {"127.0.0.1", "192.0.2.1"}),
        ("texthash", "192.0.2.1 OK\n", False, {"192.0.2.1"}),
        ("", "127.0.0.0/8 # we\n0.0.0.0/0\n", True, {"127.0.0.1", "192.0.2.1"}),
        ("", "127.0.0.0/8 # 0.0.0.0/0\n", False, {"127.0.0.1"}),
    ],
)
def test_a_table_or_file_is_read(
    patient: Callable[..., Patient], kind: str, table: str, is_world: bool, trusted: set[str]
) -> None:
    one = patient()
    networks = one.directory / "networks"
    networks.write_text(table)
    one.run("-e", f"mynetworks={kind}{':' * bool(kind)}{networks}")
    assert one.codes() == ["mynetworks-is-the-world"] * is_world
    clients = ["127.0.0.1", "192.0.2.1", "2001:db8::1"]
    site = one.site()
    assert {a for a in clients if relaying.is_trusted(site, a, None)} == trusted
