"""Configurations of a real Postfix for `lamson postfix`, of which tests break one thing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamson.postfix import apply, plan, submission, transport, wanted
from lamson.postfix.checks import inspection
from lamson.postfix.postconf import Postconf
from lamson.postfix.site import Site
from lamson.routing.domains import Domains
from lamson.settings import Lmtp, Settings, Socketmap, Submission
from tests.fuzz.test_lookups import make_router
from tests.postfix.instance import PostfixInstance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lamson.postfix.configuration import Service
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


def site_of(settings: Settings, directory: Path, routed: str = ROUTE) -> Site:
    """A project with one route, and the configuration in the directory, as it is now."""
    with tempfile.TemporaryDirectory(prefix="app-") as app:
        router = make_router(Path(app), [routed])
    domains = Domains(router.routes)
    return Site.read(settings, router, domains, directory / "tables", Postconf(directory))


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

    def site(self) -> Site:
        """As it is now."""
        return Site.read(self.settings, self.router, self.domains, self.tables, self.postconf)

    def value(self, name: str) -> str | None:
        return self.postconf.read().values.get(name)

    def explicit(self) -> Mapping[str, str]:
        return self.postconf.read().explicit

    def services(self) -> Mapping[str, Service]:
        return self.postconf.read().services

    def changes(self) -> list[plan.Change]:
        site = self.site()
        return plan.make(
            site, wanted.of_main(site), [*transport.wanted(site), *submission.wanted(site)]
        )

    def apply(self) -> Path | None:
        done = apply.carry_out(self.postconf, self.changes(), self.tables)
        self.age()
        return done

    def findings(self) -> list[Finding]:
        return list(inspection.findings(self.site()))

    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings()]

    def run(self, *arguments: str) -> None:
        subprocess.run(["postconf", "-c", str(self.directory), *arguments], check=True)
        self.age()

    def cure(self, finding: Finding) -> None:
        """Do what a finding says, but for the reload at its end: nothing runs."""
        cure = finding.fix.removesuffix(f" && {self.postconf.mend.reload}")
        assert cure != finding.fix, "the cure ends with a reload"
        subprocess.run(["sh", "-c", cure], check=True)
        self.age()

    def age(self) -> None:
        """Have Postfix's commands not wait until the files are two seconds old."""
        for path in self.directory.iterdir():
            os.utime(path, (0, 0))
