"""Functions of a handler module that no message calls: timeouts, schedules, work after a commit.

They are given what they ask for by annotation, and by name what else there is for them (the
captures of a timer, the arguments of work after a commit). All of this is settled when the
application loads: a function that could not be called is a RouteError there.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol

from lamson.errors import RouteError
from lamson.routing.handler import annotations_of, injection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAILER, SESSION = "mailer", "session"
EXPIRED, SLOT, ATTEMPT = "expired", "slot", "attempt"

# By the path of the class, so that loading routes imports none of them.
INJECTED: Mapping[str, str] = {
    "lamson.mailer.Mailer": MAILER,
    "lamson.delivery.posting.Posting": MAILER,
    "sqlalchemy.orm.session.Session": SESSION,
}
WITH_EXPIRED: Mapping[str, str] = {**INJECTED, "lamson.delivery.timers.Expired": EXPIRED}
WITH_SLOT: Mapping[str, str] = {**INJECTED, "datetime.datetime": SLOT}
WITH_ATTEMPT: Mapping[str, str] = {"lamson.delivery.later.Attempt": ATTEMPT}
# What only a message has: a parameter that asks for one is a mistake, whatever it is called.
_OF_MESSAGES: Mapping[str, str] = {
    "lamson.delivery.context.Delivery": "Delivery",
    "lamson.delivery.thread.Thread": "Thread",
    "lamson.message.request.MailRequest": "MailRequest",
}
# What is never given by name, and so by nobody where it is not injected.
_OF_ERRANDS: Mapping[str, str] = {
    "lamson.mailer.Mailer": "Mailer",
    "lamson.delivery.posting.Posting": "Mailer",
    "sqlalchemy.orm.session.Session": "Session",
    "lamson.delivery.timers.Expired": "Expired",
    "lamson.delivery.later.Attempt": "Attempt",
}


class Giver(Protocol):
    """Who has a mailer and a session: an errand."""

    @property
    def mailer(self) -> Any: ...

    def session(self) -> Any: ...


class Function:
    """One function, ready to be called. ``injected`` says what its annotated parameters are given.

    ``noun`` is how errors call what it is. With ``takes_more`` other parameters are filled by name
    (``required`` are those that have no default); without, each needs a default. Raises RouteError
    where it cannot be called so.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        noun: str,
        *,
        injectable: Mapping[str, str] = INJECTED,
        takes_more: bool = False,
    ) -> None:
        self.function = function
        self.module: str = function.__module__
        self.name: str = function.__name__
        self.full_name = f"{self.module}.{self.name}"
        self.noun = noun
        code = inspect.unwrap(function).__code__
        self.file, self.line = code.co_filename, code.co_firstlineno
        self.injected: dict[str, str] = {}
        self.required: tuple[str, ...] = ()
        self.named: frozenset[str] = frozenset()
        self.takes_any = False
        self._read(injectable, takes_more=takes_more)

    def __str__(self) -> str:
        return self.full_name

    def call(self, named: Mapping[str, Any], giver: Giver | None, **others: object) -> Any:
        """Call it with what it asks for; ``others`` are given by what `INJECTED` calls them.

        Of ``named`` it is spared what it has no parameter for. Raises TypeError where something is
        missing, and what the function raises.
        """
        missing = [name for name in self.required if name not in named]
        if missing:
            raise TypeError(f"{self} needs {', '.join(missing)}, of which nothing is known")
        arguments = {
            name: value for name, value in named.items() if self.takes_any or name in self.named
        }
        for name, what in self.injected.items():
            if what == MAILER and giver is not None:
                arguments[name] = giver.mailer
            elif what == SESSION and giver is not None:
                arguments[name] = giver.session()
            else:
                arguments[name] = others[what]
        return self.function(**arguments)

    def name_arguments(self, given: Sequence[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What `call` is to be given later. Raises TypeError where it could not be called so."""
        if len(given) > len(self._order):
            raise TypeError(f"{self} takes {len(self._order)} arguments by position at most")
        found = dict(zip(self._order, given, strict=False))
        for name, value in arguments.items():
            if name in found:
                raise TypeError(f"{self} is given {name} twice")
            if name not in self.named and not self.takes_any:
                raise TypeError(f"{self} takes no {name}")
            found[name] = value
        if missing := [name for name in self.required if name not in found]:
            raise TypeError(f"{self} needs {', '.join(missing)}")
        return found

    def error(self, problem: str) -> RouteError:
        """For whoever finds out that something is wrong with it."""
        return RouteError(f"{self.name} {problem}", file=self.file, line=self.line)

    def _read(self, injectable: Mapping[str, str], *, takes_more: bool) -> None:
        function = inspect.unwrap(self.function)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise self.error(f"is async def; a {self.noun} is a plain def function")
        if inspect.isgeneratorfunction(function):
            raise self.error(f"has a yield; a {self.noun} is a plain function, which returns")
        hints = annotations_of(function)
        named: list[str] = []
        by_position: list[str] = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                self.takes_any = takes_more
                continue
            if parameter.kind is parameter.VAR_POSITIONAL:
                continue
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise self.error(f"has {name!r} before the /, where it cannot be given by name")
            what = injection(hints.get(name), injectable)
            if what is not None:
                self.injected[name] = what
                continue
            if (other := injection(hints.get(name), _OF_MESSAGES)) is not None:
                raise self.error(
                    f"asks for a {other} ({name!r}), and there is none: no message calls a"
                    f" {self.noun}"
                )
            if (other := injection(hints.get(name), _OF_ERRANDS)) is not None:
                raise self.error(
                    f"asks for a {other} ({name!r}), which nobody gives to a {self.noun}: of these"
                    f" it is given {_named(injectable)}"
                )
            named.append(name)
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                by_position.append(name)
            if parameter.default is parameter.empty:
                if not takes_more:
                    raise self.error(
                        f"needs {name!r}, which nobody gives to a {self.noun}; give it a default,"
                        f" or annotate it as {_named(injectable)}"
                    )
                self.required += (name,)
        self.named = frozenset(named)
        self._order = tuple(by_position)


def _named(injectable: Mapping[str, str]) -> str:
    """The classes, as people write them."""
    return " or ".join(sorted({path.rpartition(".")[2] for path in injectable} - {"Posting"}))
