"""lamson.postfix.checks.admission: whether the submission server lets our relay in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.postfix.checks.topics import OWN, is_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        ("submission-tls-differs", ["-P", f"{OWN}/smtpd_tls_security_level=encrypt"]),
        ("submission-tls-differs", ["-P", f"{OWN}/smtpd_tls_wrappermode=yes"]),
        ("submission-protocol", ["-P", f"{OWN}/smtpd_upstream_proxy_protocol=haproxy"]),
        ("submission-protocol", ["-e", "smtpd_noop_commands=RSET"]),
        ("submission-protocol", ["-P", f"{OWN}/smtpd_command_filter=static:NOOP"]),
        ("submission-is-limited", ["-P", f"{OWN}/smtpd_client_connection_count_limit=1"]),
    ],
)
def test_it_is_named(paper: Callable[..., Paper], code: str, broken: list[str]) -> None:
    is_named(paper(), code, broken)
