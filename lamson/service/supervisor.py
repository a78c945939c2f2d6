"""The supervisor: owns the listening sockets, forks workers, replaces them, stops them.

For `lamson start`. The workers form groups, such as the LMTP server's and the milter's; those of
a group share its sockets. The supervisor imports no handler and opens no database; a worker does
both, tells through a pipe that it is ready, or why it is not. Since the listener is the
supervisor's, a worker that dies never means "connection refused": connections wait until its
replacement accepts them.

A worker that stands still for `handler_deadline` is killed and replaced, whatever holds it (see
lamson/service/heartbeat.py); so is one that does not get ready, or does not end, in time. Where
systemd wants signs of life it gets them while all workers answer: it ends, and starts again, a
service whose supervisor stands still, or has a worker that it cannot end.

SIGTERM and SIGINT drain and stop. SIGHUP replaces the workers one by one by new ones, which read
handlers and settings afresh; when a new one does not get ready, the old one stays. What only the
supervisor reads, such as where to listen, waits for a restart, and the log says so. A worker whose
supervisor died drains and ends; one that stands still then ends itself.

The service does not start without its database. While it runs, a worker that has to do without
comes up all the same, to answer 451; after a reload, only if the old ones had that database too.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from lamson import log, metrics
from lamson.errors import LamsonError, UnavailableError
from lamson.service import cpu, daemon, logs, pidfile, premises, status
from lamson.service.forks import let_go
from lamson.service.heartbeat import Heartbeat
from lamson.service.memory import give_back_large
from lamson.service.systemd import Watchdog, inherited_sockets, notify
from lamson.service.worker import LOADING, READY, Group, Link, Worker, forget_modules
from lamson.settings import loading
from lamson.settings.strays import strays
from lamson.storage.suspects import Suspects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lamson.settings.model import Settings

RETRY = 1.0  # seconds between attempts to have a worker, where one cannot be forked or get ready
_LOGGING = ("run_dir", "log_file", "log_level", "log_format")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Supervisor:
    """One service: its sockets and its workers."""

    def __init__(self, project: Path, settings: Settings, groups: Sequence[Group]) -> None:
        self._project = project
        self._settings = settings
        self._groups = groups
        self._workers: dict[int, Worker] = {}
        self._signals: list[int] = []
        self._alive_read, self._alive_write = os.pipe()
        self._wakeup_read, self._wakeup_write = os.pipe()
        self._suspects = Suspects(settings.run_dir)
        self._board: metrics.Board | None = None  # where somebody wants to know what is counted
        self._looked = time.monotonic()  # for heartbeats
        self._watchdog = Watchdog()
        self._is_serving = False
        self._is_patient = False
        self._fixed = fixed(settings)

    def run(self, ready: Callable[[str], None]) -> None:
        """Bind, start the workers, call ``ready`` with what is listened on, serve until SIGTERM.

        Raises UnavailableError or the first worker's error when the service cannot start.
        """
        # Signals first, so that none is lost between a fork and our readiness for it.
        for number in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(number, False)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda number, frame: self._signals.append(number))
        self._suspects.clear()
        self._begin_counting()
        try:
            self._listen()
            workers = [
                self._fork(group)
                for group in self._groups
                for _ in range(group.count(self._settings))
            ]
            for worker in workers:
                self._wait_ready(worker)
            names = "; ".join(map(str, self._groups))
            ready(names)
            notify("READY=1")
            for group in self._groups:
                log.logger.info("listening for %s, %d worker(s)", group, len(self._present(group)))
            self._warn_of_watchdog()
            self._serve()
        finally:
            notify("STOPPING=1")
            self._stop()
            metrics.stop()

    def _begin_counting(self) -> None:
        if any(group.name == status.NAME for group in self._groups):
            self._board = metrics.Board()
            place = self._board.take("supervisor")
            assert place is not None
            metrics.begin(self._board, place)

    def _listen(self) -> None:
        by_name = {group.name.lower(): group for group in self._groups}
        for name, inherited in inherited_sockets():
            by_name.get(name, self._groups[0]).sockets.append(inherited)
        for group in self._groups:
            if not group.sockets:
                for listener in group.listeners(self._settings):
                    group.sockets.append(listener.bind())
            group.check(self._settings)

    def _serve(self) -> None:
        self._is_serving = self._is_patient = True
        while True:
            if not self._signals:  # one may have come while something else was waited for
                self._pause(self._timeout())
            signals, self._signals = self._signals, []
            if signal.SIGTERM in signals or signal.SIGINT in signals:
                log.logger.info("stopping: finishing what was begun")
                return
            if signal.SIGHUP in signals:
                self._reload()
            for worker in list(self._workers.values()):
                if worker.wants_replacement and not worker.is_leaving:
                    self._replace(worker)
            self._fill()

    def _timeout(self) -> float | None:
        waiting = [group.not_before for group in self._groups if self._missing(group)]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _pause(self, timeout: float | None) -> None:
        """Wait for a signal, a worker's message or the time to look after their heartbeats.

        Workers that ended are buried.
        """
        poll = select.poll()
        poll.register(self._wakeup_read, select.POLLIN)
        speaking = {one.status: one for one in self._workers.values() if not one.is_silent}
        for descriptor in speaking:
            poll.register(descriptor, select.POLLIN)
        beats = [worker.heartbeat.interval for worker in self._workers.values()]
        dues = [timeout]
        if beats:
            dues.append(max(0.0, self._looked + min(beats) - time.monotonic()))
        if self._is_well():  # else the next look may find that it is again
            dues.append(self._watchdog.due())
        timeout = min((one for one in dues if one is not None), default=None)
        for descriptor, _ in poll.poll(None if timeout is None else timeout * 1000):
            if descriptor == self._wakeup_read:
                with suppress(BlockingIOError):
                    os.read(self._wakeup_read, 4096)
            else:
                speaking[descriptor].read()
        self._reap()
        if beats:
            self._look(min(beats))
        if self._is_well():
            self._watchdog.sign()

    def _is_well(self) -> bool:
        return all(worker.is_answering for worker in self._workers.values())

    def _look(self, interval: float) -> None:
        """Kill workers that stand still, or are not ready, or have not ended, in time."""
        now = time.monotonic()
        elapsed = now - self._looked
        if elapsed < interval:
            return
        self._looked = now
        for worker in self._workers.values():
            # Where this process stood still itself, the workers may have stood with it.
            problem = worker.look(min(elapsed, 2 * interval), self._project)
            if self._board is not None:
                self._board.settle(worker.place, worker.pid, worker.heartbeat.silence)
            if problem:
                log.logger.error(
                    "%s worker %d %s; killing it", worker.group.name, worker.pid, problem
                )
                os.kill(worker.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Bury workers that ended."""
        for worker in list(self._workers.values()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                worker.read()
                self._bury(worker, status)

    def _bury(self, worker: Worker, status: int) -> None:
        del self._workers[worker.pid]
        os.close(worker.status)
        worker.heartbeat.close()
        if self._board is not None:
            self._board.settle(worker.place, 0)
        code = os.waitstatus_to_exitcode(status)
        if worker.is_leaving and code >= 0:
            self._suspects.forget(worker.pid)
        elif suspects := self._suspects.blame(worker.pid, stood_still=worker.stood_still):
            log.logger.error("worker %d had %d deliveries under way", worker.pid, suspects)
        if worker.is_leaving:
            return
        if not self._is_serving:  # the start fails, and says why
            return
        metrics.count("worker_deaths", group=worker.group.name.lower())
        how = f"signal {-code}" if code < 0 else f"status {code}"
        log.logger.error(
            "worker %d ended with %s; replacing it%s", worker.pid, how, _colon(worker.error)
        )
        # One that never got ready would only fail again: not more than once a second.
        worker.group.not_before = time.monotonic() + (0.0 if worker.is_ready else RETRY)

    def _present(self, group: Group) -> list[Worker]:
        return [
            worker
            for worker in self._workers.values()
            if worker.group is group and not worker.is_leaving
        ]

    def _missing(self, group: Group) -> int:
        return max(0, group.count(self._settings) - len(self._present(group)))

    def _fill(self) -> None:
        """Have as many workers as the settings say."""
        for group in self._groups:
            if time.monotonic() >= group.not_before:
                try:
                    for _ in range(self._missing(group)):
                        self._fork(group)
                except UnavailableError as error:
                    log.logger.error("%s; trying again", error)
                    group.not_before = time.monotonic() + RETRY
            for worker in self._present(group)[group.count(self._settings) :]:
                self._end(worker)

    def _free_number(self, group: Group) -> int:
        taken = {one.number for one in self._present(group)}
        return min(set(range(len(taken) + 1)) - taken)

    def _free_slot(self, group: Group) -> int:
        kept = [one for other in self._groups if other.keeps_to_one for one in self._present(other)]
        return cpu.free_slot(
            [one.slot for one in kept], [one.slot for one in kept if one.group is group]
        )

    def _fork(self, group: Group, former: Worker | None = None) -> Worker:
        """A new worker; it gets the number and the slot of ``former``, else free ones.

        Raises UnavailableError where the system has no process or no file to spare.
        """
        number = self._free_number(group) if former is None else former.number
        slot = self._free_slot(group) if former is None else former.slot
        with suppress(OSError):  # a full disk is no reason to have no worker
            sys.stdout.flush()
            sys.stderr.flush()
        log.flush()
        place = None if self._board is None else self._board.take(group.name.lower())
        pipe: tuple[int, ...] = ()
        heartbeat: Heartbeat | None = None
        try:
            pipe = reading, writing = os.pipe()
            os.set_blocking(reading, False)
            heartbeat = Heartbeat(self._settings.handler_deadline)
            link = Link(
                writing,
                self._alive_read,
                number,
                slot=slot,
                is_patient=self._is_patient,
                heartbeat=heartbeat,
                board=self._board,
            )
            # What it is told before it has let go of our handlers, which would only note it.
            former_mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            try:
                pid = os.fork()
                if pid == 0:
                    self._become_worker(group, link, place)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, former_mask)
        except OSError as error:
            if self._board is not None:
                self._board.settle(place, 0)
            if heartbeat is not None:
                heartbeat.close()
            for descriptor in pipe:
                os.close(descriptor)
            raise UnavailableError(f"no worker can be forked: {error.strerror}") from error
        if self._board is not None:
            self._board.settle(place, pid)
        os.close(writing)
        worker = self._workers[pid] = Worker(pid, number, slot, reading, group, heartbeat, place)
        return worker

    def _become_worker(self, group: Group, link: Link, place: int | None) -> NoReturn:
        code = os.EX_SOFTWARE
        try:
            signal.set_wakeup_fd(-1)
            for one in _SIGNALS:
                signal.signal(one, signal.SIG_DFL)
            # The terminal's goes to the supervisor. It is not ignored: programs that handlers
            # start would ignore it as well.
            signal.signal(signal.SIGINT, lambda number, frame: None)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            forget_modules(self._project)
            inherited = [self._alive_write, self._wakeup_read, self._wakeup_write]
            inherited += [worker.status for worker in self._workers.values()]
            inherited += [
                one.detach()
                for other in self._groups
                if other is not group
                for one in other.sockets
            ]
            for descriptor in inherited:
                os.close(descriptor)
            for worker in self._workers.values():
                worker.heartbeat.close()
            let_go(group.sockets, link.descriptors)
            give_back_large()
            link.heartbeat.start(LOADING)
            if self._board is not None and place is not None:
                metrics.begin(self._board, place)
            try:
                group.run(self._project, group.sockets, link)
                code = os.EX_OK
            except LamsonError as error:
                link.failed(error)
                code = error.exit_code
            except Exception as error:  # noqa: BLE001 - the supervisor is told
                log.logger.exception("the worker failed")
                link.failed(error)
        finally:
            log.flush()
            # Threads of a handler that hangs must not keep the process alive.
            os._exit(code)

    def _wait_ready(self, worker: Worker) -> None:
        """Wait until a new worker serves. Raises UnavailableError with its reason when it fails."""
        deadline = time.monotonic() + READY
        while not worker.is_ready:
            if worker.pid not in self._workers:
                problem = worker.error or "a worker ended before it was ready"
                raise UnavailableError(problem, exit_code=worker.code)
            if signal.SIGTERM in self._signals or signal.SIGINT in self._signals:
                raise UnavailableError("stopped before it was ready")
            if time.monotonic() > deadline:
                self._end(worker)
                raise UnavailableError(f"a worker was not ready after {READY:.0f} s")
            self._pause(0.5)

    def _reload(self) -> None:
        """Replace every worker by one with fresh settings and handlers."""
        notify("RELOADING=1")
        former = self._settings
        try:
            wanted = loading.load(self._project)
            for group in self._groups:
                group.check(wanted)
            self._settings = wanted
            self._is_patient = self._settings.database == former.database
            old = [worker for worker in self._workers.values() if not worker.is_leaving]
            if all(map(self._replace, old)):
                log.logger.info("reloaded: every worker was replaced")
                self._warn()
                self._warn_of_watchdog()
            else:
                self._settings = former  # which the workers that stay have
        except LamsonError as error:
            log.logger.error("not reloaded, the old workers stay: %s", error)
        self._is_patient = True
        notify("READY=1")

    def _warn(self) -> None:
        now = fixed(self._settings)
        if changed := [name for name, value in now.items() if value != self._fixed[name]]:
            log.logger.warning(
                "a reload does not take in what changed in %s: use `lamson restart`",
                ", ".join(changed),
            )

    def _warn_of_watchdog(self) -> None:
        seconds, deadline = self._watchdog.seconds, self._settings.handler_deadline
        if seconds is not None and seconds < 2 * deadline:
            log.logger.warning(
                "systemd waits %g s for a sign of life, less than twice handler_deadline (%g s):"
                " where one worker stands still it would end the service; raise WatchdogSec=",
                seconds,
                deadline,
            )

    def _replace(self, worker: Worker) -> bool:
        worker.wants_replacement = False
        try:
            new = self._fork(worker.group, worker)
            new.is_leaving = True  # does not count, and is not replaced, until it is ready
            self._wait_ready(new)
        except UnavailableError as error:
            log.logger.error("worker %d stays: its replacement failed: %s", worker.pid, error)
            return False
        new.is_leaving = False
        self._end(worker)
        return True

    def _end(self, worker: Worker) -> None:
        worker.is_leaving = worker.is_ending = True
        if worker.pid in self._workers:  # else it is buried, and its number may be another's
            os.kill(worker.pid, signal.SIGTERM)

    def _stop(self) -> None:
        paths = [
            one.getsockname()
            for group in self._groups
            for one in group.sockets
            if one.family == socket.AF_UNIX
        ]
        for group in self._groups:
            for one in group.sockets:
                one.close()
        for worker in self._workers.values():
            self._end(worker)
        while self._workers:
            self._pause(1.0)
        if "LISTEN_FDS" not in os.environ:
            for path in paths:
                with suppress(FileNotFoundError):
                    os.unlink(path)
        signal.set_wakeup_fd(-1)


def start(
    project: Path,
    groups: Callable[[Settings], Sequence[Group]],
    *,
    foreground: bool = False,
    ready: Callable[[str], None] = lambda text: None,
    remark: Callable[[str], None] = lambda text: None,
    remarks: Sequence[str] = (),
) -> None:
    """Start the service of ``project``; ``ready`` is told what it listens on.

    What had to be closed to other users, and names that look like settings and are none, are
    logged and, in the background, given to ``remark``; and so are the ``remarks``.

    ``groups`` gives the groups of workers that these settings ask for.
    In the background this returns once the service is ready; in the foreground, when it has ended.
    Raises SettingsError, UnavailableError (in use, running already) or what the worker raised.
    """
    settings = loading.load(project)
    found = [*premises.enter(project, settings), *premises.as_root(), *strays(project)]
    remarks = [*found, *remarks]
    pid_file = settings.run_dir / pidfile.PID_FILE

    def run(is_ready: Callable[[str], None]) -> None:
        logs.configure(settings, console=foreground)
        log.take_in_the_rest()
        for text in remarks:
            log.logger.warning("%s", text)
        Supervisor(project, settings, groups(settings)).run(is_ready)

    if not foreground:
        ready(daemon.daemonise(pid_file, run, settings.log_file))
        for text in remarks:
            remark(text)
        return
    with pidfile.PidFile(pid_file) as lock:

        def tell(text: str) -> None:
            lock.describe(text)
            ready(text)

        run(tell)


def fixed(settings: Settings) -> dict[str, object]:
    """Settings that a reload does not take in: the supervisor alone reads them, as it starts."""
    found = {name: getattr(settings, name) for name in _LOGGING}
    for server in ("lmtp", "socketmap", "milter", "status"):
        for name in ("listen", "socket_mode", "socket_group"):
            found[f"{server}.{name}"] = getattr(getattr(settings, server), name)
    found["filters"] = settings.has_milter  # whether there are workers for them
    return found


def _colon(text: str) -> str:
    return f": {text}" if text else ""
