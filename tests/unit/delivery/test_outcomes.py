"""lamson.delivery.outcomes and reports: what became of tracked mail, told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.outcomes import is_permanent
from lamson.message.report import ReportedRecipient
from lamson.storage import suppressed
from lamson.storage.suppressed import task_of
from tests.unit.delivery.tracked import PEOPLE, Room, complaint, dsn, failed
from tests.unit.support import make_message

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.storage.database import Database

INVITING = """
    told = []

    def invite(message, delivery):
        to = message.subject.split(",") if "@" in message.subject else ["ann@example.com"]
        delivery.send(MailResponse(to=to, sender="Team <team@test.com>", subject="You are invited",
            body="x", headers={"List-Id": "<users.test.com>"}), track=True)

    @route("list@(host)")
    def START(message, delivery: Delivery, host):
        if message.subject != "nothing":
            invite(message, delivery)
        return INVITED

    @route("list@(host)")
    def INVITED(message, delivery: Delivery, host):
        if message.subject == "back":
            return START
        invite(message, delivery)

    @route_like(INVITED)
    def GONE(message, delivery: Delivery, host):
        invite(message, delivery)

    @outcome
    def BOUNCED(outcome, db: Session):
        told.append(outcome)
        if "break" in outcome.diagnostic:
            raise RuntimeError("broken")
        if outcome.is_hard:
            return GONE
"""


@pytest.fixture
def room(tmp_path: Path, database: Database) -> Room:
    return Room(tmp_path, database, INVITING)


def test_an_unknown_user_is_told_in_the_state_of_the_conversation(room: Room) -> None:
    row = room.send()
    assert row.sender.startswith("bounces+")
    assert row.sender.endswith("@test.com")
    assert len(row.sender.partition("@")[0]) <= 64
    assert room.states() == {"zed@example.com": "INVITED"}
    assert room.report(row, dsn(failed("Ann@Example.com"))) == 250
    (one,) = room.told
    assert (one.kind, one.recipient, one.is_permanent) == ("failed", "ann@example.com", True)
    assert (one.status, one.diagnostic, one.reason) == (
        "5.1.1",
        "550 no such user",
        "unknown-user",
    )
    assert (one.state, one.is_hard) == ("INVITED", True)
    assert (one.mail.subject, one.message_id) == ("You are invited", row.message_id)
    assert one.mail.recipients == ("ann@example.com",)
    assert one.report.kind == "failed"
    assert room.states() == {"zed@example.com": "GONE"}


def test_each_is_told_once(room: Room) -> None:
    row = room.send()
    report = dsn(failed("ann@example.com"))
    for key in ("1", "1", "2", "3"):  # redelivered, and sent again
        assert room.report(row, report, key=key) == 250
    assert room.report(row, dsn(failed("ann@example.com", "4.4.1", action="delayed"))) == 250
    assert room.report(row, dsn(failed("ann@example.com", "4.2.2", "mailbox full"))) == 250
    assert (
        room.report(row, dsn(failed("ann@example.com", "5.2.1"), failed("ANN@example.com"))) == 250
    )
    assert [(one.kind, one.is_permanent) for one in room.told] == [
        ("failed", True),
        ("delayed", False),
        ("failed", False),
    ]


def test_what_failed_is_told_again(room: Room) -> None:
    row = room.send()
    broken = dsn(failed("ann@example.com", said="550 5.1.1 break"))
    assert room.report(row, broken) == 451
    assert room.states() == {"zed@example.com": "INVITED"}
    assert room.suppressed() == []
    assert room.count("ann@example.com") == (0, 0)
    room.module.told.clear()
    assert room.report(row, dsn(failed("ann@example.com"))) == 250
    assert len(room.told) == 1


def test_in_one_batch_with_mail_of_the_same_author(room: Room) -> None:
    """The state is moved by both, one after the other."""
    row = room.send()
    again = make_message(b"From: zed@example.com\r\nSubject: back\r\n\r\nx\r\n")
    report = make_message(dsn(failed("ann@example.com")), sender="", recipient=row.sender)
    late = make_message(dsn(failed("ann@example.com", "4.4.7")), sender="", recipient=row.sender)
    room.deliver(again, report, late)
    assert [one.state for one in room.told] == ["START", "GONE"]
    assert room.states() == {"zed@example.com": "GONE"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (dsn(failed("ann@example.com"), failed("bob@example.org", "4.2.2", "mailbox full")),
         [("failed", "ann@example.com", "5.1.1"), ("failed", "bob@example.org", "4.2.2")]),
        (dsn(failed("eve@example.net")), []),
        (dsn({"Original-Recipient": "rfc822; ann@example.com", **failed("x@mx.example.net")}),
         [("failed", "ann@example.com", "5.1.1")]),
        (dsn(failed("ann@example.com", "2.0.0", "250 ok", "delivered"), failed("bob@example.org")),
         [("delivered", "ann@example.com", "2.0.0"), ("failed", "bob@example.org", "5.1.1")]),
        (complaint("bob@example.org"), [("complaint", "bob@example.org", "")]),
        (complaint("eve@example.net"), []),
    ],
)  # fmt: skip
def test_it_counts_for_those_the_mail_went_to(
    room: Room, content: bytes, expected: list[Any]
) -> None:
    row = room.send(",".join(PEOPLE))
    assert room.report(row, content) == 250
    assert room.said() == expected
    assert len(room.kept()) == (0 if expected else 1)


def test_of_several_each_speaks_for_himself_alone(room: Room) -> None:
    """Who got the mail sees one bounce address, his own: no report of his is about another."""
    room.deliver(make_message(f"Subject: {','.join(PEOPLE)}\r\n\r\nx\r\n".encode()))
    rows = room.sent()
    assert [row.recipients for row in rows] == [(one,) for one in PEOPLE]
    assert len({row.sender for row in rows} | {row.envid for row in rows}) == 4
    assert len({row.message_id for row in rows}) == 1, "it is the same mail"
    for content in (dsn(*map(failed, PEOPLE[::-1])), complaint(PEOPLE[1])):
        assert room.report(rows[0], content) == 250
    assert {one.recipient for one in room.told} == {PEOPLE[0]}
    assert {one.address for one in room.suppressed()} == {PEOPLE[0]}
    assert room.report(rows[1], dsn(failed(PEOPLE[1]))) == 250
    assert room.told[-1].recipient == PEOPLE[1]


@pytest.mark.parametrize(
    "content",
    [
        dsn(failed("ann.smith@elsewhere.example")),
        dsn({**failed("ann"), "Final-Recipient": "LOCAL; ann"}),
        dsn(failed("a@elsewhere.example"), failed("b@elsewhere.example")),
    ],
)
def test_an_only_recipient_is_whoever_is_named(room: Room, content: bytes) -> None:
    assert room.report(room.send(), content) == 250
    assert [(one.kind, one.recipient) for one in room.told] == [("failed", "ann@example.com")]


def test_a_vacation_is_told_and_does_no_harm(room: Room) -> None:
    away = (
        b"From: ann@example.com\r\nAuto-Submitted: auto-replied\r\n"
        b"Subject: Out of office\r\n\r\nI am away.\r\n"
    )
    assert room.report(room.send(), away, sender="ann@example.com") == 250
    assert [(one.kind, one.is_permanent) for one in room.told] == [("vacation", False)]
    assert (room.suppressed(), room.count("ann@example.com")) == ([], (0, 0))
    assert room.report(room.send(",".join(PEOPLE)), away.replace(b"ann@", b"eve@")) == 250
    assert len(room.told) == 1
    assert room.kept() == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"From: ann@example.com\r\nSubject: Re: hello\r\n\r\nThank you!\r\n", "is no report"),
        (b"", "is no report"),
        (b"\xff\x00\r\n", "is no report"),
        (dsn(failed("eve@example.net")), "about nobody"),
    ],
)
def test_what_cannot_be_understood_is_kept_a_few_times(
    room: Room, content: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    row = room.send(",".join(PEOPLE))
    for _ in range(11):
        assert room.report(row, content, sender="ann@example.com") == 250
    assert room.told == []
    kept = room.kept()
    assert len(kept) == 10
    assert reason in kept[0].decode("latin-1")
    assert [one for one in caplog.messages if one.startswith("dropped")]
    assert len(room.rows()) == len(PEOPLE), "nobody is answered"


def test_a_report_about_a_report(room: Room) -> None:
    row = room.send(",".join(PEOPLE))
    inner = dsn(failed("ann@example.com"))
    outer = dsn(failed("postmaster@example.net"), text=inner.decode())
    assert room.report(row, outer) == 250
    assert room.told == []
    assert len(room.kept()) == 1


def test_a_report_of_ten_megabytes(room: Room) -> None:
    row = room.send()
    big = dsn(failed("ann@example.com", said="550 " + "x" * 100_000), text="words " * 1_800_000)
    assert len(big) > 10_000_000
    assert room.report(row, big) == 250
    assert [one.recipient for one in room.told] == ["ann@example.com"]
    (entry,) = room.suppressed()
    assert len(entry.diagnostic) <= 500


def test_a_forged_address_is_unknown(room: Room) -> None:
    row = room.send()
    token = row.sender.removeprefix("bounces+")
    assert room.router.match(row.sender.upper())
    for forged in (
        f"bounces+{token[1:]}",
        f"bounces+a{token}",
        f"bounces+{'a' * 47}@test.com",
        "bounces+@test.com",
        f"bounces+{token[:46].swapcase()}l@test.com",
        f"bounce\u017f+{token}",
    ):
        assert room.router.match(forged) == (), forged


def test_an_address_whose_time_is_over_is_unknown(tmp_path: Path, database: Database) -> None:
    now = [1_800_000_000.0]
    room = Room(tmp_path, database, INVITING, clock=lambda: now[0])
    row = room.send()
    now[0] += 29.9 * 86400
    assert room.router.match(row.sender)
    now[0] += 86400
    assert room.router.match(row.sender) == ()


def test_a_mail_that_is_not_known_any_more(room: Room) -> None:
    stranger = room.addresses.address("a" * 16, "test.com")
    message = make_message(dsn(failed("ann@example.com")), sender="", recipient=stranger)
    (job,) = room.deliver(message)
    assert str(job.reply).startswith("250")
    assert room.told == []
    assert len(room.kept()) == 1


def test_what_submission_did_not_take_is_told_once(room: Room) -> None:
    row = room.send(",".join(PEOPLE))
    why = "550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown"
    refused = task_of(row, ["ann@example.com"], "refused", why, is_permanent=True)
    given_up = task_of(row, ["bob@example.org"], "refused", "451 later", is_permanent=False)
    for task in (refused, refused, given_up):
        with room.database.begin() as connection:
            errand = Errand(connection)
            room.outcomes.perform(task, errand)
    assert [(one.kind, one.recipient, one.is_permanent, one.is_hard) for one in room.told] == [
        ("refused", "ann@example.com", True, True),
        ("refused", "bob@example.org", False, False),
    ]
    assert errand.moves == {}
    assert [one.address for one in room.suppressed()] == ["ann@example.com"]
    assert room.count("bob@example.org") == (0, 0)


class Errand:
    """What the runner of tasks gives."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.mailer: Any = None
        self.moves: dict[Any, str] = {}

    def session(self) -> Any:
        return None

    def state(self, key: Any) -> str:
        return "INVITED"

    def move(self, key: Any, state: str, *, module: str) -> None:
        self.moves[key] = state


# Who is suppressed


@pytest.mark.parametrize(
    ("status", "said", "hard"),
    [
        ("5.1.1", "550 5.1.1 no such user", True),
        ("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound", True),
        ("5.2.1", "550 5.2.1 mailbox disabled", True),
        ("5.1.2", "host not found", True),
        ("5.2.2", "552 5.2.2 mailbox full", False),
        ("5.7.1", "554 5.7.1 blocked for spam", False),
        ("5.7.26", "550 5.7.26 unauthenticated: DMARC", False),
        ("4.4.7", "expired", False),
        ("4.1.1", "450 4.1.1 user unknown in virtual mailbox table", False),
    ],
)
def test_who_does_not_exist_is_suppressed_at_once(
    room: Room, status: str, said: str, hard: bool
) -> None:
    assert room.report(room.send(), dsn(failed("ann@example.com", status, said))) == 250
    assert bool(room.suppressed()) is hard
    assert room.count("ANN@example.com") == ((1, 0) if hard else (0, 1))


def test_who_fails_too_often_is_suppressed_too(tmp_path: Path, database: Database) -> None:
    now = [1_800_000_000.0]
    room = Room(tmp_path, database, INVITING, soft_limit=3, soft_days=10, clock=lambda: now[0])
    full = dsn(failed("ann@example.com", "5.2.2", "552 mailbox full"))
    for days, expected in ((0, 1), (4, 2), (10, 1), (1, 2), (1, 3)):
        now[0] += days * 86400
        assert room.suppressed() == []
        room.report(room.send(), full)
        assert room.count("ann@example.com").soft == expected
    (one,) = room.suppressed()
    assert one.reason == "failed 3 times, last with 5.2.2"


def test_a_delivery_begins_the_count_anew(room: Room) -> None:
    room.report(room.send(), dsn(failed("ann@example.com", "5.2.2", "mailbox full")))
    room.report(room.send(), dsn(failed("ann@example.com", "2.0.0", "250 ok", "delivered")))
    assert room.count("ann@example.com") == (0, 0)


def test_who_complains_gets_no_more_of_that_list(room: Room) -> None:
    room.report(room.send(), complaint("ann@example.com"))
    (one,) = room.suppressed()
    assert (one.address, one.scope, one.reason) == (
        "ann@example.com",
        "users.test.com",
        "complaint",
    )


def test_a_complaint_that_a_handler_passed_on_counts(room: Room) -> None:
    passed_on = b"Delivered-To: complaints@test.com\r\nX-Lamson-Forwarded: x\r\n"
    content = passed_on + complaint("ann@example.com")
    assert room.report(room.send(), content, sender="complaints@test.com") == 250
    assert [one.kind for one in room.told] == ["complaint"]


def test_nobody_is_where_the_setting_says_so(tmp_path: Path, database: Database) -> None:
    room = Room(tmp_path, database, INVITING, suppresses=False)
    room.report(room.send(), dsn(failed("ann@example.com")))
    room.report(room.send(), complaint("ann@example.com"))
    assert room.suppressed() == []
    assert room.count("ann@example.com").hard == 1


def test_a_mail_to_suppressed_ones_alone_is_not_sent_and_that_is_told(room: Room) -> None:
    room.report(room.send(), dsn(failed("ann@example.com")))
    room.module.told.clear()
    row = room.send("Ann@Example.com,bob@example.org", sender="joe@example.com")
    assert row.recipients == ("bob@example.org",)
    (job,) = room.deliver(make_message(b"From: eve@example.com\r\n\r\n", sender="eve@example.com"))
    assert str(job.reply).startswith("250")
    assert room.sent() == []
    tasks = room.tasks()
    assert [task.payload["recipients"] for task in tasks] == [
        ["Ann@example.com"],
        ["ann@example.com"],
    ]
    with room.database.begin() as connection:
        for task in tasks:
            room.outcomes.perform(task, Errand(connection))
    assert [(one.kind, one.recipient, one.is_permanent) for one in room.told] == [
        ("suppressed", "Ann@example.com", True),
        ("suppressed", "ann@example.com", True),
    ]


# What a module may do with it


def test_a_stateless_module_and_one_that_wants_to_know_nothing(
    tmp_path: Path, database: Database
) -> None:
    stateless = """
        told = []

        @route("list@(host)")
        @stateless
        def POST(message, delivery: Delivery, host):
            delivery.forward("ann@example.com", track=True)
    """
    telling = """
        @outcome
        def TOLD(outcome):
            told.append(outcome)
            return "nowhere"
    """
    for source in (stateless, stateless + telling):
        room = Room(tmp_path, database, source)
        assert room.report(room.send(), dsn(failed("ann@example.com"))) == 250
        assert room.states() == {}
        with database.begin() as connection:
            assert suppressed.remove(connection, "ann@example.com") == 1
    assert [one.state for one in room.told] == [""]


def test_a_state_that_is_none_is_told_again(tmp_path: Path, database: Database) -> None:
    room = Room(tmp_path, database, INVITING.replace("return GONE", "return 'NOWHERE'"))
    assert room.report(room.send(), dsn(failed("ann@example.com"))) == 451


def test_it_sends_mail_that_is_tracked_in_the_same_conversation(
    tmp_path: Path, database: Database
) -> None:
    source = INVITING.replace("BOUNCED(outcome, ", "BOUNCED(outcome, mailer: 'Mailer', ").replace(
        "return GONE",
        """mailer.send(MailResponse(to="boss@example.net", sender="team@test.com",
                subject="Ann is gone", body="x"), track=True)""",
    )
    room = Room(tmp_path, database, source)
    room.report(room.send(), dsn(failed("ann@example.com")))
    (row,) = room.sent()
    assert row.recipients == ("boss@example.net",)
    assert row.tracked is not None
    assert row.tracked.key is not None
    assert row.tracked.key.author == "zed@example.com"
    assert room.report(row, dsn(failed("boss@example.net", "4.2.2", "mailbox full"))) == 250
    assert room.told[-1].state == "INVITED"


def test_only_what_a_report_names_is_permanent() -> None:
    assert is_permanent("complaint", ReportedRecipient("a@b.example", "abuse"))
    assert not is_permanent("delayed", ReportedRecipient("a@b.example", "delayed", "4.4.1"))
