"""What a lookup costs: the socketmap beside local tables, asked by Postfix's own programs.

A section of ``python -m tests.bench``: as ratios of one run, lookups per second of postmap(1) (one
process, one key after another, as smtpd asks) and the time that smtpd takes for one recipient.
Beside them ``proxy``, the regexp table asked by Postfix's own proxymap(8): what it costs smtpd to
ask another process at all.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.net.listen import bind
from lamson.postfix import tables
from lamson.routing.domains import Domains
from lamson.routing.router import Router
from lamson_lmtp.socketmap.answers import Socketmap
from lamson_lmtp.socketmap.server import SocketmapServer
from tests.bench.report import Section
from tests.postfix.instance import PostfixInstance, why_not

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

SIZES = (10, 1000)  # routes
_LOOKUPS = 25_000  # keys for each second of a run; a socketmap answers about as many
_RECIPIENTS = 1_500  # the same of smtpd
NEXT_HOP = "lmtp:inet:[127.0.0.1]:8823"


def unavailable() -> str | None:
    """Why nothing can be measured here; None where it can."""
    return why_not()


def measure(rounds: int, seconds: float) -> Iterator[Section]:
    """Two sections for each number of routes; ``seconds`` is about how long one run takes."""
    keys, recipients = int(_LOOKUPS * seconds), int(_RECIPIENTS * seconds)
    with tempfile.TemporaryDirectory(prefix="lamson-bench-", dir="/tmp") as name:
        base = Path(name)
        known = _kinds(base)
        base.chmod(0o755)
        for count in SIZES:
            router = _router(base, count)
            domains = Domains(router.routes)
            paths = tables.write(
                base / str(count), "regexp", tables.make(router, domains, NEXT_HOP)
            )
            with _served(Socketmap(router.match, domains.holds, NEXT_HOP)) as port:
                maps: dict[str, str] = {
                    "socketmap": f"socketmap:inet:127.0.0.1:{port}:recipient",
                    "regexp": f"regexp:{paths[1]}",
                    **{
                        kind: _indexed(base, kind, _keys(count, keys), count)
                        for kind in ("lmdb", "hash")
                        if kind in known
                    },
                }
                yield _section(
                    f"Lookups of postmap, {count:,} routes",
                    _lookups(maps, _keys(count, keys), rounds),
                    "hash",
                )
                yield _section(
                    f"Recipients at smtpd, {count:,} routes",
                    _recipients(maps, _keys(count, recipients), rounds),
                    "regexp",
                )


@contextmanager
def _served(socketmap: Socketmap) -> Iterator[int]:
    """Serves it in a process of its own, as a service does; gives its port."""
    sock = bind("127.0.0.1:0")
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        asyncio.run(_serve(socketmap, sock))
    port = sock.getsockname()[1]
    sock.close()
    try:
        yield port
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


async def _serve(socketmap: Socketmap, sock: socket.socket) -> None:
    await SocketmapServer(socketmap).start([sock])
    await asyncio.Event().wait()


def _router(base: Path, count: int) -> Router:
    module = f"bench_routes_{count}"
    lines = "".join(f"@route(r'list{n}-\\w+@test\\.com')\n" for n in range(count))
    (base / f"{module}.py").write_text(
        f"from lamson.routing import route, stateless\n{lines}"
        "@stateless\ndef HANDLER(message): ...\n"
    )
    sys.path.insert(0, str(base))
    importlib.invalidate_caches()
    return Router.collect([module], {})


def _keys(count: int, most: int) -> list[str]:
    return [f"list{n % count}-user{n % 50}@test.com" for n in range(most)]


def _kinds(base: Path) -> list[str]:
    """The kinds of tables that this Postfix knows."""
    return subprocess.check_output(["postconf", "-c", _etc(base), "-m"], text=True).split()


def _etc(base: Path) -> str:
    etc = base / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "main.cf").write_text("compatibility_level = 3.6\n")
    os.utime(etc / "main.cf", (0, 0))
    return str(etc)


def _indexed(base: Path, kind: str, keys: list[str], count: int) -> str:
    source = base / f"{kind}{count}"
    source.write_text("".join(f"{key} routed\n" for key in sorted(set(keys))))
    subprocess.run(["postmap", "-c", _etc(base), f"{kind}:{source}"], check=True)
    return f"{kind}:{source}"


def _lookups(maps: dict[str, str], keys: list[str], rounds: int) -> dict[str, list[float]]:
    for name, table in maps.items():
        found, problem = tables.query(table, keys[:10])
        assert len(found) == len(set(keys[:10])), (name, problem)

    def run(name: str) -> float:
        began = time.perf_counter()
        tables.query(maps[name], keys)
        return time.perf_counter() - began

    return _interleaved(list(maps), len(keys), rounds, run)


def _interleaved(
    names: list[str], count: int, rounds: int, run: Callable[[str], float]
) -> dict[str, list[float]]:
    """Rates, one of each in each round: what else runs on the machine hits all alike."""
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            rates[name].append(count / run(name))
    return rates


def _recipients(maps: dict[str, str], keys: list[str], rounds: int) -> dict[str, list[float]]:
    with ExitStack() as running:
        ports = {}
        for name, table in (*maps.items(), ("proxy", f"proxy:{maps['regexp']}")):
            if name == "hash":
                continue
            postfix = PostfixInstance(
                sink_port=1,
                routes={"test.com": NEXT_HOP},
                main={
                    "relay_recipient_maps": table,
                    "proxy_read_maps": f"proxy:{maps['regexp']}",
                    "smtpd_recipient_limit": "100000",
                },
            )
            running.enter_context(postfix)
            ports[name] = postfix.smtp_port
        return _interleaved(list(ports), len(keys), rounds, lambda name: _ask(ports[name], keys))


def _ask(port: int, keys: list[str]) -> float:
    """The seconds that smtpd takes for these recipients, each in a transaction of its own."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo("bench.test")
        began = time.perf_counter()
        for key in keys:
            client.docmd("MAIL", "FROM:<zed@sender.test>")
            code, text = client.docmd("RCPT", f"TO:<{key}>")
            assert code == 250, text
            client.docmd("RSET")
        return time.perf_counter() - began


def _section(title: str, rates: dict[str, list[float]], peer: str) -> Section:
    """Medians, and the ratios to ``peer`` round by round."""
    remarks = []
    for name, found in rates.items():
        median = statistics.median(found)
        ratios = [mine / base for mine, base in zip(found, rates[peer], strict=True)]
        remarks.append(
            f"{name:10} {median:10,.0f}/s  {1e6 / median:8.1f} µs each "
            f" {statistics.median(ratios):6.2f} ({min(ratios):.2f}-{max(ratios):.2f}) of {peer}"
        )
    return Section(title, remarks=remarks)
