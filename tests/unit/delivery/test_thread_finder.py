"""lamson.delivery.thread_finder: mail as real programs answer it, and the thread that it is in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, select

from lamson.delivery.thread_finder import MAX_IDS
from lamson.routing.signing import Signed
from lamson.storage import tables
from tests.unit.delivery.desk import SIGNER, Desk
from tests.unit.delivery.jobs import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.delivery.desk import Mail

ZED, ANN, EVE = "Zed <zed@example.com>", "ann@example.org", "eve@evil.example"
OTHERS = [f"<{number}@lists.example>" for number in range(20)]


@pytest.fixture
def desk(tmp_path: Path, database: Database) -> Desk:
    return Desk(tmp_path, database)


# How mail programs say what they answer: what `Desk.say` is to be told about an answer.
CLIENTS: dict[str, Callable[[Mail], dict[str, Any]]] = {
    "in-reply-to-only": lambda mail: {"answers": mail.id},
    "references-only": lambda mail: {"references": [*mail.message.references, mail.id]},
    "references-cut-to-the-last": lambda mail: {"references": [mail.id]},
    "references-cut-to-the-first": lambda mail: {
        "references": [mail.id, *OTHERS],
        "answers": OTHERS[-1],
    },
    "gmail": lambda mail: {
        "answers": mail.id,
        "references": [*mail.message.references, mail.id],
        "message_id": "<CAF=abc+def@mail.gmail.com>",
    },
    "outlook": lambda mail: {
        "to": mail.reply_to,
        "fields": "Thread-Topic: Printer\r\nThread-Index: AdLkP0nV1hJm3n0kQ3y5sVhTq2m8uw==",
    },
    "in-reply-to-in-prose": lambda mail: {
        "fields": f'In-Reply-To: Your message of "Sat, 28 Nov 2026"\r\n {mail.id}'
    },
    "another-subject": lambda mail: {
        "answers": mail.id,
        "subject": "Toner (was: Re: Printer)",
    },
    "new-mail-from-the-address-book": lambda mail: {"to": mail.reply_to, "subject": "And another"},
    "upper-case": lambda mail: {"to": mail.reply_to.upper().replace("TEST.COM", "test.com")},
    "mobile-without-any": lambda mail: {"to": mail.reply_to, "subject": "", "body": "Yes"},
    "a-blind-copy-to-us": lambda mail: {"answers": mail.id, "fields": "Cc: bob@example.org"},
    "another-mail-between": lambda mail: {
        # Ann has written to Zed aside, and he answers that: the same chain of references.
        "answers": "<aside@example.org>",
        "references": [mail.id, "<aside@example.org>"],
    },
    "folded": lambda mail: {
        "references": ["<0123456789@example.com>\r\n\t<another@example.com>\r\n", mail.id]
    },
}


@pytest.mark.parametrize("client", CLIENTS)
def test_an_answer_is_in_the_thread_that_it_answers(desk: Desk, client: str) -> None:
    desk.say(ZED)
    answer = desk.say(ZED)  # the second of two with the same subject
    desk.say(ZED)
    thread = desk.given[1].id
    assert desk.thread_of(ZED, **CLIENTS[client](answer)) == thread
    assert not desk.given[-1].is_new
    assert desk.given[-1].subject == "Printer"


NOTHING: dict[str, Callable[[Mail], dict[str, Any]]] = {
    "the-subject": lambda mail: {"subject": "Re: Printer"},
    "thread-index": lambda mail: {"fields": "Thread-Index: AdLkP0nV1hJm3n0kQ3y5sVhTq2m8uw=="},
    "their-own-id": lambda mail: {"answers": mail.message.references[0]},
    "an-id-in-another-case": lambda mail: {"answers": mail.id.upper()},
    "quoted-in-the-body": lambda mail: {"body": f"Message-ID: {mail.id}\r\n\r\n> {mail.reply_to}"},
    "a-digest-that-quotes-it": lambda mail: {
        "fields": 'MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary="x"',
        "body": f"--x\r\n\r\nFrom: a@b.example\r\nIn-Reply-To: {mail.id}\r\n\r\nhi\r\n--x--",
    },
    "an-encoded-word": lambda mail: {"answers": f"=?utf-8?q?{mail.id}?="},
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_else_leads_into_a_thread(desk: Desk, name: str) -> None:
    answer = desk.say(ZED)
    options = NOTHING[name](answer)
    if name == "an-encoded-word":
        options["answers"] = options["answers"].replace("<", "=3C").replace(">", "=3E")
    assert desk.thread_of(ZED, **options) != desk.given[0].id
    assert desk.given[-1].is_new


def test_the_newest_of_several_threads_counts(desk: Desk) -> None:
    first, second = desk.say(ZED), desk.say(ZED)
    one, two = (thread.id for thread in desk.given)
    assert desk.thread_of(ZED, references=[first.id, second.id]) == two
    assert desk.thread_of(ZED, references=[second.id, first.id]) == one
    assert desk.thread_of(ZED, references=[first.id, second.id], answers=first.id) == one
    assert desk.thread_of(ZED, first.reply_to, answers=second.id) == one, "the address comes first"


def test_who_was_written_to_may_answer(tmp_path: Path, database: Database) -> None:
    desk = Desk(
        tmp_path,
        database,
        """
        given = []

        @route("(user)@(host)")
        @stateless
        def ask(message, delivery: Delivery, thread: Thread, user, host):
            given.append(thread)
            for to, bcc in (("Ann@Example.org", ""), ("zed@example.com", "bob@example.org")):
                answer = delivery.compose(
                    to=to, sender="support@test.com", subject="x", body=message.body
                )
                if bcc:
                    answer["Bcc"] = bcc
                delivery.send(answer)
            delivery.forward("agent@agents.example")
        """,
    )
    to_ann, to_zed, forwarded = desk.run(desk.job(ZED))
    thread = desk.given[0].id
    desk.given[0]._is_over = False  # to look at it once more
    assert desk.given[0].participants == ("zed@example.com", "ann@example.org")
    assert desk.thread_of(ANN, answers=to_ann.id) == thread
    assert desk.thread_of("bob@example.org", answers=to_zed.id) == thread, "a blind copy"
    assert desk.thread_of("agent@agents.example", answers=forwarded.id) == thread
    assert desk.thread_of(ZED, answers=forwarded.id) == thread
    assert desk.given[-1].participants[:4] == (
        "zed@example.com",
        "ann@example.org",
        "bob@example.org",
        "agent@agents.example",
    ), "known to the others since they have written"
    assert desk.thread_of(EVE, answers=to_zed.id) != thread


def test_a_colleague_who_has_the_address_is_in(desk: Desk) -> None:
    answer = desk.say(ZED)
    thread = desk.given[0].id
    assert desk.thread_of(ANN, answers=answer.id) != thread
    to_ann = desk.say(ANN, answer.reply_to)  # Zed has forwarded the answer to her
    assert desk.given[-1].id == thread
    assert desk.given[-1].participants == ("zed@example.com", ANN)
    assert desk.thread_of(ANN, answers=to_ann.id) == thread, "she takes part from now on"
    assert desk.thread_of(ANN, answers=answer.id) == thread


class TestStrangers:
    """Each has a thread of his own, and an answer that is his."""

    @pytest.fixture
    def answer(self, desk: Desk) -> Mail:
        return desk.say(ZED)

    def test_who_knows_a_message_id(self, desk: Desk, answer: Mail) -> None:
        reply = desk.say(EVE, answers=answer.id, references=[answer.id])
        assert desk.given[-1].id != desk.given[0].id
        assert reply.to == (EVE,)
        assert desk.thread_of(EVE, answers=reply.id) == desk.given[1].id

    def test_who_forges_the_from(self, desk: Desk, answer: Mail) -> None:
        reply = desk.say(ZED, answers=answer.id, sender=EVE)
        assert desk.given[-1].id != desk.given[0].id
        assert reply.to == (EVE,), "and here is why: the answer with the history would go to him"
        assert desk.given[-1].participants == (EVE,)
        assert desk.thread_of(ZED, answers=answer.id) == desk.given[0].id

    def test_who_forges_the_envelope_too_gets_no_answer(self, desk: Desk, answer: Mail) -> None:
        reply = desk.say(ZED, answers=answer.id, sender="zed@example.com")
        assert reply.to == ("zed@example.com",)

    def test_who_is_proven(self, tmp_path: Path, database: Database) -> None:
        desk = Desk(tmp_path, database, proven="example.com")
        answer = desk.say(ZED, sender="bounces@esp.example")
        assert answer.to == ("zed@example.com",)
        sender = "other@esp.example"
        assert desk.thread_of(ZED, sender=sender, answers=answer.id) == desk.given[0].id

    def test_who_writes_through_another_server_always(self, desk: Desk) -> None:
        answer = desk.say("boss@firm.example", sender="boss@mail.example")
        assert answer.to == ("boss@mail.example",)
        again = desk.thread_of("boss@firm.example", sender="boss@mail.example", answers=answer.id)
        assert again == desk.given[0].id, "who is answered is who takes part"

    def test_who_guesses_an_address(self, desk: Desk, answer: Mail) -> None:
        thread = desk.given[0].id
        other = SIGNER.sign(Signed("subscribe"), thread)
        for token in (thread, other, answer.reply_to[8:48][::-1], "a" * 40):
            assert not desk.router.match(f"support+{token}@test.com")

    def test_who_has_the_address_of_another_thread(self, desk: Desk, answer: Mail) -> None:
        own = desk.say(EVE)
        thread = desk.thread_of(EVE, own.reply_to, answers=answer.id, references=[answer.id])
        assert thread == desk.given[1].id

    def test_who_makes_an_id_his_own(self, desk: Desk, answer: Mail) -> None:
        desk.say(EVE, message_id=answer.id)
        assert desk.thread_of(ZED, answers=answer.id) == desk.given[0].id

    def test_who_is_nobody(self, desk: Desk, answer: Mail) -> None:
        desk.run(desk.job("", sender="", answers=answer.id, subject="ignore"))
        assert desk.given[-1].is_new
        desk.run(desk.job(ZED, sender="", answers=answer.id, subject="ignore"))
        assert desk.given[-1].is_new
        assert len(rows(desk.database, tables.threads)) == 1, "of which nothing is kept"


def test_a_thread_of_one_module_is_none_of_anothers(tmp_path: Path, database: Database) -> None:
    source = """
        given = []

        @route("{user}@(host)")
        @route(r"{user}\\+(thread)@(host)", thread=Signed("thread"))
        @stateless
        def ask(message, delivery: Delivery, thread: Thread, host):
            given.append(thread)
            delivery.reply(body="x", headers={{"Reply-To": thread.address(f"{user}@{{host}}")}})
    """
    hr, it = (Desk(tmp_path, database, source.format(user=user)) for user in ("hr", "it"))
    answer = hr.say(ZED, "hr@test.com")
    assert it.thread_of(ZED, "it@test.com", answers=answer.id) != hr.given[0].id
    token = answer.reply_to.partition("+")[2].partition("@")[0]
    assert it.thread_of(ZED, f"it+{token}@test.com") == hr.given[0].id, "the address is for all"
    assert it.thread_of(ZED, "it@test.com", answers=answer.id) == hr.given[0].id, "it is here, too"


def test_who_writes_to_two_addresses_is_in_one_thread(desk: Desk) -> None:
    answer = desk.say(ZED)
    options: Any = {"answers": answer.id, "message_id": "<both@client.example>", "body": "Both."}
    desk.run(desk.job(ZED, answer.reply_to, **options), desk.job(ZED, **options))
    assert {thread.id for thread in desk.given} == {desk.given[0].id}
    said = [row.text for row in rows(desk.database, tables.thread_messages)]
    assert said.count("Both.") == 1


def test_the_thread_of_an_address_that_was_forgotten_begins_again(desk: Desk) -> None:
    answer = desk.say(ZED)
    with desk.database.begin() as connection:
        connection.execute(tables.threads.delete())
    jobs = [desk.job(one, answer.reply_to) for one in (ZED, ANN)]
    desk.run(*jobs)
    assert [thread.id for thread in desk.given] == [desk.given[0].id] * 3
    assert [thread.is_new for thread in desk.given[1:]] == [True, True]
    assert desk.thread_of(ANN, answer.reply_to) == desk.given[0].id
    assert not desk.given[-1].is_new


BAD = {
    "hundred-kilobytes": " ".join(f"<{number:08}@a.example>" for number in range(5000)),
    "one-long-id": f"<{'a' * 100_000}@a.example>",
    "eight-bit": "<caf\udce9@a.example> <\udcff\udcfe>",
    "nul": "<a\0b@a.example> \0",
    "brackets": "<" * 50_000,
    "no-ids": ",;:" * 20_000,
}


@pytest.mark.parametrize("name", BAD)
def test_references_of_any_kind(desk: Desk, name: str) -> None:
    answer = desk.say(ZED)
    job = desk.job(ZED, references=[BAD[name]], subject="x\u00e9" * 5000, answers=BAD[name][:900])
    desk.run(job)
    assert job.reply is not None
    assert job.reply.code == 250
    assert desk.given[-1].is_new
    assert len(desk.given[-1].subject) == 200
    if name != "one-long-id":
        assert desk.thread_of(ZED, references=[BAD[name], answer.id]) == desk.given[0].id


def test_as_many_ids_as_one_likes_are_looked_up(desk: Desk) -> None:
    answer = desk.say(ZED)
    ids = [f"<{number}@a.example>" for number in range(MAX_IDS)]
    assert desk.thread_of(ZED, references=[answer.id, *ids]) == desk.given[0].id, "the first"
    assert desk.thread_of(ZED, references=["<0@x>", answer.id, *ids]) != desk.given[0].id


def test_what_failed_leaves_no_thread(desk: Desk) -> None:
    answer = desk.say(ZED)
    before = [rows(desk.database, table) for table in (tables.threads, tables.thread_messages)]
    broken = [
        desk.job(ANN, answer.reply_to, subject="break it"),
        desk.job(EVE, subject="break it"),
    ]
    assert desk.run(*broken) == []
    assert [job.reply.code for job in broken if job.reply] == [550, 550]
    after = [rows(desk.database, table) for table in (tables.threads, tables.thread_messages)]
    assert after == before
    assert desk.thread_of(ANN, answers=answer.id) != desk.given[0].id


def count_statements(desk: Desk, *jobs: Any) -> list[str]:
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        seen.append(statement)

    event.listen(desk.database.engine, "before_cursor_execute", note)
    try:
        desk.run(*jobs)
    finally:
        event.remove(desk.database.engine, "before_cursor_execute", note)
    return [one for one in seen if "thread" in one]


def test_a_batch_takes_a_handful_of_statements(desk: Desk) -> None:
    answers = [desk.say(f"zed{number}@example.com") for number in range(8)]
    few = count_statements(desk, desk.job("zed0@example.com", answers=answers[0].id))
    many = count_statements(
        desk,
        *(
            desk.job(f"zed{number}@example.com", answers=answer.id)
            for number, answer in enumerate(answers)
        ),
    )
    looked_up = [one for one in many if one.startswith("SELECT")]
    # Of each thread its messages are read as well, once it is asked for them.
    assert len([one for one in looked_up if "thread_messages" not in one]) == 4
    assert len(many) - len(few) <= 2 * 8


def test_it_costs_nothing_where_nobody_asks(tmp_path: Path, database: Database) -> None:
    desk = Desk(
        tmp_path,
        database,
        """
        @route("(user)@(host)")
        def START(message, delivery: Delivery, user, host):
            delivery.reply(body="x")
        """,
    )
    assert count_statements(desk, desk.job(ZED, answers="<1@test.com>")) == []


@pytest.mark.postgres
def test_two_messages_of_one_thread_do_not_race(tmp_path: Path, postgres_url: str) -> None:
    from lamson.storage.database import Database

    database = Database(postgres_url)
    database.create_all()
    desk = Desk(
        tmp_path,
        database,
        """
        import threading
        given, met = [], threading.Barrier(2)

        state_key = state_key_generator(per_thread)

        @route("(user)@(host)")
        def START(message, delivery: Delivery, thread: Thread, user, host):
            given.append((thread, len(thread.messages)))
            if message.subject == "race":
                met.wait(10)
            delivery.reply(body=message.subject)
            return COUNT_1

        @route("(user)@(host)")
        def COUNT_1(message, delivery: Delivery, thread: Thread, user, host):
            given.append((thread, len(thread.messages)))
            return COUNT_2

        @route("(user)@(host)")
        def COUNT_2(message, thread: Thread, user, host):
            given.append((thread, len(thread.messages)))
        """,
    )
    (answer,) = desk.run(desk.job(ZED))
    jobs = [desk.job(ZED, answers=answer.id, body=f"No. {number}") for number in range(2)]
    runners = [threading.Thread(target=desk.run, args=[job]) for job in jobs]
    for one in runners:
        one.start()
    for one in runners:
        one.join(30)
    assert [said for _, said in desk.given] == [0, 2, 3]
    with database.read() as connection:
        (row,) = connection.execute(select(tables.state))
    assert (row.author, row.state) == ("", "COUNT_2")
    database.close()
