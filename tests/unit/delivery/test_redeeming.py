"""lamson.delivery.redeeming, on both databases: a token that counts once runs handlers once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from lamson.errors import LamsonError
from lamson.message.parsed import ParsedMessage
from lamson.results import OwnServer
from lamson.routing.signing import Signed, Signer
from lamson.smtp.reply import NO_SUCH_RECIPIENT
from lamson.storage.quota import QueueFullError
from lamson.storage.tables import redeemed, seen
from tests.unit.delivery.jobs import codes, rows, states, words
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.database import Database
    from lamson.storage.maildir import Maildir
    from tests.unit.delivery.jobs import Run

ONCE = Signed("confirm", days=3, once=True)
SIGNER = Signer(lambda: (b"k" * 32,))
CONFIRM = """
    @stateless
    @route("confirm-(token)@(host)", token=Signed("confirm", days=3, once=True))
    def CONFIRM(message, session: Session, token, host):
        session.execute(text("INSERT INTO note VALUES (:word)"), {"word": message.subject})
        if message.body.startswith("refuse"):
            raise SMTPError(550, "5.7.1", "no")
        if message.body.startswith("break"):
            raise RuntimeError("broken")
        if message.body.startswith("commit"):
            session.connection().connection.driver_connection.commit()
            raise SystemExit(3)
"""
ELSE = """
    @stateless
    @route("(any)@(host)", any=".+")
    def ELSE(message, session: Session, any, host):
        word = "else " + message.subject
        session.execute(text("INSERT INTO note VALUES (:word)"), {"word": word})
"""


def click(token: str, word: str, body: str = "", *, sender: str = "z@e.example") -> Any:
    """What ``word`` says; SPF proves the envelope sender where that is of e.example."""
    content = (
        "Authentication-Results: mx.test; spf=pass smtp.mailfrom=e.example\r\n"
        f"From: z@e.example\r\nSubject: {word}\r\n\r\n{body}\r\n"
    ).encode()
    parsed: Any = ParsedMessage(content, witness=OwnServer("mx.test"))
    return make_message(parsed, sender=sender, recipient=f"confirm-{token}@test.com")


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    return make_run(CONFIRM, signer=SIGNER)


@pytest.fixture
def token() -> str:
    return SIGNER.sign(ONCE, "zed")


def test_the_second_click_is_answered_like_any_unknown_address(
    run: Run, token: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert codes(run(click(token, "one"), keys=[b"1"])) == [250]
    (job,) = run(click(token.upper(), "two"), keys=[b"2"])
    assert job.reply == NO_SUCH_RECIPIENT
    assert words(database) == ["one"]
    assert len(rows(database, seen)) == 1, "what was refused was not handled"


@pytest.mark.parametrize("sender", ["victim@bank.example", ""])
def test_no_bounce_of_a_second_click_goes_to_whom_a_stranger_names(
    run: Run,
    token: str,
    database: Database,
    undeliverable: Maildir,
    sender: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is kept, of each token ten: who has one could fill the disk."""
    caplog.set_level("INFO")
    run(click(token, "one"), keys=[b"1"])
    for number in range(12):
        key = b"2%d" % number
        again = click(token, "two", sender=sender)
        assert codes(run(again, keys=[key])) == [250]
        assert codes(run(again, keys=[key])) == [250], "the same queue entry"
    assert words(database) == ["one"]
    assert undeliverable.count() == 10
    (one, *_) = undeliverable.keys()
    assert b"its token was used before" in (undeliverable.get(one) or b"")
    assert len([line for line in caplog.messages if line.startswith("dropped")]) == 2
    assert len(rows(database, seen)) == 13


def test_none_is_lost_where_many_come_at_once(
    run: Run,
    database: Database,
    undeliverable: Maildir,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nor do they end one another's transactions, in whatever order they have the tokens."""
    tokens = [SIGNER.sign(ONCE, str(number)) for number in range(5)]

    def replay(number: int) -> list[int]:
        own = tokens[:: -1 if number % 2 else 1]
        found = []
        for again in range(3):
            clicks = [click(token, token, sender="") for token in own]
            names = [f"{number} {again} {token}".encode() for token in own]
            found += codes(run(*clicks, keys=names, to_the_end=True))
        return found

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(replay, range(3)))
    assert found == [[250] * 15] * 3
    assert words(database) == sorted(tokens)
    assert undeliverable.count() == 40, "all that nobody handled"
    assert "deadlock" not in caplog.text


def test_where_there_is_no_room_to_keep_it_postfix_asks_again(
    run: Run,
    token: str,
    database: Database,
    undeliverable: Maildir,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the other mail of its batch is handled."""

    def refuse(*given: Any, **more: Any) -> None:
        raise QueueFullError("full")

    run(click(token, "one"), keys=[b"1"])
    other = click(SIGNER.sign(ONCE, "joe"), "three")
    again = click(token, "two", sender="")
    with monkeypatch.context() as full:
        full.setattr(undeliverable, "push", refuse)
        assert codes(run(again, other, keys=[b"2", b"3"])) == [451, 250]
        for _ in range(10):
            assert codes(run(again, keys=[b"2"])) == [451], "however often"
    assert words(database) == ["one", "three"]
    assert codes(run(again, keys=[b"2"])) == [250]
    assert undeliverable.count() == 1


def test_the_same_queue_entry_is_a_repetition_as_ever(
    run: Run, token: str, database: Database
) -> None:
    for _ in range(2):
        assert codes(run(click(token, "one"), keys=[b"1"])) == [250]
    assert words(database) == ["one"]


@pytest.mark.parametrize("body", ["refuse", "break"])
def test_what_failed_redeems_nothing(run: Run, token: str, database: Database, body: str) -> None:
    assert codes(run(click(token, "one", body), keys=[b"1"])) == [550 if body == "refuse" else 451]
    assert rows(database, redeemed) == []
    assert codes(run(click(token, "two"), keys=[b"2"])) == [250]
    assert words(database) == ["two"]


def test_of_two_clicks_in_a_batch_one_runs(run: Run, token: str, database: Database) -> None:
    clicks = [click(token, word) for word in ("one", "two", "three")]
    other = click(SIGNER.sign(ONCE, "zed"), "other")
    jobs = run(*clicks, other, keys=[b"1", b"2", b"3", b"4"], to_the_end=True)
    assert codes(jobs) == [250, 550, 550, 250]
    assert words(database) == ["one", "other"]


def test_where_the_first_in_a_batch_fails_the_second_runs(
    run: Run, token: str, database: Database
) -> None:
    jobs = run(
        click(token, "one", "break"), click(token, "two"), keys=[b"1", b"2"], to_the_end=True
    )
    assert codes(jobs) == [451, 250]
    assert words(database) == ["two"]


def test_the_next_route_takes_what_was_redeemed(
    make_run: Callable[..., Run], token: str, database: Database
) -> None:
    run = make_run(CONFIRM + ELSE, signer=SIGNER)
    assert codes(run(click(token, "one"), click(token, "two"), to_the_end=True)) == [250, 250]
    assert words(database) == ["else one", "else two", "one"]


def test_a_route_of_the_same_function_takes_it_too(
    make_run: Callable[..., Run], token: str, database: Database
) -> None:
    run = make_run(
        """
        @stateless
        @route("confirm-(token)@(host)", token=Signed("confirm", days=3, once=True))
        @route("confirm-(other)@(host)", other="[a-z0-9]+")
        def CONFIRM(message, session: Session, host, token="", other=""):
            session.execute(text("INSERT INTO note VALUES (:word)"), {"word": token or other})
        """,
        signer=SIGNER,
    )
    run(click(token, ""), click(token, ""), to_the_end=True)
    assert words(database) == sorted(["zed", token])


def test_what_no_handler_got_is_not_redeemed(
    make_run: Callable[..., Run], token: str, database: Database, undeliverable: Maildir
) -> None:
    run = make_run(
        """
        @route("(user)@(host)")
        def START(message, user, host):
            return CONFIRMING

        @route("confirm-(token)@(host)", token=Signed("confirm", days=3, once=True))
        def CONFIRMING(message, token, host):
            return "DONE"

        @route("never@(host)")
        def DONE(message, host): ...
        """,
        signer=SIGNER,
    )
    assert codes(run(click(token, "one"))) == [250], "in START nobody takes it: it is kept"
    assert rows(database, redeemed) == []
    run(make_message(b"From: z@e.example\r\n\r\n", recipient="zed@test.com"))
    assert codes(run(click(token, "one"))) == [250]
    assert states(database) == {"z@e.example": "DONE"}
    assert len(rows(database, redeemed)) == 1


def test_who_comes_to_the_error_state_may_come_again_with_his_token(
    make_run: Callable[..., Run], token: str, database: Database
) -> None:
    run = make_run(
        """
        @route("confirm-(token)@(host)", token=Signed("confirm", days=3, once=True))
        def START(message, token, host):
            raise RuntimeError("broken")

        def ERROR(message, session: Session, token):
            session.execute(text("INSERT INTO note VALUES (:word)"), {"word": token})
            return START
        """,
        signer=SIGNER,
    )
    for _ in range(2):
        assert codes(run(click(token, "one"))) == [250]
    assert words(database) == ["zed"], "ERROR has redeemed it"
    assert codes(run(click(token, "one"))) == [550]


def test_a_handler_that_ends_the_transaction_uses_up_no_other_token(
    run: Run, token: str, database: Database
) -> None:
    other = SIGNER.sign(ONCE, "joe")
    jobs = run(
        click(token, "one", "commit"), click(other, "two"), keys=[b"1", b"2"], to_the_end=True
    )
    assert codes(jobs) == [451, 250]
    assert "two" in words(database)
    assert codes(run(click(other, "three"), keys=[b"3"])) == [550]


def test_without_a_database_nothing_counts_once(make_run: Callable[..., Run], token: str) -> None:
    run = make_run(CONFIRM, signer=SIGNER, database=None, outbox=None)
    with pytest.raises(LamsonError, match="needs a database"):
        run(click(token, "one"))
