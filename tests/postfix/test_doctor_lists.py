"""Plan and doctor where domains and recipients are in tables, files, and parents of domains."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from lamson.net.listen import bind
from lamson.postfix import tables
from lamson.settings import Milter, Socketmap
from tests.postfix.instance import why_not
from tests.postfix.patient import project
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postfix.patient import Patient

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]

HAVE_OURS = {
    "texthash:{}": "app.test x\nlists.test x\n",
    "{}": "app.test, lists.test # ours\n",
    "test": "",
    "proxy:regexp:{}": "/^(app|lists)[.]test$/ x\n",
    "cidr:/dev/null, !other.test, texthash:{}": ".test x\napp.test x\nlists.test x\n",
}
LACK_ONE = {"texthash:{}": "app.test x\n", "!lists.test, test": "", "app.test, .test2": ""}


@pytest.mark.parametrize("value", HAVE_OURS)
def test_relay_domains_that_bring_ours_are_left_alone(
    patient: Callable[..., Patient], value: str
) -> None:
    one = patient()
    (one.directory / "domains").write_text(HAVE_OURS[value])
    one.run("-e", "relay_domains=" + value.format(one.directory / "domains"))
    assert one.changes() == []
    assert one.findings() == []


@pytest.mark.parametrize("value", LACK_ONE)
def test_relay_domains_that_lack_one(patient: Callable[..., Patient], value: str) -> None:
    one = patient()
    (one.directory / "domains").write_text(LACK_ONE[value])
    value = value.format(one.directory / "domains")
    one.run("-e", f"relay_domains={value}")
    (change,) = one.changes()
    if "!" not in value:
        assert change.after == f"{value}, lists.test"
        assert one.apply()
    else:
        assert "!lists.test in it leaves lists.test out" in change.doubt
        assert one.apply() is None
        assert one.findings()[0].fix.startswith("by hand, as apply leaves it to you")
        one.run("-e", f"relay_domains={change.after}")
    assert one.changes() == []


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
def test_tables_made_from_the_routes_wherever_they_are(
    patient: Callable[..., Patient], kind: str
) -> None:
    one = patient(project(socketmap=Socketmap()))
    elsewhere = one.directory / "lamson"
    made = tables.make(one.router, one.domains, one.settings.next_hop)
    for path in tables.write(elsewhere, kind, made):
        os.utime(path, (0, 0))
    one.run(
        "-e",
        f"relay_domains={kind}:{elsewhere}/domains",
        f"relay_recipient_maps={kind}:{elsewhere}/recipients",
        f"transport_maps={kind}:{elsewhere}/transport",
    )
    assert one.changes() == []
    assert one.findings() == []


@pytest.mark.parametrize(
    "name", ["mydestination", "virtual_mailbox_domains", "virtual_alias_domains"]
)
@pytest.mark.parametrize("kind", ["texthash:", "hash:", ""])
def test_a_domain_of_ours_is_in_a_table_of_others(
    patient: Callable[..., Patient], name: str, kind: str
) -> None:
    one = patient()
    table = one.directory / "table"
    table.write_text("other.test x\napp.test x\nmyapp.test x\n")
    if kind == "hash:":
        one.postfix.run("postmap", f"hash:{table}")
    one.run("-e", f"{name}={kind}{table}")
    (finding,) = one.findings()
    assert finding.code == f"{name}-has-ours"
    assert str(table) in finding.problem
    one.cure(finding)
    assert one.findings() == []
    assert [line.split()[0] for line in table.read_text().splitlines() if line.split()] in (
        ["other.test", "myapp.test"],
        ["other.test", "x", "myapp.test"],
    )


@pytest.mark.parametrize("kind", ["texthash", "regexp"])
def test_a_catch_all_takes_our_mail(patient: Callable[..., Patient], kind: str) -> None:
    one = patient()
    table = one.directory / "virtual"
    table.write_text("@app.test x@other.test\n" if kind == "texthash" else "/@app/ x@other.test\n")
    one.run("-e", f"virtual_alias_maps={kind}:{table}")
    (finding,) = one.findings()
    assert finding.code == "virtual-alias-takes-ours"
    if kind == "regexp":  # of which the patterns may be everybody's
        assert finding.fix.startswith(f"by hand: take @app.test out of regexp:{table}")
        return
    one.cure(finding)
    assert one.findings() == []


def test_a_table_that_knows_everybody(patient: Callable[..., Patient]) -> None:
    one = patient()
    one.has_routes(r"users@(?:app|lists)\.test")
    own = one.settings.lookup("recipient")
    one.run("-e", f"relay_recipient_maps=static:all, {own}")
    (finding,) = one.findings()
    assert finding.code == "anybody-is-a-recipient"
    one.cure(finding)
    assert one.findings() == []
    assert one.value("relay_recipient_maps") == own


def test_a_map_or_milter_that_does_not_answer_is_not_added_to(
    patient: Callable[..., Patient],
) -> None:
    """As that of our own of which the port was changed in the settings: all mail would wait."""
    one = patient(project(milter=Milter("127.0.0.1:8825", check_recipients=True)))
    old, new = free_port(), free_port()
    for name, wanted in (
        ("relay_recipient_maps", f"socketmap:inet:127.0.0.1:{new}:recipient"),
        ("smtpd_milters", f"inet:127.0.0.1:{new}"),
    ):
        one.settings = one.settings.model_copy(
            update={"socketmap": Socketmap(f"127.0.0.1:{new}")}
            if name == "relay_recipient_maps"
            else {"milter": Milter(f"127.0.0.1:{new}", check_recipients=True)}
        )
        before = wanted.replace(str(new), str(old))
        one.run("-e", f"{name}={before}")
        (change,) = one.changes()
        assert wanted in change.after
        assert before not in change.after
        assert re.search(f"{old}.* does not answer .*Connection refused", change.doubt)
        assert one.apply() is None
        with bind(f"127.0.0.1:{old}"):  # somebody else's, which is up
            (change,) = one.changes()
            assert change.after.startswith(f"{before}, ")
            assert wanted in change.after
            one.apply()
        one.run("-e", f"{name}={before}")
        finding = next(finding for finding in one.findings() if finding.code == name)
        assert finding.fix.startswith("by hand, as apply leaves it to you")
        one.run("-e", f"{name}={change.after.removeprefix(f'{before}, ')}")
        assert one.changes() == []
