"""A Postfix around the service that `pytest --lamson-through postfix` starts."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.postfix.instance import PostfixInstance, why_not
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Played:
    """``options`` are for pytest, ``environment`` is for the service."""

    options: tuple[str, ...]
    environment: Mapping[str, str]


@contextmanager
def playing() -> Iterator[Played]:
    """Skips the test where no Postfix can be run.

    It asks the socketmap, delivers test.com to the service, and sends what is submitted to where it
    is caught.
    """
    if reason := why_not():
        pytest.skip(reason)
    lmtp, socketmap, sink = free_port(), free_port(), free_port()
    main = {
        "relay_recipient_maps": f"socketmap:inet:127.0.0.1:{socketmap}:recipient",
        "unknown_relay_recipient_reject_code": "550",
        "smtpd_reject_unlisted_sender": "no",
    }
    routes = {"test.com": f"lmtp:inet:[127.0.0.1]:{lmtp}"}
    with PostfixInstance(sink_port=sink, routes=routes, main=main) as postfix:
        where = f"smtp={postfix.smtp_port},sink={sink},config={postfix.base / 'etc'}"
        yield Played(
            ("--lamson-through", "postfix", "--lamson-postfix", where),
            {
                "LAMSON_LMTP__LISTEN": f"127.0.0.1:{lmtp}",
                "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{socketmap}",
                "LAMSON_SUBMISSION__SERVER": f"127.0.0.1:{postfix.submission_port}",
            },
        )
