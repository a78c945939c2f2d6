"""lamson.message.probe: what is sent, and what is said of what arrives."""

from __future__ import annotations

import pytest

from lamson.message.probe import BODY, LONG_LINE, OCTETS, Caught, letter

SENDER, TO = "a@app.test", "b@app.test"
SENT = letter("name", SENDER, TO)


def differences(arrived: bytes, sender: str = SENDER, to: str = TO) -> list[str]:
    sent = Caught.of(SENDER, TO, SENT)
    got = Caught.from_text(Caught.of(sender, to, arrived).to_text())
    return [one.what for one in sent.differences(got)]


def test_what_was_added_on_the_way_does_not_count() -> None:
    received = b"Received: from x\r\n\tby y\r\nX-Spam: no\r\n" + SENT.replace(b"\n", b"\r\n")
    assert differences(received) == []
    assert max(map(len, SENT.split(b"\n"))) > 998
    assert not SENT.isascii()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b"From: Lamson probe <a@app.test>", b"From: <me@x.test>", ["From"]),
        (b"Subject: ", b"Subject: [SPAM] ", ["Subject"]),
        (b"Message-ID", b"X-Was", ["Message-ID"]),
        (b"long" * 100, b"long" * 100 + b"\n ", [LONG_LINE]),
        ("ü".encode(), b"=C3=BC", [OCTETS]),
        ("ü".encode(), b"\xfc", [OCTETS]),
        (b"The end.\n", b"The end.\n-- \nsent by us\n", [BODY]),
        (b"\n.\n", b"\n", [BODY]),
        (b"The end.\n", b"", [BODY]),
    ],
)
def test_what_was_changed_is_named(old: bytes, new: bytes, what: list[str]) -> None:
    assert old in SENT
    arrived = (
        SENT.replace(b"long" * 300, b"long" * 240 + b"\n long")
        if what == [LONG_LINE]
        else (SENT.replace(old, new, 1))
    )
    assert differences(arrived) == what


def test_the_envelope() -> None:
    assert differences(SENT, sender="me@x.test") == ["envelope sender"]
    assert differences(SENT, to="B@app.test") == []
    assert differences(SENT, to="c@app.test") == ["envelope recipient"]


@pytest.mark.parametrize(
    "raw", [b"", b"\n\n", b"no header at all", b"From\xff: x\n y\n", b"\xff" * 9]
)
def test_anything_can_arrive(raw: bytes) -> None:
    assert Caught.from_text(Caught.of("", TO, raw).to_text()) == Caught.of("", TO, raw)
    assert differences(raw)


def test_a_large_one_is_kept_in_part() -> None:
    assert len(Caught.of(SENDER, TO, SENT + b"x" * 10_000_000).to_text()) < 100_000
