"""lamson_milter.decision.verdicts: what the filters asked so far came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson_milter.actions import Accept, AddHeader, Decision, Defer, Discard, Quarantine, Reject
from lamson_milter.decision.verdicts import Verdicts
from lamson_milter.subjects import Arrival, Connection
from tests.unit.milter.support import make_filters
from tests.unit.support import make_message

if TYPE_CHECKING:
    from pathlib import Path

    from lamson_milter.filters import Filter


@pytest.fixture
def one(tmp_path: Path) -> Filter:
    return make_filters(tmp_path, "@filter_sender\ndef f(mail): ...").all[0]


@pytest.mark.parametrize(
    ("verdict", "is_settled", "refusal"),
    [
        (None, False, ""),
        (Quarantine("why"), False, ""),
        (Accept(), True, ""),
        (Discard(), True, ""),
        (Reject("5.7.2", "no"), True, "550 5.7.2 no"),
        (Defer("4.7.2", "later"), True, "451 4.7.2 later"),
    ],
)
def test_which_verdicts_end_the_asking(
    one: Filter, verdict: Decision | None, is_settled: bool, refusal: str
) -> None:
    verdicts = Verdicts()
    assert verdicts.take(one, Arrival(), verdict) == is_settled == verdicts.is_settled
    assert str(verdicts.refusal or "") == refusal


def test_what_filters_record_is_gathered(one: Filter) -> None:
    verdicts = Verdicts()
    client = Connection(make_message().peer)
    client.note("a", 1)
    assert not verdicts.take(one, client, Quarantine("first"))
    mail = Arrival()
    mail.note("a", 2)
    mail.add_header("X", "1")
    assert not verdicts.take(one, mail, Quarantine("second"))
    assert not verdicts.take(one, Arrival(), None)
    assert verdicts.notes == {"a": 2}
    assert verdicts.edits == [(one, [AddHeader("X", "1")])]
    assert verdicts.reasons == ["first", "second"]
