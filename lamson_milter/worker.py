"""A worker: the application's filters behind libmilter, until SIGTERM.

The supervisor forks it (see lamson/service/supervisor.py). On SIGTERM, or when the supervisor is
gone, it leaves new connections to the others, finishes the messages that it has begun, and ends.
Its heartbeat is the main thread's, which does nothing else: a filter that holds the interpreter
stops it. One that hangs without doing so is found by its time limit, and this worker asks to be
replaced.
Without libmilter's bindings it does not start and says what to install.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from lamson import log
from lamson.app import Application
from lamson.errors import SettingsError
from lamson.net import descriptors
from lamson.service import cpu
from lamson.service.worker import DRAIN, Group, Listener
from lamson.settings import loading
from lamson_milter.libmilter.budget import Budget
from lamson_milter.libmilter.runner import Limits
from lamson_milter.libmilter.threads import FilterThreads
from lamson_milter.rules import rules_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from lamson.service.worker import Link
    from lamson.settings.model import Settings

# libmilter's threads give the interpreter up by themselves, and a callback takes less than this.
_SWITCH_INTERVAL = 0.05  # seconds
_PATIENCE = 10.0  # seconds that a session without a message is waited for
_FLUSH = 1.0  # seconds after which the log is written, at most


def group() -> Group:
    """The group of the milter workers, for the supervisor."""
    return Group("milter", _listeners, lambda settings: settings.milter.workers, run)


def _listeners(settings: Settings) -> list[Listener]:
    milter = settings.milter
    # libmilter takes "nobody is waiting" for a failure of accept(2), and pauses.
    return [Listener(milter.listen, milter.mode, milter.socket_group, is_blocking=True)]


def rehearse(application: Application, project: Path) -> None:
    """Raise for what would keep a worker from serving: a mistake in a filter, no libmilter."""
    _need_bindings()
    with loading.placing(project):
        rules_of(application)


def _need_bindings() -> None:
    try:
        importlib.import_module("milter")
    except ImportError as error:
        raise SettingsError(
            f"milter: the libmilter bindings are missing ({error}); install Debian's libmilter-dev"
            " and then lamson-postfix[milter]"
        ) from None


def run(project: Path, sockets: Sequence[socket.socket], link: Link) -> None:
    """Serve until told to stop. Raises what `Application.load` and `rehearse` raise."""
    _need_bindings()
    from lamson_milter.libmilter.callbacks import Callbacks
    from lamson_milter.libmilter.server import MilterServer

    wakeup, leaving = os.pipe()
    signal.signal(signal.SIGTERM, lambda number, frame: _tell(leaving))
    sys.excepthook = _not_utf8
    sys.setswitchinterval(_SWITCH_INTERVAL)
    application = Application.load(project, is_patient=link.is_patient)
    if application.settings.one_processor:
        cpu.keep_to_one(link.slot)
    settings = application.settings.milter
    with loading.placing(project):
        rules = rules_of(application)
    callbacks = Callbacks(
        rules,
        FilterThreads(settings.threads),
        Limits(settings.timeout, settings.content_timeout),
        Budget(settings.max_buffered),
        # Each holds a connection, and perhaps a message on the disk.
        max_connections=descriptors.reserve(settings.max_connections, each=2),
        checks_recipients=settings.check_recipients,
        on_stuck=link.recycle,
    )
    server = MilterServer(callbacks, sockets[0], settings.idle_timeout)
    # What is loaded by now stays: it need not be looked through for garbage again and again.
    gc.collect()
    gc.freeze()
    server.start(ended=lambda: _tell(leaving))
    link.ready()
    heartbeat = link.heartbeat
    heartbeat.beat()
    pause = min(_FLUSH, heartbeat.interval)
    while not select.select([wakeup, link.alive], [], [], pause)[0]:
        heartbeat.beat()
        log.flush()
        if callbacks.is_stuck():
            link.recycle()
    server.stop_accepting()
    server.drain(_PATIENCE, DRAIN, heartbeat.beat)


def _tell(descriptor: int) -> None:
    os.write(descriptor, b"x")


def _not_utf8(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """What pymilter could not hand on: a HELO or a field's name that is not UTF-8."""
    log.logger.warning("milter: left out, for it is not UTF-8: %s", error)
