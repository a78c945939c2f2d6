"""lamson.settings.signing and .keys: which keys sign addresses, and which verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.message.notes import Notary
from lamson.routing.signing import Signed
from lamson.settings import Settings, Signing
from lamson.settings.keys import ELSEWHERE, signer_of

if TYPE_CHECKING:
    from pathlib import Path

REPLY = Signed("reply")
OLD, NEW = "old-old-old-old-old", "new-new-new-new-new"


def settings(run: Path, secret: str | None = None) -> Settings:
    signing = Signing() if secret is None else Signing(secret=secret)
    return Settings(handlers=["one"], run_dir=run, signing=signing)


def test_the_key_of_the_run_directory_signs_where_none_is_set(tmp_path: Path) -> None:
    signer = signer_of(settings(tmp_path))
    with pytest.raises(ValueError, match="no key"):
        signer.sign(REPLY, "7")
    Notary.of(tmp_path, None)  # as the service does at its start
    token = signer.sign(REPLY, "7")
    assert signer_of(settings(tmp_path)).read(REPLY, token)
    (tmp_path / "notes.key").unlink()
    assert signer_of(settings(tmp_path)).read(REPLY, token) is None
    assert signer.read(REPLY, token), "it has been read already"


def test_a_key_that_cannot_be_read_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signer = signer_of(settings(tmp_path))
    assert signer.read(REPLY, "a" * 32) is None
    assert not caplog.records, "none has been made yet"
    (tmp_path / "notes.key").touch()
    for _ in range(3):
        assert signer.read(REPLY, "a" * 32) is None
    (line,) = caplog.messages
    assert line.startswith("no signed address is known, so mail to all of them is refused: /")
    assert line.endswith("there is no secret in it; remove it, and one is made")


def test_a_key_is_changed_without_losing_what_the_old_one_signed(tmp_path: Path) -> None:
    token = signer_of(settings(tmp_path, OLD)).sign(REPLY, "7")
    both = settings(tmp_path, f"{NEW} {OLD}\n")
    assert signer_of(both).read(REPLY, token)
    newer = signer_of(both).sign(REPLY, "7")
    assert signer_of(settings(tmp_path, NEW)).read(REPLY, newer)
    assert signer_of(settings(tmp_path, NEW)).read(REPLY, token) is None


def test_elsewhere_keys_are_read_afresh_and_kept_where_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No reload renews a web application: what the service signs has to be known there."""
    file = tmp_path / "keys"
    now = [5.0]

    def write(keys: str) -> None:
        file.write_text(keys)
        file.chmod(0o600)

    write(OLD)
    given = Settings(handlers=["one"], run_dir=tmp_path, signing=Signing(secret_file=file))
    there = signer_of(given, believed=ELSEWHERE, steady=lambda: now[0])
    former = there.sign(REPLY, "7")
    write(f"{NEW} {OLD}")
    token = signer_of(given).sign(REPLY, "8")
    assert there.read(REPLY, token) is None, "within the minute"
    now[0] += ELSEWHERE
    assert there.read(REPLY, token)
    assert there.read(REPLY, former)
    for broken in ("", None):
        if broken is None:
            file.unlink()
        else:
            write(broken)
        for _ in range(3):
            now[0] += ELSEWHERE
            assert there.read(REPLY, token)
    (line,) = caplog.messages
    assert line.startswith("the keys of signed addresses were not read afresh: ")


def test_what_is_no_key(tmp_path: Path) -> None:
    for secret in (" ", "short", f"{NEW} short"):
        problem = Signing(secret=secret).problem()
        assert problem is not None
        assert problem[0] == "secret"
        assert problem[1].startswith("expected keys of 16 characters at least")
    file = tmp_path / "keys"
    file.write_text(f"{NEW}\n{OLD}\n")
    file.chmod(0o600)
    assert Signing(secret_file=file).all_keys() == [NEW, OLD]
    assert Signing(secret_file=file).problem() is None
    assert Signing(secret_file=file, secret=NEW).problem() == (
        "secret",
        "expected secret or secret_file, not both",
    )
