"""A filter's memory: shared by workers, and kept whatever becomes of the message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postfix.milter import MilterService, talk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postfix.instance import PostfixInstance

pytest.importorskip("milter", reason="pymilter is not installed (pip install '.[milter]')")

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

FILTERS = """
@filter_sender
def rate(mail: Arrival, policy: Policy) -> Verdict:
    if policy.count(f"sender {mail.sender}", within=3600) > 3:
        return Reject("5.7.1", "three an hour are enough")
    return None

@filter_recipient("grey@(host)")
def greylist(mail: Arrival, policy: Policy, host: str) -> Verdict:
    is_new = policy.age(f"grey {mail.peer.addr} {mail.sender}") == 0.0
    return Defer("4.7.1", "come again") if is_new else None
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def postfix(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PostfixInstance]:
    """A Postfix that asks two workers, which have a database."""
    from tests.postfix.instance import PostfixInstance, why_not
    from tests.postfix.sink import Sink

    if reason := why_not():
        pytest.skip(reason)
    url = f"sqlite:///{tmp_path}/lamson.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    service = MilterService(FILTERS, 'socket_group="postfix", workers=2')
    service.environment["LAMSON_DATABASE"] = url
    service.command("syncdb")
    try:
        with (
            Sink() as sink,
            service,
            PostfixInstance(
                sink_port=sink.port,
                routes={"test.com": f"smtp:[127.0.0.1]:{sink.port}"},
                incoming={"smtpd_milters": f"unix:{service.socket}"},
            ) as postfix,
        ):
            yield postfix
    finally:
        service.remove()


def test_what_was_refused_is_remembered(postfix: PostfixInstance) -> None:
    port = postfix.smtp_port
    assert talk(port, "zed@x.test", "grey@test.com").refusal == "RCPT: 451 4.7.1"
    assert talk(port, "zed@x.test", "grey@test.com").refusal == ""
    assert talk(port, "zed@x.test", "one@test.com").refusal == ""
    assert talk(port, "zed@x.test", "one@test.com").refusal == "MAIL: 550 5.7.1"
    assert talk(port, "joe@x.test", "one@test.com").refusal == ""
