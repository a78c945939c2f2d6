"""docs/how-to/systemd.md, typed as it stands, and what the service does then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import blocks
from tests.systemd.machine import Machine, why_not
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

# Debian may have to be made first, on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.systemd, pytest.mark.timeout(1200)]

PAGE = "how-to/systemd.md"
UNIT = "lamson-mymailserver"
SECOND = "lamson-lists"
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
runuser -u lamson-mymailserver -- .venv/bin/lamson send \
    -sender me@example.com -to guestbook@test.com -subject x -body y -port 8823
"""


def typed() -> str:
    """The lines of the page; of the source the machine has a wheel."""
    (lines,) = [block.text for block in blocks(PAGE) if block.language == "shell"]
    return lines.replace("/path/to/source", "lamson-postfix")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := why_not():
        pytest.skip(reason)
    with Machine(tmp_path_factory.mktemp("debian")) as machine:
        machine(MAKE_PROJECT)
        machine(typed())
        yield machine


@pytest.fixture(autouse=True)
def _running(machine: Machine) -> Iterator[None]:
    """Each test finds the service as the page leaves it."""
    machine(f"systemctl start {UNIT}.service")
    yield
    machine(f"systemctl stop {UNIT}.service {UNIT}.socket; systemctl revert {UNIT}.service")


def main_pid(machine: Machine) -> str:
    return machine(f"systemctl show --property MainPID --value {UNIT}")


def workers(machine: Machine) -> list[str]:
    return machine(f"cat /proc/{main_pid(machine)}/task/*/children").split()


def test_the_kernel_of_the_host_is_out_of_reach(machine: Machine) -> None:
    machine("test -r /proc/sys/fs/protected_regular")
    machine("test ! -w /proc/sys/fs/protected_regular")


def test_it_handles_mail_in_a_sandbox(machine: Machine) -> None:
    assert machine(f"systemctl is-enabled {UNIT}; systemctl is-active {UNIT}") == "enabled\nactive"
    assert "guestbook@test.com: 250 2.0.0 Ok" in machine(SEND)
    status = machine(f"cat /proc/{workers(machine)[0]}/status")
    assert "Seccomp:\t2" in status
    assert "CapPrm:\t0000000000000000" in status


def test_a_killed_worker_is_replaced_and_a_reload_replaces_all(machine: Machine) -> None:
    (first,) = workers(machine)
    machine(f"kill -KILL {first}; {SEND}")
    (second,) = workers(machine)
    machine(f"systemctl reload {UNIT}")
    machine(f"until journalctl --unit {UNIT} | grep -q 'every worker was replaced'; do :; done")
    # The old one may be finishing what it has.
    wait_for(lambda: second not in workers(machine), "the old worker is gone")
    assert first != second
    assert "250 2.0.0 Ok" in machine(SEND)


def test_it_stops_without_a_complaint(machine: Machine) -> None:
    machine(f"systemctl stop {UNIT}")
    assert machine(f"systemctl show --property Result --value {UNIT}") == "success"


def test_a_connection_starts_it(machine: Machine) -> None:
    machine(f"systemctl stop {UNIT}; systemctl start {UNIT}.socket")
    assert machine.run(f"systemctl is-active {UNIT}").stdout.strip() == "inactive"
    assert "250 2.0.0 Ok" in machine(SEND)
    machine(f"systemctl is-active {UNIT}; systemctl restart {UNIT}")
    assert "250 2.0.0 Ok" in machine(SEND)


def test_a_credential_is_a_setting_and_a_mistake_is_not_tried_again(machine: Machine) -> None:
    (unit,) = [block.text for block in blocks(PAGE) if block.language == "ini"]
    override = f"""
        mkdir -p /etc/systemd/system/{UNIT}.service.d
        echo '{unit}' > /etc/systemd/system/{UNIT}.service.d/override.conf
        echo s3cret > /etc/lamson/mymailserver/submission-secret
        systemctl daemon-reload
    """
    machine(override)
    assert machine.run(f"systemctl restart {UNIT}").returncode
    # Not "auto-restart": systemd has given up.
    assert machine(f"systemctl show --property SubState --value {UNIT}") == "failed"
    mistake = "/lamson_submission__secret: submission.secret: expected user beside secret"
    assert mistake in machine.journal()
    user = "[Service]\nEnvironment=LAMSON_SUBMISSION__USER=lamson"
    machine(f"echo '{user}' >> /etc/systemd/system/{UNIT}.service.d/override.conf")
    machine(f"systemctl daemon-reload; systemctl start {UNIT}")
    assert "250 2.0.0 Ok" in machine(SEND)


def with_settings(machine: Machine, *lines: str) -> None:
    """Start the service anew with more lines in its unit, as `systemctl edit` would add them."""
    text = "\\n".join(("[Service]", *lines))
    machine(f"""
        mkdir -p /etc/systemd/system/{UNIT}.service.d
        printf '{text}\\n' > /etc/systemd/system/{UNIT}.service.d/override.conf
        systemctl daemon-reload
        systemctl restart {UNIT}
    """)


def test_errors_stand_out_in_the_journal(machine: Machine) -> None:
    (worker,) = workers(machine)
    machine(f"kill -KILL {worker}; {SEND}")
    command = f"journalctl --unit {UNIT} --output cat --priority err --no-pager | grep {worker}"
    found = machine(f"until {command}; do :; done").splitlines()
    assert found[0].endswith(f"ERROR lamson: worker {worker} ended with signal 9; replacing it")
    assert found[0].startswith("20"), "the priority is no part of the text"


def test_a_service_that_stands_still_is_started_again(machine: Machine) -> None:
    with_settings(machine, "WatchdogSec=3", "Environment=LAMSON_HANDLER_DEADLINE=1")
    stopped = main_pid(machine)
    machine(f"kill -STOP {stopped}")
    machine(f"until test $(systemctl show --property NRestarts --value {UNIT}) -gt 0; do :; done")
    machine(f"until systemctl is-active {UNIT}; do :; done")
    assert main_pid(machine) != stopped
    # A slow machine may need more than the one second for the first mail: that comes again.
    machine(f"until ({SEND}) | grep -q '250 2.0.0 Ok'; do :; done")


def test_a_worker_that_is_killed_for_its_memory_is_replaced(machine: Machine) -> None:
    assert machine(f"systemctl show --property OOMPolicy --value {UNIT}") == "continue"
    assert machine(f"systemctl show --property LimitCORE --value {UNIT}") == "0"
    assert machine(f"systemctl show --property LimitNOFILE --value {UNIT}") == "65536"


def test_a_second_application_lives_beside_the_first(machine: Machine) -> None:
    """The same lines of the page, with another name; each keeps to itself."""
    machine("cd /srv; /opt/lamson/bin/lamson gen -project lists")
    machine("sed -i s/8823/8833/ /srv/lists/config/settings.py /srv/lists/systemd/*.socket")
    machine(typed().replace("mymailserver", "lists"))
    machine(f"systemctl is-active {UNIT} {SECOND}")
    assert "250 2.0.0 Ok" in machine(SEND)
    second = SEND.replace("mymailserver", "lists").replace("8823", "8833")
    assert "250 2.0.0 Ok" in machine(second)
    for path in ("/srv/lists/run/lamson.db", "/srv/lists/logs/lamson.log", "/etc/lamson/lists/x"):
        machine(f"test -e {path} || touch {path}")
        assert machine.run(f"runuser -u {UNIT} -- cat {path}").returncode
    machine(f"systemctl stop {SECOND}; {SEND}")
