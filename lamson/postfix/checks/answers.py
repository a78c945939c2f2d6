"""How the probes ask, and how they show what a server has answered."""

from __future__ import annotations

import smtplib

TIMEOUT = 10.0  # seconds for each answer
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
