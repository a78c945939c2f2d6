"""`lamson shell`: Python with the application at hand."""

from __future__ import annotations

import code
import io
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from lamson.cli import shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.storage.database import Database
    from tests.unit.cli.conftest import Done

    Lamson = Callable[..., Done]

SEND = """
from sqlalchemy import text
print(session.scalar(text("SELECT count(*) FROM lamson_outbox")))
mailer.send(b"Subject: x\\n\\nx\\n", sender="a@test.com", to="b@c.example", session=session)
"""


@pytest.mark.usefixtures("database")
def test_a_program_has_the_application(lamson: Lamson) -> None:
    shown = "print(router.modules, settings.run_dir.name, application.router is router)"
    done = lamson("shell", "-command", shown)
    assert done.out == "('handlers_of_the_cli_tests',) run True\n"
    assert lamson("shell", given=(SEND + "session.commit()\n").encode()).out == "0\n"
    assert lamson("shell", given=SEND.encode()).out == "1\n"  # which is not committed
    assert lamson("outbox", "-count").out == "1\n"


def test_it_locks_nothing_while_somebody_thinks(
    lamson: Lamson, project: Path, database: Database
) -> None:
    (project / "other.py").write_text(
        "def write():\n"
        "    import sqlite3\n"
        "    from contextlib import closing\n"
        f"    with closing(sqlite3.connect('{project}/run/outbox.db', timeout=0)) as other:\n"
        "        other.execute(\"INSERT INTO lamson_state VALUES ('a', 'b', 'c')\")\n"
        "        other.commit()\n"
    )
    program = (
        "import other\nfrom sqlalchemy import text\n"
        "session.execute(text('SELECT * FROM lamson_state')).all()\nother.write()\n"
    )
    assert lamson("shell", "-command", program).status == 0
    with closing(sqlite3.connect(project / "run" / "outbox.db")) as found:
        assert found.execute("SELECT count(*) FROM lamson_state").fetchone() == (1,)


@pytest.mark.usefixtures("project")
def test_a_person_is_told_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked: list[Any] = []
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(code, "interact", lambda *given, **named: asked.append((given, named)))
    names = dict.fromkeys(("application", "settings", "router", "session", "mailer"))
    shell._run({**names, "router": "routes"}, None, plain=True)
    (((banner,), named),) = asked
    assert banner == "router      its routes: router.match('list@test.com')"
    assert named["local"]["router"] == "routes"


@pytest.mark.usefixtures("database")
def test_of_a_program_that_fails_its_own_lines_are_shown(lamson: Lamson) -> None:
    done = lamson("shell", "-command", "def f():\n    1 / 0\nf()")
    assert done.status == 1
    told = done.err[done.err.index("Traceback") :].splitlines()
    assert told[-1] == "ZeroDivisionError: division by zero"
    files = [line for line in told if line.startswith("  File")]
    assert [line.split('"')[1] for line in files] == ["<lamson shell>"] * 2
