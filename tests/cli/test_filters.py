"""`lamson gen --milter` and `lamson routes`: the project that comes out, and its own tests."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def run(directory: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_project_with_filters(tmp_path: Path) -> None:
    run(tmp_path, "lamson", "gen", "-project", "mymailserver", "--milter")
    project = tmp_path / "mymailserver"
    assert 'filters=["app.filters.sample"]' in (project / "config/settings.py").read_text()
    assert "6 passed" in run(project, "pytest", "-q")
    listed = run(project, "lamson", "routes")
    assert "recipient  guestbook@(host)  app.filters.sample.no_bounces" in listed
    assert "app.filters.sample.no_shouting" in listed
    asked = run(project, "lamson", "routes", "-test", "guestbook@test.com")
    assert "is asked about by app.filters.sample.no_shouting (message): host=test.com" in asked


def test_offers(tmp_path: Path) -> None:
    """What users' tests of filters can see, in a project whose test says so."""
    run(tmp_path, "lamson", "gen", "-project", "p", "--milter")
    (tmp_path / "p/app/filters/sample.py").write_text("""
from lamson_milter import *

@filter_connection
def connection(client: Connection) -> Verdict:
    if client.peer.addr == "192.0.2.44":
        return Defer("4.7.1", "later")
    return Reject("5.7.1", "go away") if client.peer.addr == "192.0.2.66" else None

@filter_recipient("bad@(host)")
def recipient(mail: Arrival, host: str) -> Verdict:
    return Reject("5.7.1", "not you")

@filter_recipient("grey@(host)")
def greylist(mail: Arrival, policy: Policy, host: str) -> Verdict:
    known = policy.count(mail.recipient.address, within=3600) > 1
    return None if known else Defer("4.7.1", "come again")

@filter_message("(user)@(host)", user="[a-z]+")
def message(message: FilteredMail, user: str, host: str) -> Verdict:
    message.delete_header("X-Tag", 2)
    message.insert_header("X-First", "1")
    message.replace_body("new")
    message.add_recipient("more@test.com")
    message.change_sender("other@example.com")
    return Quarantine("look") if user == "hold" else Discard if user == "drop" else None
""")
    (tmp_path / "p/tests/filters/sample_filter_tests.py").write_text("""
import pytest
from lamson.smtp.envelope import Peer
from lamson.testing import Refused

RAW = b"X-Tag: a\\r\\nX-Tag: b\\r\\n c\\r\\nSubject: s\\r\\n\\r\\nold\\r\\n"

def test_edits(conversation):
    offer = conversation("zed@example.com").offer(["one@test.com", "bad@test.com"], content=RAW)
    assert offer.rcpt["one@test.com"].code == 250
    assert str(offer.refusal) == "550 5.7.1 not you"
    assert offer.data.code == 250
    queued = offer.queued
    assert queued.recipients == ("one@test.com", "more@test.com")
    assert queued.sender == "other@example.com"
    assert queued.message.raw == b"X-First: 1\\r\\nX-Tag: a\\r\\nSubject: s\\r\\n\\r\\nnew"

def test_what_filters_remember_lasts_as_long_as_the_test(conversation):
    zed = conversation("zed@example.com")
    assert str(zed.offer("grey@test.com", "s").refusal) == "451 4.7.1 come again"
    assert zed.offer("grey@test.com", "s").refusal is None

def test_refusals(conversation):
    zed = conversation("zed@example.com")
    offer = zed.offer("one@test.com", "s", "b", client=Peer(addr="192.0.2.66"))
    assert str(offer.refusal) == "554 ESMTP not accepting connections"
    assert (offer.connect, offer.mail, offer.queued) == (offer.refusal, None, None)
    offer = zed.offer("one@test.com", "s", "b", client=Peer(addr="192.0.2.44"))
    assert offer.connect.is_positive
    assert (str(offer.mail), offer.rcpt, offer.queued) == ("451 4.7.1 later", {}, None)
    assert zed.offer("bad@test.com", "s").data is None
    assert zed.offer("drop@test.com", "s").queued is None
    held = zed.offer("hold@test.com", "s")
    assert held.queued.on_hold == "look"
    with pytest.raises(Refused):
        zed.say_queued(held)
""")
    assert "7 passed" in run(tmp_path / "p", "pytest", "-q")


@pytest.mark.parametrize(
    ("body", "saw"), [("True", "6 True"), ("False", "0 False"), ("4", "4 True"), ("100", "6 True")]
)
def test_an_offer_shows_as_much_of_a_body_as_the_milter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, saw: str
) -> None:
    run(tmp_path, "lamson", "gen", "-project", "p", "--milter")
    (tmp_path / "p/app/filters/sample.py").write_text(f"""
from lamson_milter import *

@filter_message("(user)@(host)", user="[a-z]+", body={body})
def message(message: FilteredMail, user: str, host: str) -> Verdict:
    message.add_header("X-Saw", f"{{len(message.body)}} {{message.is_truncated}}")
""")
    (tmp_path / "p/tests/filters/sample_filter_tests.py").write_text(f"""
def test_body(conversation):
    offer = conversation("zed@example.com").offer("one@test.com", "s", "0123456789")
    assert offer.queued["X-Saw"] == "{saw}"
    assert offer.queued.body == "0123456789\\n"
""")
    monkeypatch.setenv("LAMSON_MILTER__MAX_BODY", "6")
    assert "1 passed" in run(tmp_path / "p", "pytest", "-q", "tests/filters")
