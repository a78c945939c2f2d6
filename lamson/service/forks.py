"""What a process that a handler or a filter forks must not keep of its worker.

For the workers. `os.fork`, and `multiprocessing` with it, copies every descriptor. Such a process
may outlive its worker, and held the port then, in which nobody answers; a client would wait for
the end of a connection that the worker has closed; and the supervisor for that of a pipe. A program
that is executed has none of these: Python's descriptors are closed on the way.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def let_go(sockets: Sequence[socket.socket], descriptors: Iterable[int]) -> None:
    """In a worker: from now on, processes that it forks do not keep these.

    Nor do they keep connections that came in by the listening ``sockets``, whoever accepted them.
    """
    names = {_name(one) for one in sockets}
    own = tuple(descriptors)

    def let_go_in_child() -> None:
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        # The numbers stay in use: what still believes in them must not meet another file there.
        for descriptor in [*own, *_called(names)]:
            with suppress(OSError):  # closed before
                os.fstat(descriptor)
                os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)

    os.register_at_fork(after_in_child=let_go_in_child)


def _name(one: socket.socket) -> object:
    """What a listening socket and those that it accepts have in common: path or port."""
    name = one.getsockname()
    return name[1] if isinstance(name, tuple) else name


def _called(names: set[object]) -> list[int]:
    """The descriptors of sockets of ours that have one of the names."""
    found = []
    for entry in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # no socket, or the directory itself, which is closed by now
            one = socket.socket(fileno=int(entry))
            try:
                if one.family in {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6}:
                    found += [int(entry)] if _name(one) in names else []
            finally:
                one.detach()
    return found
