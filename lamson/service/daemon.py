"""Servers that run in the background: detaching, readiness, termination.

For `lamson start` and `lamson log`. What holds no lock of a pid file (`pidfile`) is never
signalled. A server that cannot start says why to the command that started it, with the exit status;
the command returns only when the server is ready or gone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from lamson import log as log_lines
from lamson import private
from lamson.errors import LamsonError, UnavailableError
from lamson.service import family
from lamson.service.pidfile import PidFile, named, read, read_description

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Ready = Callable[[str], None]


def terminate(pid_file: Path, timeout: float, *, kill: bool = False) -> bool:
    """Ask the server to end (SIGTERM) and wait up to ``timeout`` seconds; True once it has ended.

    With ``kill`` it is killed when the time is over, and all that belongs to it. True, too, where
    no server was running. Raises LamsonError where the process belongs to somebody else, or cannot
    be seen from here.
    """
    pid = read(pid_file)
    if pid is None:
        return True
    _check_seen(pid, pid_file, "stop it there")
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return read(pid_file) is None
    try:
        if read(pid_file) != pid:  # it ended in between; the pid may be somebody else's by now
            return True
        _signal(process, signal.SIGTERM, pid, "stop")
        if _ended(process, timeout):
            return True
        if not kill:
            return False
        family.kill(pid)
        return _ended(process, 10)
    finally:
        os.close(process)


def reload(pid_file: Path) -> int | None:
    """Ask the server to take in new settings and handlers (SIGHUP); gives its pid.

    None where no server is running. Raises UnavailableError for one that is not ready yet, which
    the signal would end, and LamsonError as `terminate` does.
    """
    pid = read(pid_file)
    if pid is None:
        return None
    _check_seen(pid, pid_file, "reload it there")
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        is_ready = bool(read_description(pid_file))
        if read(pid_file) != pid:  # it ended in between; the pid may be somebody else's by now
            return None
        if not is_ready:
            problem = f"pid {pid} is starting still, and reads all afresh anyway"
            raise UnavailableError(problem, exit_code=os.EX_TEMPFAIL)
        _signal(process, signal.SIGHUP, pid, "reload")
        return pid
    finally:
        os.close(process)


def _check_seen(pid: int, pid_file: Path, advice: str) -> None:
    if not pid:
        problem = f"{pid_file}: the server runs {named(pid)}: {advice}"
        raise LamsonError(problem, exit_code=os.EX_NOPERM)


def _signal(process: int, number: signal.Signals, pid: int, what: str) -> None:
    try:
        signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        problem = f"not permitted to {what} process {pid}: it belongs to another user"
        raise LamsonError(problem, exit_code=os.EX_NOPERM) from None


def _ended(process: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def daemonise(pid_file: Path, run: Callable[[Ready], None], log: Path | None) -> str:
    """Run ``run(ready)`` in the background, holding ``pid_file``; return what it gave to ready().

    Standard output and error of the server go to the end of ``log`` (nowhere when None). Returns
    once the server calls ``ready(text)``; ``text`` is kept in the pid file too. Raises
    UnavailableError, with the exit status of the cause, where the server fails before that. The
    server ends when ``run`` returns; an interruption of the caller while it waits ends it too.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _detach(reading, writing, pid_file, run, log)
    os.close(writing)
    os.waitpid(child, 0)
    try:
        with open(reading, "rb") as pipe:
            answer = pipe.read()
    except KeyboardInterrupt:
        terminate(pid_file, 5, kill=True)
        raise
    return _outcome(answer, log)


def _outcome(answer: bytes, log: Path | None) -> str:
    if not answer:
        where = f"; see {log}" if log else ""
        raise UnavailableError(f"the server ended before it was ready{where}")
    outcome = json.loads(answer)
    if "error" in outcome:
        raise UnavailableError(outcome["error"], exit_code=outcome["exit_code"])
    return str(outcome["ready"])


def _detach(
    reading: int, writing: int, pid_file: Path, run: Callable[[Ready], None], log: Path | None
) -> NoReturn:
    """In the first child: fork again, so that the server can never own a terminal, and serve."""
    status = os.EX_SOFTWARE
    try:
        os.close(reading)
        os.setsid()
        status = _serve(writing, pid_file, run, log) if os.fork() == 0 else os.EX_OK
    finally:
        os._exit(status)  # never unwind into the caller's stack


def _serve(writing: int, pid_file: Path, run: Callable[[Ready], None], log: Path | None) -> int:
    family.lead()
    waiting = [writing]

    def tell(**outcome: object) -> None:
        if waiting:
            with contextlib.suppress(BrokenPipeError):
                os.write(waiting[0], json.dumps(outcome).encode())
            os.close(waiting.pop())

    lock = PidFile(pid_file)

    def ready(text: str) -> None:
        lock.describe(text)
        tell(ready=text)

    # Workers must not keep the pipe open: the caller waits for its end.
    os.register_at_fork(after_in_child=lambda: os.close(waiting.pop()) if waiting else None)
    try:
        try:
            _redirect(log)
        except OSError as error:
            raise LamsonError(_describe(error), exit_code=os.EX_CANTCREAT) from None
        with lock:
            run(ready)
    except LamsonError as error:
        if waiting:
            tell(error=str(error), exit_code=error.exit_code)
        else:
            logging.getLogger("lamson").error("%s", error)
        return error.exit_code
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else os.EX_SOFTWARE
        return os.EX_OK if leaving.code is None else code
    except BaseException as error:  # noqa: BLE001 - the last frame of this process: report, then end
        sys.stderr.write(log_lines.harmless(traceback.format_exc()) + "\n")
        code = os.EX_OSERR if isinstance(error, OSError) else os.EX_SOFTWARE
        if isinstance(error, PermissionError):
            code = os.EX_NOPERM
        tell(error=_describe(error), exit_code=code)
        return code
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    return os.EX_OK


def _describe(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


def _redirect(log: Path | None) -> None:
    """Let go of the terminal, or of the pipes of whoever started us: they wait for their end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    if log is None:
        output = nothing
    else:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = private.open_file(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for descriptor in {nothing, output} - {0, 1, 2}:
        os.close(descriptor)
    # The caller may have had objects of its own here (a test does), with an encoding of its own.
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = open(descriptor, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
