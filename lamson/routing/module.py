"""Handler modules: one module of the application, its handlers, its states, its state key.

For the Router, which makes one of each module named in the setting `handlers`. What cannot be used
(a function that could never be called, a state that is never reached) is a RouteError with file and
line.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from lamson.errors import RouteError
from lamson.routing.declaration import HANDLERS, HandlerDeclaration
from lamson.routing.handler import INJECTED_WITHOUT_MESSAGE, Handler, thread_parameter
from lamson.routing.loader import file_of, functions_of, nothing_declared

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

# States that have a meaning by their names: where every sender begins, and where one is put after a
# handler failed.
START, ERROR = "START", "ERROR"


class HandlerModule:
    """What the Router needs to know of one module.

    ``declared`` are its routed handlers in source order; ``states`` those by name that are states,
    `ERROR` included; ``error`` is that one, which needs no route: it then has those of all states
    of the module; ``state_key_generator`` and ``outcome`` are the functions so declared, and
    ``thread_parameter`` is what that generator takes the thread as, "" where it takes none.
    """

    def __init__(self, module: ModuleType) -> None:
        self.name = module.__name__
        self.file = file_of(module)
        self.declared: list[tuple[Handler, HandlerDeclaration]] = []
        self.states: dict[str, Handler] = {}
        self.error: Handler | None = None
        self.state_key_generator: Callable[..., Any] | None = None
        self.outcome: Handler | None = None
        self.thread_parameter = ""
        for function in functions_of(module):
            declaration = HANDLERS.of(function)
            if declaration is not None and declaration.is_state_key_generator:
                self._add_state_key_generator(function, declaration)
            elif declaration is not None and declaration.is_outcome:
                self._add_outcome(function, declaration)
            elif declaration is not None or function.__name__ == ERROR:
                self._add_handler(function, declaration or HandlerDeclaration())
        if not self.declared and self.outcome is None:
            raise nothing_declared(module, HANDLERS)
        self._check_start()
        self._check_spam_filters()

    def _add_handler(self, function: Callable[..., Any], declaration: HandlerDeclaration) -> None:
        is_routed = bool(declaration.routes)
        handler = Handler(
            function,
            is_stateless=declaration.is_stateless,
            is_action=declaration.is_action,
            spam_filter=declaration.spam_filter,
            lenient=not is_routed,
        )
        if is_routed:
            self.declared.append((handler, declaration))
        elif handler.name != ERROR and (declaration.is_action or declaration.spam_filter):
            what = "@action" if declaration.is_action else "@spam_filter"
            raise RouteError(
                f"{handler.name} is {what} but has no @route, so it would never run",
                file=handler.file,
                line=handler.line,
            )
        elif declaration.is_stateless:
            raise RouteError(
                f"{handler.name} is @stateless but has no @route, so it would never run",
                file=handler.file,
                line=handler.line,
            )
        if not handler.is_stateless:
            self.states[handler.name] = handler
        if handler.name == ERROR:
            self.error = handler

    def _add_state_key_generator(
        self, function: Callable[..., Any], declaration: HandlerDeclaration
    ) -> None:
        code = inspect.unwrap(function).__code__
        problem = ""
        if self.state_key_generator is not None:
            first = self.state_key_generator.__name__
            problem = f"is a second @state_key_generator; {first} is one already"
        elif declaration.routes or declaration.is_stateless or declaration.is_outcome:
            problem = "is @state_key_generator and a handler; it can be only one of them"
        elif not _takes_two(function):
            problem = "is @state_key_generator, so it has to take (module, message)"
        if problem:
            raise RouteError(
                f"{function.__name__} {problem}", file=code.co_filename, line=code.co_firstlineno
            )
        self.state_key_generator = function
        self.thread_parameter = thread_parameter(function)

    def _add_outcome(self, function: Callable[..., Any], declaration: HandlerDeclaration) -> None:
        handler = Handler(function, is_stateless=True, injectable=INJECTED_WITHOUT_MESSAGE)
        problem = ""
        if self.outcome is not None:
            problem = f"is a second @outcome; {self.outcome.name} is one already"
        elif declaration.routes or declaration.is_stateless:
            problem = "is @outcome and a handler; it can be only one of them"
        elif handler.required:
            problem = (
                f"is @outcome, and nobody gives it {handler.required[0]!r}: it takes the outcome,"
                " and what is annotated as lamson.Mailer or sqlalchemy.orm.Session"
            )
        if problem:
            raise RouteError(f"{handler.name} {problem}", file=handler.file, line=handler.line)
        self.outcome = handler

    def _check_start(self) -> None:
        """States of a module without START can never be reached, unless its key is shared."""
        if self.state_key_generator is None and START not in self.states:
            for handler, _ in self.declared:
                if not handler.is_stateless and handler.name != ERROR:
                    raise RouteError(
                        f"{handler.name} is a state, but module {self.name} has no state {START},"
                        f" in which every sender begins; name one {START}, or make this @stateless",
                        file=handler.file,
                        line=handler.line,
                    )

    def _check_spam_filters(self) -> None:
        """Where spammers go is a state of this module, and they are in one where they come from."""
        handlers = [handler for handler, _ in self.declared]
        for handler in handlers + ([self.error] if self.error else []):
            wanted = handler.spam_filter.next_state if handler.spam_filter else None
            if wanted is None:
                continue
            known = [*self.states, *[state.function for state in self.states.values()]]
            problem = ""
            if handler.is_stateless:
                problem = "is @stateless: @spam_filter has no next_state there"
            elif wanted not in known:
                shown = wanted if isinstance(wanted, str) else getattr(wanted, "__name__", wanted)
                problem = f"has next_state={shown}, which is no state of its module"
            if problem:
                raise RouteError(f"{handler.name} {problem}", file=handler.file, line=handler.line)


def _takes_two(function: Callable[..., Any]) -> bool:
    if inspect.iscoroutinefunction(function):
        return False
    thread = thread_parameter(function)
    try:
        inspect.signature(function).bind("module", "message", **({thread: None} if thread else {}))
    except TypeError:
        return False
    return True
