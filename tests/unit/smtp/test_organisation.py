"""lamson.smtp.organisation"""

import pytest

from lamson.smtp.organisation import is_aligned, organisational_domain


@pytest.mark.parametrize(
    ("domain", "organisation"),
    [
        ("Bounces.Mail.Example.co.uk", "example.co.uk"),
        ("example.com", "example.com"),
        ("co.uk", "co.uk"),
        ("zed.github.io", "zed.github.io"),
        ("mail.bücher.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("", ""),
    ],
)
def test_what_was_registered(domain: str, organisation: str) -> None:
    assert organisational_domain(domain) == organisation


@pytest.mark.parametrize(
    ("one", "other", "aligned"),
    [
        ("a.example.com", "B.example.com", True),
        ("bücher.example", "mx.xn--bcher-kva.example", True),
        ("a.co.uk", "b.co.uk", False),
        ("co.uk", "a.co.uk", False),
        ("zed.github.io", "joe.github.io", False),
        ("[192.0.2.1]", "[192.0.2.1]", True),
        ("[192.0.2.1]", "[192.0.3.1]", False),
        ("", "", False),
    ],
)
def test_who_belongs_together(one: str, other: str, aligned: bool) -> None:
    assert is_aligned(one, other) is aligned
    assert is_aligned(other, one) is aligned
