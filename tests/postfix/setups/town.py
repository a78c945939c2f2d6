"""The town around a Postfix: what it hands mail to, and an application that moves in.

Of each kind of server that a set-up may have there is one, for all set-ups in their turn.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.postfix.instance import PostfixInstance
from tests.postfix.setups.setup import MASTER
from tests.waiting import listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.postfix.setups.setup import Setup
    from tests.postfix.sink import Sink

# What makes it private, and keeps it from asking DNS. What a set-up says itself wins.
_PRIVATE = {
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "queue_directory": "@base@/queue",
    "data_directory": "@base@/data",
    "maillog_file_prefixes": "@base@",
    "maillog_file": "@base@/maillog",
    "mail_spool_directory": "@base@/spool",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "relayhost": "[127.0.0.1]:@world@",
    "smtp_dns_support_level": "disabled",
    "smtp_host_lookup": "native",
    "lmtp_dns_support_level": "disabled",
    "lmtp_host_lookup": "native",
    "smtpd_peername_lookup": "no",
    "smtpd_error_sleep_time": "0",
    "in_flow_delay": "0",
    "address_verify_poll_delay": "1s",
    "notify_classes": "",
}

_ENVELOPE = re.compile(rb"(?m)^From \S+  .*\n")  # of mbox


@dataclass(frozen=True, order=True)
class Arrived:
    """One message at a place: all that is the same whenever it is sent again."""

    place: str
    sender: str
    recipients: tuple[str, ...]
    content: str


class SetupPostfix(PostfixInstance):
    """A Postfix with the files of a set-up."""

    def __init__(self, setup: Setup, names: Mapping[str, object]) -> None:
        self.setup = setup
        self.second: SetupPostfix | None = None  # another instance, to which it hands mail
        self._names = names
        super().__init__(sink_port=0, routes={})
        if "@submission@" not in "".join((setup.master, *setup.instead.values())):
            self.submission_port = self.smtp_port  # there is none to wait for
        self.spool = self.base / "spool"
        self.spool.mkdir(mode=0o1777)
        self.spool.chmod(0o1777)

    @property
    def etc(self) -> Path:
        return self.base / "etc"

    def filled(self, text: str) -> str:
        """The text with what is private to this instance."""
        places = {
            "base": self.base,
            "etc": self.etc,
            "smtp": self.smtp_port,
            "submission": self.submission_port,
            **self._names,
        }
        text = re.sub(r"@(\w+)@", lambda found: str(places[found[1]]), text)
        assert not re.search(r"(?<!\w)@\w+@", text), text
        return text

    def write_config(self) -> None:
        said = set(re.findall(r"(?m)^(\w+) *=", self.setup.main))
        private = {name: value for name, value in _PRIVATE.items() if name not in said}
        lines = "".join(f"{name} = {value}\n" for name, value in private.items())
        (self.etc / "main.cf").write_text(self.filled(f"{lines}\n{self.setup.main}"))
        master = MASTER
        for line, instead in self.setup.instead.items():
            assert f"\n{line}" in master, line
            before, _, after = master.partition(f"\n{line}")
            master = f"{before}\n{instead}{after.partition(chr(10))[2]}"
        (self.etc / "master.cf").write_text(self.filled(master + self.setup.master))
        for name, text in self.setup.tables.items():
            (self.etc / name).write_text(self.filled(text))
        self.age()
        for name in self.setup.hashed:
            alias = "postalias" if name == "aliases" else "postmap"
            self.run(alias, f"hash:{self.etc / name}")
        self.age()

    def age(self) -> None:
        """Postfix waits two seconds before it trusts a file that may still be being written."""
        for path in (*self.etc.iterdir(), *(self.etc / "lamson").glob("*")):
            os.utime(path, (1_000_000_000, 1_000_000_000))

    def files(self) -> dict[str, bytes]:
        """What the operator has written himself."""
        return {one: (self.etc / one).read_bytes() for one in ("main.cf", "master.cf")}

    def reread(self) -> None:
        """`postfix reload`, and what was there before has ended."""
        self.age()
        count, old = len(self.log_lines(" reload -- version")), self._children()
        self._master.send_signal(signal.SIGHUP)
        self.wait_log(" reload -- version", count=count + 1)
        wait_for(lambda: not old & self._children(), "the old processes to end")
        wait_for(lambda: all(map(listening, (self.smtp_port, self.submission_port))), "its ports")

    def _children(self) -> set[str]:
        """All but those to which Lamson keeps a connection."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return {pid for pid in children if b"syslog_name=postfix/lamson" not in _command(pid)}

    def mailboxes(self) -> list[Arrived]:
        """What local(8) has delivered, in the spool."""
        found = []
        for path in self.spool.iterdir():
            if path.suffix == ".lock":
                continue
            for content in _ENVELOPE.split(path.read_bytes())[1:]:
                sender = content.removeprefix(b"Return-Path: <").partition(b">")[0].decode()
                found.append(Arrived(f"mbox {path.name}", sender, (), settled(content)))
        return found


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def at_sink(place: str, sink: Sink) -> list[Arrived]:
    """What arrived there."""
    return [
        Arrived(place, one.sender, one.recipients, settled(one.content)) for one in sink.messages
    ]


def settled(content: bytes) -> str:
    """The message without what differs each time: queue ids and dates of Received, and the
    Message-ID that Postfix gives to a mail without one."""
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    head, _, body = text.partition("\n\n")
    head = re.sub(r"\n[ \t]+", " ", head)
    head = re.sub(r"(?m)^(Received: .*\bid) [0-9A-Za-z]+", r"\1 ID", head)
    head = re.sub(r"(?m)^(Received: .*);.*$", r"\1; DATE", head)
    head = re.sub(r"(?mi)^(Message-Id: <)\d+\.\w+@", r"\1ID@", head)
    head = re.sub(r"(?m)^(Date: ).*$", r"\1DATE", head)
    return f"{head}\n\n{body}"
