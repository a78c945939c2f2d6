"""lamson.postfix.checks.tables: tables made from the routes that are missing, or of another time.

That a real postmap agrees with them is for tests/postfix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import tables
from lamson.settings import Lmtp, Socketmap
from tests.unit.postfix.paper import ROUTE, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper


def write_tables(one: Paper, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for table in tables.make(one.router, one.domains, one.settings.next_hop):
        (directory / table.name).write_bytes(table.content)


def test_tables_that_are_not_there_or_of_another_time(paper: Callable[..., Paper]) -> None:
    one = paper(project(socketmap=Socketmap()))
    assert one.codes() == ["no-tables"]
    write_tables(one, one.directory)
    assert one.codes() == []
    one.has_routes(ROUTE, r"new@app\.test")
    (finding,) = one.findings()
    assert finding.code == "stale-tables"
    assert str(one.directory / "recipients") in finding.problem
    assert finding.fix == "lamson postfix maps && postfix reload"
    write_tables(one, one.directory)
    assert one.codes() == []


def test_tables_elsewhere_are_known_by_their_first_lines(
    paper: Callable[..., Paper], tmp_path: Path
) -> None:
    one, elsewhere, foreign = paper(), tmp_path / "lamson", tmp_path / "transport"
    write_tables(one, elsewhere)
    foreign.write_text("/^x@app.test$/ discard:\n")
    hops = dict.fromkeys(("app.test", "lists.test"), "lmtp:127.0.0.1:8823")
    one.tables[f"regexp:{elsewhere}/transport"] = hops
    one.run(
        "-e",
        "relay_recipient_maps = socketmap:inet:127.0.0.1:8824:recipient,"
        f" regexp:{elsewhere}/recipients",
        f"transport_maps = proxy:regexp:{elsewhere}/transport, regexp:{foreign}",
        "lmtp_send_xforward_command = yes",
    )
    assert one.codes() == []
    one.settings = project(lmtp=Lmtp("127.0.0.1:8829"))
    found = [finding for finding in one.findings() if finding.code == "stale-tables"]
    assert [finding.problem.split()[0] for finding in found] == [f"{elsewhere}/transport"]
    assert found[0].fix == f"lamson postfix maps -directory {elsewhere} && postfix reload"


def test_tables_that_cannot_be_made_any_more(paper: Callable[..., Paper], tmp_path: Path) -> None:
    one = paper()
    write_tables(one, tmp_path / "lamson")
    one.run("-e", f"relay_domains = app.test, lists.test, regexp:{tmp_path}/lamson/domains")
    one.has_routes(ROUTE, "[Ā-\uffff]@app[.]test")
    assert one.codes() == ["tables-cannot-be-made"]
