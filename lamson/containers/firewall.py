"""The firewall of the machine, where it is asked about what containers of one network send.

That never leaves the bridge of the network, and Linux lets it pass unseen until somebody has it ask
(net.bridge.bridge-nf-call-iptables). A Docker that ran here does, and has what it does not know
dropped; both stay when it ends.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_IS_ASKED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
# From and to bridges named as docker names them, and from one port to another of the same bridge.
_WITHIN = ("-i", "br-+", "-o", "br-+", "-m", "physdev", "--physdev-is-bridged", "-j", "ACCEPT")


@contextmanager
def passing(name: str) -> Iterator[None]:
    """While entered, what goes from container to container within a network passes the firewall.

    Where the firewall is not asked nothing is done. Else one rule is added, with ``name`` as its
    comment, and taken away again. Raises UnavailableError where it cannot be added.
    """
    if not _is_asked():
        yield
        return
    rule = ("-m", "comment", "--comment", name, *_WITHIN)
    _iptables("--insert", "FORWARD", *rule)
    try:
        yield
    finally:
        _iptables("--delete", "FORWARD", *rule)


def _is_asked() -> bool:
    try:
        return _IS_ASKED.read_text().strip() != "0"
    except OSError:
        return False  # nothing that could ask is loaded


def _iptables(*arguments: str) -> None:
    command = ["iptables", "--wait", *arguments]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        raise UnavailableError(
            "this machine's firewall sees what containers send each other "
            f"(net.bridge.bridge-nf-call-iptables), and cannot be told to let it pass: {why}"
        ) from error
