"""Configurations in which all is well, for projects of several kinds; faults are done to copies.

Nothing runs: the doctor reads them as it would a Postfix that does.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from typing import TYPE_CHECKING

from lamson.postfix import apply, plan, submission, tables, transport, wanted
from lamson.postfix.checks import inspection
from lamson.postfix.postconf import Postconf
from lamson.postfix.site import Site
from lamson.routing.domains import Domains
from lamson.settings import Lmtp, Milter, Socketmap, Submission
from tests.postfix.instance import PostfixInstance
from tests.postfix.patient import project
from tests.unit.postfix.paper import make_router

if TYPE_CHECKING:
    from lamson.postfix.finding import Finding
    from lamson.settings.model import Settings
    from tests.postfix.faults.fault import Fault

ROUTES = (r"(?:users|developers)@(?:lists|app)\.test", r"users-confirm-[a-z0-9]+@lists\.test")
MILTER = "127.0.0.1:8825"


class _Quick(Postconf):
    """Asks for Postfix's defaults once: they are no part of a configuration."""

    _defaults = ""

    def _run(self, *arguments: str) -> str:
        if arguments != ("-d",):
            return super()._run(*arguments)
        _Quick._defaults = _Quick._defaults or super()._run("-d")
        return _Quick._defaults


class Base:
    """One of them. `broken` does a fault to it, and puts everything back afterwards."""

    def __init__(self, kind: str) -> None:
        self.postfix = PostfixInstance(sink_port=1, routes={})
        self.etc = self.postfix.base / "etc"
        self.world = f"127.0.0.1:{self.postfix.smtp_port}/inet"
        self.settings = self._settings(kind)
        self.own = f"{self.settings.submission.server}/inet"
        self.router = make_router(ROUTES)
        self.domains = Domains(self.router.routes)
        self.postconf = _Quick(self.etc)
        if kind == "login":
            (self.postfix.base / "both.pem").touch()
            self._append("main.cf", f"smtpd_tls_chain_files = {self.postfix.base}/both.pem\n")
        if kind == "tables":
            made = tables.make(self.router, self.domains, self.settings.next_hop)
            tables.write(self.postfix.base / "tables", "regexp", made)
        self._age()
        site = self.site()
        changes = plan.make(
            site, wanted.of_main(site), [*transport.wanted(site), *submission.wanted(site)]
        )
        apply.carry_out(self.postconf, changes, self.etc / "lamson")
        self._age()
        self._right = {path: path.read_bytes() for path in self.etc.rglob("*") if path.is_file()}

    def _settings(self, kind: str) -> Settings:
        given: dict[str, object] = {"postfix": {"smtpd": f"127.0.0.1:{self.postfix.smtp_port}"}}
        base = self.postfix.base
        if kind == "filters":
            given["milter"] = Milter(MILTER, check_recipients=True)
        elif kind == "login":
            given["submission"] = Submission("127.0.0.1:10587", security="starttls", user="lamson")
        elif kind == "tables":
            given["socketmap"] = Socketmap()
        elif kind == "unix":
            given["lmtp"] = Lmtp(f"unix:{base}/lmtp.sock")
            given["socketmap"] = Socketmap(f"unix:{base}/map.sock")
        return project(**given)

    def site(self) -> Site:
        """As it is now."""
        own = self.postfix.base / "tables"
        return Site.read(self.settings, self.router, self.domains, own, self.postconf)

    def findings(self) -> list[Finding]:
        return list(inspection.findings(self.site()))

    def break_(self, fault: Fault) -> None:
        """Does it."""
        for name, text in fault.files.items():
            (self.etc / name).write_text(self.filled(text))
        self._age()
        for name in fault.hashed:
            self.postfix.run("postmap", f"hash:{self.etc / name}")
        for name, value in fault.main.items():
            self._append("main.cf", f"{name} = {self.filled(value)}\n")
        blocks = _blocks((self.etc / "master.cf").read_text())
        for key in fault.gone:
            del blocks[self.filled(key)]
        for name, value in fault.override.items():
            key, _, parameter = self.filled(name).rpartition("/")
            kept = re.sub(rf"(?m)^  -o \{{? ?{parameter} ?=.*\n", "", blocks[key])
            blocks[key] = f"{kept}  -o {{ {parameter} = {self.filled(value)} }}\n"
        for name, value in fault.column.items():
            key, _, number = self.filled(name).rpartition("/")
            first, rest = blocks[key].split("\n", 1)
            fields = first.split()
            fields[int(number)] = value
            blocks[key] = "\n".join((" ".join(fields), rest))
        text = "".join(blocks.values()) + "".join(f"{self.filled(one)}\n" for one in fault.added)
        (self.etc / "master.cf").write_text(text)
        self._age()

    def mend(self) -> None:
        """All is as it was."""
        for path in self.etc.rglob("*"):
            if path.is_file() and path not in self._right:
                path.unlink()
        for path, content in self._right.items():
            path.write_bytes(content)
        self._age()

    def filled(self, text: str) -> str:
        places = {"etc": str(self.etc), "world": self.world, "own": self.own}
        places |= {"base": str(self.postfix.base), "milter": MILTER}
        places |= {"port": str(self.postfix.smtp_port), "host": socket.getfqdn()}
        return re.sub(r"<(\w+)>", lambda found: places[found[1]], text)

    def close(self) -> None:
        shutil.rmtree(self.postfix.base)

    def _append(self, name: str, text: str) -> None:
        """The last line of a name counts; the one before would be warned of."""
        path = self.etc / name
        kept = re.sub(rf"(?m)^{text.partition(' ')[0]} *=.*\n(?:[ \t].*\n)*", "", path.read_text())
        path.write_text(kept + text)

    def _age(self) -> None:
        """Have Postfix's commands not wait until the files are two seconds old."""
        for path in (*self.etc.rglob("*"), *(self.postfix.base / "tables").glob("*")):
            os.utime(path, (0, 0))


def _blocks(master: str) -> dict[str, str]:
    """The entries of a master.cf by ``name/type``, each with its ``-o`` on lines of their own."""
    found: dict[str, str] = {}
    key = ""
    for line in master.splitlines():
        if line[:1].isspace():
            found[key] += f"{line}\n"
        elif line and not line.startswith("#"):
            name, kind = line.split()[:2]
            key = f"{name}/{kind}"
            fields, *options = re.split(r"\s-o\s+", line)
            found[key] = "\n".join((fields, *(f"  -o {one.strip()}" for one in options), ""))
    return found
