"""The application that moves in: its project, and what `lamson postfix` does for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.postfix import apply, plan, proof, submission, transport, wanted
from lamson.postfix.checks import inspection, probes
from lamson.postfix.finding import Finding
from lamson.postfix.postconf import Postconf
from lamson.postfix.site import Site
from lamson.routing.domains import Domains
from lamson.settings import Lmtp, Settings, Socketmap, Submission
from tests.unit.postfix.paper import make_router

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postfix.setups.gate import Gate
    from tests.postfix.setups.town import SetupPostfix

ROUTE = r"counted-[a-z]+@app\.test"
KNOWN, UNKNOWN = "counted-one@app.test", "nobody@app.test"

_SETTINGS = """\
from lamson.settings import Settings

settings = Settings(handlers=["app.handlers"], metadata=None, database="sqlite:///run/lamson.db")
"""
_HANDLERS = """\
from lamson import Delivery, MailRequest, route, stateless

@route(r"counted-(name)@app\\.test", name="[a-z]+")
@stateless
def COUNTED(message: MailRequest, delivery: Delivery, name: str) -> None:
    delivery.reply(subject=f"Counted {name}", body="One more.")
"""


def make_project(directory: Path) -> Path:
    """The project in a new directory."""
    for name in ("config", "app"):
        (directory / name).mkdir(parents=True)
    (directory / "config/settings.py").write_text(_SETTINGS)
    (directory / "app/__init__.py").touch()
    (directory / "app/handlers.py").write_text(_HANDLERS)
    return directory


class Application:
    """One project, which Postfix reaches through these gates."""

    def __init__(
        self,
        postfix: SetupPostfix,
        lmtp: Gate,
        socketmap: Gate,
        submission: int,
        *,
        route: str = ROUTE,
        **postfix_settings: object,
    ) -> None:
        self._gates = (lmtp, socketmap)
        self._etc = postfix.etc
        self._postconf = Postconf(postfix.etc)
        self._postfix = postfix
        self._router = make_router([route])
        listen = dict(postfix.setup.lamson)
        self.settings = Settings.model_validate(
            {
                "handlers": ["app"],
                "lmtp": Lmtp(lmtp.place, **listen),
                "socketmap": Socketmap(socketmap.place),
                "submission": Submission(f"127.0.0.1:{submission}"),
                "postfix": {
                    "lookups": "unix:lamson/socketmap" if postfix.setup.sockets else None,
                    "smtpd": f"127.0.0.1:{postfix.smtp_port}",
                    **postfix_settings,
                },
            }
        )

    def open(self) -> None:
        for gate in self._gates:
            gate.open()

    def close(self) -> None:
        """`lamson stop`, as far as Postfix can see."""
        for gate in self._gates:
            gate.close()

    def site(self) -> Site:
        domains = Domains(self._router.routes)
        return Site.read(self.settings, self._router, domains, self._etc / "none", self._postconf)

    def plan(self) -> list[plan.Change]:
        site = self.site()
        return plan.make(
            site, wanted.of_main(site), [*transport.wanted(site), *submission.wanted(site)]
        )

    def apply(self) -> Path:
        """`lamson postfix apply`; gives the rollback file."""
        changes = self.plan()
        assert [f"{one.name}: {one.doubt}" for one in changes if one.doubt] == []
        old = [one.address for one in self._postfix.setup.old]
        shown = proof.prove(self.site(), changes, old)
        assert [str(one) for one in shown.changed] == []
        rollback = apply.carry_out(self._postconf, changes, self._etc / "lamson")
        self._postfix.age()
        assert rollback is not None
        assert self.plan() == []
        return rollback

    def undo(self, rollback: Path) -> None:
        """`lamson postfix apply -undo`."""
        apply.undo(self._postconf, rollback)

    def inspect(self) -> list[str]:
        """The same, of the configuration alone."""
        return [str(one) for one in inspection.findings(self.site())]

    def check(self) -> list[str]:
        """What `lamson postfix check` finds wrong."""
        site = self.site()
        seen = [*inspection.findings(site), *probes.findings(site)]
        return [str(one) for one in seen if isinstance(one, Finding)]
