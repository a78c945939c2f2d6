"""`lamson start`, `stop`, `restart` and `status`: the servers of a project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamson.cli.options import Seconds, command, option, printable, project, settings
from lamson.errors import LamsonError, SettingsError, UnavailableError
from lamson.service import daemon, pidfile, premises

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.service.health import Health
    from lamson.service.worker import Group
    from lamson.settings.model import Settings

NOT_RUNNING = 3  # as LSB init scripts have it

_timeout = option(
    "timeout",
    type=Seconds(0),
    default=45.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until mail being handled is done.",
)


@command("start")
@option("foreground", is_flag=True, help="Stay: for systemd and containers.")
def start_command(foreground: bool) -> None:
    """Start the mail server of the project.

    Returns once it is listening, else says why it is not.

    \b
    Example:
      lamson start
    """
    _start(foreground)


@command("restart")
@_timeout
def restart_command(timeout: float) -> None:
    """Stop the mail server of the project and start it again.

    Settings, handlers and database are looked at first: with a mistake there the server goes on
    running. `lamson reload` takes in new settings and handlers without a pause.

    \b
    Example:
      lamson restart
    """
    run_dir = settings().run_dir
    premises.own(run_dir)  # it could not be started again
    _rehearse("stopped")
    _stop([run_dir / pidfile.PID_FILE], timeout, kill=False)
    _start(foreground=False)


@command("reload")
def reload_command() -> int:
    """Have the mail server of the project take in new settings and handlers, without a pause.

    They are looked at first: with a mistake there nothing happens. Then the server is told
    (SIGHUP), and replaces its workers one by one; its log says when all are new, and which settings
    have to wait for a restart. Exits with 3 where the server is not running.

    \b
    Example:
      lamson reload
    """
    file = _run_dir() / pidfile.PID_FILE
    if pidfile.read(file) is None:
        click.echo("nothing is running")
        return NOT_RUNNING
    _rehearse("reloaded")
    pid = daemon.reload(file)
    if pid is None:
        click.echo("nothing is running")
        return NOT_RUNNING
    click.echo(f"told {file.stem} (pid {pid}) to reload; its log says what came of it")
    return os.EX_OK


def _rehearse(what: str) -> None:
    """Load the application, in a process of its own: this one must import no handler.

    A supervisor that had imported them would give old ones to the workers of a reload. Raises
    LamsonError with what is wrong, and that the server was not ``what``.
    """
    where = project()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            from lamson.app import Application

            application = Application.load(where)
            if application.settings.has_milter:
                from lamson_milter import worker

                worker.rehearse(application, where)
        except LamsonError as problem:
            os.write(writing, f"{problem.exit_code} {problem}".encode())
        except BaseException as problem:  # noqa: BLE001 - told to the parent, whatever it is
            os.write(writing, f"{os.EX_SOFTWARE} {problem!r}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8", errors="replace") as pipe:
        code, _, text = pipe.read().partition(" ")
    os.waitpid(child, 0)
    if code:
        raise LamsonError(f"{text}; not {what}", exit_code=int(code))


def _start(foreground: bool) -> None:
    from lamson.cli import syncdb
    from lamson.service import supervisor

    supervisor.start(
        project(),
        _groups,
        foreground=foreground,
        remarks=syncdb.warnings(project()),
        ready=lambda text: click.echo(f"lamson is listening: {text}"),
        remark=lambda text: click.echo(f"lamson: {text}", err=True),
    )


def _groups(effective: Settings) -> list[Group]:
    """What these settings want to be served."""
    from lamson_lmtp import worker
    from lamson_lmtp.socketmap import worker as socketmap_worker

    groups = [worker.group()]
    if effective.socketmap.listen:
        groups.append(socketmap_worker.group())
    if effective.has_milter:
        from lamson_milter import worker as milter_worker

        groups.append(milter_worker.group())
    if effective.status.listen:
        from lamson.service import status

        groups.append(status.group())
    return groups


@command("stop")
@option("ALL", dest="every", metavar="DIR", help="Stop every server with a pid file in DIR.")
@option("pid", metavar="FILE", help="Stop the server with this pid file.")
@option("KILL", is_flag=True, help="Kill what has not ended in time, with all that it has started.")
@_timeout
def stop_command(every: str | None, pid: str | None, kill: bool, timeout: float) -> None:
    """Stop the mail server of the project, once mail being handled is done.

    \b
    Example:
      lamson stop
      lamson stop -ALL run
    """
    if every is not None and pid is not None:
        raise click.UsageError("-ALL and -pid cannot go together")
    if pid is not None:
        files = [Path(pid)]
    elif every is not None:
        if not Path(every).is_dir():
            raise click.BadParameter(f"{every}: no such directory", param_hint="-ALL")
        files = sorted(Path(every).glob("*.pid"))
    else:
        files = [_run_dir() / pidfile.PID_FILE]
    if not _stop(files, timeout, kill=kill):
        click.echo("nothing is running")


def _stop(files: list[Path], timeout: float, *, kill: bool) -> bool:
    """Stop the servers; True where one was running. Raises UnavailableError if one goes on."""
    running = [(file, pid) for file in files if (pid := pidfile.read(file)) is not None]
    for file, pid in running:
        if not daemon.terminate(file, timeout, kill=kill):
            raise UnavailableError(
                f"{file.stem} (pid {pid}) has not ended after {timeout:g} s; -KILL ends it at once"
            )
        click.echo(f"stopped {file.stem} (pid {pid})")
    return bool(running)


def _run_dir() -> Path:
    """The directory of pid files: a server can be stopped whatever its settings have become."""
    directory = project()
    try:
        return settings().run_dir
    except SettingsError as error:
        click.echo(f"lamson: {error}; looking for pid files in {directory / 'run'}", err=True)
        return directory / "run"


@command("status")
@option("json", dest="as_json", is_flag=True, help="Print JSON, for programs.")
@option(
    "late",
    type=Seconds(0),
    metavar="SECONDS",
    help="What has waited in the outbox for so long is late. Default: the setting status.late.",
)
@option(
    "timeout",
    type=Seconds(0.1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="What has not answered by then does not answer.",
)
@option("reference", is_flag=True, hidden=True, help="Print docs/reference/metrics.md.")
def status_command(as_json: bool, late: float | None, timeout: float, reference: bool) -> int:
    """Show whether the servers of the project run, and whether they can do their work.

    The mail server is healthy, degraded or down, and it is told why. Its ports, the database and
    submission are asked whether they answer, and it is looked at how much waits in the outbox and
    for how long, whether timers are late, and how full run/undeliverable and run/spam are.

    \b
    The exit status is
      0   healthy
      3   down: the mail server is not running
      69  down: one of its ports, or the database, does not answer
      75  degraded: submission does not answer, mail or timers are late, or
          run/undeliverable or run/spam is nearly full, or the disk of run/ is

    \b
    Example:
      lamson status
      lamson status -json -late 300
    """
    if reference:
        from lamson.cli.reference import metrics

        click.echo(metrics(), nl=False)
        return os.EX_OK
    if as_json:
        import json

        found = _health(late, timeout)
        click.echo(json.dumps(found.shown(), indent=2))
        return _exit_status(found)
    server = _run_dir() / pidfile.PID_FILE
    _list(server)
    if pidfile.read(server) is None:
        return NOT_RUNNING
    found = _health(late, timeout)
    for line in _told(found):  # a server's words about a stranger's mail are among them
        click.echo(printable(line))
    return _exit_status(found)


def _health(late: float | None, timeout: float) -> Health:
    from lamson.service import health

    effective = settings()
    premises.own(effective.run_dir)
    return health.look(project(), effective, late, timeout)


def _exit_status(found: Health) -> int:
    if not found.is_running:
        return NOT_RUNNING
    if found.problems:
        return os.EX_UNAVAILABLE
    return os.EX_TEMPFAIL if found.late else os.EX_OK


def _list(server: Path) -> None:
    for file in sorted({server, *server.parent.glob("*.pid")}):
        pid = pidfile.read(file)
        if pid is not None:
            said = pidfile.read_description(file)
            click.echo(f"{file.stem}: running ({pidfile.named(pid)}), {said}")
        elif file == server:
            click.echo(f"{file.stem}: not running")


def _told(found: Health) -> Iterator[str]:
    """How the mail server is, in lines for people."""
    yield f"lamson is {found.state}"
    for reason in (*found.problems, *found.late):
        yield f"  {reason}"
    if (waiting := found.outbox) is not None:
        oldest = "" if waiting.oldest is None else f", the oldest for {waiting.oldest:.0f} s"
        why = f": {waiting.last_error}" if waiting.last_error else ""
        failing = f", {waiting.failing} of them put off{why}" if waiting.failing else ""
        yield f"outbox: {waiting.messages} message(s){oldest}{failing}"
    for name, kept in (("undeliverable", found.undeliverable), ("spam", found.spam)):
        if kept is not None:
            full = 100 * kept.octets / kept.limit
            yield f"run/{name}: {kept.messages} message(s), {full:.0f} % full"
