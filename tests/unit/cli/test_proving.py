"""lamson.cli.proving: what is shown of a proof; the proof itself is in tests/postfix."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import pytest

from lamson.cli import proving
from lamson.errors import AddressError, LamsonError, UnavailableError
from lamson.postfix import proof
from lamson.postfix.proof import Difference, Proof
from tests.unit.postfix.paper import Paper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def paper(tmp_path: Path) -> Callable[..., Paper]:
    """Makes configurations in which everything is well."""
    return lambda: Paper(tmp_path / "tables")


@pytest.fixture
def proved(monkeypatch: pytest.MonkeyPatch) -> Callable[[Proof | LamsonError], None]:
    """What asking comes to."""

    def put(found: Proof | LamsonError) -> None:
        def prove(*_: object) -> Proof:
            if isinstance(found, LamsonError):
                raise found
            return found

        monkeypatch.setattr(proof, "prove", prove)

    return put


def test_what_would_change_is_shown_within_reason(
    paper: Callable[..., Paper],
    proved: Callable[[Proof | LamsonError], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = [Difference(f"u{number}@a.test", "250 \x1b[31m", "550") for number in range(25)]
    proved(Proof(compared=30, ours=["x@lists.test"], changed=many, notes=["a note"]))
    assert proving.changes_others(paper().site(), [], ["u1@a.test"], ["lists.test"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["# a note", "# not compared, since they are ours: 1 addresses"]
    assert lines[2] == "would change for others: u0@a.test: before: 250 ?[31m; after: 550"
    assert lines[-2] == "would change for others: 5 more addresses"
    assert lines[-1].endswith("answers as before for 5 addresses of others")
    assert len(lines) == 24


def test_nothing_would_change(
    paper: Callable[..., Paper], proved: Callable[[Proof | LamsonError], None]
) -> None:
    proved(Proof(compared=3))
    assert not proving.changes_others(paper().site(), [], [], [])


def test_where_it_cannot_be_asked_apply_says_how_to_go_on(
    paper: Callable[..., Paper], proved: Callable[[Proof | LamsonError], None]
) -> None:
    proved(UnavailableError("a copy does not start"))
    with pytest.raises(LamsonError, match=r"start; nothing was changed .*-unproven") as raised:
        proving.changes_others(paper().site(), [], [], [])
    assert raised.value.exit_code == os.EX_UNAVAILABLE


def test_wrong_use(paper: Callable[..., Paper]) -> None:
    with pytest.raises(AddressError):
        proving.changes_others(paper().site(), [], ["no address"], [])
    with pytest.raises(click.UsageError, match="no domain of this project"):
        proving.changes_others(paper().site(), [], [], ["customer.test"])
