"""Configurations of a real Postfix for `lamson postfix`, of which tests break one thing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamson.postfix import plan, submission, wanted
from lamson.postfix.checks.inspection import Inspection
from lamson.postfix.postconf import Postconf
from lamson.routing.domains import Domains
from lamson.routing.pattern import compile_format
from lamson.routing.router import Route
from lamson.settings.model import Lmtp, Settings, Socketmap, Submission
from tests.fuzz.test_lookups import make_router
from tests.postfix.instance import PostfixInstance

if TYPE_CHECKING:
    from lamson.postfix.finding import Finding


def project(**changes: object) -> Settings:
    values: dict[str, object] = {
        "handlers": ["app"],
        "lmtp": Lmtp("127.0.0.1:8823"),
        "socketmap": Socketmap("127.0.0.1:8824"),
        "submission": Submission("127.0.0.1:10587"),
        **changes,
    }
    return Settings.model_validate(values)


ROUTE = r".+@(?:lists|app)\.test"


def domains_of(format: str = ROUTE) -> Domains:
    pattern = compile_format(format, {})
    return Domains([Route(format, None, pattern, "app.py", 7)])  # type: ignore[arg-type]


class Patient:
    """A configuration that was right, for a project; nothing runs."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.settings = settings
        self.postfix = PostfixInstance(sink_port=1, routes={}, **options)
        self.has_routes(ROUTE)
        self.directory = self.postfix.base / "etc"
        self.postconf = Postconf(self.directory)
        self.tables = self.postfix.base / "tables"

    def has_routes(self, *formats: str) -> None:
        directory = Path(tempfile.mkdtemp(prefix="app-", dir=self.postfix.base))
        self.router = make_router(directory, list(formats))
        self.domains = Domains(self.router.routes)

    def changes(self) -> list[plan.Change]:
        main = wanted.of_main(self.settings, self.domains, self.postconf, self.tables)
        master = submission.wanted(self.settings, self.domains, self.postconf)
        return plan.make(self.postconf, main, master)

    def apply(self) -> Path | None:
        done = plan.carry_out(self.postconf, self.changes(), self.tables)
        self.age()
        return done

    def findings(self) -> list[Finding]:
        inspection = Inspection(
            self.settings, self.router, self.domains, self.postconf, self.tables
        )
        return list(inspection.findings())

    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings()]

    def run(self, *arguments: str) -> None:
        subprocess.run(["postconf", "-c", str(self.directory), *arguments], check=True)
        self.age()

    def cure(self, finding: Finding) -> None:
        """Do what a finding says, but for the reload at its end: nothing runs."""
        cure = finding.fix.removesuffix(f" && {self.postconf.reload}")
        assert cure != finding.fix, "the cure ends with a reload"
        subprocess.run(["sh", "-c", cure], check=True)
        self.age()

    def age(self) -> None:
        """Have Postfix's commands not wait until the files are two seconds old."""
        for path in self.directory.iterdir():
            os.utime(path, (0, 0))
