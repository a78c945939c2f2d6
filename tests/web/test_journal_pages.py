"""The window where a journal is kept: what came and left, and what became of it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from lamson.storage import journal_rows, journal_search
from lamson.storage.journal_rows import JournalRow, Sent
from lamson.storage.outbox import Outbox
from lamson.storage.outgoing import Outgoing
from lamson.web.mails import Place
from lamson.web.pages import mail as pages

if TYPE_CHECKING:
    from lamson.storage.database import Database
    from lamson.web.mails import Mails
    from tests.web.conftest import House, Visitor

FIRST = 1_795_000_000_000_000_000
CONTENT = b"From: zed@example.com\r\nSubject: number 0\r\n\r\nWords of Zed\r\n"
ROW = JournalRow(
    id=FIRST,
    direction="in",
    at=FIRST / 1e9,
    done_at=FIRST / 1e9,
    source="4ZxWQk1qg7z3Bq",
    message_id="<0@example.com>",
    correspondent="zed@example.com",
    ours="app@test.com",
    subject="number 0",
    size=len(CONTENT),
    outcome="handled",
    reply="250 2.0.0 Ok",
    handler="app.a.START",
    state="START",
    next_state="ASKED",
    content=CONTENT,
)


@pytest.fixture
def tables(journaled: House) -> Database:
    assert journaled.window.database is not None
    return journaled.window.database


def add(tables: Database, *rows: JournalRow) -> None:
    with tables.begin() as connection:
        journal_rows.add(connection, rows)


def many(number: int, **more: Any) -> list[JournalRow]:
    return [
        replace(ROW, **{"id": FIRST + one, "subject": f"number {one}", **more})
        for one in range(number)
    ]


def test_what_became_of_a_mail_stands_on_its_page(visitor: Visitor, tables: Database) -> None:
    reply = "250 2.0.0 Ok: queued as 4ZyAAA1bcdz3Bq"
    out = replace(
        ROW,
        id=FIRST + 9,
        direction="out",
        subject="answer 9",
        outcome="submitted",
        reply=reply,
        recipients=("zed@example.com",),
    )
    add(tables, replace(ROW, sent=(Sent(FIRST + 9, ""),)), out)
    page = visitor.get(f"/mail/journal/{FIRST}").text
    for told in ("4ZxWQk1qg7z3Bq", "app.a.START", "ASKED", "Words of Zed", "answer 9"):
        assert told in page
    page = visitor.get(f"/mail/journal/{FIRST + 9}").text
    for told in ("4ZyAAA1bcdz3Bq", "submitted", str(FIRST + 9)):
        assert told in page
    listed = visitor.get("/").text
    assert listed.index("answer 9") < listed.index("number 0")
    said = visitor.get("/with?with=Zed@EXAMPLE.com").text
    assert said.index("Words of Zed") < said.index("answer 9")
    add(tables, replace(ROW, id=FIRST + 20, source="e98bbff9.1"))
    assert "Postfix's queue id" in unescape(visitor.get(f"/mail/journal/{FIRST}").text)
    page = unescape(visitor.get(f"/mail/journal/{FIRST + 20}").text)
    assert "In the log as" in page, "no Postfix handed it over"
    assert "Postfix's queue id" not in page


def test_what_waits_still_says_so(visitor: Visitor, tables: Database) -> None:
    box = Outbox(tables, "test")
    with tables.begin() as connection:
        (sent,) = box.insert(
            connection, [Outgoing("s", "<1@x>", "app@test.com", ("zed@example.com",), b"x")]
        )
    add(tables, replace(ROW, id=sent.id, direction="out", outcome="deferred", reply="451 Later"))
    page = visitor.get(f"/mail/journal/{sent.id}").text
    assert "in the outbox, tried 0 times" in page
    assert "451 Later" in page


@pytest.mark.parametrize("length", [0, 40])
def test_what_was_not_kept_says_so(visitor: Visitor, tables: Database, length: int) -> None:
    add(tables, replace(ROW, content=CONTENT[:length]))
    for view in ("text", "source", "parts", "header"):
        page = visitor.get(f"/mail/journal/{FIRST}?show={view}").text
        assert "journal=Journal(&#34;whole&#34;)" in page
    assert "No text of it is kept" in visitor.get("/with?with=zed@example.com").text
    assert "cannot be handed over again" in visitor.post("/replay", id=f"journal/{FIRST}").text


def test_pages_lead_to_the_end_each_mail_once(
    journaled: House, visitor: Visitor, tables: Database
) -> None:
    add(tables, *many(120))
    for number in range(3):  # refused, and so in no journal: they stand among the others
        content = b"From: zed@example.com\r\nSubject: refused %d\r\n\r\nx\r\n" % number
        assert journaled.window.development is not None
        journaled.window.development.deliver("zed@example.com", ["no@test.com"], content)
    first = page = visitor.get("/").text
    assert first.index("refused 2<") < first.index("number 119<")
    seen: list[str] = re.findall(r"((?:number|refused) \d+)<", page)
    assert len(seen) == 50
    while found := re.search(r'class="button" href="(/\?before=[^"]+)">Older', page):
        page = visitor.get(found[1].replace("&amp;", "&")).text
        seen += re.findall(r"((?:number|refused) \d+)<", page)
    assert len(seen) == len(set(seen)) == 123
    assert "number 77<" in visitor.get("/?q=77+NUMBER").text


def test_what_the_journal_has_is_listed_once(
    journaled: House, visitor: Visitor, tables: Database
) -> None:
    add(tables, ROW)
    content = CONTENT.replace(b"Subject", b"Message-ID: <0@example.com>\r\nSubject")
    assert journaled.window.development is not None
    journaled.window.development.deliver(
        "zed@example.com", ["app@test.com", "no@test.com"], content
    )
    assert [list(one.ours) for one in journaled.window.mails.page(9).mails] == [
        ["no@test.com"],
        ["app@test.com"],
    ]


def test_mail_to_several_stands_in_the_conversation_with_each(
    visitor: Visitor, tables: Database
) -> None:
    several = ("Ann@Example.org", "bob@example.org")
    out = replace(ROW, direction="out", correspondent=several[0], recipients=several)
    only = replace(ROW, correspondent="bob@example.org")
    alike = ("ann@example.org", "xbob@example.org")
    rows = [
        replace(out, id=FIRST, subject="to both"),
        replace(only, id=FIRST + 1, subject="from bob"),
        replace(out, id=FIRST + 2, recipients=alike, subject="to another"),
        *(replace(out, id=FIRST + 3 + one, subject=f"number {one}") for one in range(40)),
    ]
    add(tables, *rows)
    links = re.findall(r'href="(/with[^"]+)">bob@', visitor.get("/").text)
    page = visitor.get(links[0]).text
    older = re.search(r'href="(/with[^"]+before[^"]+)">What was before', page)
    assert older is not None
    page += visitor.get(older[1].replace("&amp;", "&")).text
    assert set(re.findall(r"number \d+<", page)) == {f"number {one}<" for one in range(40)}
    assert "to both" in page
    assert "from bob" in page
    assert "to another" not in page
    # Whoever answers for him writes as him.
    answer = re.search(r'href="(/write[^"]+)">Answer', page)
    assert answer is not None
    assert 'value="bob@example.org"' in visitor.get(answer[1].replace("&amp;", "&")).text


def test_a_search_looks_through_so_many_and_goes_on(
    visitor: Visitor, tables: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_search, "THROUGH", 20)
    add(tables, *many(50))
    page = visitor.get("/?q=number+3").text  # 30 to 39 and 43, of the newest twenty
    assert page.count('class="subject"') == 11
    page = visitor.get("/?q=nothing").text
    pieces = 0
    while found := re.search(r'href="(/\?q=nothing[^"]+)">Search further back', page):
        page = visitor.get(found[1].replace("&amp;", "&")).text
        pieces += 1
    assert pieces == 2
    assert "No mail has all of these words" in page


def test_a_place_that_is_none_of_ours_is_harmless(visitor: Visitor, tables: Database) -> None:
    add(tables, ROW)
    for place in (
        "nan_x",
        "inf_x",
        "-1_x",
        "1e300_x",
        "0_journal/99999999999999999999",
        "1_journal/x",
    ):
        assert visitor.get("/", params={"before": place}).status_code == 200
    for key in ("0", "x", "9" * 19, "9" * 30, "²"):
        assert visitor.get(f"/mail/journal/{key}").status_code == 404


def test_how_somebody_came_to_a_state_is_told(visitor: Visitor, tables: Database) -> None:
    add(tables, ROW, replace(ROW, id=FIRST + 1, next_state="", subject="stays"))
    page = visitor.get("/states?author=zed@example.com").text
    assert "<b>ASKED</b>" in page
    assert f"/mail/journal/{FIRST}" in page
    assert "stays" not in page
    assert "led to another state" in visitor.get("/states?author=ann@example.com").text


def test_without_a_journal_states_have_no_history(visitor: Visitor) -> None:
    assert "keeps it from then on" in visitor.get("/states?author=zed@example.com").text


def test_the_life_of_a_mail_is_asked_of_trace(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = b"""{"events": [{"at": "2026-11-29T12:00:00", "where": "postfix", "id": "4Z",
        "what": "sent", "text": "<b>to</b>", "fields": {}}], "looked_at": []}"""
    asked: list[Any] = []

    def run(command: list[str], **more: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command[3:])
        return subprocess.CompletedProcess(command, 0, told)

    monkeypatch.setattr(subprocess, "run", run)
    assert "&lt;b&gt;to" in visitor.get(f"/life?id={FIRST}").text
    assert asked == [["trace", str(FIRST), "-json"]]
    assert visitor.get("/life?id=-log").status_code == 404
    with pages._tracing:
        assert visitor.get(f"/life?id={FIRST}").status_code == 503


def test_the_mark_changes_when_mail_comes_or_turns_out_otherwise(
    journaled: House, tables: Database
) -> None:
    marks = {journaled.window.mails.marker()}
    out = replace(ROW, direction="out", outcome="deferred", recipients=("zed@example.com",))
    for row in (out, replace(out, outcome="submitted", done_at=out.done_at + 5)):
        add(tables, row)
        marks.add(journaled.window.mails.marker())
    assert len(marks) == 3


def look_around(mails: Mails) -> None:
    """Ask what the pages ask."""
    before = Place(FIRST / 1e9, f"journal/{FIRST + 200}")
    for place in (None, before):
        mails.page(20, before=place)
        mails.page(20, before=place, correspondent="zed@example.com")
        mails.page(20, before=place, search="nothing")
    (mail, *_) = mails.page(1).mails
    mails.get(mail.id)
    mails.content(mail.id)
    mails.answers(mail)
    mails.marker()


def test_each_page_follows_an_index(journaled: House, tables: Database) -> None:
    add(tables, *many(3, sent=(Sent(FIRST + 1, ""),)))
    asked: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, sql: str, values: Any, *rest: object) -> None:
        if "FROM lamson_journal" in sql:
            asked.append((sql, values))

    event.listen(tables.engine, "before_cursor_execute", note)
    look_around(journaled.window.mails)
    with tables.read() as connection:
        journal_search.moves(connection, "zed@example.com")
    event.remove(tables.engine, "before_cursor_execute", note)
    assert len(asked) >= 12
    with tables.read() as connection:
        for sql, values in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
            for step in (row[-1] for row in plan):
                # A search sorts the few that it found.
                assert "TEMP B-TREE" not in step or " LIKE " in sql, (sql, step)
                # From the newest on, until there are enough.
                assert not step.startswith("SCAN lamson_journal") or "LIMIT" in sql, (sql, step)


def test_a_page_of_a_long_journal_costs_what_one_of_a_short_does(
    journaled: House, tables: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_search, "THROUGH", 100)
    monkeypatch.setattr(journal_search, "NAMED", 100)
    costs: list[int] = []
    steps = [0]

    def count() -> None:
        steps[0] += 1

    def listen(connection: Any, *rest: object) -> None:
        connection.set_progress_handler(count, 10)

    event.listen(tables.engine, "checkout", listen)
    for number in (300, 6000):
        add(tables, *many(number)[-number + 300 * len(costs) :])
        steps[0] = 0
        look_around(journaled.window.mails)
        costs.append(steps[0])
    assert costs[0] > 100
    assert costs[1] < 1.5 * costs[0]
