"""Each mending command of the doctor, done as it is written, on a Postfix and a Lamson that run.

After it the finding is gone, no other has come, and nothing else of the configuration has changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lamson.postfix.checks import inspection, probes
from lamson.postfix.finding import Finding
from lamson.settings import Lmtp, Socketmap, Submission
from tests.postfix.instance import why_not
from tests.postfix.patient import Patient, project
from tests.service import LamsonService
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Configuration

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]

ROUTE = r"members@app\.test"
HANDLERS = f'''\
from lamson import MailRequest, route, stateless


@route(r"{ROUTE}")
@stateless
def members(message: MailRequest) -> None:
    """Takes it."""
'''
WORLD, SUBMISSION, DIRECTORY, LOOKUP = "WORLD", "SUBMISSION", "DIRECTORY", "LOOKUP"
PIPED = r"pipemap:{regexp:{{/^(.*@app\.test)$$/ $$1}}, LOOKUP}"
OPEN = "permit_mynetworks, permit_sasl_authenticated"


@dataclass(frozen=True)
class Fault:
    """What postconf is told, so that the doctor says ``code``. WORLD and SUBMISSION stand for the
    keys of these services, DIRECTORY for a directory with ``files``."""

    code: str
    commands: tuple[tuple[str, ...], ...]
    files: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)  # what mended values have to be
    also: tuple[str, ...] = ()  # what else of the configuration is mended


def main(code: str, *settings: str, **options: Any) -> Fault:
    return Fault(code, (("-e", *settings),), **options)


def override(code: str, *settings: str, key: str = WORLD) -> Fault:
    return Fault(code, (("-P", *(f"{key}/inet/{one}" for one in settings)),))


FAULTS = {
    "domains that are not ours": main("relay_domains", "relay_domains=other.test"),
    "no map of recipients": Fault("relay_recipient_maps", (("-X", "relay_recipient_maps"),)),
    "another transport first": main(
        "transport_maps", "transport_maps=inline:{app.test=smtp:[192.0.2.1]}"
    ),
    "short ids": main("enable_long_queue_ids", "enable_long_queue_ids=no"),
    "bare newlines": main("smtpd_forbid_bare_newline", "smtpd_forbid_bare_newline=no"),
    "bare newlines of neighbours": main(
        "smtpd_forbid_bare_newline_exclusions", "smtpd_forbid_bare_newline_exclusions=$mynetworks"
    ),
    "bare newlines refused": main("newline-reject-and-bdat", "smtpd_forbid_bare_newline=reject"),
    "too many connections": main(
        "lamson_destination_concurrency_limit", "lamson_destination_concurrency_limit=5000"
    ),
    "too many recipients": main(
        "lamson_destination_recipient_limit", "lamson_destination_recipient_limit=0"
    ),
    "no transport": Fault("lamson", (("-MX", "lamson/unix"),)),
    "no XFORWARD": Fault(
        "lmtp_send_xforward_command", (("-P", "lamson/unix/lmtp_send_xforward_command=no"),)
    ),
    "a time that is none": Fault(
        "lmtp_data_done_timeout", (("-P", "lamson/unix/lmtp_data_done_timeout=10x"),)
    ),
    "TLS that is not offered": Fault(
        "lmtp-tls", (("-P", "lamson/unix/lmtp_tls_security_level=encrypt"),)
    ),
    "no submission": Fault("SUBMISSION", (("-MX", f"{SUBMISSION}/inet"),)),
    "ours is local, beside a macro": main(
        "mydestination-has-ours",
        "mydestination=$myhostname, app.test, localhost",
        after={"mydestination": "mail.postfix.test, localhost"},
    ),
    "ours is local, by a table": main(
        "mydestination-has-ours",
        "mydestination=hash:DIRECTORY/local",
        files={"local": "app.test x\nother.test x\n"},
    ),
    "ours is local, by a file": main(
        "mydestination-has-ours",
        "mydestination=DIRECTORY/local",
        files={"local": "other.test, app.test\n"},
    ),
    "ours is virtual": main(
        "virtual_mailbox_domains-has-ours", "virtual_mailbox_domains=other.test app.test"
    ),
    "all the world is trusted": main(
        "mynetworks-is-the-world",
        "mynetworks=127.0.0.0/8, 10.1.0.0/16, 0.0.0.0/0",
        after={"mynetworks": "127.0.0.0/8, 10.1.0.0/16"},
    ),
    "all the world is trusted by one": override(
        "mynetworks-is-the-world", "mynetworks=0.0.0.0/1,128.0.0.0/1"
    ),
    "an open relay": main(
        "open-relay-restrictions",
        f"smtpd_relay_restrictions={OPEN}",
        "smtpd_recipient_restrictions=permit",
    ),
    "an open service": override("open-relay-restrictions", "smtpd_relay_restrictions=permit"),
    "soft bounces": main("soft-bounce", "soft_bounce=yes"),
    "a code that is not final": main(
        "unknown-recipients-are-deferred", "unknown_relay_recipient_reject_code=450"
    ),
    "a code that is not final, of one": override(
        "unknown-recipient-is-deferred", "unknown_relay_recipient_reject_code=450"
    ),
    "soft bounces of one": override("unknown-recipient-is-deferred", "soft_bounce=yes"),
    "recipients that are not looked up": main(
        "unlisted-recipients-are-taken",
        "receive_override_options=no_header_body_checks, no_unknown_recipient_checks",
        after={"receive_override_options": "no_header_body_checks"},
    ),
    "recipients that one does not look up": override(
        "unlisted-recipients-are-taken", "receive_override_options=no_unknown_recipient_checks"
    ),
    "unlisted ones": main("unlisted-recipients-are-taken", "smtpd_reject_unlisted_recipient=no"),
    "unlisted ones of one": override(
        "unlisted-recipients-are-taken", "smtpd_reject_unlisted_recipient=no"
    ),
    "a service without recipients": override("recipients-switched-off", "relay_recipient_maps="),
    "domains of one": override("master-cf-override", "relay_domains=other.test"),
    "a transport that waits": main(
        "transport-deferred", "defer_transports=other, lamson", after={"defer_transports": "other"}
    ),
    "a transport that is off": main("lmtp-disabled", "master_service_disable=lamson/unix"),
    "passwords in clear": override(
        "password-in-clear", "smtpd_sasl_auth_enable=yes", "smtpd_tls_security_level=may"
    ),
    "senders that no route takes": override(
        "submission-sender", "smtpd_reject_unlisted_sender=yes", key=SUBMISSION
    ),
    "senders that are taken for forged": override(
        "submission-sender",
        "smtpd_sender_restrictions=check_sender_access,inline:{app.test=REJECT}",
        key=SUBMISSION,
    ),
    "a table that was not made": main(
        "table-cannot-be-opened",
        "virtual_alias_maps=hash:DIRECTORY/alias",
        files={"alias": "x@other.test y@other.test\n"},
    ),
    "aliases that were not made": main(
        "table-cannot-be-opened",
        "mydestination=localhost",
        "alias_maps=hash:DIRECTORY/aliases",
        files={"aliases": "root: ann\n"},
    ),
    "a catch-all": main(
        "virtual-alias-takes-ours",
        "virtual_alias_maps=texthash:DIRECTORY/alias",
        files={"alias": "@app.test y@other.test\nx@other.test y@other.test\n"},
    ),
    "a catch-all over several lines": main(
        "virtual-alias-takes-ours",
        "virtual_alias_maps=texthash:DIRECTORY/alias",
        files={"alias": "x@other.test y@other.test\n@app.test y@other.test,\n  z@other.test\n"},
    ),
    "an open relay for whom somebody chose, too": main(
        "open-relay-restrictions",
        "smtpd_relay_restrictions=permit_mynetworks, check_client_access cidr:{{192.0.2.9 OK}}",
        after={
            "smtpd_relay_restrictions": "permit_sasl_authenticated, permit_mynetworks,"
            " check_client_access, cidr:{{192.0.2.9 OK}}, reject_unauth_destination"
        },
    ),
    "anybody of ours, beside others": main(
        "anybody-is-a-recipient",
        "relay_domains=app.test, other.test",
        f"relay_recipient_maps=texthash:DIRECTORY/known, {PIPED}",
        files={"known": "@app.test OK\nx@other.test OK\n"},
    ),
    "a catch-all written out": main(
        "virtual-alias-takes-ours",
        "virtual_alias_maps=inline:{@app.test=y@other.test}, inline:{x@other.test=y@other.test}",
        after={"virtual_alias_maps": "inline:{x@other.test=y@other.test}"},
    ),
}


class Clinic:
    """A Postfix and a Lamson that run and fit together, and what both are told."""

    def __init__(self, directory: Path) -> None:
        LamsonService(directory).command("gen", "-project", "clinic")
        self.project = directory / "clinic"
        (self.project / "app/handlers/sample.py").write_text(HANDLERS)
        port = free_port()
        self.lamson = LamsonService(self.project, LAMSON_SOCKETMAP__LISTEN=f"127.0.0.1:{port}")
        settings = project(
            lmtp=Lmtp(f"127.0.0.1:{self.lamson.port}"), socketmap=Socketmap(f"127.0.0.1:{port}")
        )
        # An smtpd that gave up over its configuration is started again after that time.
        patient = self.patient = Patient(settings, main={"service_throttle_time": "1s"})
        postfix = patient.postfix
        self.world, out = (f"127.0.0.1:{one}" for one in (postfix.smtp_port, free_port()))
        self.keys = {WORLD: self.world, SUBMISSION: out, LOOKUP: settings.lookup("recipient")}
        patient.settings = settings.model_copy(
            update={
                "submission": Submission(out),
                "postfix": settings.postfix.model_copy(update={"smtpd": self.world}),
            }
        )
        patient.has_routes(ROUTE)
        self.lamson.environment |= {
            "LAMSON_SUBMISSION__SERVER": out,
            "LAMSON_POSTFIX__SMTPD": self.world,
        }
        self.lamson.command("syncdb")
        patient.apply()
        self.lamson.start()
        wait_for(lambda: listening(port), "the socketmap")
        postfix.start()
        wait_for(lambda: listening(int(out.rpartition(":")[2])), "submission")
        assert self.findings() == []
        self.files = {one: one.read_bytes() for one in patient.directory.glob("ma*.cf")}

    def close(self) -> None:
        self.lamson.stop()
        self.patient.postfix.close()

    def findings(self) -> list[Finding]:
        site = self.patient.site()
        seen = [*inspection.findings(site), *probes.findings(site)]
        return [one for one in seen if isinstance(one, Finding)]

    def break_it(self, fault: Fault) -> None:
        for name, text in fault.files.items():
            (self.patient.directory / name).write_text(text)
        for command in fault.commands:
            self.patient.run(*map(self.put, command))
        for name in fault.files:
            if fault.code != "table-cannot-be-opened" and "hash:" in str(fault.commands):
                place = str(self.patient.directory / name)
                self.patient.postfix.run("postmap", f"hash:{place}")
        self.reload()

    def put(self, text: str) -> str:
        for name, value in {**self.keys, DIRECTORY: str(self.patient.directory)}.items():
            text = text.replace(name, value)
        return text

    def reload(self) -> None:
        self.patient.age()
        postfix = self.patient.postfix
        before = len(postfix.log_lines("reload -- version"))
        postfix.reload()
        postfix.wait_log("reload -- version", count=before + 1)

    def do(self, command: str, line: str = "reload -- version") -> None:
        """As a person does, in the directory of the project; what Postfix logs of it is new."""
        before = len(self.patient.postfix.log_lines(line))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.project,
            env={**os.environ, **self.lamson.environment, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        self.patient.postfix.wait_log(line, count=before + 1)
        self.patient.age()

    def heal(self) -> None:
        """Whatever became of it, the next one finds it well."""
        for path, content in self.files.items():
            path.write_bytes(content)
        self.reload()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    one = Clinic(tmp_path_factory.mktemp("clinic"))
    yield one
    one.close()


def touched(fault: Fault, clinic: Clinic) -> set[str]:
    """The names that it has to do with."""
    found = set(map(clinic.put, fault.also))
    for option, *arguments in fault.commands:
        for one in map(clinic.put, arguments):
            name = one.partition("=")[0].strip()
            found |= {name, name.rpartition("/")[0]} if option.startswith(("-P", "-M")) else {name}
    return found


def differences(one: Configuration, other: Configuration) -> set[str]:
    """What is written otherwise: what was not written is as Postfix has it by itself."""
    both = [{**each.defaults, **each.explicit} for each in (one, other)]
    names = {name for name in {**both[0], **both[1]} if both[0].get(name) != both[1].get(name)}
    keys = one.services.keys() | other.services.keys()
    names.discard("process_id")  # of postconf itself
    return names | {key for key in keys if one.services.get(key) != other.services.get(key)}


@pytest.mark.parametrize("what", FAULTS)
@pytest.mark.timeout(240)
def test_it_is_mended_and_nothing_else_is_changed(clinic: Clinic, what: str) -> None:
    fault, postconf = FAULTS[what], clinic.patient.postconf
    before = postconf.read()
    try:
        clinic.break_it(fault)
        found = clinic.findings()
        code = clinic.put(fault.code)
        assert code in [one.code for one in found], found
        for one in found:
            if one.fix.endswith(postconf.mend.reload) and one in clinic.findings():
                clinic.do(one.fix)
        assert clinic.findings() == []
        after = postconf.read()
        assert differences(before, after) <= touched(fault, clinic)
        for name, value in fault.after.items():
            assert after.values[name] == value
    finally:
        clinic.heal()


@pytest.mark.timeout(240)
def test_what_a_reload_is_not_enough_for_is_started_again(clinic: Clinic) -> None:
    """The last one: what it starts is no child of ours, and is ended by its own command."""
    postfix, directory = clinic.patient.postfix, clinic.patient.directory
    clinic.patient.run("-e", "inet_protocols=ipv6")
    found = [one for one in clinic.findings() if one.code == "inet-protocols"]
    try:
        for one in found[:1]:
            clinic.do(one.fix, line="daemon started")
        wait_for(lambda: listening(postfix.smtp_port), "Postfix")
        assert clinic.findings() == []
    finally:
        subprocess.run(["postfix", "-c", str(directory), "stop"], check=True)
