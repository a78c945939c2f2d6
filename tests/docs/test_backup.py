"""docs/how-to/backup.md, typed as it stands while mail comes in, and what is there afterwards."""

from __future__ import annotations

import re
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import blocks
from tests.docs.project import Project
from tests.postgres.instance import programs
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres.instance import PostgresInstance

pytestmark = pytest.mark.slow

PAGE = "how-to/backup.md"
BEFORE, MEANWHILE, AFTER = range(20), range(20, 400), range(400, 420)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    project.close()


@pytest.mark.timeout(300)
def test_a_backup_under_load_has_each_mail_wholly_or_not_at_all(project: Project) -> None:
    project.type("lamson start")
    project.send(*BEFORE)
    (project.directory / "run" / "undeliverable" / "new").mkdir(parents=True, exist_ok=True)
    kept = project.directory / "run" / "undeliverable" / "new" / "1.M1P1Q1.host"
    kept.write_text("X-Lamson-Reason: a test\n\n")
    stop = threading.Event()

    def load() -> None:
        for number in MEANWHILE:
            if stop.is_set():
                break
            project.send(number)

    thread = threading.Thread(target=load)
    thread.start()
    wait_for(lambda: len(project.counted()) > len(BEFORE) + 5, "mail to come in")
    project.follow(PAGE, "backup")
    saved = len(project.counted())
    wait_for(lambda: not thread.is_alive() or len(project.counted()) > saved + 5, "more mail")
    stop.set()
    thread.join(60)
    project.send(*AFTER)
    taken = project.counted()
    kept.unlink()

    shown = project.follow(PAGE, "restore")
    restored = project.counted()
    assert set(BEFORE) <= set(restored) < set(taken)
    assert not set(AFTER) & set(restored)
    # The outbox is of the same moment: a reply for each mail that was counted, and no other.
    assert len(re.findall(r"^\d+  .* to zed\d+@example\.com  ", shown, re.MULTILINE)) == len(
        restored
    )
    assert kept.read_text().startswith("X-Lamson-Reason")
    # Whatever comes again from Postfix's queue: what is known runs no handler, the rest does, once.
    project.send(*taken)
    assert project.counted() == taken
    assert int(project.type("lamson outbox -count")) == len(taken)


def test_the_file_of_the_backup_is_for_its_user_alone(project: Project) -> None:
    project.follow(PAGE, "backup")
    for file in (project.directory / "backup").rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.postgres
def test_postgresql(tmp_path: Path, postgres: PostgresInstance) -> None:
    name = postgres.create_database()
    url = postgres.url(name)
    environment = {"PATH": f"{programs()}:/usr/bin:/bin", "DATABASE": url.replace("+psycopg", "")}

    def follow(name: str) -> None:
        (text,) = [block.text for block in blocks(PAGE) if block.file == name]
        lines = "\n".join(line for line in text.splitlines() if not line.startswith("lamson "))
        subprocess.run(["sh", "-euc", lines], cwd=tmp_path, env=environment, check=True)

    try:
        postgres.execute("CREATE TABLE counted (number int)", name)
        postgres.execute("INSERT INTO counted VALUES (1)", name)
        follow("postgres-backup")
        postgres.execute("INSERT INTO counted VALUES (2)", name)
        postgres.execute("CREATE TABLE later (number int)", name)
        follow("postgres-restore")
        assert postgres.execute("SELECT number FROM counted", name) == [(1,)]
    finally:
        postgres.drop_database(name)
