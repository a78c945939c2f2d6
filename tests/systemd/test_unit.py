"""docs/how-to/systemd.md, typed as it stands, and what the service does then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import blocks
from tests.systemd.machine import Machine, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

# Debian may have to be made first.
pytestmark = [pytest.mark.slow, pytest.mark.systemd, pytest.mark.timeout(600)]

PAGE = "how-to/systemd.md"
MAKE_PROJECT = """
groupadd --system postfix
python3 -m venv /opt/lamson
/opt/lamson/bin/pip install lamson-postfix
mkdir -p /srv
cd /srv
/opt/lamson/bin/lamson gen -project mymailserver
"""
SEND = """
cd /srv/mymailserver
runuser -u lamson -- .venv/bin/lamson send \
    -sender me@example.com -to guestbook@test.com -subject x -body y -port 8823
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := why_not():
        pytest.skip(reason)
    with Machine(tmp_path_factory.mktemp("debian")) as machine:
        machine(MAKE_PROJECT)
        (typed,) = [block.text for block in blocks(PAGE) if block.language == "shell"]
        machine(typed)
        yield machine


@pytest.fixture(autouse=True)
def _running(machine: Machine) -> Iterator[None]:
    """Each test finds the service as the page leaves it."""
    machine("systemctl start lamson.service")
    yield
    machine("systemctl stop lamson.service lamson.socket; systemctl revert lamson.service")


def main_pid(machine: Machine) -> str:
    return machine("systemctl show --property MainPID --value lamson")


def workers(machine: Machine) -> list[str]:
    return machine(f"cat /proc/{main_pid(machine)}/task/*/children").split()


def test_the_kernel_of_the_host_is_out_of_reach(machine: Machine) -> None:
    machine("test -r /proc/sys/fs/protected_regular")
    machine("test ! -w /proc/sys/fs/protected_regular")


def test_it_handles_mail_in_a_sandbox(machine: Machine) -> None:
    assert machine("systemctl is-enabled lamson; systemctl is-active lamson") == "enabled\nactive"
    assert "guestbook@test.com: 250 2.0.0 Ok" in machine(SEND)
    status = machine(f"cat /proc/{workers(machine)[0]}/status")
    assert "Seccomp:\t2" in status
    assert "CapPrm:\t0000000000000000" in status


def test_a_killed_worker_is_replaced_and_a_reload_replaces_all(machine: Machine) -> None:
    (first,) = workers(machine)
    machine(f"kill -KILL {first}; {SEND}")
    (second,) = workers(machine)
    machine("systemctl reload lamson")
    machine("until journalctl --unit lamson | grep -q 'every worker was replaced'; do :; done")
    assert first != second != workers(machine)[0]
    assert "250 2.0.0 Ok" in machine(SEND)


def test_it_stops_without_a_complaint(machine: Machine) -> None:
    machine("systemctl stop lamson")
    assert machine("systemctl show --property Result --value lamson") == "success"


def test_a_connection_starts_it(machine: Machine) -> None:
    machine("systemctl stop lamson; systemctl start lamson.socket")
    assert machine.run("systemctl is-active lamson").stdout.strip() == "inactive"
    assert "250 2.0.0 Ok" in machine(SEND)
    machine("systemctl is-active lamson; systemctl restart lamson")
    assert "250 2.0.0 Ok" in machine(SEND)


def test_a_credential_is_a_setting_and_a_mistake_is_not_tried_again(machine: Machine) -> None:
    (unit,) = [block.text for block in blocks(PAGE) if block.language == "ini"]
    override = f"""
        mkdir -p /etc/systemd/system/lamson.service.d
        echo '{unit}' > /etc/systemd/system/lamson.service.d/override.conf
        echo s3cret > /etc/lamson/submission-secret
        systemctl daemon-reload
    """
    machine(override)
    assert machine.run("systemctl restart lamson").returncode
    # Not "auto-restart": systemd has given up.
    assert machine("systemctl show --property SubState --value lamson") == "failed"
    mistake = "/lamson_submission__secret: submission.secret: expected user beside secret"
    assert mistake in machine.journal()
    user = "[Service]\nEnvironment=LAMSON_SUBMISSION__USER=lamson"
    machine(f"echo '{user}' >> /etc/systemd/system/lamson.service.d/override.conf")
    machine("systemctl daemon-reload; systemctl start lamson")
    assert "250 2.0.0 Ok" in machine(SEND)
