"""Salmon's LMTP receiver and router with a handler that does nothing: ``PORT COUNTER [silent]``.

It logs as the project that `salmon gen` makes does, or not at all.

Run by the Python of a virtual environment that has salmon-mail. Salmon asks the resolver for the
machine's name at each connection; that is left out, lest the resolver be measured.
"""

from __future__ import annotations

import logging.config
import socket
import sys
from pathlib import Path
from typing import Any

from salmon import routing  # type: ignore[import-not-found]
from salmon.server import LMTPReceiver  # type: ignore[import-not-found]

from tests.bench.counter import Counter


def main() -> None:
    port, counter = int(sys.argv[1]), Counter(Path(sys.argv[2]))
    if "silent" not in sys.argv:
        Path("logs").mkdir()
        generated = Path(routing.__file__).parent / "data/prototype/config/logging.conf"
        logging.config.fileConfig(generated, disable_existing_loggers=False)

    @routing.route("(user)@(host)", user="[^@]+", host=".+")  # type: ignore[untyped-decorator]
    @routing.stateless  # type: ignore[untyped-decorator]
    def NOTHING(message: Any, user: str, host: str) -> None:
        counter.add()

    socket.getfqdn = lambda name="": "bench"
    LMTPReceiver("127.0.0.1", port).start()


if __name__ == "__main__":
    main()
