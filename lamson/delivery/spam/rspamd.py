"""A judge: rspamd, asked over HTTP (https://docs.rspamd.com/developers/protocol).

It is told of the envelope what Postfix told us. What it would have a server do is its opinion:
"reject", "add header" and "rewrite subject" are spam; "no action" and "greylist" are none; with
"soft reject", which is for now, it has no opinion.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from lamson.delivery.spam.opinion import Opinion
from lamson.net.endpoint import join_host_port
from lamson.net.exchange import exchange

if TYPE_CHECKING:
    from lamson.message.request import MailRequest

_SPAM = ("reject", "add header", "rewrite subject")
_NONE = ("no action", "greylist")
_CONTROLS = re.compile("[\x00-\x1f\x7f]")
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,9})[ \t]*\r$")
_MAX_VALUE = 1000  # characters
_MAX_RECIPIENTS = 100  # that it is told


class Rspamd:
    """One server's normal worker, most often at port 11333."""

    is_shared = is_server = True

    def __init__(self, host: str, port: int, *, max_size: int) -> None:
        """``max_size``: octets of a message that it is shown; of a larger one it says nothing."""
        self.name = f"rspamd:http://{join_host_port(host, port)}"
        self._host, self._port = host, port
        self._max_size = max_size

    def opinion(self, message: MailRequest, deadline: float) -> Opinion | None:
        """Raises OSError, and ValueError for what is no answer."""
        if len(message.raw) > self._max_size:
            return None
        answer = exchange(self._host, self._port, self._request(message), deadline, _is_whole)
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head.partition(b"\r\n")[0].split(b" ", 2)
        if not status[0].startswith(b"HTTP/1.") or status[1:2] != [b"200"]:
            raise ValueError(f"it answers {head[:100]!r}")
        told = json.loads(body)
        if not isinstance(told, dict) or "action" not in told:
            raise ValueError(f"it answers {body[:100]!r}")
        action = told["action"]
        if action not in _SPAM and (told.get("is_skipped") or action not in _NONE):
            return None  # one that it was told to leave alone
        why = f"rspamd: {action}, {told.get('score')} of {told.get('required_score')}"
        return Opinion(action in _SPAM, why)

    def _request(self, message: MailRequest) -> bytes:
        envelope, peer = message.envelope, message.peer
        fields = [
            ("Host", join_host_port(self._host, self._port)),
            ("Connection", "close"),
            ("Content-Length", str(len(message.raw))),
            ("From", envelope.sender),
            *[("Rcpt", recipient) for recipient in envelope.recipients[:_MAX_RECIPIENTS]],
            ("IP", peer.addr),
            ("Helo", peer.helo),
            ("Hostname", peer.name),
            ("Queue-Id", envelope.queue_id),
        ]
        lines = [f"{name}: {_one_line(value)}\r\n" for name, value in fields if value]
        # HTTP/1.0: an answer in pieces (chunked) is none that would be understood.
        head = "POST /checkv2 HTTP/1.0\r\n" + "".join(lines) + "\r\n"
        return head.encode("utf-8", "replace") + message.raw


def _one_line(value: str) -> str:
    return _CONTROLS.sub("", value)[:_MAX_VALUE]


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    found = _LENGTH.search(head + b"\r\n") if end else None
    return found is not None and len(body) >= int(found[1])
