"""Subjects of those who are away."""

from __future__ import annotations

import pytest

from lamson.message.vacation import is_absence, is_answer


@pytest.mark.parametrize(
    "subject",
    [
        *("Automatic reply: hi", "Automatische Antwort: hi", "Réponse automatique : hi"),
        *("Autosvar: x", "Out of Office AutoReply: hi", "(Auto Reply) hi", "[Automated response]"),
        *("Réponse automatique d'absence du bureau : hi", "AUTO: Zed est en congés jusqu'au 5"),
    ],
)
def test_only_programs_write_them(subject: str) -> None:
    assert is_answer(subject)
    assert is_absence(subject)
    assert not is_answer(f"Re: {subject}")


@pytest.mark.parametrize(
    "subject", ["Out of Office: hi", "Abwesenheitsnotiz", "Fuera de la oficina", "不在"]
)
def test_people_may_write_them(subject: str) -> None:
    assert is_absence(subject)
    assert not is_answer(subject)


def test_others() -> None:
    assert not is_absence("The office of the vacationers' club")
    assert not is_answer("Automatic replies are bad")
    assert not is_answer("Auto: wer hat einen Parkplatz?")
