"""lamson.postfix.transport: a service of our own, and an older set-up that does as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import transport
from lamson.settings import Lmtp
from tests.unit.postfix.paper import project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.postfix.want import Want
    from tests.unit.postfix.paper import Paper

PLACE = "inet:[127.0.0.1]:8823"
# What `apply` of former versions wrote for all LMTP of the site.
BEFORE = (
    "lmtp_send_xforward_command=yes",
    "lmtp_destination_concurrency_limit=20",
    f"transport_maps=inline:{{app.test=lmtp:{PLACE} lists.test=lmtp:{PLACE}}}",
)


def options(one: Paper) -> dict[str, Want]:
    [service] = transport.wanted(one.site())
    return {want.name: want for want in service.options}


def of_before(one: Paper) -> Paper:
    one.run("-MX", "lamson/unix")
    one.run("-X", "lamson_destination_concurrency_limit")
    one.run("-e", *BEFORE)
    return one


def test_it_has_all_that_we_need_and_the_site_keeps_its_own(paper: Callable[..., Paper]) -> None:
    one = paper()
    assert one.entry("lamson/unix") == (
        "lamson unix - - n - - lmtp -o lmtp_send_xforward_command=yes"
        " -o lmtp_data_done_timeout=600s -o lmtp_rcpt_timeout=600s"
        " -o lmtp_line_length_limit=0 -o lmtp_tls_security_level=none"
    )
    assert one.entry("lmtp/unix") == "lmtp unix - - n - - lmtp"
    touched = {name for name in one.main if name.startswith(("lmtp_", "message_size", "smtputf8"))}
    assert touched == set()


def test_what_former_versions_set_up_is_well(paper: Callable[..., Paper]) -> None:
    one = of_before(paper())
    assert (one.changes(), one.findings()) == ([], [])
    assert transport.of(one.site()).next_hop == f"lmtp:{PLACE}"


@pytest.mark.parametrize(
    "broken", ["lmtp_send_xforward_command=no", "lmtp_destination_concurrency_limit=2",
               "lmtp_rcpt_timeout=5s", "lmtp_tls_security_level=encrypt"],
)  # fmt: skip
def test_where_the_sites_does_not_do_it_moves(paper: Callable[..., Paper], broken: str) -> None:
    one = of_before(paper())
    one.run("-e", broken)
    one.apply()
    assert (one.changes(), one.findings()) == ([], [])
    name, _, value = broken.partition("=")
    assert one.main[name] == value
    assert transport.of(one.site()).next_hop == f"lamson:{PLACE}"


def test_each_application_has_its_own(paper: Callable[..., Paper]) -> None:
    one = paper(project(workers=200, threads=8, postfix={"transport": "lists"}))
    assert one.entry("lists/unix").startswith("lists unix - - n - 1000 lmtp ")
    assert one.main["lists_destination_concurrency_limit"] == "1000"


def test_a_name_that_another_application_has(paper: Callable[..., Paper]) -> None:
    one = paper()
    hops = one.main["transport_maps"]
    one.has_routes(r"x@second\.test")
    one.settings = project(lmtp=Lmtp("127.0.0.1:9999"))
    left = {change.name: change.doubt for change in one.changes() if change.doubt}
    assert left["lamson/unix"] == (
        "lamson brings the mail of another application, app.test; give this one a name of its own"
        " in config/settings.py, such as postfix=Postfix(transport='lamson-second-test')"
    )
    assert "lamson/unix has to be changed before" in left["transport_maps"]
    assert "relay_domains" in left
    assert one.main["transport_maps"] == hops
    one.settings = project(
        lmtp=Lmtp("127.0.0.1:9999"),
        postfix={"transport": "lamson-second-test", "smtpd": "127.0.0.1:2525"},
    )
    assert one.apply()
    assert one.findings() == []


def test_a_shared_transport_by_its_name_is_left_to_a_person(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.settings = project(postfix={"next_hop": f"lmtp:{PLACE}", "smtpd": "127.0.0.1:2525"})
    one.run("-MX", "lamson/unix")
    found = [change for change in one.changes() if change.file == "master.cf"]
    assert [change.name for change in found] == ["lmtp/unix/lmtp_send_xforward_command"]
    assert f"postfix.next_hop = 'lamson:{PLACE}'" in found[0].doubt


@pytest.mark.parametrize("listen", ["127.0.0.1:8823", "unix:sockets/lmtp"])
def test_tls_as_our_server_has_it(paper: Callable[..., Paper], tmp_path: Path, listen: str) -> None:
    """lmtp(8) speaks it on a unix socket, too; without it, it is answered 530 and bounces all."""
    for name in ("cert", "key"):
        (tmp_path / name).touch(mode=0o600)
    lmtp = Lmtp(listen, tls_certificate=tmp_path / "cert", tls_key=tmp_path / "key")
    assert "-o lmtp_tls_security_level=encrypt" in paper(project(lmtp=lmtp)).entry("lamson/unix")


def test_postfix_waits_longer_than_a_handler_may_take(paper: Callable[..., Paper]) -> None:
    want = options(paper(project(handler_deadline=400.0)))["lmtp_data_done_timeout"]
    assert want.value == "800s"
    values = ("400s", "401", "7m", "6m", "1h", "soon", "")
    assert [value for value in values if want.is_met_by(value)] == ["401", "7m", "1h"]
    assert options(paper())["lmtp_data_done_timeout"].value == "600s"
