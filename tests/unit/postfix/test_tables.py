"""lamson.postfix.tables: what the tables say, and how they are written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Protocol

import pytest

from lamson.errors import LamsonError, RouteError, UnavailableError
from lamson.postfix import tables
from lamson.routing.domains import Domains

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lamson.routing.router import Router

needs_postmap = pytest.mark.skipif(
    shutil.which("postmap", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="Postfix is not installed (Debian: apt-get install postfix)",
)


class Collect(Protocol):
    def __call__(self, *sources: str) -> Router: ...


SOURCE = """
@route("(user)-list@(host)")
@route(r"sales/\\w+@test\\.com")
@stateless
def LIST(message, **captures): ...
"""


def made(router: Router, declared: Sequence[str] = ()) -> dict[str, tables.Table]:
    domains = Domains(router.routes, declared)
    return {one.name: one for one in tables.make(router, domains, "lmtp:inet:[127.0.0.1]:8823")}


def lines(table: tables.Table) -> list[str]:
    return [line for line in table.content.decode().splitlines() if not line.startswith("#")]


def test_what_they_say(collect: Collect) -> None:
    found = made(collect(SOURCE))
    assert lines(found["recipients"]) == [
        r"/^(([a-z])+-list@(localhost|test\.com))$/ routed",
        r"%^(sales\/([0-9_a-z])+@test\.com)$% routed",
    ]
    assert lines(found["domains"]) == ["/^localhost$/ ours", r"/^test\.com$/ ours"]
    assert lines(found["transport"]) == [
        "/^(.*@)?localhost$/ lmtp:inet:[127.0.0.1]:8823",
        r"/^(.*@)?test\.com$/ lmtp:inet:[127.0.0.1]:8823",
        "/^(.*@)?(localho(st|\ufb05|\ufb06)|localho(s|\u017f)t)$/ lmtp:inet:[127.0.0.1]:8823",
        "/^(.*@)?(te(st|\ufb05|\ufb06)\\.com|te(s|\u017f)t\\.com)$/ lmtp:inet:[127.0.0.1]:8823",
    ]


@needs_postmap
def test_of_a_signed_capture_they_have_the_form_alone(collect: Collect, tmp_path: Path) -> None:
    router = collect(
        """
        @stateless
        @route("(user)-(token)@(host)", token=Signed("a"))
        @route("[a-z-]*(token)@(host)", token=Signed("a"))
        def LIST(message, token, host, user=""): ...
        """
    )
    found = made(router)
    first, _ = lines(found["recipients"])
    assert first == r"/^(([a-z])+-([2-7a-z]){21,64}@(localhost|test\.com))$/ routed"
    tables.write(tmp_path / "tables", "regexp", list(found.values()))
    forged = f"users-{'a2' * 20}@test.com"
    assert not router.match(forged)
    assert tables.query(f"regexp:{tmp_path}/tables/recipients", [forged])[0]


def test_bounce_addresses_are_in_them_where_mail_is_tracked(collect: Collect) -> None:
    source = '@route(r"a@test\\.com")\n@stateless\ndef A(message): ...\n'
    bounces = r"/^bounces\+[a-z2-7]{21,64}@test\.com$/ bounces"
    plain, telling = collect(source), f"{source}@outcome\ndef BOUNCED(outcome): ...\n"
    assert bounces not in lines(made(plain)["recipients"])
    assert bounces in lines(made(collect(telling))["recipients"])
    (_, by_default, _) = tables.make(plain, Domains(plain.routes), "lmtp:x", tracks=True)
    assert bounces in lines(by_default)


def test_a_host_that_is_no_list_is_an_error(collect: Collect) -> None:
    router = collect('@route("(user)@[a-z]+")\n@stateless\ndef A(message, user): ...')
    with pytest.raises(RouteError, match=r"one\.py:2: the domains of .* are no finite list"):
        made(router)
    assert lines(made(router, ["lists.test"])["domains"]) == [r"/^lists\.test$/ ours"]


def test_a_route_that_is_no_table_is_an_error(collect: Collect) -> None:
    router = collect(
        '@route(r"(?!abuse)[a-z]+@test\\.com", engine="re")\n@stateless\ndef A(message): ...'
    )
    with pytest.raises(RouteError, match=r"cannot be written as a table .* use the socketmap"):
        made(router)


@needs_postmap
@pytest.mark.parametrize("kind", ["regexp", "pcre"])
def test_they_are_written_once_postmap_agrees(collect: Collect, tmp_path: Path, kind: str) -> None:
    router = collect(SOURCE)
    paths = tables.write(tmp_path / "new", kind, list(made(router).values()))
    assert [path.name for path in paths] == ["transport", "recipients", "domains"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in paths
    )
    keys = ["a-list@test.com", "A-LIST@LOCALHOST", "sales/one@test.com", "b@test.com"]
    found, complaints = tables.query(f"{kind}:{paths[1]}", keys)
    assert found == dict.fromkeys(keys[:3], "routed")
    assert complaints == ""
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in paths)


@needs_postmap
@needs_postmap
def test_those_of_another_application_are_not_replaced(collect: Collect, tmp_path: Path) -> None:
    def written(route: str) -> None:
        router = collect(f"@route({route!r})\n@stateless\ndef A(message): pass\n")
        tables.write(tmp_path, "regexp", list(made(router).values()))

    written(r"a@first\.test")
    first = (tmp_path / "recipients").read_bytes()
    with pytest.raises(LamsonError, match="has the tables of another application; give this one a"):
        written(r"a@second\.test")
    assert (tmp_path / "recipients").read_bytes() == first
    written(r"b@first\.test")
    assert (tmp_path / "recipients").read_bytes() != first


def test_a_table_that_postmap_dislikes_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("as it was")
    good = tables.Table("domains", b"/a/ b\n", {"a": True})
    for content, probes, problem in (
        (b"/(/ b\n", {}, "postmap does not like the table transport"),
        (b"/a/ b\n", {"x": True}, "does not find x"),
        (b"/a/ b\n", {"a": False}, "finds a, against the routes"),
    ):
        with pytest.raises(LamsonError, match=problem):
            tables.write(tmp_path, "regexp", [good, tables.Table("transport", content, probes)])
    assert (tmp_path / "domains").read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["domains"]


@needs_postmap
def test_a_kind_that_this_postfix_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"install that \(Debian: postfix-unheard\)"):
        tables.write(tmp_path, "unheard", [tables.Table("domains", b"/a/ b\n", {})])
    assert list(tmp_path.iterdir()) == []


def test_no_postmap() -> None:
    with pytest.raises(UnavailableError, match="there is no postmap on this machine"):
        tables.command("postmap", which=lambda name, path=None: None)
