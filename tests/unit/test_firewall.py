"""Where the firewall is asked about what goes over bridges, containers reach each other all the
same; in a network namespace of its own, whose firewall drops all that it does not know."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lamson.containers import firewall
from lamson.errors import UnavailableError

NEEDED = ("unshare", "nsenter", "ip", "iptables")
# Two hosts on one bridge, in namespaces of their own: the arguments end them.
SCRIPT = """
import subprocess, sys
from contextlib import ExitStack
from lamson.containers.firewall import _IS_ASKED, passing

def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

def reaches():
    done = subprocess.run(["nsenter", "-t", hosts[0], "-n", sys.executable, "-c",
        "import socket; socket.create_connection(('10.9.8.2', 25), 1)"], capture_output=True)
    return done.returncode == 0

def hears(pid):
    listen = "import socket, sys; one = socket.create_server(('', 25)); print(flush=True); " \\
        "[one.accept() for _ in iter(int, 1)]"
    command = ["nsenter", "-t", pid, "-n", sys.executable, "-c", listen]
    process = running.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    running.callback(process.kill)
    process.stdout.readline()

with ExitStack() as running:
    run("ip", "link", "add", "br-test", "type", "bridge")
    run("ip", "link", "set", "br-test", "up")
    _IS_ASKED.write_text("1")
    run("iptables", "-P", "FORWARD", "DROP")
    hosts = []
    for number in (1, 2):
        host = running.enter_context(subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE))
        running.callback(host.kill)
        host.stdout.readline()
        hosts.append(pid := str(host.pid))
        run("ip", "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", pid)
        run("ip", "link", "set", f"v{number}", "master", "br-test", "up")
        run("nsenter", "-t", pid, "-n", "ip", "addr", "add", f"10.9.8.{number}/24", "dev", "eth0")
        run("nsenter", "-t", pid, "-n", "ip", "link", "set", "eth0", "up")
    hears(hosts[1])
    before, rules = reaches(), run("iptables", "-S", "FORWARD")
    with passing("lamson-test"):
        print(before, reaches(), "lamson-test" in run("iptables", "-S", "FORWARD"))
    print(run("iptables", "-S", "FORWARD") == rules)
"""


def test_what_stays_on_a_bridge_passes_meanwhile() -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, NEEDED)):
        pytest.skip(f"needs root, and {', '.join(NEEDED)}")
    if not firewall._IS_ASKED.exists():
        pytest.skip("this kernel asks no firewall about bridges (br_netfilter)")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.stdout, done.stderr) == ("False True True\nTrue\n", "")


def test_nothing_is_done_where_the_firewall_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # there is no iptables
    for text in ("0\n", None):
        file = tmp_path / "asked"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        monkeypatch.setattr(firewall, "_IS_ASKED", file)
        with firewall.passing("nobody"):
            pass


def test_a_firewall_that_cannot_be_told_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asked").write_text("1\n")
    monkeypatch.setattr(firewall, "_IS_ASKED", tmp_path / "asked")
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(UnavailableError, match=r"let it pass: .*iptables"),
        firewall.passing("nobody"),
    ):
        pass
