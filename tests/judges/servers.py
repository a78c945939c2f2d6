"""Servers that judge spam, for as long as a test needs one."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.server_process import ServerProcess
from tests.waiting import free_port, listening

if TYPE_CHECKING:
    from collections.abc import Iterator

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
"""The text that every spam filter takes for spam."""

RSPAMD = """
options {{
    pidfile = "{base}/pid"; control_socket = "{base}/control"; tempdir = "{base}"; filters = "";
    dns {{ nameserver = ["127.0.0.1"]; timeout = 0.1s; }}
}}
logging {{ type = "console"; level = "error"; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
"""


@contextmanager
def run_spamd() -> Iterator[int]:
    """SpamAssassin, without the network; gives its port."""
    port = free_port()
    options = ["-L", "-x", "-m", "2", "--listen", "127.0.0.1", "--port", str(port)]
    with _running("spamd", [*options, "--syslog", "stderr"], port):
        yield port


@contextmanager
def run_rspamd() -> Iterator[int]:
    """rspamd, with nothing but its normal worker; gives its port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="lamson-rspamd-") as base:
        config = Path(base) / "rspamd.conf"
        config.write_text(RSPAMD.format(base=base, port=port))
        with _running("rspamd", ["-f", "-i", "-c", str(config)], port):
            yield port


@contextmanager
def _running(name: str, arguments: list[str], port: int) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix=f"lamson-{name}-") as directory:
        server = ServerProcess(name, Path(directory) / "output")
        server.start([name, *arguments], lambda: listening(port))
        try:
            yield
        finally:
            server.stop()
