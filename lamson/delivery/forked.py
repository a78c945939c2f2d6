"""Ends a child process that a handler forked and let return to us.

The child has a copy of the transaction, of the sockets and of the queues. Whatever it did with them
would be done twice, or to the parent's connections. So it ends where it stands, and touches none.
"""

from __future__ import annotations

import os
import sys
import traceback

from lamson import log


def end_if_child(parent: int, where: object, error: BaseException | None = None) -> None:
    """End this process, unless it is ``parent``. ``where`` and ``error`` say how it came back.

    Its exit status is that of ``sys.exit()``, where that is how it wanted to end; else 70
    (EX_SOFTWARE), after a line to standard error. The log is the parent's.
    """
    if os.getpid() == parent:
        return
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        os._exit(error.code or 0)
    try:
        how = "".join(traceback.format_exception(error)) if error is not None else ""
        line = f"{where}: a process that it forked returned, and was ended; use os._exit() in it\n"
        text = log.harmless(f"{line}{how}") + "\n"  # it may quote a mail, and go to our log
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())
    finally:
        os._exit(os.EX_SOFTWARE)
