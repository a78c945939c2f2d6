"""A real postconf says and does what the configurations on paper of tests/unit/postfix do."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from lamson.postfix.checks import inspection
from lamson.postfix.postconf import Postconf
from tests.postfix.instance import why_not
from tests.unit.postfix.paper import DEFAULTS, Paper

if TYPE_CHECKING:
    from pathlib import Path

    from lamson.postfix.configuration import Configuration

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]

# One for each thing that a cure, or a test, does; each upon what was done before.
STEPS = {
    "a value": ["-e", "relay_domains = $mydestination other.test", "soft_bounce=yes"],
    "the default": ["-X", "relay_recipient_maps", "smtpd_forbid_bare_newline_exclusions"],
    "a macro": ["-e", "mynetworks=10.0.0.0/8", "virtual_maps=inline:{app.test=x}"],
    "a service": ["-M", "25/inet=25 inet n - n - - smtpd -o mynetworks=$mydomain -o soft_bounce="],
    "another service": ["-M", "lamson/unix=lamson unix - - y - - smtp"],
    "an override": ["-P", "25/inet/smtpd_tls_auth_only=yes", "lamson/unix/lmtp_rcpt_timeout=5s"],
    "the chroot": ["-F", "lamson/unix/chroot=-"],
    "what - means": [
        "-e",
        "compatibility_level=0",
        "smtpd_relay_restrictions=reject",
        "smtputf8_enable=yes",
    ],
    "no override": ["-PX", "25/inet/smtpd_tls_auth_only"],
    "no service": ["-MX", "127.0.0.1:10587/inet"],
}
# What is computed from the compatibility level or from a path, and set by every test that needs it.
COMPUTED = {
    "alias_maps", "config_directory", "mydomain", "myhostname", "mynetworks", "relay_domains",
    "smtpd_relay_restrictions", "smtputf8_enable", "compatibility_level",
}  # fmt: skip


def written(paper: Paper, directory: Path) -> Postconf:
    lines = (f"{name} = {value}\n" for name, value in paper.main.items())
    (directory / "main.cf").write_text("".join(lines))
    (directory / "master.cf").write_text("".join(f"{paper.entry(key)}\n" for key in paper.master))
    age(directory)
    return Postconf(directory)


def age(directory: Path) -> None:
    for path in directory.iterdir():
        os.utime(path, (0, 0))


def agree(real: Configuration, paper: Configuration) -> None:
    names = sorted(DEFAULTS.keys() - {"config_directory"})
    assert {n: real.values.get(n) for n in names} == {n: paper.values[n] for n in names}
    assert {n: real.explicit.get(n) for n in names} == {n: paper.explicit.get(n) for n in names}
    assert real.services == paper.services


def test_the_defaults_are_those_of_this_postfix(tmp_path: Path) -> None:
    paper = Paper(tmp_path / "tables")
    real = written(paper, tmp_path).read()
    names = sorted(DEFAULTS.keys() - COMPUTED)
    assert {n: real.defaults.get(n) for n in names} == {n: DEFAULTS[n] for n in names}


def test_each_command_does_the_same_and_the_doctor_finds_the_same(tmp_path: Path) -> None:
    """With the answers of a real postmap as well."""
    paper = Paper(tmp_path / "tables")
    postconf = written(paper, tmp_path)
    for what, step in {"nothing": [], **STEPS}.items():
        if step:
            paper.run(*step)
            subprocess.run(["postconf", "-c", str(tmp_path), *step], check=True)
            age(tmp_path)
        on_paper = paper.site()
        real = on_paper.again(postconf)
        try:
            agree(real.configuration, on_paper.configuration)
            assert list(inspection.findings(real)) == paper.findings()
        except AssertionError as difference:
            raise AssertionError(f"after {what}: {difference}") from None
