"""Purposes: what the signed captures of all routes are signed for.

For the Router, which asks whether what a signed capture holds was signed, and for whoever makes an
address for a route. A purpose is declared by the routes that take it: that is where it says for how
long a token counts, and whether once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from lamson.errors import PurposeError, RouteError
from lamson.routing.signing import OURS, Signer, Token

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lamson.routing.router import Route
    from lamson.routing.signing import Signed


class Verified(NamedTuple):
    """What a route with signed captures took of an address: these hold their payloads.

    ``tokens`` are all tokens in it, ``redeems`` those that count once.
    """

    captures: dict[str, str]
    tokens: tuple[Token, ...]
    redeems: tuple[Token, ...]


class Purposes:
    """Those that ``routes`` declare. Raises RouteError where two say different things of one, and
    for one that is ours.

    Without a ``signer`` nothing can be signed, and nothing verifies.
    """

    def __init__(self, routes: Iterable[Route], signer: Signer | None = None) -> None:
        self._signer = signer or Signer(lambda: ())
        self._declared: dict[str, tuple[Signed, Route]] = {}
        for route in routes:
            for _, signed in route.signed:
                if signed.purpose.startswith(OURS):
                    raise RouteError(
                        f"{signed}: purposes that begin with {OURS!r} are Lamson's own; take"
                        " another name",
                        file=route.file,
                        line=route.line,
                    )
                first, where = self._declared.setdefault(signed.purpose, (signed, route))
                if first != signed:
                    raise RouteError(
                        f"{signed} does not agree with {first} in {where.file}:{where.line}: one"
                        " purpose has the same days and once everywhere",
                        file=route.file,
                        line=route.line,
                    )

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._declared)

    def once(self) -> Route | None:
        """The first route with a token that counts once."""
        return next((where for signed, where in self._declared.values() if signed.once), None)

    def find(self, purpose: str) -> Signed:
        """As it was declared. Raises PurposeError for one that no route has."""
        if purpose not in self._declared:
            known = ", ".join(map(repr, self._declared)) or "none"
            raise PurposeError(
                f"no route has a capture Signed({purpose!r}); those that are signed for: {known}"
            )
        return self._declared[purpose][0]

    def sign(self, purpose: str, payload: str = "", days: float | None = None) -> tuple[str, Token]:
        """A token for the routes with that purpose, and what it says.

        ``days`` is for how long it counts, by default as the routes say. Raises PurposeError for a
        purpose that no route has, ValueError for a payload that is too long, or without a key.
        """
        signed = self.find(purpose)
        text = self._signer.sign(signed if days is None else replace(signed, days=days), payload)
        token = self._signer.read(signed, text)
        assert token is not None
        return text, token

    def verify(
        self, route: Route, address: str, redeemed: Collection[bytes] = ()
    ) -> Verified | None:
        """What a route with signed captures takes of an address that its pattern matches.

        None where one of them was not signed for this purpose, counts no more, or is one of those
        ``redeemed``: the route does not match then.
        """
        captures = route.pattern.match(address)
        if captures is None:
            return None
        tokens: tuple[Token, ...] = ()
        redeems: tuple[Token, ...] = ()
        for name, signed in route.signed:
            token = self._signer.read(signed, captures[name])
            if token is None or (redeemed and token.digest in redeemed):
                return None
            captures[name] = token.payload
            tokens += (token,)
            if signed.once:
                redeems += (token,)
        return Verified(captures, tokens, redeems)
