"""The settings of the way out: the submission service."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from lamson.net.endpoint import is_loopback, split_host_port
from lamson.net.tls import Security  # noqa: TC001 - pydantic reads it
from lamson.settings import secrets
from lamson.settings.values import DAY, OptionalPath, OptionalText, Rates, Server
from lamson.smtp.address import parse_mailbox


def _security_for(values: dict[str, Any]) -> Security:
    server = values.get("server")  # missing where it was refused
    is_here = server is not None and is_loopback(split_host_port(server)[0])
    return "none" if is_here else "starttls"


class Submission(Server):
    """The submission service that replies and forwards go out through: `Submission("mail:587")`."""

    positional: ClassVar[str] = "server"

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
    max_buffered: int = Field(
        64 * 1024 * 1024,
        ge=1,
        description="Octets of mail that one worker holds in memory to submit it, at most; what is "
        "beyond them waits in the database. A larger message goes alone.",
    )
    max_recipients: int = Field(
        50,
        ge=1,
        description="Recipients of one transaction, at most: a message to more leaves in several, "
        "and a kill at the worst moment repeats one of them. Postfix takes a thousand by default.",
    )
    pace: Rates = Field(
        {},
        description="Messages a minute at most, from all workers and nodes, by destination domain, "
        'address of an envelope sender, or `"*"` for each domain that is not named: '
        '`{"example.com": 60, "news@test.com": 600}`. What is beyond them waits in the outbox, and '
        "holds up nothing of others.",
    )
    timeout: float = Field(60.0, gt=0, description="Seconds to wait for each of its replies.")
    max_age: float = Field(
        5 * DAY,
        gt=0,
        description="Seconds after which a message that cannot be submitted is given up and kept "
        "in `run/undeliverable`, where it was tried for half of that time. Default: five days, as "
        "Postfix's own queue.",
    )

    track: bool = Field(
        False,
        description="Track mail of which its handler says nothing (`track=`): it gets a bounce "
        "address of its own as its envelope sender, and the `@outcome` function of the module is "
        "told what became of it.",
    )
    notify: str = Field(
        "FAILURE,DELAY",
        description="What the server is asked to report of tracked mail, where it offers DSN (RFC "
        "3461): `FAILURE`, `DELAY` and `SUCCESS`, with commas between them, or `NEVER`.",
    )
    suppress: Literal["hard", "never"] = Field(
        "hard",
        description="Who gets no mail any more by what became of tracked mail: with `hard` whose "
        "mailbox does not exist, who complained, and whose mail failed too often; with `never` "
        "nobody. `lamson suppressed` shows and changes the list, which counts in any case.",
    )
    soft_limit: int = Field(
        5,
        ge=0,
        description="How many failures of other kinds (a mailbox that is full, a server that was "
        "not reached for days) suppress an address; 0 for none.",
    )
    soft_days: float = Field(
        30.0, gt=0, description="Days within which they have to come for that."
    )

    def __init__(self, server: str | None = None, /, **values: Any) -> None:
        super().__init__(server, **values)

    @field_validator("server")
    @classmethod
    def _check_server(cls, value: str) -> str:
        split_host_port(value)
        return value

    @field_validator("notify")
    @classmethod
    def _check_notify(cls, value: str) -> str:
        words = [word.strip().upper() for word in value.split(",")]
        if words != ["NEVER"] and not (words and set(words) <= {"FAILURE", "DELAY", "SUCCESS"}):
            raise ValueError("expected NEVER, or some of FAILURE,DELAY,SUCCESS")
        return ",".join(dict.fromkeys(words))

    @field_validator("pace")
    @classmethod
    def _check_pace(cls, value: dict[str, int]) -> dict[str, int]:
        for name, rate in value.items():
            if rate < 1:
                raise ValueError(f"expected 1 message a minute or more for {name!r}, not {rate}")
            if name != "*":
                parse_mailbox(name if "@" in name else f"postmaster@{name}", smtputf8=True)
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
        """The secret, read afresh where it is in a file. Raises SettingsError."""
        return secrets.current(self.secret, self.secret_file)

    def problem(self) -> tuple[str, str] | None:
        """Checked at the start, so that it is not found with the first mail."""
        given = [name for name in ("secret", "secret_file") if getattr(self, name) is not None]
        if len(given) == 2:
            return given[0], "expected secret or secret_file, not both"
        if given and self.user is None:
            return given[0], f"expected user beside {given[0]}"
        if self.user is not None and not given:
            return "user", "expected secret or secret_file beside user"
        if given and self.security == "none" and not is_loopback(self.host):
            return given[0], "expected security starttls or tls, lest the password go in clear"
        self.password()
        return None
