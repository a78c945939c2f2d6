"""A Postfix around the service that `pytest --lamson-through postfix` starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.instance import PostfixInstance, why_not
from tests.waiting import free_port

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Played:
    """Use as a context manager; skips the test where no Postfix can be run.

    It asks the socketmap, delivers test.com to the service, and sends what is submitted to where it
    is caught. ``options`` are for pytest, ``environment`` is for the service.
    """

    def __init__(self) -> None:
        if reason := why_not():
            pytest.skip(reason)
        lmtp, socketmap, sink = free_port(), free_port(), free_port()
        self._postfix = PostfixInstance(
            sink_port=sink,
            routes={"test.com": f"lmtp:inet:[127.0.0.1]:{lmtp}"},
            main={
                "relay_recipient_maps": f"socketmap:inet:127.0.0.1:{socketmap}:recipient",
                "unknown_relay_recipient_reject_code": "550",
                "smtpd_reject_unlisted_sender": "no",
            },
        )
        smtp, config = self._postfix.smtp_port, self._postfix.base / "etc"
        self.options = (
            *("--lamson-through", "postfix"),
            *("--lamson-postfix", f"smtp={smtp},sink={sink},config={config}"),
        )
        self.environment = {
            "LAMSON_LMTP__LISTEN": f"127.0.0.1:{lmtp}",
            "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{socketmap}",
            "LAMSON_SUBMISSION__SERVER": f"127.0.0.1:{self._postfix.submission_port}",
        }

    def __enter__(self) -> Self:
        self._postfix.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._postfix.__exit__(kind, error, trace)
