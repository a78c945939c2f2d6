"""The clockwork of a handler module: its timeouts, its schedules, and its work after commits.

For the handler module, which has one, and for those who do tasks. What could not work is a
RouteError when the application loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lamson.errors import RouteError
from lamson.routing.function import WITH_ATTEMPT, WITH_EXPIRED, WITH_SLOT, Function

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

    from lamson.routing.declaration import DeclaredTimeout, HandlerDeclaration
    from lamson.routing.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Timeout:
    """After so many seconds in a state, its author is handed to the function."""

    function: Function
    seconds: float


class Scheduled(NamedTuple):
    function: Function
    schedule: Schedule


class Clockwork:
    """What one module declares of time, as `timeouts` by state (the shortest first), `schedules`
    and `background` functions."""

    def __init__(self) -> None:
        self.timeouts: dict[str, list[Timeout]] = {}
        self.schedules: list[Scheduled] = []
        self.background: list[Function] = []
        self._declared: list[tuple[Function, Sequence[DeclaredTimeout]]] = []

    def __bool__(self) -> bool:
        return bool(self._declared or self.schedules or self.background)

    def add(self, function: Callable[..., Any], declaration: HandlerDeclaration) -> None:
        """Take in one function. Raises RouteError where it is declared to be several things."""
        kinds = {
            "a handler": bool(declaration.routes) or declaration.is_stateless,
            "@timeout": bool(declaration.timeouts),
            "@every": declaration.schedule is not None,
            "@background": declaration.is_background,
        }
        several = [name for name, is_one in kinds.items() if is_one]
        if len(several) > 1:
            code = function.__code__
            raise RouteError(
                f"{function.__name__} is {' and '.join(several)}; it can be only one of them",
                file=code.co_filename,
                line=code.co_firstlineno,
            )
        if declaration.timeouts:
            one = Function(function, "timeout", injectable=WITH_EXPIRED, takes_more=True)
            self._declared.append((one, declaration.timeouts))
        elif declaration.schedule is not None:
            one = Function(function, "scheduled function", injectable=WITH_SLOT)
            self.schedules.append(Scheduled(one, declaration.schedule))
        else:
            self.background.append(
                Function(function, "background function", injectable=WITH_ATTEMPT, takes_more=True)
            )

    def check_captures(self, known: Collection[str]) -> None:
        """``known`` is all that routes of the module capture. Raises RouteError for a timeout that
        needs something else: nobody would find out before somebody's time is over."""
        for function, _ in self._declared:
            for name in function.required:
                if name not in known:
                    captures = ", ".join(sorted(known)) or "nothing"
                    raise function.error(
                        f"needs {name!r}, which nobody gives to a timeout: it is given what is"
                        " annotated as Expired, Mailer or sqlalchemy.orm.Session, and by name what"
                        f" routes of its module capture ({captures})"
                    )

    def settle(self, states: Collection[str], start: str) -> None:
        """Once all ``states`` of the module are known. Raises RouteError for one that is not."""
        for function, declared in self._declared:
            for timeout in declared:
                for state in timeout.states:
                    if state not in states:
                        raise RouteError(
                            f"@timeout of {function.name}: {state} is no state of {function.module}"
                            f"; it has {', '.join(states) or 'none'}",
                            file=timeout.file,
                            line=timeout.line,
                        )
                for state in timeout.states or [one for one in states if one != start]:
                    self.timeouts.setdefault(state, []).append(Timeout(function, timeout.seconds))
        for timeouts in self.timeouts.values():
            timeouts.sort(key=lambda timeout: timeout.seconds)
