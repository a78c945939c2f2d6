"""Where a server listens or is reached: ``host:port``, read and written in one place.

For the settings, which name servers so, for what binds and connects, and for the Postfix side,
which writes the same address in Postfix's own way. Asks no name server.
"""

from __future__ import annotations

import ipaddress
import re
import socket

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\s:\[\]/]+):([0-9]{1,5})")


def split_host_port(text: str) -> tuple[str, int]:
    """Read ``"127.0.0.1:8823"`` or ``"[::1]:8823"``. Raises ValueError, saying what is expected."""
    found = _HOST_PORT.fullmatch(text)
    if not found or int(found[2]) > 65535:
        raise ValueError("expected host:port")
    return found[1].strip("[]"), int(found[2])


def join_host_port(host: str, port: int) -> str:
    """The text that `split_host_port` reads."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """True where mail for ``host`` never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_every_interface(host: str) -> bool:
    """True where whoever reaches this machine reaches a server that listens on ``host``."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return not any(socket.inet_aton(host))  # "0" and the like are addresses to bind(2)
        except OSError:
            return False
    return (getattr(address, "ipv4_mapped", None) or address).is_unspecified


def from_here(host: str) -> str:
    """The host by which this machine reaches a server of its own that listens on ``host``."""
    if not is_every_interface(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"
