"""lamson.errors"""

import pytest

from lamson.errors import LamsonError, RouteError, SettingsError, UnavailableError
from lamson.smtp.reply import SMTPError


def test_exit_codes_are_those_of_sysexits() -> None:
    assert SettingsError("x").exit_code == 78
    assert RouteError("x").exit_code == 78
    assert UnavailableError("x").exit_code == 69
    assert LamsonError("x").exit_code == 70


def test_a_route_error_says_where() -> None:
    assert str(RouteError("no capture (hots)", file="a.py", line=3)) == "a.py:3: no capture (hots)"
    assert str(RouteError("gone", file="a.py")) == "a.py: gone"
    assert str(RouteError("gone")) == "gone"


def test_a_handlers_verdict_is_a_reply() -> None:
    error = SMTPError(550, "5.7.1", "members only")
    assert bytes(error.reply) == b"550 5.7.1 members only\r\n"


@pytest.mark.parametrize(("code", "enhanced"), [(250, "2.0.0"), (550, "4.7.1"), (300, "")])
def test_a_verdict_is_a_refusal(code: int, enhanced: str) -> None:
    with pytest.raises(ValueError, match=r"code|status"):
        SMTPError(code, enhanced, "x")
