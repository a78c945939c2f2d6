"""The tables that Postfix needs, made from the routes: transport, recipients, domains.

For `lamson postfix maps`, for sites that want Postfix to run without asking a socketmap. They say
what `lamson_lmtp.socketmap.answers` would answer, until the routes change: then they are to be made
anew. Each is tried out with postmap(1) before it replaces the old one; a file is replaced as a
whole, or not at all. What cannot be written down as a table raises RouteError. Of a signed capture
a table has the form alone: a token that was forged, or has expired, Postfix takes, and our reply to
its RCPT has it bounce.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lamson import private
from lamson.errors import LamsonError, RouteError, UnavailableError
from lamson.postfix.expression import expression, literal
from lamson.postfix.spellings import as_written, twins
from lamson.routing import syntax
from lamson.routing.bounces import PREFIX
from lamson.routing.signing import PATTERN
from lamson.routing.syntax import SyntaxUnknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lamson.routing.domains import Domains
    from lamson.routing.router import Route, Router

NAMES = TRANSPORT, RECIPIENTS, DOMAINS = "transport", "recipients", "domains"
KINDS = ("regexp", "pcre")

_HEAD = """\
# Made from the routes by: lamson postfix maps
# Do not edit; make it anew when the routes or the settings have changed.
"""
_DELIMITERS = b"/%~,;=:&<>'\""
_BOUNCES = b"^" + re.escape(PREFIX).encode() + PATTERN.encode() + b"@"
_STRANGER = "lamson-tries-this-address-that-nobody-has@%s"


@dataclass(frozen=True, slots=True)
class Table:
    """One table as text, and keys to try it out with, each with whether it has to be found."""

    name: str
    content: bytes
    probes: dict[str, bool]


def make(
    router: Router, domains: Domains, next_hop: str, *, tracks: bool = False
) -> tuple[Table, Table, Table]:
    """The three tables. Raises RouteError where a route or the domains cannot be written down.

    Where mail is tracked, as by default with ``tracks`` or where a module has an @outcome function,
    they have its bounce addresses. A table cannot tell a forged one: that Lamson refuses itself.
    """
    lines = [
        (wanted, "routed")
        for route in router.routes
        for wanted in (_of_route(route), *twins(route.pattern))
    ]
    ours = domains.complete()
    if tracks or router.has_outcomes:
        lines += [(_BOUNCES + literal(one) + b"$", "bounces") for one in ours]
    strangers = [_STRANGER % domain for domain in ours]
    signed = [route for route in router.routes if route.signed]
    routed = {
        address: bool(router.match(address)) or any(one.pattern.match(address) for one in signed)
        for address in strangers
    }
    unlisted = {route for route, _ in domains.unlisted}
    elsewhere = [(_of_route(route), next_hop) for route in router.routes if route in unlisted]
    return (
        Table(
            TRANSPORT,
            _text(
                [
                    *((b"^(.*@)?" + literal(one) + b"$", next_hop) for one in ours),
                    *((b"^(.*@)?" + as_written(one) + b"$", next_hop) for one in ours),
                    *elsewhere,
                ],
            ),
            {**dict.fromkeys(strangers, True), **dict.fromkeys(ours, True)},
        ),
        Table(RECIPIENTS, _text(lines), routed),
        Table(
            DOMAINS,
            _text([(b"^" + literal(one) + b"$", "ours") for one in ours]),
            {**dict.fromkeys(ours, True), _STRANGER % "no.example": False},
        ),
    )


def _of_route(route: Route) -> bytes:
    try:
        return expression(syntax.parse(route.pattern.source, engine=route.pattern.engine))
    except (SyntaxUnknown, ValueError) as problem:
        raise RouteError(
            f"{route.format!r} cannot be written as a table for Postfix: {problem}; use the"
            " socketmap",
            file=route.file,
            line=route.line,
        ) from None


def _text(lines: Sequence[tuple[bytes, str]]) -> bytes:
    written = (_line(wanted, result) for wanted, result in dict.fromkeys(lines))
    return _HEAD.encode() + b"".join(written)


def _line(wanted: bytes, result: str) -> bytes:
    delimiter = next((one for one in _DELIMITERS if one not in wanted), None)
    if delimiter is None:
        raise RouteError(f"{wanted!r} leaves no character to write around it; use the socketmap")
    return b"%c%s%c %s\n" % (delimiter, wanted, delimiter, result.encode())


def write(directory: Path, kind: str, tables: Sequence[Table]) -> list[Path]:
    """Write the tables into ``directory`` once all of them have been tried out as ``kind``.

    ``kind`` is regexp or pcre. Raises LamsonError where postmap finds fault with one, those of
    another project are there, or others could exchange a file in ``directory``, and
    UnavailableError where there is no postmap, or none that reads them; nothing is changed then.
    """
    _check_whose(directory, tables)
    try:
        _open(directory)
        return _write(directory, kind, tables)
    except PermissionError as error:
        raise LamsonError(
            f"{error.filename}: {error.strerror}; run this as root, or name a directory of your own"
            " that Postfix can read: -directory DIR",
            exit_code=os.EX_NOPERM,
        ) from None
    except OSError as error:
        raise LamsonError(
            f"{error.filename or directory}: {error.strerror}", exit_code=os.EX_CANTCREAT
        ) from None


def _open(directory: Path) -> None:
    """It is there, and nobody else can put links or tables of his own into it."""
    if not directory.exists():
        directory.mkdir(parents=True)
        directory.chmod(0o755)  # Postfix reads tables in it, whatever umask this is
    private.check_place(directory)


def _write(directory: Path, kind: str, tables: Sequence[Table]) -> list[Path]:
    written: list[tuple[Path, Path]] = []
    try:
        for table in tables:
            new = directory / f".{table.name}.new"
            written.append((new, directory / table.name))
            new.write_bytes(table.content)
            new.chmod(0o644)
            _age(new)
            _try_out(table, kind, new)
            os.utime(new)
        for new, final in written:
            with new.open("rb") as file:
                os.fsync(file.fileno())
            new.replace(final)
    finally:
        for new, _ in written:
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
    return [final for _, final in written]


def _check_whose(directory: Path, tables: Sequence[Table]) -> None:
    """Those that are there have a domain of ours, or are of no project."""
    there = directory / DOMAINS
    old = _lines(there.read_bytes()) if is_ours(there) else set()
    new = {line for table in tables if table.name == DOMAINS for line in _lines(table.content)}
    if old and new and not old & new:
        raise LamsonError(
            f"{directory} has the tables of another application; give this one a directory of its"
            f" own, such as -directory {directory}-2, or remove {there} if nobody needs it",
            exit_code=os.EX_CANTCREAT,
        )


def _lines(content: bytes) -> set[bytes]:
    return {line for line in content.splitlines() if line and not line.startswith(b"#")}


def is_ours(file: Path) -> bool:
    """It says that it was made by `write`; a file that cannot be read is not."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(_HEAD)) == _HEAD.encode()
    except OSError:
        return False


def of_item(item: str, directory: Path) -> Path | None:
    """The file of ours that ``type:path`` in main.cf names; None where it is another's.

    Ours lie in ``directory``, where `lamson postfix maps` writes, or say who made them.
    """
    kind, _, place = item.removeprefix("proxy:").partition(":")
    path = Path(place)
    if kind not in KINDS or path.name not in NAMES:
        return None
    return path if path.parent == directory or is_ours(path) else None


def _try_out(table: Table, kind: str, file: Path) -> None:
    found, complaints = query(f"{kind}:{file}", [*table.probes, _STRANGER % "no.example"])
    if "unsupported dictionary type" in complaints:
        raise UnavailableError(
            f"this Postfix cannot read {kind} tables; install that (Debian: postfix-{kind})"
        )
    if complaints:
        raise LamsonError(f"postmap does not like the table {table.name}: {complaints}")
    for key, is_expected in table.probes.items():
        if (key in found) != is_expected:
            verb = "does not find" if is_expected else "finds"
            raise LamsonError(f"the table {table.name} {verb} {key}, against the routes")


def query(table: str, keys: Sequence[str]) -> tuple[dict[str, str], str]:
    """What postmap(1) finds for the keys in ``kind:path``, and what it complains about.

    It is run with an empty configuration of our own. Raises UnavailableError where it is missing.
    """
    postmap = command("postmap")
    with tempfile.TemporaryDirectory(prefix="lamson-") as directory:
        main = Path(directory) / "main.cf"
        main.write_text("compatibility_level = 3.6\n")
        _age(main)
        done = subprocess.run(
            [postmap, "-c", directory, "-q", "-", table],
            input="".join(f"{key}\n" for key in keys).encode(),
            capture_output=True,
            check=False,
        )
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    found = dict(line.partition("\t")[::2] for line in lines)
    return found, " ".join(done.stderr.decode("utf-8", "replace").split())


def _age(file: Path) -> None:
    """Make it look old: Postfix waits two seconds before it reads what may still be written."""
    os.utime(file, (0, 0))


def command(name: str, which: Callable[..., str | None] = shutil.which) -> str:
    """The path of one of Postfix's commands. Raises UnavailableError where it is not installed."""
    path = which(name) or which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise UnavailableError(f"there is no {name} on this machine; install Postfix")
    return path
