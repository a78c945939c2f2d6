"""lamson.postfix.isolation: a configuration that can be asked and does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import isolation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper


def test_no_port_and_no_service_that_delivers(paper: Callable[..., Paper], tmp_path: Path) -> None:
    made = isolation.of(paper().read(), tmp_path)
    lines = [line.split() for line in made.master.splitlines() if not line.startswith(" ")]
    assert {line[1] for line in lines} == {"unix", "unix-dgram"}
    programs = {line[7] for line in lines}
    assert programs == {"postlogd", "trivial-rewrite", "cleanup", "proxymap", "anvil", "smtpd"}
    assert {line[4] for line in lines} == {"n"}, "none is in a chroot"
    assert made.main["queue_directory"] == f"{tmp_path}/queue"
    assert made.main["smtpd_milters"] == ""


def test_services_keep_what_decides_and_lose_what_leads_elsewhere(
    paper: Callable[..., Paper], tmp_path: Path
) -> None:
    one = paper()
    one.run("-e", "smtpd_milters=inet:127.0.0.1:1", "soft_bounce=yes")
    one.run(
        "-P",
        "127.0.0.1:2525/inet/relay_domains=a.test",
        "127.0.0.1:2525/inet/smtpd_milters=inet:127.0.0.1:2",
        "127.0.0.1:2525/inet/smtpd_tls_wrappermode=yes",
        "127.0.0.1:2525/inet/syslog_name=postfix/in",
        "127.0.0.1:2525/inet/smtpd_recipient_restrictions=check_policy_service inet:x:1, reject",
        "rewrite/unix/relay_transport=x:$$y",
    )
    made = isolation.of(one.read(), tmp_path)
    assert "-o { relay_domains = a.test }" in made.master
    assert "-o { smtpd_recipient_restrictions = reject }" in made.master
    assert "-o { relay_transport = x:$$y }" in made.master
    for name in ("smtpd_milters", "smtpd_tls_wrappermode", "syslog_name"):
        assert name not in made.master
    assert made.main["soft_bounce"] == "no"
    assert made.left_out == ["check_policy_service inet:x:1"]


def test_services_that_are_alike_are_one(paper: Callable[..., Paper], tmp_path: Path) -> None:
    one = paper()
    for port in ("587", "465"):
        one.run("-M", f"{port}/inet={port} inet n - y - - smtpd -o syslog_name=postfix/{port}")
    smtpds = isolation.of(one.read(), tmp_path).smtpds
    assert smtpds["587/inet"] == smtpds["465/inet"] != smtpds["127.0.0.1:2525/inet"]


def test_only_what_this_postfix_knows_is_set(paper: Callable[..., Paper], tmp_path: Path) -> None:
    assert "smtpd_milter_maps" not in isolation.of(paper().read(), tmp_path).main


def test_restriction_classes_are_looked_through(
    paper: Callable[..., Paper], tmp_path: Path
) -> None:
    one = paper()
    one.run("-e", "smtpd_restriction_classes=greylist", "greylist=check_policy_service inet:x:1")
    assert isolation.of(one.read(), tmp_path).main["greylist"] == ""
