"""`lamson log`: an SMTP server that stores every message in a queue, for development.

It takes what the application submits, as Postfix would, and keeps it where mutt can read it. It is
no mail server: it asks for no authentication, so it listens on this machine alone unless told
who else may connect. aiosmtpd is imported here only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lamson import log
from lamson.cli.options import command, option, port, printable
from lamson.errors import LamsonError
from lamson.message.compose import prepend_headers
from lamson.net.accept import AllowList
from lamson.net.endpoint import is_loopback, join_host_port
from lamson.net.listen import bind, describe
from lamson.service import daemon, pidfile, premises

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.storage.maildir import Maildir

MAX_SIZE = 50 * 1024 * 1024  # octets


@command("log")
@option("queue", default="run/queue", show_default=True, metavar="DIR", help="Maildir to fill.")
@option("host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@option(
    "allow",
    multiple=True,
    metavar="NETWORK",
    help="Who may connect, where that is not this machine alone; may be repeated.",
)
@port(8899)
@option("pid", default="run/log.pid", show_default=True, metavar="FILE", help="Pid file.")
@option("foreground", is_flag=True, help="Stay, and show each message as it comes.")
def log_command(
    queue: str, host: str, allow: tuple[str, ...], port: int, pid: str, foreground: bool
) -> None:
    """Start an SMTP server that stores all mail in a queue, so that you can look at it.

    Stop it with: lamson stop -ALL run

    \b
    Example:
      lamson log -queue run/queue -port 8899
    """
    directory, pid_file = Path(queue).absolute(), Path(pid).absolute()
    if not allow and not is_loopback(host):
        raise click.UsageError(
            f"{host} is no loopback address: expected -allow with the networks of those who may"
            " connect, such as -allow 192.0.2.0/24"
        )
    try:
        allowed = AllowList(allow)
    except ValueError as error:
        raise click.UsageError(f"-allow: {error}") from None
    for place in (directory.parent, pid_file.parent):
        premises.own(place)

    def run(ready: Callable[[str], None]) -> None:
        serve(directory, host, port, ready, allowed)

    def tell(text: str) -> None:
        click.echo(f"lamson log is listening: {text}")

    if not foreground:
        logs = Path("logs").absolute()
        tell(daemon.daemonise(pid_file, run, logs / "log.log" if logs.is_dir() else None))
        return
    with pidfile.PidFile(pid_file) as lock:

        def ready(text: str) -> None:
            lock.describe(text)
            tell(text)

        serve(directory, host, port, ready, allowed)


def serve(
    directory: Path, host: str, port: int, ready: Callable[[str], None], allowed: AllowList
) -> None:
    """Serve until SIGTERM or SIGINT. Raises UnavailableError where the address cannot be had."""
    from lamson.storage.maildir import Maildir

    try:
        queue = Maildir(directory)
    except OSError as error:
        problem = f"{error.filename or directory}: {error.strerror}"
        raise LamsonError(problem, exit_code=os.EX_CANTCREAT) from None
    asyncio.run(_serve(queue, directory, host, port, ready, allowed))


async def _serve(
    queue: Maildir,
    directory: Path,
    host: str,
    port: int,
    ready: Callable[[str], None],
    allowed: AllowList,
) -> None:
    log.configure(None, console=True)
    loop = asyncio.get_running_loop()
    leaving = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.set)
    server, where = await listen(Storing(queue), host, port, allowed)
    ready(f"SMTP on {where}, storing in {directory}")
    await leaving.wait()
    server.close()


async def listen(
    handler: Storing, host: str, port: int, allowed: AllowList
) -> tuple[asyncio.Server, str]:
    """Have ``handler`` take the mail of whoever is allowed; gives the server, and where it listens.

    Raises UnavailableError where the address cannot be had.
    """
    from aiosmtpd.smtp import SMTP

    class Sink(SMTP):
        # Postfix takes lines longer than the 998 octets of RFC 5321 section 4.5.3.1.6, too.
        line_length_limit = MAX_SIZE

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if not allowed.allows(transport.get_extra_info("peername")):
                transport.abort()

    # Its warnings are about single commands: `lamson send` asks for LMTP first, for one.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.Protocol:
        server: asyncio.Protocol = Sink(
            handler,
            data_size_limit=MAX_SIZE,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="lamson log",
            loop=loop,
        )
        return server

    sock = bind(join_host_port(host, port))
    return await loop.create_server(protocol, sock=sock), describe(sock)


class Storing:
    """What aiosmtpd calls. A message is stored once, whatever the number of its recipients."""

    def __init__(self, queue: Maildir, *, is_told: bool = True) -> None:
        self._queue = queue
        self._is_told = is_told

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Store, then answer: 452 where the disk will not have it."""
        sender = (envelope.mail_from or "").removeprefix("<").removesuffix(">")  # "<>" if null
        content = stored(sender, envelope.rcpt_tos, envelope.content)
        try:
            key = await asyncio.to_thread(self._queue.push, content)
        except OSError as error:
            return f"452 4.3.1 Cannot store the message: {error.strerror}"
        if self._is_told:
            click.echo(printable(f"{key} from=<{sender}> to={','.join(envelope.rcpt_tos)}"))
        return f"250 2.0.0 Ok: stored as {key}"


def stored(sender: str, recipients: list[str], content: bytes) -> bytes:
    """The message with what a final delivery puts on top of it (RFC 5321 section 4.4).

    Its lines end as those of the system do: mail readers show a carriage return as ^M.
    """
    fields = [("Return-Path", f"<{sender}>")]
    for recipient in recipients:
        fields += [("Delivered-To", recipient), ("X-Original-To", recipient)]
    return prepend_headers(content, fields).replace(b"\r\n", b"\n")
