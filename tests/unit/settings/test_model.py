"""The values that a project may set, and what is refused as they are made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from lamson.settings import Lmtp, Settings, Spam, Submission

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_address_is_the_first_argument() -> None:
    settings = Settings(
        lmtp=Lmtp("127.0.0.1:8824", max_size=1000),
        submission=Submission("mail.example.com:587"),
        handlers=["app.handlers.sample"],
    )
    assert settings.lmtp.host_port == ("127.0.0.1", 8824)
    assert settings.lmtp.unix_path is None
    assert settings.lmtp.max_size == 1000
    assert (settings.submission.host, settings.submission.port) == ("mail.example.com", 587)


def test_the_defaults_need_only_handlers() -> None:
    settings = Settings(handlers=["app"])
    assert settings.lmtp.listen == "127.0.0.1:8823"
    assert settings.submission.server == "127.0.0.1:8899"
    assert settings.lmtp.mode == 0o660
    assert settings.database is None
    assert settings.templates == [Path("app/templates")]


def test_judges_are_names_and_functions() -> None:
    names = ["notes:junk", "field:X-Ours", "rspamd:http://[::1]:11333", "spamd:localhost:783"]
    assert Spam(judges=[*names, print]).judges == [*names, print]
    assert Spam.model_validate({"judges": "fields,spamd:mx:783"}).judges == [
        "fields",
        "spamd:mx:783",
    ]


def test_nothing_changes_after_the_start() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Lmtp().listen = "127.0.0.1:1"


def test_a_unix_socket_has_a_path() -> None:
    lmtp = Lmtp("unix:run/lmtp.sock")
    assert lmtp.unix_path == Path("run/lmtp.sock")
    assert lmtp.host_port is None


def test_security_follows_from_where_the_server_is() -> None:
    assert Submission("127.0.0.1:25").security == "none"
    assert Submission("[::1]:25").security == "none"
    assert Submission("localhost:25").security == "none"
    assert Submission("postfix:587").security == "starttls"
    assert Submission("postfix:465", security="tls").security == "tls"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Spam(judges=["bogofilter"]), "expected notes, fields, field:NAME, rspamd:"),
        (lambda: Spam(judges=["spamd:localhost"]), "expected notes, fields, field:NAME, rspamd:"),
        (lambda: Spam(judges=["rspamd:https://mx:1"]), "expected notes, fields, field:NAME"),
        (lambda: Spam(judges=[3]), r"expected judges, or functions \(message\), not 3"),
        (lambda: Spam(timeout=0), "greater than 0"),
        (lambda: Lmtp("8823"), "expected host:port or unix:path"),
        (lambda: Lmtp("unix:"), "expected host:port or unix:path"),
        (lambda: Lmtp(socket_mode="rw"), "expected an octal mode"),
        (lambda: Lmtp(max_size=0), "greater than or equal to 1"),
        (lambda: Lmtp(max_sise=5), "Extra inputs"),
        (lambda: Submission("mail"), "expected host:port"),
        (lambda: Settings(handlers=["app/handlers"]), "expected module names"),
        (lambda: Settings(handlers=["app"], metadata="app.model"), "expected module:name"),
        (
            lambda: Settings(handlers=["app"], database="run/lamson.db"),
            "expected an SQLAlchemy URL",
        ),
        (lambda: Settings(), "handlers"),
    ],
)
def test_what_is_refused(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        make()


def test_a_secret_never_shows() -> None:
    submission = Submission("127.0.0.1:25", user="a", secret="hunter2")
    assert "hunter2" not in repr(submission)
    assert submission.password() == "hunter2"
    assert Submission("127.0.0.1:25").password() is None


def test_a_secret_file_is_read_when_it_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old\n")
    file.chmod(0o600)
    submission = Submission("127.0.0.1:25", user="a", secret_file=file)
    assert submission.password() == "old"
    file.write_text("new")
    assert submission.password() == "new"


@pytest.mark.parametrize("value", ["", "ALWAYS", "FAILURE,NEVER", "FAILURE;DELAY"])
def test_what_is_to_be_reported_is_of_rfc_3461(value: str) -> None:
    with pytest.raises(ValidationError, match="expected NEVER, or some of"):
        Submission(notify=value)


@pytest.mark.parametrize(
    "domain",
    ["@test.com", "joe@test.com", r"test\.com", "*.test.com", ".test.com", "test.com:25", ""],
)
def test_domains_are_domains(domain: str) -> None:
    """One that is none is never ours, and would stand so in Postfix's relay_domains."""
    with pytest.raises(ValidationError, match="expected domains such as lists"):
        Settings(handlers=[], domains=["test.com", domain])
    known = ["test.com", "Müller.example", "localhost", "a_b.test", "xn--mller-kva.example"]
    assert Settings(handlers=[], domains=known).domains == known
