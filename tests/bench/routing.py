"""What it costs to route one address among 10, 1,000 and 10,000 routes.

Against a list of compiled regular expressions, which is what one would write first, and against
Salmon's router where the package salmon-mail is there. All get the same routes and addresses; no
address comes twice, half of them are routed. Times are in microseconds per address, the best of
several rounds, except for the router just built, which has yet to find its automaton's states.
What a signed capture costs is the difference between two routers of the same format: one takes a
token that verifies, the other any text of its form.
"""

from __future__ import annotations

import functools
import importlib
import random
import re
import sys
import time
import types
from typing import TYPE_CHECKING, Any

from lamson.routing.decorators import route, stateless
from lamson.routing.module import HandlerModule
from lamson.routing.router import Router
from lamson.routing.signing import PATTERN, Signed, Signer
from tests.bench.peers import SALMON_PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZES = (10, 1_000, 10_000)
_DEFAULTS = {"host": r"(localhost|test\.com)", "list_name": "[a-z][a-z0-9]*"}


def measure() -> dict[str, float]:
    """Times by name and size, such as ``router 10``."""
    results: dict[str, float] = {}
    salmon = _salmon_router_class()
    for size in SIZES:
        router = _router(size)
        few = max(20, 200_000 // size)  # the loops take milliseconds for each
        results[f"router, just built {size}"] = _best(router.match, size, 2_000, rounds=1)
        results[f"router {size}"] = _best(router.match, size, 2_000)
        read = functools.partial(_read, router)
        results[f"router, captures read {size}"] = _best(read, size, 2_000)
        sources = [item.pattern.source for item in router.routes]
        compiled = [re.compile(source, re.IGNORECASE) for source in sources]
        results[f"list of re {size}"] = _best(functools.partial(_loop, compiled), size, few)
        if salmon is not None:
            other = salmon()
            for source in sources:
                other.register_route(f"^{source}$", _loop)
            results[f"salmon {size}"] = _best(functools.partial(_salmon, other), size, few)
    return results


def verification() -> dict[str, float]:
    """Of tokens with a payload of twelve octets that count once, and of as many forged ones."""
    once = Signed("confirm", once=True)
    signer = Signer(lambda: (b"the key of the project",))
    plain, signed = (_one_route(pattern, signer) for pattern in (PATTERN, once))
    tokens = [signer.sign(once, "x" * 12) for _ in range(2_000)]
    valid = [f"users-confirm-{token}@test.com" for token in tokens]
    forged = [f"users-confirm-{token[::-1]}@test.com" for token in tokens]
    without = _fastest(plain, valid)
    return {
        "a token, not verified": without,
        "a token, verified": _fastest(signed, valid),
        "a token, forged": _fastest(signed, forged),
    }


def _one_route(token: str | Signed, signer: Signer) -> Router:
    module = types.ModuleType("bench_handlers")
    handler = _make_handler(module.__name__, "handler")
    format = "(list_name)-confirm-(token)@(host)"
    vars(module)["handler"] = stateless(route(format, token=token)(handler))
    return Router([HandlerModule(module)], _DEFAULTS, signer=signer)


def _fastest(router: Router, addresses: Sequence[str], rounds: int = 10) -> float:
    """Microseconds of CPU per address, its captures read."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        for address in addresses:
            _read(router, address)
        times.append(time.process_time() - began)
    return min(times) / len(addresses) * 1e6


def _router(size: int) -> Router:
    """Half the routes begin with what they capture, half with what tells them apart."""
    module = types.ModuleType("bench_handlers")
    for number in range(size):
        if number % 2:
            format = f"(list_name)-command{number}-(token)@(host)"
        else:
            format = f"list{number}-(token)@(host)"
        handler = _make_handler(module.__name__, f"handler{number}")
        setattr(module, handler.__name__, stateless(route(format, token="[a-z0-9]+")(handler)))
    return Router([HandlerModule(module)], _DEFAULTS)


def _make_handler(module: str, name: str) -> Callable[..., Any]:
    def handler(message: object, **captures: str) -> None: ...

    handler.__module__, handler.__name__ = module, name
    return handler


def _addresses(size: int, count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    addresses = []
    for index in range(count):
        number, token = chance.randrange(size), "".join(chance.choices(letters, k=6))
        local = f"users-command{number}-{token}" if number % 2 else f"list{number}-{token}"
        addresses.append(f"{local}@test.com" if index % 2 else f"{token}.{local}@test.com")
    return addresses


def _read(router: Router, address: str) -> list[dict[str, str]]:
    return [match.captures for match in router.match(address)]


def _loop(compiled: Sequence[re.Pattern[str]], address: str) -> list[dict[str, Any]]:
    return [found.groupdict() for item in compiled if (found := item.fullmatch(address))]


def _salmon(router: Any, address: str) -> list[Any]:
    return list(router.match(address))


def _best(match: Callable[[str], object], size: int, count: int, *, rounds: int = 25) -> float:
    """Microseconds per address; every round has addresses of its own."""
    times = []
    for number in range(rounds):
        addresses = _addresses(size, count, number)
        began = time.perf_counter()
        for address in addresses:
            match(address)
        times.append(time.perf_counter() - began)
    return min(times) / count * 1e6


def _salmon_router_class() -> Any:
    """Salmon is pure Python: what is installed for its server serves here as well."""
    sys.path += map(str, SALMON_PYTHON.parents[1].glob("lib/python*/site-packages"))
    try:
        return importlib.import_module("salmon.routing").RoutingBase
    except ImportError:
        return None
