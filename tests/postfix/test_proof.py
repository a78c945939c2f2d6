"""What a plan would change for others is seen before it is carried out, on a copy of Postfix."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamson.cli import postfix as cli
from lamson.cli import run
from lamson.postfix import asking, plan, private_copy, proof, transport, wanted
from lamson.postfix.asking import Rewrite, Smtpd
from lamson.postfix.plan import Change
from lamson.postfix.postconf import Postconf
from lamson.postfix.private_copy import PrivateCopy
from tests.postfix.patient import project, site_of
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lamson.postfix.proof import Proof
    from lamson.postfix.site import Site
    from tests.postfix.instance import PostfixInstance

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

# Others' domains, as a backup MX and a mailbox server have them.
MAIN = {
    "relay_domains": "customer.test, hash:{etc}/relay",
    "virtual_mailbox_domains": "boxes.test",
    "virtual_mailbox_maps": "texthash:{etc}/boxes",
    "virtual_transport": "lmtp:unix:private/dovecot",
    "virtual_alias_domains": "alias.test",
    "virtual_alias_maps": "inline:{{info@alias.test=bob@boxes.test}}",
    "smtpd_recipient_restrictions": "check_policy_service inet:127.0.0.1:{policy},"
    " check_recipient_access texthash:{etc}/refused",
}
CLOSED = Change("main.cf", "relay_recipient_maps", None, "inline:{x@lists.test=OK}", "")
AWAY = Change("main.cf", "transport_maps", None, "inline:{boxes.test=smtp:[192.0.2.7]}", "")
ELSEWHERE = "lamson-proof-nobody@lamson-proof.invalid"


@pytest.fixture
def policy() -> Iterator[socket.socket]:
    """A greylist that nobody is to ask."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def theirs(
    make_postfix: Callable[..., PostfixInstance], policy: socket.socket
) -> Callable[..., PostfixInstance]:
    """Makes a running Postfix that has mail of others."""

    def make(**changes: str) -> PostfixInstance:
        postfix = make_postfix(routes={})
        etc = postfix.base / "etc"
        places = {"etc": str(etc), "policy": policy.getsockname()[1]}
        postfix.main = {name: value.format(**places) for name, value in {**MAIN, **changes}.items()}
        (etc / "relay").write_text("backup.test x\n")
        (etc / "boxes").write_text("bob@boxes.test x\n")
        (etc / "refused").write_text("spam@boxes.test REJECT\n")
        postfix.run("postmap", f"hash:{etc}/relay")
        postfix.write_config()
        return postfix

    return make


def seen(postfix: PostfixInstance) -> Site:
    return site_of(project(), postfix.base / "etc")


def made(site: Site) -> list[Change]:
    """The plan, without a service that submission would need a certificate for."""
    return plan.make(site, wanted.of_main(site), transport.wanted(site))


def addresses(found: Proof) -> set[str]:
    return {one.address for one in found.changed}


def snapshot(directory: Path) -> Mapping[str, object]:
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        text = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, text)
    return found


def test_a_plan_of_ours_changes_nothing_for_others_and_nothing_is_touched(
    theirs: Callable[..., PostfixInstance], policy: socket.socket
) -> None:
    postfix = theirs()
    site = seen(postfix)
    changes = made(site)
    names = {"relay_domains", "relay_recipient_maps", "transport_maps", "lamson/unix"}
    assert names <= {one.name for one in changes}
    before = snapshot(postfix.base)
    begin = time.monotonic()
    found = proof.prove(site, changes, ["ann@customer.test", "x@lists.test"])
    print(f"proved in {time.monotonic() - begin:.1f} s")
    assert found.changed == []
    assert found.ours == ["x@lists.test"]
    assert found.compared >= 12
    assert any("check_policy_service" in note for note in found.notes)
    with pytest.raises(BlockingIOError):
        policy.accept()
    assert snapshot(postfix.base) == before
    assert not list(Path(tempfile.gettempdir()).glob("lamson-proof-*/before"))


def test_tables_that_a_plan_names_lie_with_the_copy(
    theirs: Callable[..., PostfixInstance],
) -> None:
    """An older Postfix takes none in main.cf; it would defer all mail if one were not there."""
    postfix = theirs(mail_version="3.5.25")
    site = seen(postfix)
    changes = made(site)
    assert [one.file for one in changes].count("table") == 2
    assert proof.prove(site, changes, ["ann@customer.test"]).changed == []
    assert not (postfix.base / "etc" / "lamson").exists()
    without = [one for one in changes if one.file != "table"]
    assert "ann@customer.test" in addresses(proof.prove(site, without, ["ann@customer.test"]))


def test_what_would_change_is_named(theirs: Callable[..., PostfixInstance]) -> None:
    site = seen(theirs())
    found = proof.prove(site, [CLOSED, AWAY], ["ann@customer.test"])
    assert {
        "ann@customer.test", "postmaster@backup.test", "bob@boxes.test", "spam@boxes.test",
    } <= addresses(found)  # fmt: skip
    assert not {ELSEWHERE, "info@alias.test"} & addresses(found)
    (ann,) = (str(one) for one in found.changed if one.address == "ann@customer.test")
    assert "before: 250 2.1.5 Ok" in ann
    assert "after: 550 5.1.1" in ann
    (bob,) = (str(one) for one in found.changed if one.address == "bob@boxes.test")
    assert bob.endswith("before: to lmtp:unix:private/dovecot; after: to smtp:[192.0.2.7]")


def test_what_is_in_doubt_is_not_done_to_the_copy(theirs: Callable[..., PostfixInstance]) -> None:
    site = seen(theirs())
    doubtful = Change("main.cf", CLOSED.name, None, CLOSED.after, "", "left to you")
    assert proof.prove(site, [doubtful]).changed == []


def test_a_map_that_is_down_is_told_and_not_waited_for(
    theirs: Callable[..., PostfixInstance],
) -> None:
    dead = "socketmap:inet:127.0.0.1:1:x"
    site = seen(theirs(relay_recipient_maps=dead))
    many = [f"user{number}@customer.test" for number in range(100)]
    found = proof.prove(site, made(site), many)
    assert found.changed == []
    told = " ".join(found.notes)
    assert f"{dead} cannot be listed" in told
    assert "could not be asked: a lookup fails: " in told
    assert "@customer.test" in told


def test_a_map_that_is_silent_is_not_waited_for_a_hundred_times(
    theirs: Callable[..., PostfixInstance], policy: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_LOOKUP", 0.6)
    port = policy.getsockname()[1]
    site = seen(theirs(relay_recipient_maps=f"socketmap:inet:127.0.0.1:{port}:x"))
    many = [f"user{number}@customer.test" for number in range(100)]
    found = proof.prove(site, made(site), many)
    assert found.changed == []
    assert "not asked, as lookups for their domains are down" in " ".join(found.notes)
    assert found.compared < 30


def test_a_mailbox_in_a_domain_of_ours_is_not_taken_away(
    theirs: Callable[..., PostfixInstance],
) -> None:
    """The project routes users@ of the domain alone; bob has his mailbox there."""
    postfix = theirs()
    site = site_of(project(), postfix.base / "etc", r"users@boxes\.test")
    change = Change("main.cf", "transport_maps", None, "inline:{boxes.test=lamson:inet:x:1}", "")
    found = proof.prove(site, [change])
    assert addresses(found) == {"bob@boxes.test"}
    assert proof.prove(site, [change], moved=["boxes.test"]).changed == []
    assert proof.prove(site, []).changed == []


def test_apply_stops(
    theirs: Callable[..., PostfixInstance],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    etc = theirs().base / "etc"
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = snapshot(etc)
    monkeypatch.setattr(cli, "_changes", lambda _: [CLOSED])
    command = ["postfix", "apply", "-config", str(etc), "-probe", "ann@customer.test"]
    assert run(command) == 2
    said = capsys.readouterr().out
    assert "would change for others: ann@customer.test: before: 250" in said
    assert said.splitlines()[-1].startswith("nothing was changed")
    assert snapshot(etc) == before
    assert run([*command[:1], "plan", *command[2:]]) == 2
    assert run([*command, "-moved", "customer.test"]) == 64, "it is no domain of ours"
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    assert run(command) == 77
    assert "-unproven" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_changes", lambda _: [CLOSED])
    broken = Change("main.cf", "daemon_directory", None, "/nowhere", "")
    monkeypatch.setattr(cli, "_changes", lambda _: [broken])
    assert run(command) == 69, "the copy does not run with it"
    assert snapshot(etc) == before
    monkeypatch.setattr(cli, "_changes", lambda _: [CLOSED])
    assert run([*command, "-unproven"]) in (0, 1)
    assert Postconf(etc).read().explicit[CLOSED.name] == CLOSED.after


def write_project(directory: Path) -> None:
    (directory / "config").mkdir()
    (directory / "config" / "settings.py").write_text(
        "from lamson.settings import Settings\n"
        'settings = Settings(handlers=["handlers_of_the_proof"])\n'
    )
    (directory / "handlers_of_the_proof.py").write_text(
        "from lamson import route, stateless\n\n"
        '@route(r"users@lists\\.test")\n@stateless\ndef START(message): ...\n'
    )


def alive(group: int) -> list[str]:
    """The processes of this group, but for those that wait to be counted by init."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            status = (process / "stat").read_text()
            state, _, number = status.rpartition(") ")[2].split()[:3]
            if int(number) == group and state != "Z":
                found.append(status)
    return found


def listening(group: int) -> set[str]:
    """The TCP sockets at which a process of this group listens."""
    sockets = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group:
                sockets |= {os.readlink(one) for one in (process / "fd").iterdir()}
        except OSError:
            continue
    rows = [
        row.split() for name in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]  # fmt: skip
    return {row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


def test_a_copy_listens_nowhere_and_delivers_nothing(
    theirs: Callable[..., PostfixInstance],
) -> None:
    postfix = theirs()
    assert listening(postfix.pid), "this is how it would be seen"
    before = os.umask(0o077)
    try:
        with private_copy.place() as place:
            with PrivateCopy(place / "x", seen(postfix).configuration, []) as copy:
                copy.wait()
                path = copy.smtpds[f"127.0.0.1:{postfix.smtp_port}/inet"]
                smtpd = Smtpd(path, is_stranger=True)
                asked = ["ann@customer.test", "spam@boxes.test", "x@elsewhere.test"]
                kinds = [reply.kind for reply in smtpd.recipients(asked)]
                assert kinds == ["accepted", "refused", "refused"]
                assert smtpd._say("DATA").code == 354
                smtpd._socket.sendall(b"Subject: x\r\n\r\n.\r\n")
                assert smtpd._reply().code == 250
                smtpd.close()
                rewrite = Rewrite(copy.rewrite)
                assert str(rewrite.way("bob@boxes.test")) == "lmtp:unix:private/dovecot"
                assert rewrite.way("x@elsewhere.test").is_elsewhere
                rewrite.close()
                group = copy._master.pid if copy._master else 0
                assert listening(group) == set()
                (kept,) = (place / "x" / "queue" / "incoming").iterdir()
                assert kept.is_file(), "nobody takes it out of the queue"
                modes = [(place / name).stat().st_mode & 0o777 for name in (".", "x")]
                assert modes == [0o711, 0o710]
            wait_for(lambda: not alive(group), "all of its processes to end")
        assert not place.exists()
    finally:
        os.umask(before)


ENDED = """\
import sys, time
from pathlib import Path
from lamson.postfix import private_copy
from lamson.postfix.postconf import Postconf
configuration = Postconf(Path(sys.argv[1])).read()
with private_copy.place() as place:
    with private_copy.PrivateCopy(place / "x", configuration, []) as copy:
        copy.wait()
        print(place, copy._master.pid, flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_copy_ends_with_whom_a_signal_ends(
    theirs: Callable[..., PostfixInstance], number: signal.Signals
) -> None:
    etc = theirs().base / "etc"
    with subprocess.Popen(
        [sys.executable, "-c", ENDED, str(etc)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        place, pid = process.stdout.readline().split()
        process.send_signal(number)
        assert process.wait(30) != 0
    wait_for(lambda: not alive(int(pid)), "all of its processes to end")
    wait_for(lambda: not Path(place).exists(), "the directory to be gone")
