"""docs/how-to/time.md: what it shows works, in a project of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import PostgresInstance

PAGE = "how-to/time.md"
SETTINGS = """\
from lamson.settings import Answers, Settings

settings = Settings(
    handlers=[{handlers}],
    route_defaults={{"host": r"test\\.com"}},
    domains=["test.com"],
    metadata="app.model:Base",
)
"""
OURS = ("joining", "digest", "orders")

JOBS = """
import sys
from pathlib import Path
from lamson.app import Application
from lamson.settings import loading
from lamson.delivery.job import Job
from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient
from sqlalchemy import text
from app.jobs import jobs

project = Path.cwd()
settings = loading.load(project)
with loading.placing(project):
    application = Application(project, settings)
application.database.create_all()
with jobs.open():
    jobs.schema_manager.apply_schema()
    for subject in ("A picture", ""):
        content = f"From: zed@example.com\\r\\nSubject: {subject}\\r\\n\\r\\n".encode()
        envelope = Envelope("zed@example.com", ("pictures@test.com",), id="x")
        message = MailRequest(content, envelope, Recipient("pictures@test.com"))
        job = Job(message, application.router.match("pictures@test.com"), None)
        application.transactions.run([job], lambda job, seconds: None)
        print(job.reply.code)
with application.database.read() as connection:
    print(connection.execute(text("SELECT count(*) FROM procrastinate_jobs")).scalar())
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for block in blocks(PAGE):
        if block.file:
            file = tmp_path / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
    (tmp_path / "config").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    (tmp_path / "app" / "handlers" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\npython_files = ["*_tests.py"]\npythonpath = ["."]\n'
    )
    use(tmp_path, *OURS)
    return tmp_path


def use(project: Path, *handlers: str) -> None:
    named = ", ".join(f'"app.handlers.{name}"' for name in handlers)
    (project / "config" / "settings.py").write_text(SETTINGS.format(handlers=named))


def test_its_tests_pass(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


@pytest.mark.postgres
def test_jobs_are_deferred_in_the_same_transaction(
    project: Path, postgres: PostgresInstance, postgres_url: str
) -> None:
    pytest.importorskip("procrastinate")
    use(project, "jobs")
    done = subprocess.run(
        [sys.executable, "-c", JOBS],
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": str(project),
            "LAMSON_DATABASE": postgres_url,
            "JOBS_DATABASE": postgres_url.replace("postgresql+psycopg", "postgresql"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["250", "550", "1"], "rolled back with the handler"
