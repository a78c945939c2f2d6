"""lamson.storage.journal_rows: what is written, read by pages, found and forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from lamson.storage import journal_rows
from lamson.storage.journal_rows import JournalRow, Sent

if TYPE_CHECKING:
    from lamson.storage.database import Database


def row(id: int = 1, **more: Any) -> JournalRow:
    values: dict[str, Any] = {
        "id": id,
        "direction": "in",
        "at": 1.0,
        "done_at": 2.0,
        "source": f"4Qz{id}",
        "message_id": f"<{id}@e.example>",
        "correspondent": "zed@e.example",
        "ours": "users@test.com",
        "subject": f"Number {id}",
        "size": 10,
        "outcome": "handled",
        "reply": "250 2.0.0 Ok",
    }
    return JournalRow(**(values | more))


def write(database: Database, *rows: JournalRow) -> None:
    with database.begin() as connection:
        journal_rows.add(connection, rows)


def ids(database: Database, **asked: Any) -> list[int]:
    with database.read() as connection:
        return [found.id for found in journal_rows.page(connection, **asked)]


def test_a_row_comes_back_as_it_was(database: Database) -> None:
    written = row(
        handler="app.START",
        state="START",
        next_state="DONE",
        sent=(Sent(7, ""), Sent(0, "m1")),
        envid="m0",
        about="failed ann@e.example 5.1.1",
        content=b"Subject: \xff\r\n",
    )
    write(database, written, row(2, direction="out", recipients=("a@e.example", "b@e.example")))
    with database.read() as connection:
        second, first = journal_rows.page(connection)
        assert journal_rows.content(connection, 1) == b"Subject: \xff\r\n"
        assert journal_rows.content(connection, 2) is None
    assert second.recipients == ("a@e.example", "b@e.example")
    for name in JournalRow.__slots__:
        if name != "content":
            assert getattr(first, name) == getattr(written, name), name


def test_pages_are_read_from_the_newest_on(database: Database) -> None:
    write(database, *(row(id) for id in range(1, 8)))
    assert ids(database, limit=3) == [7, 6, 5]
    assert ids(database, limit=3, before=5) == [4, 3, 2]
    assert ids(database, limit=0) == [7], "a page has a row at least"


def test_a_conversation_is_found_however_he_is_spelt(database: Database) -> None:
    write(
        database,
        row(1, correspondent="Zoë@Bücher.example"),
        row(2, direction="out", correspondent="zoë@xn--bcher-kva.example"),
        row(3),
    )
    assert ids(database, correspondent="ZOË@bücher.EXAMPLE") == [2, 1]
    assert ids(database, correspondent="zoë@bücher.example", direction="in") == [1]


def test_words_are_found_in_subjects_and_addresses(database: Database) -> None:
    write(
        database,
        row(1, subject="Die GRÖSSE zählt: 100%_"),
        row(2, ours="support@test.com"),
        row(3, direction="out", recipients=("zed@e.example", "Ann@e.example")),
    )
    assert ids(database, words="größe") == [1]
    assert ids(database, words="0%_") == [1]
    assert ids(database, words="%") == [1], "it stands for itself"
    assert ids(database, words=" SUPPORT@ ") == [2]
    assert ids(database, words="ann@E") == [3]


def test_what_a_stranger_wrote_fits(database: Database) -> None:
    odd = "\0\ud800" + "x" * 5000
    write(database, row(1, subject=odd, message_id=odd, correspondent=odd, reply=odd, about=odd))
    with database.read() as connection:
        (found,) = journal_rows.page(connection, correspondent=odd)
        (same,) = journal_rows.find(connection, message_id=odd)
    assert found == same
    assert len(found.subject) == 1000


def test_mail_that_was_tried_again_is_there_once(database: Database) -> None:
    sent: dict[str, Any] = {"direction": "out", "recipients": ("a@e.example", "b@e.example")}
    for outcome, reply in (
        ("deferred", "451 later"),
        ("submitted", "250 queued as 4QzA"),
        ("submitted", "250 queued as 4QzA"),  # of a commit nobody knew that it was made
        ("submitted", "250 queued as 4QzB"),
        ("refused", "550 no"),
    ):
        write(database, row(outcome=outcome, reply=reply, content=b"x", **sent))
    with database.read() as connection:
        (found,) = journal_rows.find(connection, reply="4QzB")
    assert found.outcome == "mixed"
    assert found.reply == "250 queued as 4QzA / 250 queued as 4QzB / 550 no"


def test_two_nodes_with_one_id_disturb_no_mail(database: Database) -> None:
    write(database, row(1))
    write(database, row(1, subject="another"), row(2))
    with database.read() as connection:
        assert [one.subject for one in journal_rows.page(connection)] == ["Number 2", "Number 1"]


def test_it_is_found_by_its_ids(database: Database) -> None:
    write(database, row(1, envid="m1"), row(2, source="4Qz1"), row(3, source="4Qz1"))
    with database.read() as connection:

        def found(**asked: Any) -> list[int]:
            return [one.id for one in journal_rows.find(connection, **asked)]

        assert found(id=2) == [2]
        assert found(source="4Qz1") == [3, 2, 1]
        assert found(message_id="<3@e.example>") == [3]
        assert found(envid="m1") == [1]


@pytest.mark.parametrize(
    "asked",
    [{}, {"before": 3}, {"correspondent": "zed@e.example"}, {"correspondent": "z@e", "before": 3}],
)
def test_no_page_looks_at_all_rows(database: Database, asked: dict[str, Any]) -> None:
    """Whatever number there are: an index gives them in order."""
    if not database.is_sqlite:
        pytest.skip("PostgreSQL plans by what is there")
    plans: list[str] = []

    def note(connection: Any, _cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if statement.startswith("SELECT"):
            driver = connection.connection.driver_connection
            plans.extend(
                one[3] for one in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            )

    write(database, row())
    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        journal_rows.page(connection, **asked)
    assert plans
    assert not any("TEMP B-TREE" in plan for plan in plans), plans
    if asked:
        assert all("SEARCH" in plan for plan in plans), plans


def test_forgotten_rows_take_their_contents_along(database: Database) -> None:
    write(database, *(row(id, content=b"x") for id in range(1, 4)))
    with database.begin() as connection:
        journal_rows.delete(connection, [1, 3])
    assert ids(database) == [2]
    with database.read() as connection:
        left = connection.execute(text("SELECT id FROM lamson_journal_content")).scalars()
        assert list(left) == [2]


def test_whatever_is_long_in_a_row_counts_in_octets(database: Database) -> None:
    """So that no correspondent makes the journal larger than it may be."""
    sent = tuple([Sent(2**60 + number, "m" * 32) for number in range(100)])
    write(
        database,
        row(subject="ß" * 1000, reply="r" * 1000, about="a" * 1000, sent=sent, source="4" * 500),
    )
    with database.read() as connection:
        columns = "source || message_id || correspondent || ours || subject || reply || about"
        stored = connection.execute(
            text(f"SELECT {columns} || sent || words FROM lamson_journal")
        ).scalar_one()
        assert journal_rows.octets(connection) >= len(stored.encode()) > 10_000
