"""Tests of an application, without servers: a pytest plugin and what it is made of.

The fixture ``conversation`` plays a correspondent::

    def test_subscribing(conversation):
        zed = conversation("zed@example.com")
        reply = zed.say("users-subscribe@test.com", "Subscribe", "please")
        assert "confirm" in reply["Subject"]

Mail goes through the real routes, handlers, states and templates, one transaction each, on a
database of its own in memory. What handlers send is kept in ``sent``; nothing leaves. An exception
in a handler reaches the test; a refusal raises `Refused`.

Time is the test's own: ``mailroom.wait(days=3)`` lets it pass, and does what is due meanwhile
(timeouts, schedules, work after a commit, mail that was to leave later), each at its time::

    def test_nobody_answers(conversation, mailroom):
        zed = conversation("zed@example.com")
        zed.say("users-subscribe@test.com")
        mailroom.wait(days=3)
        assert "still" in zed.inbox[-1]["Subject"]

The fixture ``mailer`` is for web applications and scripts, which have no handlers: a
`lamson.Mailer` on a database of its own, which tells what was sent.

The fixture ``mailsystem`` is the project in containers, with a real Postfix and PostgreSQL (see
`lamson.containers`). Importing this module costs nothing but pytest.
"""

from lamson.testing.application import Mailroom
from lamson.testing.clock import Clock
from lamson.testing.containers import mailsystem, mailsystem_options
from lamson.testing.correspondent import Conversation
from lamson.testing.fixtures import (
    conversation,
    db,
    lamson_running,
    mailroom,
    model_differences,
    sent,
)
from lamson.testing.mailer_double import mailer, mailer_settings
from lamson.testing.messages import Refused, Sent, Undeliverable
from lamson.testing.options import pytest_addoption as pytest_addoption

__all__ = [
    "Clock",
    "Conversation",
    "Mailroom",
    "Refused",
    "Sent",
    "Undeliverable",
    "conversation",
    "db",
    "lamson_running",
    "mailer",
    "mailer_settings",
    "mailroom",
    "mailsystem",
    "mailsystem_options",
    "model_differences",
    "sent",
]
