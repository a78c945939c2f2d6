"""`lamson postfix`: the plan on real configurations, and the doctor on broken ones."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from lamson.errors import LamsonError
from lamson.postfix import apply, tables
from lamson.postfix.postconf import Postconf
from lamson.settings import Lmtp, Milter, Settings, Socketmap, Submission
from tests.postfix.instance import why_not
from tests.postfix.patient import ROUTE, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postfix.patient import Patient

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]


def files(directory: Path) -> dict[str, str]:
    return {name: (directory / name).read_text() for name in ("main.cf", "master.cf")}


def test_what_is_applied_is_well_and_is_not_applied_twice(patient: Callable[..., Patient]) -> None:
    one = patient()
    assert one.findings() == []
    before = files(one.directory)
    assert one.apply() is None
    assert files(one.directory) == before
    assert one.value("relay_domains") == "app.test, lists.test"


def test_it_is_undone(patient: Callable[..., Patient]) -> None:
    one = patient()
    explicit, services = one.explicit(), one.services()
    one.run("-e", "enable_long_queue_ids=no", "relay_domains=other.test")
    one.run("-P", "lamson/unix/lmtp_rcpt_timeout=5s")
    one.run("-X", "relay_recipient_maps")
    rollback = one.apply()
    assert rollback is not None
    assert {c["name"] for c in json.loads(rollback.read_text())["changes"]} == {
        "enable_long_queue_ids", "relay_domains", "relay_recipient_maps",
        "lamson/unix/lmtp_rcpt_timeout",
    }  # fmt: skip
    assert one.value("relay_domains") == "other.test, app.test, lists.test"
    apply.undo(one.postconf, rollback)
    one.age()
    assert one.value("enable_long_queue_ids") == "no"
    assert one.value("relay_domains") == "other.test"
    assert "relay_recipient_maps" not in one.explicit()
    assert one.services()["lamson/unix"].options["lmtp_rcpt_timeout"] == "5s"
    one.run("-P", "lamson/unix/lmtp_rcpt_timeout=600s")
    assert one.services() == services
    one.run("-P", "lamson/unix/lmtp_rcpt_timeout=5s")
    assert set(explicit) - set(one.explicit()) == {"relay_recipient_maps"}
    assert apply.undo(one.postconf, rollback) == [], "what was never made, or is undone"
    one.run("-e", "relay_domains=third.test")
    with pytest.raises(LamsonError, match="was changed since"):
        apply.undo(one.postconf, rollback)


@pytest.mark.parametrize("last", ["set", "set_service", "nothing"])
def test_an_interrupted_apply_is_undone(
    patient: Callable[..., Patient],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    last: str,
) -> None:
    """Killed between its writes, or before the first: the file says what it was about to do."""
    one = patient()
    one.settings = project(
        submission=Submission("127.0.0.1:20587", security="starttls", user="l@app.test"),
    )
    one.run("-e", "smtpd_tls_chain_files=/etc/lamson/both.pem", "relay_domains=other.test")
    before = one.explicit(), one.services()
    changes = one.changes()
    assert {change.file for change in changes} == {"main.cf", "master.cf"}

    def interrupted(name: str) -> Callable[..., None]:
        really = getattr(one.postconf, name)

        def write(*arguments: Any) -> None:
            if last != "nothing":
                really(*arguments)
            if last in (name, "nothing"):
                raise KeyboardInterrupt

        return write

    with monkeypatch.context() as patch:
        for name in ("set", "set_service"):
            patch.setattr(one.postconf, name, interrupted(name))
        with pytest.raises(KeyboardInterrupt):
            apply.carry_out(one.postconf, changes, tmp_path)
    one.age()
    (rollback,) = tmp_path.glob("rollback-*.json")
    done = {"nothing": set(), "set": {"main.cf"}, "set_service": {"main.cf", "master.cf"}}[last]
    undone = apply.undo(one.postconf, rollback)
    assert {change.file for change in undone} == done
    one.age()
    assert (one.explicit(), one.services()) == before


@pytest.mark.parametrize("failing", ["main.cf", "master.cf"])
def test_an_apply_that_fails_leaves_a_rollback_file_for_what_it_did(
    patient: Callable[..., Patient], tmp_path: Path, failing: str
) -> None:
    one = patient()
    one.run("-e", "relay_domains=other.test")
    one.run("-MX", "127.0.0.1:10587/inet")
    before = one.explicit(), one.services()
    obstacle = one.directory / f"{failing}.tmp"  # postconf writes there first
    obstacle.mkdir()
    with pytest.raises(LamsonError, match=obstacle.name) as raised:
        apply.carry_out(one.postconf, one.changes(), tmp_path)
    obstacle.rmdir()
    one.age()
    if failing == "main.cf":
        assert list(tmp_path.iterdir()) == []
    else:
        (rollback,) = tmp_path.iterdir()
        assert f"lamson postfix apply -undo {rollback}" in str(raised.value)
        assert [change.name for change in apply.undo(one.postconf, rollback)] == ["relay_domains"]
        one.age()
    assert (one.explicit(), one.services()) == before


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("smtpd_forbid_bare_newline = ${compatibility_level?no}\n", "macro"),
    ],
)
def test_what_somebody_composed_is_told_and_left_alone(
    patient: Callable[..., Patient], text: str, doubt: str
) -> None:
    one = patient()
    with (one.directory / "main.cf").open("a") as main:
        main.write(text)
    name = text.partition(" ")[0]
    one.run("-e", "enable_long_queue_ids=no")
    with (one.directory / "main.cf").open() as main:
        assert text.splitlines()[-1] in main.read()
    found = {change.name: change for change in one.changes()}
    assert doubt in found[name].doubt
    assert "# not done by apply" in str(found[name])
    one.apply()
    assert text in (one.directory / "main.cf").read_text()
    assert [change.name for change in one.changes()] == [name], "what is safe is done"


@pytest.mark.parametrize(
    "text",
    [
        "relay_domains = $mydestination other.test\n",
        "relay_domains =\n  other.test\n  # why\n\tthird.test\n",
        "relay_domains=other.test   # odd\n\n\n",
    ],
)
def test_a_list_is_added_to_and_comes_back_octet_by_octet(
    patient: Callable[..., Patient], text: str
) -> None:
    one = patient()
    with (one.directory / "main.cf").open("a") as main:
        main.write(text)
    one.run("-MX", "lamson/unix")
    with (one.directory / "master.cf").open("ab") as master:
        master.write(b"# \xe9crit par lui-m\xeame")
    one.age()
    before = one.postconf.files()
    assert text.encode() in before["main.cf"]
    rollback = one.apply()
    assert one.changes() == []
    assert "other.test" in (one.value("relay_domains") or "")
    assert rollback is not None
    apply.undo(one.postconf, rollback)
    assert one.postconf.files() == before


def test_a_last_line_without_an_end_is_named_and_finished(patient: Callable[..., Patient]) -> None:
    one = patient()
    one.run("-X", "relay_domains")
    with (one.directory / "main.cf").open("a") as main:
        main.write("relay_domains = other.test")
    one.age()
    assert one.codes() == ["unfinished-last-line", "relay_domains"]
    one.cure(one.findings()[0])
    assert one.codes() == ["relay_domains"]
    one.cure(one.findings()[0])
    assert one.findings() == []
    assert (one.value("relay_domains") or "").startswith("other.test, ")


def test_what_was_written_since_stays_when_it_is_undone(patient: Callable[..., Patient]) -> None:
    one = patient()
    one.run("-X", "relay_domains")
    rollback = one.apply()
    assert rollback is not None
    with (one.directory / "main.cf").open("a") as main:
        main.write("# mine\n")
    apply.undo(one.postconf, rollback)
    assert (one.directory / "main.cf").read_text().endswith("# mine\n")
    assert "relay_domains" not in one.explicit()


def test_a_map_that_answers_well_already_is_left_alone(patient: Callable[..., Patient]) -> None:
    one = patient()
    own = one.directory / "own"
    own.write_text("app.test lamson:inet:127.0.0.1:8823\nlists.test lamson:127.0.0.1:8823\n")
    one.run("-e", f"transport_maps=texthash:{own}")
    assert one.changes() == []
    own.write_text("app.test smtp:elsewhere\nlists.test lamson:inet:[127.0.0.1]:8823\n")
    (change,) = one.changes()
    assert change.after.endswith(f"}}, texthash:{own}"), "ours has to come first"


# What is done to a configuration that was right, and what the doctor has to call it: some for each
# of its checks. All that it knows is on paper, in tests/unit/postfix/checks.
BROKEN: dict[str, tuple[list[str], str]] = {
    "our domains are not known": (["-e", "relay_domains=other.test"], "relay_domains"),
    "recipients are not known": (["-X", "relay_recipient_maps"], "relay_recipient_maps"),
    "another transport first": (
        ["-e", "transport_maps=inline:{app.test=smtp:[192.0.2.1] other.test=smtp:x}"],
        "transport_maps",
    ),
    "a time that is none": (
        ["-P", "lamson/unix/lmtp_data_done_timeout=10x"],
        "lmtp_data_done_timeout",
    ),
    "no submission": (["-MX", "127.0.0.1:10587/inet"], "127.0.0.1:10587"),
    "a domain is local": (["-e", "mydestination=app.test, localhost"], "mydestination-has-ours"),
    "all are trusted": (["-e", "mynetworks=static:all"], "mynetworks-is-the-world"),
    "an open relay": (
        ["-e", "smtpd_relay_restrictions=permit", "smtpd_recipient_restrictions="],
        "open-relay-restrictions",
    ),
    "a service that trusts all": (
        ["-M", "25/inet=25 inet n - n - - smtpd -o mynetworks=0.0.0.0/0"],
        "mynetworks-is-the-world",
    ),
    "a service without recipients": (
        ["-M", "25/inet=25 inet n - n - - smtpd -o relay_recipient_maps="],
        "recipients-switched-off",
    ),
    "soft bounces": (["-e", "soft_bounce=yes"], "soft-bounce"),
    "newlines are rejected": (
        ["-e", "smtpd_forbid_bare_newline=reject"],
        "newline-reject-and-bdat",
    ),
    "no LMTP client": (["-MX", "lamson/unix"], "lamson"),
    "passwords in clear": (
        [
            "-M",
            "587/inet=587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes"
            " -o smtpd_tls_security_level=may",
        ],
        "password-in-clear",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_doctor_names_it_and_its_cure_mends_it(
    patient: Callable[..., Patient], what: str
) -> None:
    one = patient()
    broken, code = BROKEN[what]
    one.run(*broken)
    findings = one.findings()
    assert code in [finding.code for finding in findings], findings
    for finding in findings:
        assert str(finding).count("\n") == 0
        one.cure(finding)
    assert one.findings() == []


def test_unix_sockets_outside_the_chroot(patient: Callable[..., Patient], tmp_path: Path) -> None:
    one = patient(
        project(
            lmtp=Lmtp(f"unix:{tmp_path}/lmtp.sock"), socketmap=Socketmap(f"unix:{tmp_path}/map")
        )
    )
    assert one.findings() == []
    smtpd = f"127.0.0.1:{one.postfix.smtp_port}/inet"
    one.run("-F", "lamson/unix/chroot=y", f"{smtpd}/chroot=y")
    assert [finding.code for finding in one.findings()] == ["lmtp-chroot", "socketmap-chroot"]
    for finding in one.findings():
        one.cure(finding)
    assert one.findings() == []


def test_tables_that_are_not_there_or_of_another_time(patient: Callable[..., Patient]) -> None:
    one = patient(project(socketmap=Socketmap()))
    assert one.codes() == ["no-tables"]
    write_tables(one, one.tables)
    assert one.codes() == []
    one.has_routes(ROUTE, r"new@app\.test")
    (finding,) = one.findings()
    assert finding.code == "stale-tables"
    assert str(one.tables / "recipients") in finding.problem
    assert finding.fix == one.postconf.mend.maps()
    write_tables(one, one.tables)
    assert one.codes() == []


def test_tables_elsewhere_are_known_by_their_first_lines(patient: Callable[..., Patient]) -> None:
    one = patient()
    elsewhere = one.directory / "lamson"
    write_tables(one, elsewhere)
    foreign = one.directory / "transport"
    foreign.write_text("/^x@app.test$/ discard:\n")
    one.run(
        "-e",
        "relay_recipient_maps = socketmap:inet:127.0.0.1:8824:recipient,"
        " regexp:$config_directory/lamson/recipients",
        f"transport_maps = proxy:regexp:{elsewhere}/transport, regexp:{foreign}",
    )
    assert one.codes() == []
    one.settings = project(lmtp=Lmtp("127.0.0.1:8829"))
    found = [finding for finding in one.findings() if finding.code == "stale-tables"]
    assert [finding.problem.split()[0] for finding in found] == [f"{elsewhere}/transport"]
    assert f"lamson postfix maps -directory {elsewhere} && " in found[0].fix


def test_tables_that_cannot_be_made_any_more(patient: Callable[..., Patient]) -> None:
    one = patient()
    elsewhere = one.directory / "lamson"
    write_tables(one, elsewhere)
    one.run("-e", f"transport_maps = regexp:{elsewhere}/transport")
    one.has_routes(ROUTE, "[Ā-\uffff]@app[.]test")
    assert one.codes() == ["tables-cannot-be-made"]


def write_tables(one: Patient, directory: Path) -> None:
    made = tables.make(one.router, one.domains, one.settings.next_hop)
    for path in tables.write(directory, "regexp", made):
        os.utime(path, (0, 0))


def test_postfixs_own_exclusions_from_the_rule_of_newlines_are_replaced(
    patient: Callable[..., Patient],
) -> None:
    one, name = patient(), "smtpd_forbid_bare_newline_exclusions"
    assert one.explicit()[name] == ""
    assert one.postconf.read().defaults[name] == "$mynetworks"
    one.run("-e", f"{name}=$mynetworks")
    assert [change.name for change in one.changes()] == [name]
    one.apply()
    assert one.changes() == []


# Filters.


OURS = "{ inet:127.0.0.1:8825, default_action=tempfail }"
NAME = "smtpd_milters"
BARE = "smtpd_milters=inet:127.0.0.1:8825"


def filtering(**changes: object) -> Settings:
    milter = Milter("127.0.0.1:8825", check_recipients=True)
    return project(milter=milter, **changes)


def test_the_milter_and_what_postfix_does_without_it(patient: Callable[..., Patient]) -> None:
    one = patient(filtering())
    assert one.value("smtpd_milters") == OURS
    world = f"127.0.0.1:{one.postfix.smtp_port}/inet"
    one.settings = filtering(postfix={"smtpd": f"127.0.0.1:{one.postfix.smtp_port}"})
    assert one.findings() == []
    for broken, code in (
        (["-e", "milter_default_action=accept", BARE], "smtpd_milters"),
        (
            ["-e", "milter_default_action=reject", "smtpd_milters={ inet:127.0.0.1:8825 }"],
            "smtpd_milters",
        ),
        (["-P", f"{world}/smtpd_milters="], "milter-switched-off"),
        (["-P", f"{world}/smtpd_milters=inet:127.0.0.1:1"], "milter-switched-off"),
        (
            ["-e", "smtpd_milters={ inet:127.0.0.1:8825, default_action = accept }, inet:x:1"],
            "smtpd_milters",
        ),
    ):
        one.run(*broken)
        (finding,) = one.findings()
        assert finding.code == code
        one.cure(finding)
        assert one.findings() == []
    one.run("-e", "smtpd_milters={ inet:127.0.0.1:8825, connect_timeout=5s }, inet:x:1")
    one.run("-e", "milter_default_action=shutdown")
    assert one.findings() == []
    assert one.changes() == []


def test_directories_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(LamsonError, match=r"main\.cf: No such file"):
        Postconf(tmp_path).read()
