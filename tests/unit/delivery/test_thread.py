"""lamson.delivery.thread: what a handler is told of a thread, and what becomes of what it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from lamson.delivery.batches import Batches
from lamson.delivery.job import Job
from lamson.delivery.run import Handlers
from lamson.delivery.tracking import Tracking
from lamson.delivery.transaction import Transactions
from lamson.errors import LamsonError
from lamson.routing.bounces import BounceAddresses
from lamson.routing.signing import Signed
from lamson.storage import tables, threads
from lamson.storage.state import StateKey
from tests.unit.delivery.desk import SIGNER, Desk
from tests.unit.delivery.jobs import rows
from tests.unit.support import make_message, make_router

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.storage.database import Database

ZED, AGENT = "Zed <zed@example.com>", "Ann <ann@agents.example>"

# A customer asks, an agent answers: what either writes goes to the other.
RELAY = """
    given, facts = [], []

    @route("(user)@(host)")
    @route(r"(user)\\+(thread)@(host)", thread=Signed("thread"))
    @stateless
    def ask(message, delivery: Delivery, thread: Thread, user, host):
        given.append(thread)
        facts.append((thread.participants, thread.messages, thread.latest, thread.history()))
        others = [one for one in thread.participants if one != message.author]
        answer = delivery.compose(
            to=others or ["ann@agents.example"],
            sender=thread.address("support@test.com"),
            subject=f"Re: {thread.subject}",
            body=f"{message.new_text}\\n{thread.history()}",
        )
        delivery.send(answer)
"""


def facts(desk: Desk) -> list[Any]:
    found: list[Any] = desk.router.routes[0].handler.function.__globals__["facts"]
    return found


def test_history_gives_no_token_away(tmp_path: Path, database: Database) -> None:
    desk = Desk(
        tmp_path,
        database,
        RELAY.replace("{message.new_text}", "Somebody says: {message.new_text}"),
    )
    (to_agent,) = desk.run(desk.job(ZED, body="It burns."))
    desk.run(desk.job(AGENT, to_agent.message.from_[0].address, body="Which?"))
    _, before, _, history = facts(desk)[-1]
    assert [one.author for one in before if one.is_ours] == ["support@test.com"]
    assert "support@test.com wrote:\n> Somebody says: It burns." in history


def test_what_is_to_leave_later_is_not_said_yet(tmp_path: Path, database: Database) -> None:
    later = RELAY.replace("delivery.send(answer)", "delivery.send(answer, at=4e9, key=thread.id)")
    told = later.replace("thread.history()))", "thread.address('support@test.com')))")
    desk = Desk(tmp_path, database, told.replace("{message.new_text}", "Do not forget."))
    desk.run(desk.job(ZED, body="It burns."))
    desk.run(desk.job(ZED, facts(desk)[0][-1], body="Hello?"))
    assert [one.text for one in facts(desk)[-1][1]] == ["It burns."]


def test_a_conversation(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database, RELAY)
    (to_agent,) = desk.run(desk.job(ZED, body="It burns."))
    assert to_agent.message["References"] is None, "what the customer's mail is called is his"
    (to_zed,) = desk.run(
        desk.job(AGENT, to_agent.message.from_[0].address, body="Which?\r\n\r\n> It burns.")
    )
    assert to_zed.to == ("zed@example.com",)
    assert to_zed.message.in_reply_to == [to_agent.id]
    assert to_zed.message.references == ["<mail1@client.example>", to_agent.id]
    assert to_zed.message.new_text.strip() == "Which?"
    (again,) = desk.run(desk.job(ZED, body="The big one.", answers=to_zed.id))
    assert again.message.references == [to_agent.id, "<mail2@client.example>", to_zed.id]
    assert again.message.body == (
        "The big one.\n\n"
        "On 28 November 2026, Ann wrote:\n> Which?\n\n"
        "On 28 November 2026, Zed wrote:\n> It burns.\n"
    )
    participants, before, latest, _ = facts(desk)[-1]
    assert participants == ("zed@example.com", "ann@agents.example")
    assert [(one.author, one.name, one.text, one.is_ours) for one in before] == [
        ("zed@example.com", "Zed", "It burns.", False),
        ("ann@agents.example", "Ann", "Which?", False),
    ], "what was passed on is not there once more"
    assert (latest.author, latest.text) == ("zed@example.com", "The big one.")
    assert latest.date.isoformat() == "2026-11-28T09:00:00+00:00"


def test_what_we_say_is_said(tmp_path: Path, database: Database) -> None:
    desk = Desk(
        tmp_path,
        database,
        """
        given, facts = [], []

        @route("(user)@(host)")
        @stateless
        def ask(message, delivery: Delivery, thread: Thread, user, host):
            given.append(thread)
            facts.append(thread.messages)
            delivery.reply(html="<p>We <b>know</b>.</p>", sender="Desk <desk@test.com>")
            for number in range(9):
                delivery.send(delivery.compose(
                    to=f"{number}@x.example", sender="a@test.com", subject="x", body="We know.",
                ))
            delivery.thread = None
            delivery.send(delivery.compose(
                to="boss@agents.example", sender="a@test.com", subject="x", body="Look at this",
            ))
        """,
    )
    sent = desk.run(desk.job(ZED))
    desk.run(desk.job(ZED, answers=sent[0].id))
    assert [(one.author, one.name, one.text, one.is_ours) for one in facts(desk)[-1]] == [
        ("zed@example.com", "Zed", "It burns.", False),
        ("desk@test.com", "Desk", "We know.", True),
    ]
    assert desk.thread_of("8@x.example", answers=sent[9].id) == desk.given[0].id
    assert desk.thread_of("boss@agents.example", answers=sent[10].id) != desk.given[0].id
    assert sent[10].message["References"] is None


def test_in_templates(tmp_path: Path, database: Database) -> None:
    from lamson.message.templates import Templates

    (tmp_path / "answer.txt").write_text("${thread.subject}: ${thread.latest.text}\n${old}")
    (tmp_path / "answer.html").write_text(
        "<p>${thread.id}</p>${thread.history_html([thread.latest])}"
    )
    source = RELAY.replace(
        "delivery.send(answer)",
        'delivery.reply("answer.txt", old=thread.history([thread.latest]))',
    )
    desk = Desk(tmp_path, database, source)
    handlers = desk.transactions._handlers
    handlers._templates = Templates([tmp_path])
    (answer,) = desk.run(desk.job(ZED, body='<b> & "c"'))
    thread = desk.given[0].id
    assert 'Printer: <b> & "c"\nOn 28 November 2026, Zed wrote:\n> <b> &' in answer.message.body
    page = answer.message.html or ""
    assert f"<p>{thread}</p>" in page
    assert "&lt;b&gt; &amp;" in page
    assert "<blockquote" in page


def test_an_address_that_leads_back(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database, RELAY)
    desk.run(desk.job(ZED))
    thread = desk.given[0]
    thread._is_over = False
    token = thread.sign()
    read = SIGNER.read(Signed("thread"), token)
    assert read is not None
    assert read.payload == thread.id
    assert len(token) == 40
    with pytest.raises(ValueError, match="too long"):
        thread.address(f"{'x' * 24}@test.com")
    with pytest.raises(ValueError, match="no address"):
        thread.address("support")


def test_who_may_do_more_has_an_address_of_his_own(tmp_path: Path, database: Database) -> None:
    """It leads into the same thread, and neither can be made of the other."""
    desk = Desk(
        tmp_path,
        database,
        r"""
        import pytest

        given = []

        @route("(user)@(host)")
        @route(r"(user)\+(thread)@(host)", thread=Signed("thread"))
        @route(r"(user)\+(agent)@(host)", agent=Signed("thread-agent"))
        @stateless
        def ask(message, delivery: Delivery, thread: Thread, user, host, agent=""):
            given.append((thread.id, agent))
            sender = thread.address("desk@test.com", "thread-agent")
            mail = delivery.compose(to="ann@example.org", sender=sender, subject="x", body="x")
            delivery.send(mail)
            with pytest.raises(ValueError, match="'agent' leads to no thread"):
                thread.sign("agent")
        """,
    )
    (mail,) = desk.run(desk.job(ZED))
    address = mail.message.from_[0].address
    assert address.startswith("desk+")
    desk.run(desk.job("ann@example.org", address))
    assert desk.given == [(desk.given[0][0], ""), (desk.given[0][0], desk.given[0][0])]
    theirs = SIGNER.sign(Signed("thread"), desk.given[0][0])
    assert SIGNER.read(Signed("thread-agent"), theirs) is None


def test_it_is_not_for_later(tmp_path: Path, database: Database) -> None:
    desk = Desk(
        tmp_path,
        database,
        """
        given = []

        @route("(user)@(host)")
        @stateless
        def ask(message, thread: Thread, user, host):
            given.append(thread)
        """,
    )
    desk.run(desk.job(ZED))
    for ask in (desk.given[0].sign, desk.given[0].history):
        with pytest.raises(LamsonError, match="must not be kept for later"):
            ask()
    assert len(rows(database, tables.threads)) == 1, "nothing was sent, but a person wrote"


MACHINES = {
    "bounce": {
        "author": "MAILER-DAEMON@example.com",
        "sender": "",
        "fields": "MIME-Version: 1.0\r\nContent-Type: multipart/report;"
        ' report-type=delivery-status; boundary="x"',
        "body": "--x\r\n\r\nfailed\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; a\r\n\r\nFinal-Recipient: rfc822; a@b\r\nAction: failed\r\n"
        "Status: 5.1.1\r\n\r\n--x--",
    },
    "vacation": {"author": ZED, "fields": "Auto-Submitted: auto-replied", "body": "Away."},
    "newsletter": {"author": ZED, "fields": "Precedence: bulk", "body": "Buy."},
}


@pytest.mark.parametrize("name", MACHINES)
def test_what_a_machine_wrote_begins_no_thread(
    tmp_path: Path, database: Database, name: str
) -> None:
    desk = Desk(tmp_path, database)
    desk.run(desk.job(**MACHINES[name]))
    assert desk.given[-1].is_new
    assert [rows(database, table) for table in (tables.threads, tables.thread_messages)] == [[], []]
    answer = desk.say(ZED)
    before = len(rows(database, tables.thread_messages))
    desk.run(desk.job(to=answer.reply_to, **MACHINES[name]))
    assert desk.given[-1].id == desk.given[-2].id, "it is in the thread that it was sent to"
    assert len(rows(database, tables.thread_messages)) == before, "and says nothing there"
    assert len(rows(database, tables.thread_participants)) == 1


def test_what_a_machine_wrote_may_be_passed_on(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database, RELAY)
    alarm = {"author": "nagios@example.com", "fields": "Auto-Submitted: auto-generated"}
    (to_agent,) = desk.run(desk.job(**alarm, body="Disk full"))
    desk.run(desk.job(AGENT, answers=to_agent.id, body="Cleaned"))
    assert [one.text for one in facts(desk)[-1][1]] == ["Disk full"]


def test_a_post_to_a_list_was_written_by_a_person(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database)
    desk.run(desk.job(ZED, fields="List-Id: <a.example.com>"))
    assert len(rows(database, tables.threads)) == 1
    desk.run(desk.job(ZED, fields="List-Id: <a.lists.example>", sender="a-bounces@lists.example"))
    assert len(rows(database, tables.threads)) == 1, "nobody is to write to that address"


PER_THREAD = """
    given = []

    state_key = state_key_generator(per_thread)

    @route("(user)@(host)")
    @route(r"(user)\\+(thread)@(host)", thread=Signed("thread"))
    def START(message, delivery: Delivery, user, host, **captures):
        delivery.reply(body="open", headers={"Reply-To": delivery.thread.address("a@test.com")})
        if message.subject == "break":
            raise ValueError("broken")
        return OPEN

    @route("(user)@(host)")
    @route(r"(user)\\+(thread)@(host)", thread=Signed("thread"))
    def OPEN(message, delivery: Delivery, thread: Thread, user, host):
        given.append(thread)
        delivery.reply(body="still open")
        if message.subject == "break":
            raise ValueError("broken")
        if message.subject == "close":
            return CLOSED

    @route("(user)@(host)")
    @route(r"(user)\\+(thread)@(host)", thread=Signed("thread"))
    def CLOSED(message, delivery: Delivery, user, host, **captures):
        delivery.reply(body="closed")
"""


def stood(desk: Desk) -> dict[str, str]:
    assert {row.author for row in rows(desk.database, tables.state)} <= {""}
    return {row.module.split()[1]: row.state for row in rows(desk.database, tables.state)}


def test_a_thread_that_is_not_kept_leaves_no_state(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database, PER_THREAD)
    desk.run(desk.job(ZED, fields="Auto-Submitted: auto-generated"))
    assert rows(database, tables.threads) == []
    assert stood(desk) == {}


def test_a_state_for_each_thread(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database, PER_THREAD)
    one, two = desk.say(ZED), desk.say(ZED)
    assert (one.message.body.strip(), two.message.body.strip()) == ("open", "open")
    desk.say("ann@example.org", one.reply_to, subject="close")
    assert sorted(stood(desk).values()) == ["CLOSED", "OPEN"]
    assert stood(desk)[desk.given[0].id] == "CLOSED"
    assert desk.say(ZED, answers=one.id).message.body.strip() == "closed", "whoever writes"
    assert desk.say(ZED, answers=two.id).message.body.strip() == "still open"
    with database.begin() as connection:
        assert threads.purge(connection, desk.now + 366 * 86400, 365 * 86400, 9) == 2
    assert stood(desk) == {}


def with_error(source: str) -> str:
    return source + "\n    def ERROR(message, user=None, host=None): ...\n"


def test_the_error_of_a_thread(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database, with_error(PER_THREAD))
    one = desk.say(ZED)
    (thread,) = stood(desk)
    desk.run(desk.job(ZED, answers=one.id, subject="break"))
    assert stood(desk) == {thread: "ERROR"}
    broken = desk.job(ZED, subject="break")
    desk.run(broken)
    assert broken.reply is not None
    assert broken.reply.code == 250, "it is kept"
    assert stood(desk) == {thread: "ERROR"}, "but nobody can come back to a thread that is not"


def test_it_is_run_again_in_the_state_in_which_it_failed(
    tmp_path: Path, database: Database
) -> None:
    desk = Desk(tmp_path, database, with_error(PER_THREAD))
    one = desk.say(ZED)
    (thread,) = stood(desk)
    desk.run(desk.job(ZED, answers=one.id, subject="break"))
    again = desk.job(ZED, answers=one.id, subject="close")
    module = desk.router.modules[0]
    again.is_again = True
    again.resumes = StateKey.make(threads.state_of(module, thread), again.message.author)
    again.resume_in = "OPEN"
    assert [mail.message.body.strip() for mail in desk.run(again)] == ["still open"]
    assert stood(desk) == {thread: "CLOSED"}


def test_an_answer_that_was_too_many_is_not_in_it(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database, RELAY)
    (mail,) = desk.run(desk.job(ZED))
    result: Any = desk.given[0].change([])
    assert result.sent == []
    assert len(result.entries) == 1
    assert desk.given[0].change([mail.row]).sent == [threads.digest(mail.id)]


def test_a_crowd(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MAX_PARTICIPANTS", 3)
    desk = Desk(tmp_path, database)
    address = desk.say("0@x.example").reply_to
    for number in range(1, 6):
        desk.say(f"{number}@x.example", address)
    with database.read() as connection:
        query = select(func.count()).select_from(tables.thread_participants)
        assert connection.execute(query).scalar() == 3


def test_it_needs_a_database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    router = make_router(
        tmp_path,
        """
        @route("(user)@(host)")
        def START(message, thread: Thread, user, host): ...
        """,
    )
    transactions = Transactions(Handlers(router, hostname="mx.test.com"))
    job = Job(make_message(), router.match("list@test.com"), None)
    transactions.run([job], lambda job, seconds: None)
    assert job.reply is not None
    assert job.reply.code == 451
    assert "set `database` in the settings" in caplog.text


def test_two_of_a_batch(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database, RELAY)
    (to_agent,) = desk.run(desk.job(ZED))
    desk.run(*(desk.job(AGENT, answers=to_agent.id, body=text) for text in ("one", "two")))
    assert [one.text for one in facts(desk)[-1][1]] == ["It burns.", "one"]
    assert len(rows(database, tables.threads)) == 1


def test_many_mails_of_one_delivery(tmp_path: Path, database: Database) -> None:
    desk = Desk(
        tmp_path,
        database,
        """
        given, facts = [], []

        @route("(user)@(host)")
        @stateless
        def ask(message, delivery: Delivery, thread: Thread, user, host):
            facts.append(thread.messages)
            for number in range(1200 if thread.is_new else 0):
                delivery.send(delivery.compose(
                    to=f"{number}@x.example", sender="a@test.com", subject="x", body=f"{number}",
                ))
        """,
    )
    sent = desk.run(desk.job(ZED, body="long " * 20_000))
    assert len(sent) == 1200
    assert len(rows(database, tables.thread_ids)) == threads.MAX_IDS
    assert len(rows(database, tables.thread_participants)) == threads.MAX_PARTICIPANTS
    kept = {row.digest for row in rows(database, tables.thread_ids)}
    answer = next(mail.id for mail in sent if threads.digest(mail.id) in kept)
    desk.run(desk.job("5@x.example", answers=answer))
    assert [one.text[:5] for one in facts(desk)[-1]] == ["long ", *map(str, range(10))]


def test_tracked_mail_to_several_is_one_message(tmp_path: Path, database: Database) -> None:
    """It leaves once for each of them, who take part, and is said once."""
    tracking = Tracking(BounceAddresses(SIGNER), is_ours={"test.com"}.__contains__)
    desk = Desk(
        tmp_path,
        database,
        """
        given, facts = [], []

        @route("(user)@(host)")
        @stateless
        def ask(message, delivery: Delivery, thread: Thread, user, host):
            facts.append((thread.participants, [one.text for one in thread.messages]))
            if thread.is_new:
                people = [f"{number}@x.example" for number in range(30)]
                delivery.send(delivery.compose(
                    to="agent@x.example", cc=people, sender="a@test.com", subject="x", body="Hi",
                ), track=True)
        """,
        tracking=tracking,
    )
    sent = desk.run(desk.job(ZED))
    assert [mail.to for mail in sent[:2]] == [("agent@x.example",), ("0@x.example",)]
    assert len({mail.row.sender for mail in sent}) == len(sent) == 31
    assert desk.run(desk.job("29@x.example", answers=sent[0].id)) == []
    people, said = facts(desk)[-1]
    assert len(people) == 32
    assert said == ["It burns.", "Hi"]


def test_a_handler_that_ends_the_transaction_costs_no_thread(
    tmp_path: Path, database: Database
) -> None:
    desk = Desk(
        tmp_path,
        database,
        """
        given = []

        @route("(user)@(host)")
        @stateless
        def ask(message, delivery: Delivery, db: Session, thread: Thread, user, host):
            given.append(thread)
            delivery.reply(body="ok")
            if message.subject == "end it":
                db.connection().commit()
        """,
    )
    jobs = [desk.job(ZED), desk.job(ZED, subject="end it"), desk.job(ZED)]
    Batches(desk.transactions, lambda job, seconds: None).run(jobs)
    assert [job.reply.code for job in jobs if job.reply] == [250, 451, 250]
    assert len(desk.given) > 3, "those that shared it were handled again"
    assert len(rows(database, tables.threads)) == 2
    assert len(rows(database, tables.thread_ids)) == 2


def test_what_is_not_sent_in_the_end_is_not_said(tmp_path: Path, database: Database) -> None:
    desk = Desk(
        tmp_path,
        database,
        """
        given, facts = [], []

        @route("(user)@(host)")
        @stateless
        def ask(message, delivery: Delivery, thread: Thread, user, host):
            facts.append(thread.messages)
            for key, at in (("once", None), ("once", None), ("reminder", 4e9)):
                mail = delivery.compose(
                    to=f"{key}@x.example", sender="a@test.com", subject="x", body=key
                )
                delivery.send(mail, key=key, at=at)
            delivery.cancel("reminder")
            delivery.send(
                b"From: a@test.com\\r\\nMessage-ID: <raw@test.com>\\r\\n\\r\\nraw",
                sender="a@test.com", to="raw@x.example",
            )
        """,
    )
    once, raw = desk.run(desk.job(ZED))
    assert once.to == ("once@x.example",)
    (again,) = desk.run(desk.job("raw@x.example", answers="<raw@test.com>"))
    assert again.to == raw.to
    assert [one.text for one in facts(desk)[-1]] == ["It burns.", "once"]
    taking = {row.address for row in rows(database, tables.thread_participants)}
    assert taking == {"zed@example.com", "once@x.example", "raw@x.example"}
    assert len(rows(database, tables.thread_ids)) == 2


def test_the_application_itself_takes_no_part(tmp_path: Path, database: Database) -> None:
    desk = Desk(tmp_path, database, RELAY)
    (to_agent,) = desk.run(desk.job("sales@test.com"))
    assert desk.given[0].writer == "sales@test.com"
    assert to_agent.to == ("ann@agents.example",)
    desk.run(desk.job(AGENT, answers=to_agent.id))
    assert facts(desk)[-1][0] == ("ann@agents.example",), "an answer to it would come back"
    desk.run(desk.job("sales@test.com", subject="Alone"))
    taking = {row.address for row in rows(database, tables.thread_participants)}
    assert taking == {"ann@agents.example"}
