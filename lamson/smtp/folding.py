"""One address has many spellings: the one form in which all of them are compared.

For routes, states, what was seen, limits and our domains: whoever compares addresses does it here.
Postfix folds an address before it asks anybody about it, both of its sides, by Unicode's full case
folding: of ``u\u017fers@te\u017ft.com`` it asks for ``users@test.com``, of ``ß`` for ``ss``. What
it asks for and what it then delivers must be one address, else it bounces what it took; so this is
our rule too. Beyond it letters are composed (NFC), and domains are mapped as UTS 46 says, without
its transitional part: U-labels and A-labels are one domain, full-width letters are letters.

Since Postfix asks for ``ss`` where ``ß`` is written, only its A-label reaches a domain with a ß.

The form is for comparing alone: to an address that was written one answers as it was written.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import idna

_ACE = "xn--"  # what an A-label begins with (RFC 5890 section 2.3.2.1)
_REMEMBERED = 4096  # domains beyond ASCII
_NO_LETTER_OF_A_DOMAIN = re.compile(r"[\x00-,/:-^`{-\x7f]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def fold(address: str) -> str:
    """The form in which two addresses are compared. Its domain is in A-labels."""
    lower = address.lower()
    if lower.isascii() and address.isascii() and _ACE not in lower:
        return lower
    local, at, domain = address.rpartition("@")
    if not at:
        return composed(address)
    return f"{composed(local)}@{fold_domain(domain)}"


def composed(text: str) -> str:
    """A text without difference of case, as Postfix sees none, in NFC."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


def fold_domain(domain: str) -> str:
    """The form in which two domains are compared: A-labels, lower case.

    What cannot be mapped is left in lower case. Never raises.
    """
    return domain.lower() if domain.isascii() else _a_labels(domain.casefold())


def written_domain(domain: str) -> str:
    """As `fold_domain`, of a domain that an operator wrote: a ß in it is a ß."""
    return domain.lower() if domain.isascii() else _a_labels(domain)


def u_labels(folded: str) -> str:
    """A folded domain for people: with U-labels where it has A-labels."""
    return folded if _ACE not in folded else _u_labels(folded)


def spellings(address: str) -> tuple[str, ...]:
    """The texts that a route is matched against, ignoring case; most often there is one.

    There are two where the domain is an internationalised one, the nearer one to how it was written
    first. Letters of ASCII stay as they were typed, since captures are cut out of these texts.
    """
    if address.isascii():
        if _ACE not in address.lower():
            return (address,)
        local, _, domain = address.rpartition("@")
        labels = fold_domain(domain)
        return tuple(dict.fromkeys((f"{local}@{labels}", f"{local}@{u_labels(labels)}")))
    local, at, domain = address.rpartition("@")
    local = unicodedata.normalize("NFC", local if at else domain)
    local = _BEYOND_ASCII.sub(lambda found: found[0].casefold(), local)
    local = unicodedata.normalize("NFC", local)
    if not at:
        return (local,)
    labels = fold_domain(domain)
    return tuple(dict.fromkeys((f"{local}@{u_labels(labels)}", f"{local}@{labels}")))


@lru_cache(_REMEMBERED)
def _a_labels(domain: str) -> str:
    mapped = _mapped(domain)
    if mapped is None:
        return composed(domain)
    return ".".join(
        label if label.isascii() else _ACE + label.encode("punycode").decode("ascii")
        for label in mapped.split(".")
    )


@lru_cache(_REMEMBERED)
def _u_labels(domain: str) -> str:
    return ".".join(map(_u_label, domain.split(".")))


def _u_label(label: str) -> str:
    """What an A-label stands for; the label itself where it stands for nothing that it should."""
    if not label.startswith(_ACE):
        return label
    try:
        decoded = label.removeprefix(_ACE).encode().decode("punycode")
    except UnicodeError:
        return label
    is_right = not decoded.isascii() and "." not in decoded and _mapped(decoded) == decoded
    return decoded if is_right else label


def _mapped(domain: str) -> str | None:
    """As UTS 46 maps it; None where it must not be in a domain, or becomes what must not."""
    try:
        mapped: str = idna.uts46_remap(domain, std3_rules=False)
    except (idna.IDNAError, UnicodeError):
        return None
    # U+FF20 would become an @, and an address another one.
    return None if _NO_LETTER_OF_A_DOMAIN.search(mapped) else mapped
