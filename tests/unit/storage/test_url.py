"""lamson.storage.url"""

from __future__ import annotations

import pytest

from lamson.storage.url import masked


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:hunter2@h:5432/db",
        "postgresql+psycopg://:hunter2@h/db",
        "postgresql+psycopg://u:p@hunter2@h/db",
        "postgresql+psycopg://u:p/hunter2@h/db",
        "postgresql+psycopg://u:p?hunter2@h/db",
        "postgresql+psycopg://u:hunter2%40@h/db",
        "postgresql+psycopg://me@corp:hunter2@h/db",
        "postgresql+psycopg://u:hunter2/db",
        "postgresql+psycopg://u:hunter2",
        "mysql://u:5@hunter2@h",
        "postgresql+psycopg://127.0.0.1:5432/db?user=u&password=hunter2",
        "postgresql+psycopg://h/db?sslpassword=hunter2&user=u",
        "postgresql+psycopg://h/db?p%61ssword=hunter2",
        "postgresql+psycopg://h/db?PASSWORD=hunter2;x=y",
        "postgresql+psycopg://h/db?password=a@hunter2",
        "postgresql+psycopg://h/db?oauth_client_secret=hunter2",
        "smtp://u:hunter2@h:587",
        "u:hunter2@h:587",
        "postgresql:/u:hunter2@h/db",
        "postgresql:u:hunter2@h/db",
        "postgresql//u:hunter2@h/db",
        "postgresql+psycopg://h/db?user=u&pwd=hunter2",
    ],
)
def test_no_form_of_a_password_is_shown(url: str) -> None:
    assert "hunter2" not in masked(url)
    assert "********" in masked(url)
    assert masked(masked(url)) == masked(url)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///run/lamson.db",
        "sqlite:////srv/a:b@c/lamson.db?timeout=2",
        "sqlite://",
        "postgresql+psycopg://u@h:5432/db?connect_timeout=2",
        "postgresql+psycopg://[::1]:5432/db",
        "postgresql+psycopg://h:5432,other:5433/db",
        "127.0.0.1:8823",
        "",
    ],
)
def test_what_has_none_is_shown_as_it_is(url: str) -> None:
    assert masked(url) == url


def test_the_rest_of_a_url_is_shown() -> None:
    shown = masked("postgresql+psycopg://u:x@h:5432/db?user=u&sslpassword=y&a=b")
    assert shown == "postgresql+psycopg://u:********@h:5432/db?user=u&sslpassword=********&a=b"
