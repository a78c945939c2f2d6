"""lamson.settings.strays: what looks like a setting and is none is named, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lamson.settings.strays import strays

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("LAMSON_") or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LAMSON_LMTP_LISTEN", "LAMSON_LMTP__LISTEN"),
        ("lamson_lmtp_listen", "LAMSON_LMTP__LISTEN"),
        ("LAMSON_LMTP_LISTN", "LAMSON_LMTP__LISTEN"),
        ("LAMSON_LOG__FILE", "LAMSON_LOG_FILE"),
        ("LAMSON_SUBMISSION_SECRET_FILE", "LAMSON_SUBMISSION__SECRET_FILE"),
        ("LAMSON_MAX_CONNECTIONS", "LAMSON_LMTP__MAX_CONNECTIONS"),
        ("LAMSON_WORKERS__NUMBER", "LAMSON_WORKERS"),
    ],
)
def test_the_setting_that_was_meant_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "s3cret")
    (line,) = strays(tmp_path)
    assert line == (
        f"environment {name}: no setting has this name, and it does nothing; did you mean {meant}?"
    )


def test_what_is_like_no_setting_is_named_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMSON_QQ", "s3cret")
    (line,) = strays(tmp_path)
    assert line == "environment LAMSON_QQ: no setting has this name, and it does nothing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAMSON_SAFE_PROJECT", "/srv/project"),
        ("LAMSON_SECRETS_DIR", ""),
        ("LAMSON_FAILPOINT", "x"),
        ("LAMSON_THREADS", "3"),
        ("LAMSON_ROUTE_DEFAULTS__HOST", "x"),
        ("lamson_lmtp__listen", "127.0.0.1:1"),
        ("LAMSON_LMTP", "{}"),
        ("LAMSON_SERVICE_HOST", "10.0.0.1"),
        ("LAMSON_SERVICE_PORT_LMTP", "8823"),
        ("LAMSON_PORT", "tcp://10.0.0.1:8823"),
        ("LAMSON_LMTP_PORT", "tcp://10.0.0.1:8823"),
        ("LAMSON_PORT_8823_TCP_ADDR", "10.0.0.1"),
        ("PYTHON_LAMSON_X", "x"),
    ],
)
def test_what_has_a_use_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert strays(tmp_path) == []


def test_a_secret_that_nobody_reads_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name in ("lamson_submission_secret", "lamson_database", "of_another_program"):
        (credentials / name).write_text("s3cret")
    (credentials / "lamson_directory").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    (line,) = strays(tmp_path)
    assert line.startswith(f"{credentials}/lamson_submission_secret: no setting has this name")
    assert line.endswith("; did you mean lamson_submission__secret?")
