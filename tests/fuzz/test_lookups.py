"""The Router, Postfix asking the socketmap, and Postfix reading the tables all say the same."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lamson.errors import AddressError, RouteError
from lamson.net.listen import bind
from lamson.postfix import tables
from lamson.routing.domains import Domains
from lamson.routing.router import Router
from lamson.routing.syntax import (
    Alternatives,
    Characters,
    Concatenation,
    Edge,
    Node,
    Repetition,
    parse,
)
from lamson.smtp import address, folding
from lamson_lmtp.socketmap.answers import Socketmap
from lamson_lmtp.socketmap.server import SocketmapServer
from tests.postfix.instance import why_not

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]

NEXT_HOP = "lmtp:inet:[127.0.0.1]:8823"
PATTERNS = [
    "[a-z]+", "[0-9]{1,3}", ".+", "[^@+]+", r"\w+", "[[:alpha:]_.-]*", "(?:a|bc|)", "ü[à-ö]?",
    r"x{2,}", "(red|blue)", r"[]^!-]+", ".{3}", r"\d{4}-\d{2}", "q/%~,;=?", "[^a-z@]{2}", "ß",
]  # fmt: skip
LITERALS = ["users", "-", r"\+", "list/", "A.", r"\.", "", "'", "=x", "é"]
HOSTS = [r"test\.com", r"(test\.com|lists\.test)", r"(?:mx[1-3]\.)?x\.test", r"b[üo]\.test"]
SPECIAL = "!#$%&'*+-/=?^_`{|}~.abzABZ019éÜßя"


@contextmanager
def asked(socketmap: Socketmap) -> Iterator[int]:
    """Serves the socketmap in a thread; gives its port."""
    loop = asyncio.new_event_loop()
    server = SocketmapServer(socketmap)
    sock = bind("127.0.0.1:0")
    port = sock.getsockname()[1]
    loop.run_until_complete(server.start([sock]))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(server.stop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def draw_match(draw: Any, node: Node) -> str:
    """A text that the node matches."""
    if isinstance(node, Edge):
        return ""
    if isinstance(node, Alternatives):
        return draw_match(draw, draw(st.sampled_from(node.items)))
    if isinstance(node, Concatenation):
        return "".join(draw_match(draw, item) for item in node.items)
    if isinstance(node, Repetition):
        most = node.least + 2 if node.most is None else node.most
        count = draw(st.integers(node.least, most))
        return "".join(draw_match(draw, node.item) for _ in range(count))
    assert isinstance(node, Characters)
    members = [one for one in SPECIAL if ord(one) in node]
    if not members:
        members = [chr(first) for first, _ in node.ranges]
    return str(draw(st.sampled_from(members)))


@st.composite
def routes(draw: Any) -> list[str]:
    """The sources of some routes."""
    piece = st.sampled_from(LITERALS) | st.sampled_from(PATTERNS).map("(?:{})".format)
    local = st.lists(piece, min_size=1, max_size=4).map("".join)
    one = st.tuples(local, st.sampled_from(HOSTS)).map("@".join)
    return list(draw(st.lists(one, min_size=1, max_size=5)))


@st.composite
def addresses(draw: Any, sources: list[str]) -> list[str]:
    """Addresses that match, nearly match, and have nothing to do with the routes."""
    found = []
    for _ in range(12):
        text = draw_match(draw, parse(draw(st.sampled_from(sources))))
        if draw(st.booleans()):
            position = draw(st.integers(0, len(text)))
            change = draw(st.sampled_from([*SPECIAL, "", "@", "."]))
            text = text[:position] + change + text[position + draw(st.integers(0, 1)) :]
        try:
            found.append(address.parse_mailbox(text, smtputf8=True))
        except AddressError:
            found.append("nobody@test.com")
    return found


@settings(
    max_examples=2 * settings().max_examples // 5,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # each example starts six programs: shrinking would take for ever
)
@given(data=st.data())
def test_all_three_say_the_same(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    sources = data.draw(routes())
    keys = data.draw(addresses(sources))
    directory = tmp_path_factory.mktemp("lookups")
    router = make_router(directory, sources)
    domains = Domains(router.routes)
    names = sorted({key.rpartition("@")[2] for key in keys} | {"other.test"})
    truth = {
        "recipient": {key for key in keys if router.match(key)},
        "transport": {key for key in [*keys, *names] if domains.holds(key.rpartition("@")[2])},
        "domain": {name for name in names if domains.holds(name)},
    }
    with asked(Socketmap(router.match, domains.holds, NEXT_HOP)) as port:
        for name, expected in truth.items():
            found, problem = tables.query(
                f"socketmap:inet:127.0.0.1:{port}:{name}", [*keys, *names]
            )
            assert (set(found), problem) == (expected, ""), name
    try:
        made = tables.make(router, domains, NEXT_HOP)
    except RouteError:  # it says what cannot be written
        return
    kind = data.draw(st.sampled_from(["regexp", "pcre"]))
    paths = tables.write(directory, kind, made)
    for path, name in zip(paths, ("transport", "recipient", "domain"), strict=True):
        # smtpd asks for recipients and domains in its own form, trivial-rewrite as it is written.
        form = str if name == "transport" else folding.composed
        found, problem = tables.query(f"{kind}:{path}", [form(key) for key in [*keys, *names]])
        assert not problem, name
        assert {key for key in [*keys, *names] if form(key) in found} == truth[name], (
            name,
            path.read_bytes(),
        )
        assert set(found.values()) <= {NEXT_HOP, "routed", "ours"}


def make_router(directory: Path, sources: list[str]) -> Router:
    """A Router over a handler module with these routes."""
    name = f"handlers_{directory.name.replace('-', '_')}"
    text = "from lamson.routing import route, stateless\n\n"
    text += "".join(f"@route({source!r})\n" for source in sources)
    (directory / f"{name}.py").write_text(text + "@stateless\ndef HANDLER(message): ...\n")
    importlib.invalidate_caches()
    sys.path.insert(0, str(directory))
    try:
        return Router.collect([name], {})
    finally:
        sys.path.remove(str(directory))
