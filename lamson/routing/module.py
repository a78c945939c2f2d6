"""Handler modules: one module of the application, its handlers, its states, its state key.

For the Router, which loads each module named in the setting `handlers`. What cannot be used (a
module that is missing or fails while it is imported, a function that could never be called) is a
RouteError with file and line.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import traceback
from typing import TYPE_CHECKING, Any

from lamson.errors import RouteError
from lamson.routing.handler import Declaration, Handler, declaration_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

START, ERROR = "START", "ERROR"
_DECORATORS = {"route", "route_like", "stateless", "state_key_generator"}


class HandlerModule:
    """What the Router needs to know of one module.

    ``declared`` are its routed handlers in source order; ``states`` those by name that are states,
    `ERROR` included; ``error`` is that one, which needs no route: it then has those of all states
    of the module; ``state_key_generator`` is the function so declared.
    """

    def __init__(self, module: ModuleType) -> None:
        self.name = module.__name__
        self.file = getattr(module, "__file__", None) or self.name
        self.declared: list[tuple[Handler, Declaration]] = []
        self.states: dict[str, Handler] = {}
        self.error: Handler | None = None
        self.state_key_generator: Callable[..., Any] | None = None
        refuse_redefinitions(module, self.file)
        for function in functions_of(module):
            declaration = declaration_of(function)
            if declaration is not None and declaration.is_state_key_generator:
                self._add_state_key_generator(function, declaration)
            elif declaration is not None or function.__name__ == ERROR:
                self._add_handler(function, declaration or Declaration())
        if not self.declared:
            raise RouteError(
                f"module {self.name} has no route: decorate a function with @route, or take the"
                " module out of the setting handlers",
                file=self.file,
            )
        self._check_start()

    @classmethod
    def load(cls, name: str) -> HandlerModule:
        """Import a module by its dotted name and read it."""
        return cls(load_module(name, "handlers"))

    def _add_handler(self, function: Callable[..., Any], declaration: Declaration) -> None:
        is_routed = bool(declaration.routes)
        handler = Handler(function, is_stateless=declaration.is_stateless, lenient=not is_routed)
        if is_routed:
            self.declared.append((handler, declaration))
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
        self, function: Callable[..., Any], declaration: Declaration
    ) -> None:
        code = inspect.unwrap(function).__code__
        problem = ""
        if self.state_key_generator is not None:
            first = self.state_key_generator.__name__
            problem = f"is a second @state_key_generator; {first} is one already"
        elif declaration.routes or declaration.is_stateless:
            problem = "is @state_key_generator and a handler; it can be only one of them"
        elif not _takes_two(function):
            problem = "is @state_key_generator, so it has to take (module, message)"
        if problem:
            raise RouteError(
                f"{function.__name__} {problem}", file=code.co_filename, line=code.co_firstlineno
            )
        self.state_key_generator = function

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


def load_module(name: str, setting: str) -> ModuleType:
    """Import a module of the application that a setting names. Raises RouteError."""
    try:
        return importlib.import_module(name)
    except RouteError as problem:  # from a decorator, which may not know where it stands
        if problem.file:
            raise
        file, line = _origin(problem)
        raise RouteError(problem.problem, file=file, line=line) from None
    except (Exception, SystemExit) as problem:
        if isinstance(problem, ModuleNotFoundError) and f"{name}.".startswith(f"{problem.name}."):
            raise RouteError(
                f"there is no module {problem.name}"
                + (f", for {name}" if problem.name != name else ""),
                setting=setting,
            ) from None
        file, line = _origin(problem)
        raise RouteError(
            f"module {name} cannot be imported: {type(problem).__name__}: {problem}",
            file=file,
            line=line,
        ) from problem


def functions_of(module: ModuleType) -> list[Callable[..., Any]]:
    """The functions defined in a module, not those it imported, in source order."""
    found = {id(value): value for value in vars(module).values() if inspect.isfunction(value)}
    return [value for value in found.values() if value.__module__ == module.__name__]


def _takes_two(function: Callable[..., Any]) -> bool:
    if inspect.iscoroutinefunction(function):
        return False
    try:
        inspect.signature(function).bind("module", "message")
    except TypeError:
        return False
    return True


def refuse_redefinitions(module: ModuleType, file: str, decorators: set[str] = _DECORATORS) -> None:
    """Raise RouteError where a later def takes the name of a declared function.

    The later one replaces the earlier without a word, so only the source still shows it.
    """
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return
    first: dict[str, ast.FunctionDef] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            earlier = first.setdefault(node.name, node)
            if earlier is not node and (
                _is_declared(earlier, decorators) or _is_declared(node, decorators)
            ):
                raise RouteError(
                    f"{node.name} is defined a second time, the first one is in line"
                    f" {earlier.lineno}; a state needs a name of its own",
                    file=file,
                    line=node.lineno,
                )


def _is_declared(node: ast.FunctionDef, decorators: set[str]) -> bool:
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        if name in decorators:
            return True
    return False


def _origin(problem: BaseException) -> tuple[str, int]:
    """File and line where an import failed: the innermost module that was being executed."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return problem.filename, problem.lineno or 0
    frames = traceback.extract_tb(problem.__traceback__)
    for frame in reversed(frames):
        if frame.name == "<module>" and not frame.filename.startswith("<"):
            return frame.filename, frame.lineno or 0
    return "", 0
