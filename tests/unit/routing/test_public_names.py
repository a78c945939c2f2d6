"""`lamson.routing` itself: what handler modules and tests of applications import from it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import lamson.routing
from lamson.routing import decorators, handler, router, signing

PUBLIC = {
    "Explanation": router.Explanation,
    "Handler": handler.Handler,
    "Match": router.Match,
    "Route": router.Route,
    "Router": router.Router,
    "Signed": signing.Signed,
    "State": decorators.State,
    "outcome": decorators.outcome,
    "action": decorators.action,
    "route": decorators.route,
    "route_like": decorators.route_like,
    "spam_filter": decorators.spam_filter,
    "state_key_generator": decorators.state_key_generator,
    "stateless": decorators.stateless,
}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_public_name_is_there(name: str) -> None:
    namespace: dict[str, object] = {}
    exec(f"from lamson.routing import {name}", namespace)
    assert namespace[name] is PUBLIC[name]
    assert name == "State" or inspect.isclass(PUBLIC[name]) or inspect.isfunction(PUBLIC[name])


def test_a_star_gives_these_names_and_no_others() -> None:
    for module in pkgutil.iter_modules(lamson.routing.__path__):
        importlib.import_module(f"lamson.routing.{module.name}")
    namespace: dict[str, object] = {}
    exec("from lamson.routing import *", namespace)
    del namespace["__builtins__"]
    assert namespace == PUBLIC
