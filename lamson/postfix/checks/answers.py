"""How the probes ask, and how they show what a server has answered."""

from __future__ import annotations

import smtplib
import socket

from lamson.net.endpoint import is_loopback

TIMEOUT = 10.0  # seconds for each answer
_BEYOND = "192.0.2.1"  # nobody's (RFC 5737): whatever is not this machine goes that way
VERIFIED = ("undeliverable address", "unverified address")
"""How smtpd refuses whom it has asked about, as reject_unverified_recipient has it."""
IN_PROGRESS = "verification in progress"
ELSEWHERE = "lamson-check@relay-probe.invalid"
"""An address that is nobody's, and in no domain of ours."""


def shown(text: bytes) -> str:
    """The text of an answer in one line."""
    return " ".join(text.decode("utf-8", "replace").split())


def why(error: Exception) -> str:
    """Why there was no answer, or none that is right."""
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        return f"{error.smtp_code} {' '.join(text.split())}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def own_address() -> str | None:
    """The address of this machine in its network, by which a server takes us for another one.

    None where it has none. Nothing is sent.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((_BEYOND, 9))
        except OSError:
            return None
        found: str = sock.getsockname()[0]
    return None if is_loopback(found) else found
