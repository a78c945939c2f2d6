"""The organisational domain: what of a domain somebody registered (RFC 7489 section 3.2).

For whoever asks whether two addresses belong to one organisation: ``bounces.example.co.uk`` and
``example.co.uk`` do. The list of public suffixes is read when it is first needed, which takes a
tenth of a second and three megabytes.
"""

from __future__ import annotations

from functools import cache, lru_cache

from publicsuffixlist import PublicSuffixList

from lamson.smtp.folding import fold_domain

_REMEMBERED = 4096


def organisational_domain(domain: str) -> str:
    """What was registered of ``domain``, folded; all of it where that cannot be told."""
    folded = fold_domain(domain)
    return folded if folded.startswith("[") else _registered(folded)


def is_aligned(domain: str, other: str) -> bool:
    """True where both are of one organisation; no domain is of none."""
    if not domain or not other:
        return False
    return fold_domain(domain) == fold_domain(other) or (
        organisational_domain(domain) == organisational_domain(other)
    )


@lru_cache(_REMEMBERED)
def _registered(folded: str) -> str:
    return _list().privatesuffix(folded) or folded


@cache
def _list() -> PublicSuffixList:
    return PublicSuffixList()
