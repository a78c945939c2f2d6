"""Two cells behind one Postfix, and a domain that moves while mail flows.

docs/explanation/scale.md, typed as it stands but for the names.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.docker.load import Load
from tests.docs.blocks import blocks
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.containers import Cell, MailSystem, Service

PAGE = "explanation/scale.md"
MAP = "/etc/postfix/cells"
DOMAIN, OTHER = "moved.test", "count.test"
NAMES = {
    "one.example": DOMAIN,
    "two.example": OTHER,
    "lamson:inet:lamson-a:": "lmtp:inet:lamson:",
    "lamson:inet:lamson-b:": "lmtp:inet:lamson-b:",
    "'db-a'": "'postgres'",
}
ZED = "zed@world.test"
LETTERS = 60  # of each load
PATIENCE = 240.0  # seconds; a machine may have much else to do
FORGED = b"From: zed@world.test\r\nSubject: repeated-0\r\n\r\nOnce.\r\n"
IDENT = "4QzXwN0001z5tVb"  # of a queue entry that Postfix brings twice


def block(name: str) -> str:
    """What stands under that name in the page, with the names that are here."""
    (text,) = [one.text for one in blocks(PAGE) if one.file == name]
    for there, here in NAMES.items():
        text = text.replace(there, here)
    return text


def in_postfix(system: MailSystem, name: str) -> None:
    system.postfix.run("sh", "-c", f"set -e; DOMAIN={DOMAIN}; {block(name)}")


def in_database(database: Service, name: str, user: str = "lamson", **more: str) -> list[str]:
    """Type a block into psql in one transaction; gives the lines of the answer."""
    variables = [f"{key}={value}" for key, value in {"domain": DOMAIN, **more}.items()]
    options = "".join(f" -v {variable}" for variable in ["ON_ERROR_STOP=1", *variables])
    psql = f"psql -X -q -t -A -U {user} -d lamson{options}"
    single = "" if "COMMIT;" in block(name) else " --single-transaction"
    script = f'{psql}{single} -v password="$(cat /run/secrets/password)" -f - <<"SQL"\n'
    return database.run("sh", "-c", f"{script}{block(name)}\nSQL\n").split()


@pytest.fixture
def cell(system: MailSystem) -> Iterator[Cell]:
    """A second cell, to which the one domain goes; the other one goes to the first."""
    with system.cell("b") as cell:
        table = block(MAP)
        system.postfix.run("sh", "-c", f"cat >{MAP} <<'MAP'\n{table}MAP\n")
        in_postfix(system, "postfix")
        in_postfix(system, "settle")
        try:
            yield cell
        finally:
            system.postfix.run("postconf", "-X", "transport_maps", "defer_transports")
            in_postfix(system, "settle")
            settle(system)


def settle(system: MailSystem) -> None:
    """Wait until no mail is under way, also none that Postfix would leave for five minutes, as it
    does with what was being delivered while it was reloaded."""

    def is_settled() -> bool:
        system.postfix.run("postqueue", "-f")
        try:
            system.settle(10.0)
        except AssertionError:
            return False
        return True

    wait_for(is_settled, "no mail to be under way", timeout=PATIENCE)


def bring(node: Service) -> str:
    """Have Postfix's lmtp(8), played by a node, bring the same queue entry; gives the reply."""
    program = (
        "import smtplib\n"
        "client = smtplib.LMTP('127.0.0.1', 8823, timeout=600)\n"
        "client.ehlo()\n"
        f"assert client.docmd('XFORWARD IDENT={IDENT}')[0] == 250\n"
        f"client.sendmail({ZED!r}, ['count-all@{DOMAIN}'], {FORGED!r})\n"
    )
    return node.run("python", "-c", program)


def answer(system: MailSystem, subject: str) -> bool:
    return any(one["Subject"] == subject for one in system.world.messages(ZED))


def waits(system: MailSystem, sender: str) -> bool:
    """Whether mail of such a sender is put off because its domain is being moved."""
    return any(
        entry["sender"].startswith(sender) and "deferred transport" in str(entry)
        for entry in system.queue()
    )


def timers(cell: MailSystem | Cell) -> list[tuple[str, ...]]:
    return cell.query("select payload::json ->> 'machine' from lamson_tasks where kind = 'timer'")


def test_a_domain_moves_while_mail_flows(system: MailSystem, cell: Cell) -> None:
    old, new = system.postgres, cell.postgres
    both: list[MailSystem | Cell] = [system, cell]
    turn = partial(system.send, ZED, f"turn@{DOMAIN}", subject="A turn")
    turn()
    wait_for(lambda: answer(system, "First turn"), "the first turn", timeout=PATIENCE)
    bring(system.nodes[0])
    in_database(new, "connect", "postgres")
    moving = Load(system, "moving", LETTERS, DOMAIN, both)
    waiting = Load(system, "waiting", LETTERS, DOMAIN, both)
    staying = Load(system, "staying", LETTERS, OTHER, both)
    with moving, staying:
        moving.wait_counted(LETTERS // 5)
        in_database(new, "ahead", "postgres")
        in_postfix(system, "hold")
        in_postfix(system, "settle")
        held, before = f"{time.time():.0f}", moving.counted()
        with waiting:
            wait_for(
                lambda: in_database(old, "begun", held=held) == ["0", "0", "0"],
                "nothing is under way",
                timeout=PATIENCE,
            )
            wait_for(lambda: waits(system, "waiting-"), "letters wait", timeout=PATIENCE)
            in_database(old, "take")
            in_database(new, "copy", "postgres")
            assert (moving.counted(), waiting.counted()) == (before, 0)
            in_postfix(system, "release")
            in_database(old, "forget")
    settle(system)
    for load in (moving, waiting, staying):
        load.check()
    assert any(not node.endswith("-b") for node in moving.nodes())
    assert all(node.endswith("-b") for node in waiting.nodes() | staying.nodes())

    bring(cell.nodes[0])
    notes = [one.query("select letter from counted where letter = 'repeated-0'") for one in both]
    assert notes == [[("repeated-0",)], []], "that it was handled is known in the new cell"
    assert (timers(system), timers(cell)) == ([], [(f"app.handlers.turns:{DOMAIN}",)])
    turn()
    wait_for(lambda: answer(system, "Second turn"), "the second turn", timeout=PATIENCE)
    assert not timers(cell)
