"""Other relay domains of the same Postfix: what smtpd says of them before us, with us, and while we
are down. With one application or two, with recipient maps that were there and without."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from lamson.postfix import apply, plan, tables, wanted
from lamson.postfix.checks import inspection
from lamson.postfix.postconf import Postconf
from lamson.postfix.site import Site
from lamson.routing.domains import Domains
from lamson.settings import Settings, Socketmap, Submission
from tests.postfix.sender import send
from tests.postfix.socketmap import SocketmapServer
from tests.unit.postfix.paper import make_router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.postfix.instance import PostfixInstance

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

# Somebody else's, and their recipients where there is a list of them.
OTHERS = (
    "ann@customer.test", "ann+x@customer.test", "nobody@customer.test",
    "joe@whole.test", "joe@sub.customer.test", "x@sub.ours.test", "x@elsewhere.test",
)  # fmt: skip
MAPS = "texthash:{etc}/recipients, regexp:{{{{/^joe@/ OK}}}}"
OLD = {"mail_version": "3.5.25"}  # which takes no regexp: that is written out in main.cf
SETUPS: dict[str, dict[str, str]] = {
    "no maps": {},
    "maps": {"relay_recipient_maps": MAPS},
    "no maps, files": OLD,
    "maps, files": {"relay_recipient_maps": MAPS, **OLD},
    "no parents": {"parent_domain_matches_subdomains": ""},
}


def site_of(postfix: PostfixInstance, domain: str, port: int | None) -> Site:
    settings = Settings(
        handlers=["app"],
        socketmap=Socketmap(f"127.0.0.1:{port}") if port else Socketmap(),
        submission=Submission(f"127.0.0.1:{postfix.submission_port}"),
    )
    router = make_router([rf"(users|x)@{re.escape(domain)}"])
    own, etc = postfix.base / domain, postfix.base / "etc"
    return Site.read(settings, router, Domains(router.routes), own, Postconf(etc))


def applied(postfix: PostfixInstance, domain: str, port: int | None) -> Site:
    """The site after `lamson postfix apply`, read by a Postfix that was started anew."""
    postfix.stop()
    site = site_of(postfix, domain, port)
    postconf = Postconf(postfix.base / "etc")
    if port is None:
        made = tables.make(site.router, site.domains, site.settings.next_hop)
        tables.write(site.directory, "regexp", made)
    changes = plan.make(site, wanted.of_main(site), [])
    apply.carry_out(postconf, changes, postfix.base / "etc" / "lamson")
    age(postfix)
    site = site.again(postconf)
    assert plan.make(site, wanted.of_main(site), []) == []
    assert "anybody-is-a-recipient" not in [one.code for one in inspection.findings(site)]
    postfix.start()
    return site


def age(postfix: PostfixInstance) -> None:
    etc = postfix.base / "etc"
    for path in (*etc.iterdir(), *(etc / "lamson").glob("*")):
        os.utime(path, (0, 0))


def answers(postfix: PostfixInstance, addresses: Iterable[str]) -> dict[str, int]:
    sent = send(postfix.smtp_port, "zed@sender.test", *addresses, content=b"x: y\r\n\r\n")
    return {address: code for address, (code, _) in sent.recipients.items()}


@pytest.fixture
def theirs(make_postfix: Callable[..., PostfixInstance]) -> Callable[..., PostfixInstance]:
    """A Postfix that relays for others, with these lines."""

    def make(main: dict[str, str]) -> PostfixInstance:
        hop = "discard:"
        others = dict.fromkeys(("customer.test", "whole.test", ".customer.test"), hop)
        postfix = make_postfix(routes=others, main={"recipient_delimiter": "+"})
        postfix.stop()
        etc = postfix.base / "etc"
        (etc / "recipients").write_text("ann@customer.test x\n@whole.test x\n")
        postfix.main |= {
            "relay_domains": "customer.test whole.test",
            **{name: value.format(etc=etc) for name, value in main.items()},
        }
        postfix.write_config()
        return postfix.start()

    return make


@pytest.mark.parametrize("setup", SETUPS)
def test_others_are_answered_as_before_with_us_and_without(
    theirs: Callable[..., PostfixInstance], setup: str
) -> None:
    postfix = theirs(SETUPS[setup])
    before = answers(postfix, OTHERS)
    assert {250, 554} <= set(before.values()), before
    with SocketmapServer("users@ours.test") as first:
        applied(postfix, "ours.test", first.port)
        assert unrefused(answers(postfix, OTHERS)) == unrefused(before)
        ours = answers(postfix, ["users@ours.test", "no@ours.test", "users+x@ours.test"])
        assert list(ours.values()) == [250, 550, 550]
        with SocketmapServer("users@second.test") as second:
            applied(postfix, "second.test", second.port)
            assert unrefused(answers(postfix, OTHERS)) == unrefused(before)
            both = ["users@ours.test", "no@ours.test", "users@second.test", "no@second.test"]
            assert list(answers(postfix, both).values()) == [250, 550, 250, 550]
            assert {key.partition("@")[2] for key in second.asked} == {"second.test"}
        assert list(answers(postfix, both).values()) == [250, 550, 451, 451]
    assert {key.partition("@")[2] for key in first.asked} == {"ours.test"}
    assert unrefused(answers(postfix, OTHERS)) == unrefused(before)
    assert list(answers(postfix, both).values()) == [451] * 4


def unrefused(codes: dict[str, int]) -> dict[str, int]:
    """Below our own domain nobody was let in before, and nobody is: only the word may change."""
    return {address: 550 if code == 554 else code for address, code in codes.items()}


@pytest.mark.parametrize("setup", ["no maps", "maps"])
def test_the_same_with_tables(theirs: Callable[..., PostfixInstance], setup: str) -> None:
    postfix = theirs(SETUPS[setup])
    before = answers(postfix, OTHERS)
    site = applied(postfix, "ours.test", None)
    assert "no-tables" not in [one.code for one in inspection.findings(site)]
    assert unrefused(answers(postfix, OTHERS)) == unrefused(before)
    ours = answers(postfix, ["users@ours.test", "no@ours.test"])
    assert list(ours.values()) == [250, 550]


def test_a_line_of_before_that_closes_others_is_seen_and_mended(
    theirs: Callable[..., PostfixInstance],
) -> None:
    postfix = theirs({})
    before = answers(postfix, OTHERS)
    with SocketmapServer("users@ours.test") as server:
        applied(postfix, "ours.test", server.port)
        postfix.stop()
        line = f"relay_recipient_maps=socketmap:inet:127.0.0.1:{server.port}:recipient"
        postfix.run("postconf", "-e", line)
        age(postfix)
        postfix.start()
        assert answers(postfix, ["ann@customer.test"]) == {"ann@customer.test": 550}
        found = inspection.findings(site_of(postfix, "ours.test", server.port))
        assert "relay_recipient_maps" in [one.code for one in found]
        applied(postfix, "ours.test", server.port)
        assert unrefused(answers(postfix, OTHERS)) == unrefused(before)
