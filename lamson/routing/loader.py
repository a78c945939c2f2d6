"""The loader: imports the modules of the application that a setting names, and lists functions.

For the Router, which loads handlers, and for the filters of the milter. What cannot be used (a
module that is missing, fails while it is imported, is named twice, or loses a function to a later
one of the same name) is a RouteError with file and line.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import traceback
from typing import TYPE_CHECKING, Any

from lamson.errors import RouteError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from types import ModuleType

    from lamson.routing.declaration import Declarations


def load(names: Sequence[str], kind: Declarations[Any]) -> Iterator[ModuleType]:
    """Import the modules of these dotted names, one after another. Raises RouteError."""
    for number, name in enumerate(names):
        if name in names[:number]:
            raise RouteError(f"the module {name} is named twice", setting=kind.setting)
    for name in names:
        module = _imported(name, kind.setting)
        if (tree := _tree_of(module)) is not None:
            _refuse_redefinitions(module, tree, kind.decorators)
            _refuse_lost(module, tree, kind)
        yield module


def file_of(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or module.__name__


def functions_of(module: ModuleType) -> list[Callable[..., Any]]:
    """The functions defined in a module, not those it imported, in source order."""
    found = {id(value): value for value in vars(module).values() if inspect.isfunction(value)}
    return [value for value in found.values() if value.__module__ == module.__name__]


def nothing_declared(module: ModuleType, kind: Declarations[Any]) -> RouteError:
    """What to raise for a module that a setting names in vain."""
    return RouteError(
        f"module {module.__name__} has no {kind.noun}: decorate a function with {kind.example}, or"
        f" take the module out of the setting {kind.setting}",
        file=file_of(module),
    )


def _imported(name: str, setting: str) -> ModuleType:
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


def _tree_of(module: ModuleType) -> ast.Module | None:
    """Its source, which still shows what was replaced in the module; None where there is none."""
    try:
        return ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return None


def _refuse_redefinitions(
    module: ModuleType, tree: ast.Module, decorators: Collection[str]
) -> None:
    """Raise RouteError where a later def takes the name of a declared function.

    The later one replaces the earlier without a word, so only the source still shows it.
    """
    first: dict[str, ast.FunctionDef] = {}
    for node in tree.body:
        if isinstance(node, ast.Expr):
            _refuse_nameless(module, node.value)
        if isinstance(node, ast.FunctionDef):
            earlier = first.setdefault(node.name, node)
            if earlier is not node and (
                _is_declared(earlier, decorators) or _is_declared(node, decorators)
            ):
                raise RouteError(
                    f"{node.name} is defined a second time, the first one is in line"
                    f" {earlier.lineno}; a state needs a name of its own",
                    file=file_of(module),
                    line=node.lineno,
                )


def _refuse_lost(module: ModuleType, tree: ast.Module, kind: Declarations[Any]) -> None:
    """Raise RouteError for a function of the source that was declared, and that nobody would call.

    Such as a method; a function within another one, which does nothing with it; and one whose name
    something else has taken, as a decorator that says nothing of what it wraps.
    """
    codes = (getattr(inspect.unwrap(one), "__code__", None) for one in functions_of(module))
    known = {code.co_firstlineno for code in codes if code is not None}
    for outer in ast.walk(tree):
        body = getattr(outer, "body", None)  # of a lambda, it is no list
        for node in body if isinstance(body, list) else ():
            if not isinstance(node, ast.FunctionDef) or not _is_declared_here(module, node, kind):
                continue
            line = node.decorator_list[0].lineno
            if line not in known and (why := _why_lost(module, outer, node, kind)):
                raise RouteError(f"{node.name} {why}", file=file_of(module), line=line)


def _why_lost(
    module: ModuleType, outer: ast.AST, node: ast.FunctionDef, kind: Declarations[Any]
) -> str:
    """Why nobody would call a function that stands within ``outer``; "" where somebody may."""
    if isinstance(outer, ast.ClassDef):
        return f"is a method of {outer.name}: handlers are functions of the module"
    if isinstance(outer, ast.FunctionDef) and not _uses(outer, node.name):
        return (
            f"is within {outer.name}, where nobody finds it: handlers are functions of the module"
        )
    if isinstance(outer, ast.Module) and kind.of(vars(module).get(node.name)) is None:
        return (
            "is not in the module any more: something else has its name, such as what a decorator"
            " made of it (functools.wraps keeps what is declared)"
        )
    return ""


def _is_declared_here(module: ModuleType, node: ast.FunctionDef, kind: Declarations[Any]) -> bool:
    """Whether the names of its decorators are ours in this module, and not another library's."""
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        root = target.value if isinstance(target, ast.Attribute) else target
        found = vars(module).get(getattr(root, "id", ""))
        origin = getattr(found, "__module__", None) or getattr(found, "__name__", "")
        if name in kind.decorators and str(origin).partition(".")[0].startswith("lamson"):
            return True
    return False


def _uses(outer: ast.FunctionDef, name: str) -> bool:
    names = (one for one in ast.walk(outer) if isinstance(one, ast.Name))
    return any(one.id == name and isinstance(one.ctx, ast.Load) for one in names)


def _refuse_nameless(module: ModuleType, value: ast.expr) -> None:
    """Raise RouteError for a line that takes over a function of another module, and names nothing.

    It would do nothing: what it makes is a new function.
    """
    if not isinstance(value, ast.Call) or len(value.args) != 1:
        return
    (given,) = value.args
    if not isinstance(value.func, ast.Name) or value.func.id != "state_key_generator":
        return
    taken = vars(module).get(given.id) if isinstance(given, ast.Name) else None
    if inspect.isfunction(taken) and taken.__module__ != module.__name__:
        line = ast.unparse(value)
        raise RouteError(
            f"{line} does nothing without a name: state_key = {line}",
            file=file_of(module),
            line=value.lineno,
        )


def _is_declared(node: ast.FunctionDef, decorators: Collection[str]) -> bool:
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
