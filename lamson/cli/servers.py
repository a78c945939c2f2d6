"""`lamson start`, `stop`, `restart` and `status`: the servers of a project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamson.cli.options import command, option, project, settings
from lamson.errors import LamsonError, SettingsError, UnavailableError
from lamson.service import daemon, pidfile, premises

if TYPE_CHECKING:
    from lamson.service.worker import Group
    from lamson.settings.model import Settings

NOT_RUNNING = 3  # as LSB init scripts have it

_timeout = option(
    "timeout",
    type=click.FloatRange(0),
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
@option("json", dest="as_json", is_flag=True, help="Ask all servers and the database; print JSON.")
@option(
    "late",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="With -json: what has waited in the outbox for so long is late.",
)
def status_command(as_json: bool, late: float | None) -> int:
    """Show which servers of the project run and where they listen.

    With -json the mail server's ports and the database are asked whether they answer, and it is
    told how much waits in the outbox and in run/undeliverable, and for how many seconds: for
    monitoring, and for health checks. `problems` says what is wrong.

    \b
    The exit status is
      0   all is well
      3   the mail server is not running
      69  -json: one of its ports, or the database, does not answer
      75  -json -late: mail has waited that long, or run/undeliverable is nearly full

    \b
    Example:
      lamson status
      lamson status -json -late 900
    """
    if late is not None and not as_json:
        raise click.UsageError("-late goes with -json")
    return _health(late) if as_json else _status()


def _health(late: float | None) -> int:
    import json

    from lamson.service import health

    effective = settings()
    premises.own(effective.run_dir)
    found = health.look(project(), effective, late)
    click.echo(json.dumps(found.shown(), indent=2))
    if not found.is_running:
        return NOT_RUNNING
    if found.problems:
        return os.EX_UNAVAILABLE
    return os.EX_TEMPFAIL if found.late else os.EX_OK


def _status() -> int:
    server = _run_dir() / pidfile.PID_FILE
    for file in sorted({server, *server.parent.glob("*.pid")}):
        pid = pidfile.read(file)
        if pid is not None:
            said = pidfile.read_description(file)
            click.echo(f"{file.stem}: running ({pidfile.named(pid)}), {said}")
        elif file == server:
            click.echo(f"{file.stem}: not running")
    return os.EX_OK if pidfile.read(server) is not None else NOT_RUNNING
