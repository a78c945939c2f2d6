"""What Postfix tells in macros: the client, how it has proven itself, what a recipient comes to.

For `callbacks`. Postfix is asked for these (SMFIR_SETSYMLIST), so that no `milter_…_macros` of
main.cf has to name them. Source: Postfix's MILTER_README, "What macros will Postfix send".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import milter

from lamson.smtp.envelope import LOCAL, REMOTE, Daemon, Peer, Sasl, Tls

if TYPE_CHECKING:
    from lamson_milter.libmilter.context import Context

QUEUE_ID = "i"
SENDER, RECIPIENT = "{mail_addr}", "{rcpt_addr}"
TRANSPORT, NEXT_HOP = "{rcpt_mailer}", "{rcpt_host}"
_NAME, _ADDR, _PORT = "{client_name}", "{client_addr}", "{client_port}"
_PTR, _RESOLVE, _CONNECTIONS = "{client_ptr}", "{client_resolve}", "{client_connections}"
_DAEMON = ("{daemon_name}", "{daemon_addr}", "{daemon_port}")
_SASL = ("{auth_authen}", "{auth_type}", "{auth_author}")
_VERSION, _CIPHER, _BITS = "{tls_version}", "{cipher}", "{cipher_bits}"
_SUBJECT, _ISSUER = "{cert_subject}", "{cert_issuer}"

WANTED = (
    (milter.M_CONNECT, (_NAME, _ADDR, _PORT, _PTR, _RESOLVE, _CONNECTIONS, *_DAEMON)),
    (milter.M_ENVFROM, (SENDER, *_SASL, _VERSION, _CIPHER, _BITS, _SUBJECT, _ISSUER)),
    (milter.M_ENVRCPT, (QUEUE_ID, RECIPIENT, TRANSPORT, NEXT_HOP)),
    (milter.M_EOM, (QUEUE_ID,)),
)

_UNKNOWN = "unknown"
_NOBODYS_PORT = "0"  # cleanup(8) tells it for mail that came in by no network


def macro(ctx: Context, name: str) -> str:
    """A macro's value; "" where it is not known, or not UTF-8."""
    try:
        return ctx.getsymval(name) or ""
    except (UnicodeDecodeError, milter.error):
        return ""


def client(ctx: Context, name: str = "", addr: str = "", port: str = "") -> Peer:
    """The client, by what the connection told, else by its macros.

    Where Postfix knows no name it tells the address in brackets, and "unknown" in the macro.
    """
    name = macro(ctx, _NAME) or name
    name = "" if name == _UNKNOWN or name.startswith("[") else name
    addr = addr or macro(ctx, _ADDR)
    port = port or macro(ctx, _PORT)
    is_local = port == _NOBODYS_PORT and name == "localhost" and addr == "127.0.0.1"
    return Peer(
        name,
        addr,
        port,
        source=LOCAL if is_local else REMOTE,
        ptr=macro(ctx, _PTR),
        resolve=macro(ctx, _RESOLVE),
        connections=_number(macro(ctx, _CONNECTIONS)),
        daemon=Daemon(*[macro(ctx, one) for one in _DAEMON]),
    )


def sasl(ctx: Context) -> Sasl:
    """How the client has authenticated, as it is at MAIL."""
    return Sasl(*[macro(ctx, one) for one in _SASL])


def tls(ctx: Context) -> Tls:
    """How the connection is encrypted, as it is at MAIL."""
    return Tls(
        macro(ctx, _VERSION),
        macro(ctx, _CIPHER),
        _number(macro(ctx, _BITS)),
        macro(ctx, _SUBJECT),
        macro(ctx, _ISSUER),
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
