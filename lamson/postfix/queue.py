"""What waits in Postfix's queue, as ``postqueue -j`` tells it (postqueue(1), Postfix 3.1)."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from lamson.postfix.tables import command

if TYPE_CHECKING:
    from lamson.postfix.site import Site

_PATIENCE = 10.0  # seconds


def waiting(site: Site, recipient: str) -> str:
    """Where mail for this recipient waits, and why, to be added to a sentence; else nothing.

    Postfix need not run, and need not be here.
    """
    try:
        done = subprocess.run(
            [command("postqueue"), "-c", str(site.configuration.directory), "-j"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    for line in done.stdout.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        for one in entry.get("recipients", ()):
            if str(one.get("address", "")).lower() == recipient.lower():
                reason = one.get("delay_reason") or "no attempt has failed yet"
                return f"; {entry['queue_id']} waits in Postfix's {entry['queue_name']}: {reason}"
    return ""
