"""What a lookup costs: the socketmap beside local tables, asked by Postfix's own programs.

``python -m tests.bench.socketmap`` prints, as ratios of one run, lookups per second of postmap(1)
(one process, one key after another, as smtpd asks) and the time that smtpd takes for one recipient.
"""

from __future__ import annotations

import importlib
import os
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from lamson.domains import Domains
from lamson.postfix import tables
from lamson.routing import Router
from lamson_lmtp.socketmap import Socketmap
from tests.fuzz.test_lookups import asked
from tests.postfix.instance import PostfixInstance, why_not

KEYS = 20_000
RECIPIENTS = 1_000
ROUNDS = 5
NEXT_HOP = "lmtp:inet:[127.0.0.1]:8823"


def main() -> None:
    """Measure and print. Exits with a line where there is no Postfix."""
    if reason := why_not():
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="lamson-bench-", dir="/tmp") as name:
        base = Path(name)
        base.chmod(0o755)
        for count in (10, 1000):
            router = _router(base, count)
            domains = Domains(router.routes)
            paths = tables.write(
                base / str(count), "regexp", tables.make(router, domains, NEXT_HOP)
            )
            with asked(Socketmap(router.match, domains.holds, NEXT_HOP)) as port:
                maps = {
                    "socketmap": f"socketmap:inet:127.0.0.1:{port}:recipient",
                    "regexp": f"regexp:{paths[1]}",
                    "lmdb": _indexed(base, "lmdb", count),
                    "hash": _indexed(base, "hash", count),
                }
                _print(f"{count} routes: lookups/s of postmap", _lookups(maps, count), "lmdb")
                _print(f"{count} routes: RCPT/s of smtpd", _recipients(maps, count), "regexp")


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


def _indexed(base: Path, kind: str, count: int) -> str:
    source = base / f"{kind}{count}"
    source.write_text("".join(f"{key} routed\n" for key in sorted(set(_keys(count, KEYS)))))
    etc = base / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "main.cf").write_text("compatibility_level = 3.6\n")
    os.utime(etc / "main.cf", (0, 0))
    subprocess.run(["postmap", "-c", str(etc), f"{kind}:{source}"], check=True)
    return f"{kind}:{source}"


def _lookups(maps: dict[str, str], count: int) -> dict[str, float]:
    keys = _keys(count, KEYS)
    for name, table in maps.items():
        found, problem = tables.query(table, keys[:10])
        assert len(found) == len(set(keys[:10])), (name, problem)
    rates: dict[str, list[float]] = {name: [] for name in maps}
    for _ in range(ROUNDS):  # one after another in each round: what else runs hits all alike
        for name, table in maps.items():
            began = time.perf_counter()
            tables.query(table, keys)
            rates[name].append(KEYS / (time.perf_counter() - began))
    return {name: statistics.median(found) for name, found in rates.items()}


def _recipients(maps: dict[str, str], count: int) -> dict[str, float]:
    keys = _keys(count, RECIPIENTS)
    with ExitStack() as running:
        ports = {}
        for name in ("socketmap", "regexp", "lmdb"):
            postfix = PostfixInstance(
                sink_port=1,
                routes={"test.com": NEXT_HOP},
                main={"relay_recipient_maps": maps[name], "smtpd_recipient_limit": "100000"},
            )
            running.enter_context(postfix)
            ports[name] = postfix.smtp_port
        rates: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(ROUNDS):
            for name, port in ports.items():
                rates[name].append(RECIPIENTS / _ask(port, keys))
    return {name: statistics.median(found) for name, found in rates.items()}


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


def _print(title: str, rates: dict[str, float], peer: str) -> None:
    print(title)
    for name, rate in rates.items():
        print(
            f"  {name:10} {rate:10,.0f}/s  {1e6 / rate:8.1f} us each "
            f" {rate / rates[peer]:6.2f} of {peer}"
        )


if __name__ == "__main__":
    main()
