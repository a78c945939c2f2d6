"""lamson.message.notes: only who has the secret writes them, and only for one queue entry."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from lamson.errors import SettingsError
from lamson.message.notes import HEADER, LIFETIME, MAX_FIELD, Notary, without_notes
from lamson.message.parsed import ParsedMessage
from lamson_milter.field import field_value
from tests.unit.support import make_message

if TYPE_CHECKING:
    from pathlib import Path

ID, NOW = "4bYmCz0R3Dz1Xy", 1_000_000.0


def signed(notary: Notary) -> str:
    (value,) = notary.sign(ID, {"a": 1}, {"Zed@test.com": {"b": ["x", None]}}, NOW)
    return value


def test_what_was_signed_is_read() -> None:
    notary = Notary(b"s")
    assert notary.read([signed(notary)], ID, "zed@TEST.com", NOW) == {"a": 1, "b": ["x", None]}
    assert notary.read([signed(notary)], ID, "other@test.com", NOW) == {"a": 1}
    assert notary.read(["junk", signed(notary)], ID, "zed@test.com", NOW)["a"] == 1
    assert "zed" not in signed(notary).lower()


@pytest.mark.parametrize(
    ("queue_id", "now", "change"),
    [
        ("4other", NOW, lambda value: value),
        ("", NOW, lambda value: value),
        (ID, NOW + LIFETIME + 2, lambda value: value),
        (ID, NOW, lambda value: value[:-2] + ("A" if value[-2] != "A" else "B") + value[-1]),
        (ID, NOW, lambda value: value.replace(value.split()[1], "9999999999")),
        (ID, NOW, lambda value: "2" + value[1:]),
        (ID, NOW, lambda value: ""),
        (ID, NOW, lambda value: "1 x y z"),
        (ID, NOW, lambda value: value + " é"),
        (ID, NOW, lambda value: value + " x" * MAX_FIELD),
    ],
)
def test_what_does_not_verify_is_no_note(queue_id: str, now: float, change: object) -> None:
    notary = Notary(b"s")
    value = change(signed(notary))  # type: ignore[operator]
    assert notary.read([value], queue_id, "zed@test.com", now) == {}
    assert Notary(b"other").read([signed(notary)], ID, "zed@test.com", NOW) == {}


def test_notes_for_many_recipients_take_several_fields() -> None:
    own = {f"{number}@test.com": {"x": f"{number:0300}"} for number in range(1000)}
    notary = Notary(b"s")
    values = notary.sign(ID, {"a": 1, "x": "of all"}, own, NOW)
    assert len(values) == 8
    assert all(len(field_value(HEADER, value)) < 65_000 for value in values)
    fields = "".join(f"{HEADER}:{field_value(HEADER, value)}\n" for value in reversed(values))
    content = ParsedMessage(
        fields.replace("\n", "\r\n").encode() + b"Subject: x\r\n\r\nbody\r\n", notary
    )
    assert content.header.get("Subject") == "x"
    read = [raw.decode() for raw in content.header.raw(HEADER)]
    for recipient, notes in list(own.items())[::99]:
        assert notary.read(read, ID, recipient, NOW) == {"a": 1, **notes}
    assert notary.read(read, ID, "other@test.com", NOW) == {"a": 1, "x": "of all"}
    assert without_notes(content.raw) == b"Subject: x\r\n\r\nbody\r\n"


def test_too_many_notes() -> None:
    own = {f"{number}@test.com": {"x": "y" * 1000} for number in range(1000)}
    with pytest.raises(ValueError, match="pass 8 fields"):
        Notary(b"s").sign(ID, {}, own, NOW)
    with pytest.raises(ValueError, match="pass 60000 octets"):
        Notary(b"s").sign(ID, {}, {"a@test.com": {"x": "y" * 50_000}}, NOW)


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    first, second = Notary.of(tmp_path / "run", None), Notary.of(tmp_path / "run", None)
    assert first.sign(ID, {"a": 1}, {}, NOW) == second.sign(ID, {"a": 1}, {}, NOW)
    (file,) = (tmp_path / "run").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_message_with_notes() -> None:
    import time

    notary = Notary(b"s")
    (value,) = notary.sign(ID, {"spam": 3.5}, {}, time.time())
    value = value.replace(" ", "\r\n ")
    raw = f"{HEADER}: {value}\r\nSubject: x\r\n\r\nbody\r\n".encode()
    message = make_message(raw, queue_id=ID)
    assert message.notes == {}
    message.content = ParsedMessage(raw, notary)
    assert message.notes == {"spam": 3.5}


def test_fields_are_taken_off_and_nothing_else() -> None:
    body = b"\r\nX-Lamson-Notes: in the body\r\n"
    raw = b"X-LAMSON-notes: a\r\n b\r\nSubject: x\r\nX-Lamson-Notes : c\r\n" + body
    assert without_notes(raw) == b"Subject: x\r\n" + body
    untouched = b"Subject: x\r\n" + body
    assert without_notes(untouched) == untouched


def test_what_can_be_signed_can_be_read() -> None:
    notary, sizes = Notary(b"s"), range(44_000, 46_000, 7)
    signed = 0
    for size in sizes:
        try:
            (value,) = notary.sign(ID, {"x": "y" * size}, {}, NOW)
        except ValueError:
            continue
        signed += 1
        assert notary.read([value], ID, "a@test.com", NOW), size
        assert len(field_value(HEADER, value)) < 65_000, "libmilter takes no longer one"
    assert 0 < signed < len(sizes)


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "notes.key").write_text("\n")
    with pytest.raises(SettingsError, match=r"notes\.key: there is no secret in it"):
        Notary.of(tmp_path, None)
