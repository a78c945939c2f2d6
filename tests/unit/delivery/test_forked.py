"""lamson.delivery.forked: a child that a handler forked and let return."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lamson.storage.database import Database
from lamson.storage.tables import outbox, seen
from tests.unit.delivery.jobs import Run, codes, note, rows, words

FORKING = """
    import os, sys
    from pathlib import Path

    @state_key_generator
    def forking(module, message):
        if message.subject == "key":
            fork(lambda: None)
        return module

    def fork(end):
        child = os.fork()
        if child == 0:
            end()
        else:
            _, status = os.waitpid(child, 0)
            Path(PLACE).write_text(str(os.waitstatus_to_exitcode(status)))
        return child

    def fail(text):
        raise ValueError(text)

    @route("(user)@(host)")
    def START(message, session: Session, delivery: Delivery, user, host):
        session.execute(text("INSERT INTO note VALUES (:word)"), {"word": message.subject})
        delivery.forward("joe@example.com")
        what = message.subject
        if what == "return":
            fork(lambda: None)
        if what == "raise":
            fork(lambda: 1 / 0)
        if what == "quote":
            fork(lambda: fail("x\\n2026-11-28T20:00:00.000+00:00 submitted id=4jcFORGED \\x1b[2J"))
        if what == "exit":
            fork(lambda: sys.exit(3))
        if what == "refuse" and fork(lambda: None) == 0:
            raise SMTPError(550, "5.7.1", "no")
"""


@pytest.mark.parametrize(
    ("what", "status", "said"),
    [
        ("return", 70, "a process that it forked returned"),
        ("raise", 70, "ZeroDivisionError"),
        ("quote", 70, "ValueError"),
        ("exit", 3, ""),
        ("refuse", 70, "550 5.7.1 no"),
        ("key", 70, "a process that it forked returned"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_it_ends_and_touches_nothing(
    make_run: Callable[..., Run],
    database: Database,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    what: str,
    status: int,
    said: str,
) -> None:
    place = tmp_path / "status"
    run = make_run(FORKING.replace("PLACE", repr(str(place))))
    jobs = run(note("one"), note(what), note("three"), keys=[b"1", b"2", b"3"])
    assert codes(jobs) == [250, 250, 250]
    assert words(database) == sorted(["one", what, "three"])
    assert (len(rows(database, seen)), len(rows(database, outbox))) == (3, 3)
    assert int(place.read_text()) == status
    captured = capfd.readouterr().err
    assert said in captured
    assert bool(captured) == bool(said)
    assert all(line.startswith("    ") for line in captured.splitlines()[1:]), "no line of ours"
    assert "\x1b" not in captured
