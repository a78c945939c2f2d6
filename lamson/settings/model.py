"""What a project can set, with its defaults: the vocabulary of ``config/settings.py``.

For the person who writes that file::

    settings = Settings(lmtp=Lmtp("127.0.0.1:8823"), handlers=["app.handlers.sample"])

The values are checked as they are made: an unknown key or a wrong value raises pydantic's
ValidationError, which `lamson.settings.loading` turns into one line with file, key and what is
expected. The same module adds the environment and the secret files and makes paths absolute. The
descriptions here are the text of ``docs/reference/settings.md``. Times are in seconds, sizes in
octets.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import stat
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)
from pydantic_settings import NoDecode

from lamson.errors import SettingsError

_MIB = 1024 * 1024
_DAY = 86400.0
TEMPLATES = Path("app/templates")  # in the project
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):(\d{1,5})")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def split_host_port(text: str) -> tuple[str, int]:
    """Read ``"127.0.0.1:8823"`` or ``"[::1]:8823"``. Raises ValueError, saying what is expected."""
    found = _HOST_PORT.fullmatch(text)
    if not found or int(found[2]) > 65535:
        raise ValueError("expected host:port")
    return found[1].strip("[]"), int(found[2])


def is_loopback(host: str) -> bool:
    """True where mail for ``host`` never leaves this machine. Asks no name server."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_secret(path: Path) -> str:
    """The content of a secret file, without the final line end.

    Raises SettingsError where it cannot be read, or can be read by everybody on the machine.
    """
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                raise SettingsError(f"{path}: everybody can read this secret; chmod o-r {path}")
            return file.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{path}: cannot read the secret: {reason}") from None


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("expected valid JSON") from None


def _list(value: object) -> object:
    """The environment gives a text: a JSON list, or items with commas between them."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _json(value)
    return [item.strip() for item in value.split(",") if item.strip()]


def _mapping(value: object) -> object:
    return _json(value) if isinstance(value, str) else value


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Names = Annotated[list[str], NoDecode, BeforeValidator(_list)]
Paths = Annotated[list[Path], NoDecode, BeforeValidator(_list)]
Patterns = Annotated[dict[str, str], NoDecode, BeforeValidator(_mapping)]
OptionalText = Annotated[str | None, BeforeValidator(_empty_is_none)]
OptionalPath = Annotated[Path | None, BeforeValidator(_empty_is_none)]
Networks = Annotated[list[str], NoDecode, BeforeValidator(_list)]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]


class _Group(BaseModel):
    """Settings that belong together; nothing can be changed after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Listening(_Group):
    """A server of ours: where it listens, and who may open its socket."""

    listen: str
    socket_mode: str = Field("0660", description="Access mode of the unix socket, octal.")
    socket_group: str | None = Field(
        None, description="Group that the unix socket is given to, such as `postfix`."
    )
    allow: Networks = Field(
        [],
        description="Addresses and networks (`10.0.0.0/8`) of the clients that may connect over "
        "TCP. Default: any.",
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(**(values if listen is None else {"listen": listen, **values}))

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        try:
            if not value.removeprefix("unix:") and (value or not cls.may_be_off):
                raise ValueError
            if value and not value.startswith("unix:"):
                split_host_port(value)
        except ValueError:
            raise ValueError("expected host:port or unix:path") from None
        return value

    @field_validator("socket_mode")
    @classmethod
    def _check_mode(cls, value: str) -> str:
        if not re.fullmatch("0?[0-7]{3}", value):
            raise ValueError("expected an octal mode such as 0660")
        return value

    @field_validator("allow")
    @classmethod
    def _check_allow(cls, value: list[str]) -> list[str]:
        for text in value:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(f"expected addresses and networks: {error}") from None
        return value

    may_be_off: ClassVar[bool] = False  # by an empty `listen`

    @property
    def unix_path(self) -> Path | None:
        """The path of the unix socket, None for TCP."""
        return Path(self.listen[5:]) if self.listen.startswith("unix:") else None

    @property
    def host_port(self) -> tuple[str, int] | None:
        """Host and port for TCP, None for a unix socket or nothing."""
        is_tcp = self.listen and not self.listen.startswith("unix:")
        return split_host_port(self.listen) if is_tcp else None

    @property
    def is_on_every_interface(self) -> bool:
        """Anybody who can reach this machine can connect."""
        if self.host_port is None:
            return False
        host = self.host_port[0]
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            try:
                return not any(socket.inet_aton(host))  # "0" and the like are addresses to bind(2)
            except OSError:
                return False
        return (getattr(address, "ipv4_mapped", None) or address).is_unspecified

    @property
    def mode(self) -> int:
        """``socket_mode`` as a number."""
        return int(self.socket_mode, 8)


class Lmtp(_Listening):
    """The LMTP server (RFC 2033) that Postfix delivers to: `Lmtp("127.0.0.1:8823")`."""

    listen: str = Field(
        "127.0.0.1:8823",
        description="Where to listen: `host:port`, or `unix:path` for a socket in the file system. "
        "Port 0 takes any free port. Every interface (`0.0.0.0`, `[::]`) needs `tls_certificate` "
        "or `allow`.",
    )
    tls_certificate: OptionalPath = Field(
        None,
        description="Certificate chain, PEM. With one, clients have to say STARTTLS first.",
    )
    tls_key: OptionalPath = Field(
        None, description="Its private key, PEM; refused where everybody can read it."
    )
    client_ca_file: OptionalPath = Field(
        None,
        description="Certificates, PEM, one of which has to have signed the client's. Default: "
        "clients need no certificate.",
    )
    hostname: str | None = Field(
        None, description="Name in the greeting. Default: the name of this machine."
    )
    max_size: int = Field(
        50 * _MIB, ge=1, description="Largest message accepted, in octets; a larger one: 552."
    )
    max_recipients: int = Field(
        1000, ge=1, description="Recipients of one transaction; those beyond get 452."
    )
    max_line: int = Field(
        2048, ge=512, description="Longest command line, in octets, CRLF included."
    )
    max_connections: int = Field(
        1000, ge=1, description="Connections at a time in one worker; those beyond get 421."
    )
    idle_timeout: float = Field(
        300.0, gt=0, description="Seconds that a client may be silent before it gets 421."
    )
    transaction_timeout: float = Field(
        600.0, gt=0, description="Seconds that one transaction's commands and data may take."
    )
    max_buffered: int = Field(
        512 * _MIB,
        ge=1,
        description="Octets of messages being received in all sessions of one worker; beyond: 452.",
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)


class Socketmap(_Listening):
    """The server that Postfix asks whether an address is routed: `Socketmap("127.0.0.1:8824")`.

    It speaks the protocol of Postfix's socketmap_table(5).
    """

    may_be_off: ClassVar[bool] = True

    listen: str = Field(
        "",
        description="Where to listen: `host:port` or `unix:path`. Default: nowhere; Postfix then "
        "needs the tables that `lamson postfix maps` writes.",
    )
    max_connections: int = Field(
        1000, ge=1, description="Connections at a time in one worker; those beyond are closed."
    )
    idle_timeout: float = Field(
        300.0, gt=0, description="Seconds that a client may be silent before it is closed."
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)


class Postfix(_Group):
    """The Postfix in front, for `lamson postfix`: `Postfix(config_directory="/etc/postfix-in")`."""

    config_directory: OptionalPath = Field(
        default=None, description="Where its main.cf is. Default: what postconf(1) itself takes."
    )
    next_hop: OptionalText = Field(
        default=None,
        description="How it reaches our LMTP server, such as `lmtp:inet:[10.0.0.5]:8823`, where "
        "that is not `lmtp.listen`.",
    )
    lookups: OptionalText = Field(
        default=None,
        description="How it reaches our socketmap, such as `inet:10.0.0.5:8824`, where that is not "
        "`socketmap.listen`.",
    )
    smtpd: str = Field(
        default="127.0.0.1:25",
        description="Where it takes mail from the world, for `lamson postfix check`.",
    )

    @field_validator("next_hop")
    @classmethod
    def _check_next_hop(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"lmtp:(inet:\S+|unix:\S+)", value):
            raise ValueError("expected lmtp:inet:host:port or lmtp:unix:path")
        return value

    @field_validator("lookups")
    @classmethod
    def _check_lookups(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"(inet:\S+:\d+|unix:\S+)", value):
            raise ValueError("expected inet:host:port or unix:path")
        return value

    @field_validator("smtpd")
    @classmethod
    def _check_smtpd(cls, value: str) -> str:
        split_host_port(value)
        return value


Security = Literal["none", "starttls", "tls"]


def _security_for(values: dict[str, Any]) -> Security:
    server = values.get("server", "")
    return "none" if is_loopback(server.rpartition(":")[0].strip("[]")) else "starttls"


class Milter(_Listening):
    """The milter that Postfix asks while the sender is connected: `Milter("unix:run/milter.sock")`.

    It runs where there are `filters`, or with `check_recipients`.
    """

    listen: str = Field(
        "unix:run/milter.sock",
        description="Where to listen: `unix:path` for a socket in the file system, which is the "
        "faster one, or `host:port`.",
    )
    workers: int = Field(1, ge=1, description="Processes that share the socket.")
    threads: int = Field(64, ge=1, description="Threads of one worker that run filters, at most.")
    check_recipients: bool = Field(
        False,
        description="Refuse recipients in our domains that no route matches, at RCPT TO. The "
        "alternative to the socketmap.",
    )
    timeout: float = Field(
        25.0,
        gt=0,
        description="Seconds that the filters of one command may take; beyond: 451. Keep it below "
        "Postfix's `milter_command_timeout` (30).",
    )
    content_timeout: float = Field(
        250.0,
        gt=0,
        description="Seconds that the filters of one message may take; beyond: 451. Keep it below "
        "Postfix's `milter_content_timeout` (300).",
    )
    max_body: int = Field(
        10 * _MIB,
        ge=0,
        description="Octets of a body that filters are shown; of a larger one they see the start.",
    )
    secret: SecretStr | None = Field(
        None,
        description="What the filters' notes to the handlers are signed with; the same on all "
        "nodes. Default: one that is made once, in `run/notes.key`.",
    )
    secret_file: OptionalPath = Field(
        None, description="File that holds it; refused where everybody can read it."
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)

    @field_validator("allow")
    @classmethod
    def _refuse_allow(cls, value: list[str]) -> list[str]:
        if value:
            raise ValueError("expected none: libmilter lets everybody connect who can reach it")
        return value

    def signing_secret(self) -> str | None:
        """The secret, read afresh where it is in a file. Raises SettingsError (`read_secret`)."""
        if self.secret_file is not None:
            return read_secret(self.secret_file)
        return self.secret.get_secret_value() if self.secret else None


class Submission(_Group):
    """The submission service that replies and forwards go out through: `Submission("mail:587")`."""

    server: str = Field("127.0.0.1:8899", description="The server, as `host:port`.")
    security: Security = Field(
        default_factory=_security_for,
        description="`none`, `starttls` (required and verified) or `tls` (from the first octet, "
        "port 465). Default: `none` for this very machine, else `starttls`.",
    )
    user: OptionalText = Field(None, description="User name for SASL. Default: no authentication.")
    secret: SecretStr | None = Field(
        None, description="Password for SASL. Better kept in a secret file or in `secret_file`."
    )
    secret_file: OptionalPath = Field(
        None, description="File that holds the password; refused where everybody can read it."
    )
    ca_file: OptionalPath = Field(
        None, description="Certificates to trust, PEM. Default: those of the system."
    )
    tls_name: OptionalText = Field(
        None, description="Name that its certificate has to have. Default: that of `server`."
    )
    any_sender: bool = Field(
        False,
        description="Allow envelope senders in domains that are not ours, and forward with the "
        "original one. Default: those are refused, so that no mistake of a handler makes this an "
        "open relay.",
    )
    connections: int = Field(4, ge=1, description="Connections kept open by one worker, at most.")
    timeout: float = Field(60.0, gt=0, description="Seconds to wait for each of its replies.")
    max_age: float = Field(
        5 * _DAY,
        gt=0,
        description="Seconds after which a message that cannot be submitted is given up and kept "
        "in `run/undeliverable`. Default: five days, as Postfix's own queue.",
    )

    def __init__(self, server: str | None = None, /, **values: Any) -> None:
        if server is not None:
            values["server"] = server
        super().__init__(**values)

    @field_validator("server")
    @classmethod
    def _check_server(cls, value: str) -> str:
        split_host_port(value)
        return value

    @property
    def host(self) -> str:
        """The server's name or IP address."""
        return split_host_port(self.server)[0]

    @property
    def port(self) -> int:
        """The server's port."""
        return split_host_port(self.server)[1]

    def password(self) -> str | None:
        """The secret, read afresh where it is in a file. Raises SettingsError (`read_secret`)."""
        if self.secret_file is not None:
            return read_secret(self.secret_file)
        return self.secret.get_secret_value() if self.secret else None


class Settings(_Group):
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
    log_file: OptionalPath = Field(
        default=Path("logs/lamson.log"), description="The log; empty for none but standard error."
    )
    log_level: Level = Field(
        default="INFO", description="The least important level that is logged."
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
        description="Seconds that a handler may take. Keep it below Postfix's "
        "`lmtp_data_done_timeout` (600).",
    )

    @field_validator("handlers", "filters")
    @classmethod
    def _check_handlers(cls, value: list[str]) -> list[str]:
        for name in value:
            if not _MODULE.fullmatch(name):
                raise ValueError(f"expected module names such as app.handlers.sample, not {name!r}")
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
        """How Postfix reaches the LMTP server, as a transport map has it: ``lmtp:…``."""
        if self.postfix.next_hop is not None:
            return self.postfix.next_hop
        return "lmtp:" + _endpoint(self.lmtp, bracketed=True)

    def lookup(self, name: str) -> str:
        """The map ``name`` of our socketmap, as main.cf has it: ``socketmap:…:recipient``."""
        endpoint = self.postfix.lookups or _endpoint(self.socketmap, bracketed=False)
        return f"socketmap:{endpoint}:{name}"


def _endpoint(listening: _Listening, *, bracketed: bool) -> str:
    """Where it can be reached from this machine, as Postfix writes it."""
    if listening.host_port is None:
        return f"unix:{listening.unix_path}"
    host, port = listening.host_port
    if listening.is_on_every_interface:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"inet:[{host}]:{port}" if bracketed or ":" in host else f"inet:{host}:{port}"
