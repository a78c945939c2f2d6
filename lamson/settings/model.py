"""What a project can set, with its defaults: the vocabulary of ``config/settings.py``.

For the person who writes that file::

    settings = Settings(lmtp=Lmtp("127.0.0.1:8823"), handlers=["app.handlers.sample"])

Each group has a module of its own beside this one. The values are checked as they are made: an
unknown key or a wrong value raises pydantic's ValidationError, which `lamson.settings.loading`
turns into one line with file, key and what is expected. That module adds the environment and the
secret files too, and makes paths absolute. The descriptions here are the text of
``docs/reference/settings.md``. Times are in seconds, sizes in octets.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from lamson.errors import AddressError
from lamson.settings.answers import Answers
from lamson.settings.journal import Journal
from lamson.settings.lmtp import Lmtp
from lamson.settings.mail_threads import MailThreads
from lamson.settings.milter import Milter
from lamson.settings.postfix import Postfix
from lamson.settings.signing import Signing
from lamson.settings.socketmap import Socketmap
from lamson.settings.spam import Spam
from lamson.settings.status import Status
from lamson.settings.submission import Submission
from lamson.settings.values import (
    Group,
    Level,
    Names,
    OptionalPath,
    OptionalText,
    Paths,
    Patterns,
)
from lamson.settings.web import Web
from lamson.smtp.address import parse_mailbox

TEMPLATES = Path("app/templates")  # in the project
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class Settings(Group):
    """All settings of a project: `config/settings.py` makes one, called `settings`.

    Raises pydantic's ValidationError for an unknown key or a wrong value, as its groups do; nothing
    can be changed afterwards. Times are in seconds, sizes in octets.
    """

    lmtp: Lmtp = Field(default=Lmtp(), description="The LMTP server that Postfix delivers to.")
    submission: Submission = Field(
        default=Submission(), description="The server that takes replies and forwards."
    )
    socketmap: Socketmap = Field(
        default=Socketmap(), description="The server that Postfix asks about recipients."
    )
    postfix: Postfix = Field(default=Postfix(), description="The Postfix in front.")
    milter: Milter = Field(
        default=Milter(), description="The server that Postfix asks about mail, at SMTP time."
    )
    answers: Answers = Field(
        default=Answers(), description="How many automatic answers are sent at most."
    )
    signing: Signing = Field(
        default=Signing(), description="What signed addresses are signed with."
    )
    mail_threads: MailThreads = Field(
        default=MailThreads(), description="The threads that mail belongs to, and for how long."
    )
    journal: Journal = Field(
        default=Journal(), description="What is kept of the mail that came and went."
    )
    spam: Spam = Field(default=Spam(), description="What spam is, and where it is kept.")
    status: Status = Field(
        default=Status(), description="The server that tells how the service is."
    )
    web: Web = Field(default=Web(), description="The window: mail and what waits, in a browser.")
    authserv_id: OptionalText = Field(
        default=None,
        description="The authserv-id of your own server, whose Authentication-Results are believed "
        "(RFC 8601): the name that it gives itself there. It has to remove fields with that name "
        "from what comes in. Default: none; nothing is proven then, and an answer goes to a From "
        "or Reply-To address only where the envelope sender is of the same organisation.",
    )
    unproven_actions: Literal["refuse", "warn"] = Field(
        default="refuse",
        description="What becomes of a route that has an `@action` done without proof of the "
        "author: `refuse` to start, or `warn` in the log.",
    )
    database: OptionalText = Field(
        default=None,
        description="SQLAlchemy URL, such as `sqlite:///run/lamson.db` (a path relative to the "
        "project) or `postgresql+psycopg://user@host/name`. Default: none; states are then kept "
        "in memory, and handlers cannot send mail.",
    )
    handlers: Names = Field(
        default=...,
        description="Modules with handlers, in the order in which their routes are tried.",
    )
    filters: Names = Field(
        default=[],
        description="Modules with filters for the milter, in the order in which they are asked.",
    )
    route_defaults: Patterns = Field(
        default={},
        description="Regular expressions of the captures that a route does not define itself.",
    )
    domains: Names = Field(
        default=[],
        description="Mail domains of this application, in which its own addresses stand, besides "
        "those that the routes end with.",
    )
    templates: Paths = Field(
        default=[TEMPLATES],
        description="Directories in which templates are searched for. Each has to be there, but "
        "for the default.",
    )
    metadata: OptionalText = Field(
        default="app.model:Base",
        description="The project's SQLAlchemy base class or MetaData, as `module:name`; empty for "
        "none. The fixtures of `lamson.testing` create its tables.",
    )
    run_dir: Path = Field(
        default=Path("run"),
        description="Directory of pid files and queues; `undeliverable` is one.",
    )
    max_undeliverable: int = Field(
        default=1024**3,
        ge=1,
        description="Octets that `undeliverable` may take on the disk, at most. When it is full, "
        "what is to be kept there waits where it is: in Postfix (451 4.3.1), or in the outbox.",
    )
    log_file: OptionalPath = Field(
        default=Path("logs/lamson.log"), description="The log; empty for none but standard error."
    )
    log_level: Level = Field(
        default="INFO", description="The least important level that is logged."
    )
    log_format: Literal["text", "json", "journald"] = Field(
        default="text",
        description="What the log is made of: `text` for people, `json` for programs, an object a "
        "line; `journald` sends entries with fields to the journal of systemd, and writes no file.",
    )
    tracing: bool = Field(
        default=False,
        description="Whether spans of OpenTelemetry are made: of each delivery, filter, handler, "
        "task and attempt to submit. Needs `lamson-postfix[otel]`, and an SDK that the application "
        "sets up.",
    )
    workers: int = Field(default=1, ge=1, description="Processes that share the listening sockets.")
    threads: int = Field(default=8, ge=1, description="Threads of one worker that run handlers.")
    one_processor: bool = Field(
        default=True,
        description="Whether a worker keeps to one processor, each to another: a quarter more mail "
        "for the same CPU. False where handlers start programs or threads that need several.",
    )
    handler_deadline: float = Field(
        default=300.0,
        gt=0,
        description="Seconds that a handler may take, and that a worker of any kind may stand "
        "still, at the least 1. Keep it below Postfix's `lmtp_data_done_timeout` (600).",
    )

    @field_validator("handlers", "filters")
    @classmethod
    def _check_handlers(cls, value: list[str]) -> list[str]:
        for name in value:
            if not _MODULE.fullmatch(name):
                raise ValueError(f"expected module names such as app.handlers.sample, not {name!r}")
        return value

    @field_validator("domains")
    @classmethod
    def _check_domains(cls, value: list[str]) -> list[str]:
        for domain in value:
            try:
                parse_mailbox(f"x@{domain}", smtputf8=True)
            except AddressError:
                raise ValueError(
                    f"expected domains such as lists.example.com, not {domain!r}"
                ) from None
        return value

    @field_validator("metadata")
    @classmethod
    def _check_metadata(cls, value: str | None) -> str | None:
        module, _, name = (value or "a:b").partition(":")
        if not (_MODULE.fullmatch(module) and name.isidentifier()):
            raise ValueError("expected module:name such as app.model:Base")
        return value

    @field_validator("database")
    @classmethod
    def _check_database(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"[a-z][a-z0-9_+]*://", value):
            raise ValueError("expected an SQLAlchemy URL such as sqlite:///run/lamson.db")
        return value

    @property
    def has_milter(self) -> bool:
        """There is something for the milter to do."""
        return bool(self.filters) or self.milter.check_recipients

    @property
    def next_hop(self) -> str:
        """How Postfix reaches the LMTP server, as a transport map has it: ``lamson:inet:…``."""
        if self.postfix.next_hop is not None:
            return self.postfix.next_hop
        return f"{self.postfix.transport}:{self.lmtp.endpoint(bracketed=True)}"

    def lookup(self, name: str) -> str:
        """The map ``name`` of our socketmap, as main.cf has it: ``socketmap:…:recipient``."""
        endpoint = self.postfix.lookups or self.socketmap.endpoint()
        return f"socketmap:{endpoint}:{name}"
