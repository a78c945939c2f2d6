"""lamson.smtp.folding: which addresses are one."""

import pytest

from lamson.smtp import folding

SPELLINGS = [
    ("Users@Test.com", "users@test.com"),
    ("u\u017fers@te\u017ft.com", "users@test.com"),
    ("\u212a@te\u212ast.com", "k@tekst.com"),
    ("x@\uff54est\u3002com", "x@test.com"),
    ("E\u0301@x", "\u00e9@x"),
    ("x@BÜCHER.test", "x@xn--bcher-kva.test"),
    ("x@bu\u0308cher.test", "x@xn--bcher-kva.test"),
    ("X@XN--BCHER-KVA.test", "x@xn--bcher-kva.test"),
    ("straße@straße.test", "strasse@strasse.test"),  # as Postfix asks for it
    ("x@xn--strae-oqa.test", "x@xn--strae-oqa.test"),
    ("\u0131@x", "\u0131@x"),
    ("x@evil\uff20test.com", "x@evil\uff20test.com"),  # it would be two @
    ("x@\u2100.test", "x@\u2100.test"),
    ("x@[IPv6:::1]", "x@[ipv6:::1]"),
    ("Postmaster", "postmaster"),
    ("K\u212a", "kk"),
    ("", ""),
    ("\ud800@\ud800", "\ud800@\ud800"),
]


@pytest.mark.parametrize(("written", "folded"), SPELLINGS)
def test_the_form_in_which_addresses_are_compared(written: str, folded: str) -> None:
    assert folding.fold(written) == folded
    assert folding.fold(folded) == folded
    assert folded in {folding.fold(one) for one in folding.spellings(written)}


@pytest.mark.parametrize("label", ["xn--", "xn--a", "xn--bcher-", "xn--tet-yoa", "xn--99999999999"])
def test_an_a_label_that_is_none_stands_for_itself(label: str) -> None:
    assert folding.u_labels(folding.fold_domain(f"{label}.test")) == f"{label}.test"


def test_an_operators_sharp_s_is_one() -> None:
    assert folding.written_domain("straße.test") == "xn--strae-oqa.test"
    assert folding.u_labels("xn--strae-oqa.test") == "straße.test"
