"""The LMTP server's settings."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from lamson.settings.listening import Guarded
from lamson.settings.secrets import read_secret
from lamson.settings.values import MIB, OptionalPath


class Lmtp(Guarded):
    """The LMTP server (RFC 2033) that Postfix delivers to: `Lmtp("127.0.0.1:8823")`."""

    listen: str = Field(
        "127.0.0.1:8823",
        description="Where to listen: `host:port`, or `unix:path` for a socket in the file system. "
        "Port 0 takes any free port. All but loopback addresses need `allow` or "
        "`client_ca_file`.",
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
        50 * MIB, ge=1, description="Largest message accepted, in octets; a larger one: 552."
    )
    max_recipients: int = Field(
        1000, ge=1, description="Recipients of one transaction; those beyond get 452."
    )
    max_line: int = Field(
        8192,
        ge=512,
        description="Longest command line, in octets, CRLF included. Postfix passes on what it "
        "took in 2048, encoded to three times that: a shorter limit lets strangers make bounces.",
    )
    max_connections: int = Field(
        1000, ge=1, description="Connections at a time in one worker; those beyond get 421."
    )
    idle_timeout: float = Field(
        300.0,
        gt=0,
        description="Seconds that a client may be silent before it gets 421; between transactions, "
        "seconds until it begins the next one, whatever it says meanwhile.",
    )
    transaction_timeout: float = Field(
        600.0, gt=0, description="Seconds that one transaction's commands and data may take."
    )
    max_buffered: int = Field(
        512 * MIB,
        ge=1,
        description="Octets of messages being received in all sessions of one worker; beyond: 452.",
    )

    def __init__(self, listen: str | None = None, /, **values: Any) -> None:
        super().__init__(listen, **values)

    def problem(self) -> tuple[str, str] | None:
        """Who reaches the LMTP server can have mail handled as if Postfix had checked it."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            key = "tls_key" if self.tls_certificate is None else "tls_certificate"
            return key, "expected tls_certificate and tls_key, both or neither"
        if self.client_ca_file is not None and self.tls_certificate is None:
            return "client_ca_file", "expected tls_certificate beside it"
        if self.is_exposed and self.client_ca_file is None and not self.allow:
            return "listen", (
                f"{self.listen} is no loopback address: expected allow with the addresses of your"
                " Postfix, or client_ca_file for a certificate that it has to show (a certificate"
                " of ours alone lets anybody connect); or listen on unix:path or 127.0.0.1:8823"
            )
        if self.tls_key is not None:
            read_secret(self.tls_key)
        return super().problem()
