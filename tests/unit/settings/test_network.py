"""Who may reach our servers, and whose names mail may go out with: settings and their checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from lamson.delivery.context import Delivery
from lamson.errors import SenderError, SettingsError
from lamson.settings import Lmtp, Postfix, Settings, Socketmap, Submission, loading
from tests.unit.support import make_message

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ('lmtp=Lmtp("0.0.0.0:8823")', r"lmtp\.listen: 0\.0\.0\.0:8823 is no loopback address"),
        ('lmtp=Lmtp("0:8823")', "is no loopback address"),
        ('lmtp=Lmtp("[::ffff:0.0.0.0]:8823")', "is no loopback address"),
        ('lmtp=Lmtp("[::]:8823")', r"is no loopback address: expected allow .* client_ca_file"),
        ('lmtp=Lmtp("192.0.2.1:8823")', "is no loopback address"),
        ('lmtp=Lmtp("[fe80::1%lo]:8823")', "is no loopback address"),
        ('lmtp=Lmtp("mx.example.com:8823")', "is no loopback address"),
        ('lmtp=Lmtp("localhost.example.com:8823")', "is no loopback address"),
        ('lmtp=Lmtp("0:8823", tls_certificate="a", tls_key="b")', "is no loopback address"),
        ('lmtp=Lmtp(tls_certificate="a.pem")', "tls_certificate and tls_key, both or neither"),
        ('lmtp=Lmtp(tls_key="a.key")', r"lmtp\.tls_key: expected tls_certificate and tls_key"),
        ('lmtp=Lmtp(client_ca_file="ca.pem")', "expected tls_certificate beside it"),
        ('lmtp=Lmtp(allow=["10.0.0.1/8"])', "has host bits set"),
        ('lmtp=Lmtp(tls_certificate="a", tls_key="missing")', "cannot read the secret"),
        ('socketmap=Socketmap("0.0.0.0:8824")', "no loopback address: expected allow"),
        ('socketmap=Socketmap("10.0.0.5:8824")', "no loopback address: expected allow"),
        (
            'status=Status("0.0.0.0:8826")',
            r"status\.listen: .* no loopback address: expected allow",
        ),
        ('milter=Milter("0.0.0.0:8825")', "no loopback address, and libmilter lets everybody"),
        ('milter=Milter("10.0.0.5:8825")', "no loopback address, and libmilter lets everybody"),
        ('milter=Milter(allow=["10.0.0.5"])', r"milter\.allow: "),
        ('socketmap=Socketmap("8824")', "expected host:port or unix:path"),
        (
            'postfix=Postfix(next_hop="smtp:x")',
            "expected lamson:inet:host:port or lamson:unix",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, settings: str, problem: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(
        "from lamson.settings import *\nfrom lamson.settings import Milter, Postfix, Socketmap\n"
        f'settings = Settings(handlers=["a"], {settings})\n'
    )
    with pytest.raises(SettingsError, match=problem) as refused:
        loading.load(tmp_path)
    assert refused.value.exit_code == 78


@pytest.mark.parametrize(
    "settings",
    [
        'lmtp=Lmtp("127.0.0.9:1"), socketmap=Socketmap("[::1]:2"), milter=Milter("localhost:3")',
        'lmtp=Lmtp("unix:run/l"), socketmap=Socketmap("unix:run/s"), milter=Milter("unix:run/m")',
        'lmtp=Lmtp("mx.example.com:1", allow=["10.0.0.5"])',
        'lmtp=Lmtp("0:1", tls_certificate="c", tls_key="config/key", client_ca_file="a")',
    ],
)
def test_what_needs_no_more(tmp_path: Path, settings: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "key").touch(0o600)
    (tmp_path / "config" / "settings.py").write_text(
        "from lamson.settings import *\nfrom lamson.settings import Milter, Socketmap\n"
        f'settings = Settings(handlers=["a"], {settings})\n'
    )
    loading.load(tmp_path)


def test_an_allow_list_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.py").write_text(
        "from lamson.settings import *\n"
        'settings = Settings(handlers=["a"], lmtp=Lmtp("0.0.0.0:8823"))\n'
    )
    monkeypatch.setenv("LAMSON_LMTP__ALLOW", "10.0.0.0/8,2001:db8::1")
    assert loading.load(tmp_path).lmtp.allow == ["10.0.0.0/8", "2001:db8::1"]


@pytest.mark.parametrize(
    ("settings", "next_hop", "lookup"),
    [
        ({}, "lamson:inet:[127.0.0.1]:8823", "socketmap:inet:127.0.0.1:8824:recipient"),
        (
            {"lmtp": Lmtp("0.0.0.0:1"), "socketmap": Socketmap("[::]:2")},
            "lamson:inet:[127.0.0.1]:1",
            "socketmap:inet:[::1]:2:recipient",
        ),
        (
            {"lmtp": Lmtp("unix:/run/l"), "socketmap": Socketmap("unix:/run/s")},
            "lamson:unix:/run/l",
            "socketmap:unix:/run/s:recipient",
        ),
        (
            {"postfix": Postfix(next_hop="lmtp:inet:app:9", lookups="inet:app:10")},
            "lmtp:inet:app:9",
            "socketmap:inet:app:10:recipient",
        ),
    ],
)
def test_how_postfix_reaches_us(settings: dict[str, object], next_hop: str, lookup: str) -> None:
    made = Settings.model_validate(
        {"handlers": ["a"], "socketmap": Socketmap("127.0.0.1:8824"), **settings}
    )
    assert made.next_hop == next_hop
    assert made.lookup("recipient") == lookup


def delivery(sender: str = "zed@example.com", **options: object) -> Delivery:
    return Delivery(
        make_message(sender=sender),
        digest=b"d" * 32,
        hostname="test",
        is_ours={"test.com"}.__contains__,
        **options,  # type: ignore[arg-type]
    )


def test_a_sender_that_is_not_ours_is_refused() -> None:
    one = delivery()
    response = one.compose(to="a@b.example", sender="eve@example.com", subject="x", body="y")
    for sender in (None, "eve@example.com"):
        with pytest.raises(SenderError, match=r"eve@example\.com is in none of our domains"):
            one.send(response, sender=sender)
    with pytest.raises(SenderError):
        one.forward("a@b.example", sender="zed@example.com")
    assert one.outgoing == []
    one.send(response, sender="")
    one.send(response, sender="list@test.com")
    assert [row.sender for row in one.outgoing] == ["", "list@test.com"]


@pytest.mark.parametrize(
    ("sender", "forwarded"),
    [("zed@example.com", "list@test.com"), ("", ""), ("a@test.com", "a@test.com")],
)
def test_forward_takes_a_sender_of_ours(sender: str, forwarded: str) -> None:
    one = delivery(sender)
    one.forward("friend@b.example")
    assert [row.sender for row in one.outgoing] == [forwarded]


@pytest.mark.parametrize(
    ("pace", "why"),
    [
        ({"example.com": 0}, "expected 1 message a minute or more for 'example.com', not 0"),
        ({"not a domain": 6}, "not a domain"),
        ({"@example.com": 6}, "@example.com"),
    ],
)
def test_what_is_no_pace_is_refused(pace: dict[str, int], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Submission(pace=pace)
    assert Submission(pace={"*": 1, "example.com": 60, "a@test.com": 6}).pace["*"] == 1
