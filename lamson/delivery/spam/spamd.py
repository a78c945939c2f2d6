"""A judge: SpamAssassin's spamd, asked by its own protocol (spamd/PROTOCOL in its source)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.delivery.spam.opinion import Opinion
from lamson.net.endpoint import join_host_port
from lamson.net.exchange import exchange

if TYPE_CHECKING:
    from lamson.message.request import MailRequest

_NUMBER = rb"(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)"
_OK = re.compile(rb"SPAMD/[0-9.]{1,8} 0 ")
_VERDICT = re.compile(
    rb"(?im)^spam:[ \t]*(true|yes|false|no)[ \t]*;[ \t]*%b[ \t]*/[ \t]*%b" % (_NUMBER, _NUMBER)
)


class Spamd:
    """One server, most often at port 783."""

    is_shared = is_server = True

    def __init__(self, host: str, port: int, *, max_size: int) -> None:
        """``max_size``: octets of a message that it is shown; of a larger one it says nothing."""
        self.name = f"spamd:{join_host_port(host, port)}"
        self._host, self._port = host, port
        self._max_size = max_size

    def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
        """Raises OSError, and ValueError for what is no answer."""
        raw = message.raw
        if len(raw) > self._max_size:
            return None
        request = b"CHECK SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(raw) + raw
        answer = exchange(self._host, self._port, request, deadline, _is_whole)
        found = _VERDICT.search(answer) if _OK.match(answer) else None
        if found is None:
            raise ValueError(f"it answers {answer[:100]!r}")
        is_spam = found[1].lower() in (b"true", b"yes")
        return Opinion(is_spam, f"SpamAssassin: {found[2].decode()} of {found[3].decode()}")


def _is_whole(answer: bytes) -> bool:
    return b"\r\n\r\n" in answer
