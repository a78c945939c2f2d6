"""The milter front end: filters decide about mail while the sender's server is still connected.

These names are for the modules that the setting `filters` names; everything else may change. The
libmilter bindings are imported by the worker processes alone, so that filters can be tested, and
the rest of the application runs, without libmilter.
"""

from __future__ import annotations

from lamson.smtp.envelope import Daemon, Sasl, Tls
from lamson.storage.policy import Policy
from lamson_milter.actions import Accept, Defer, Discard, Quarantine, Reject, Verdict
from lamson_milter.filters import filter_connection, filter_message, filter_recipient, filter_sender
from lamson_milter.subjects import Arrival, Connection, FilteredMail

__all__ = [
    "Accept",
    "Arrival",
    "Connection",
    "Daemon",
    "Defer",
    "Discard",
    "FilteredMail",
    "Policy",
    "Quarantine",
    "Reject",
    "Sasl",
    "Tls",
    "Verdict",
    "filter_connection",
    "filter_message",
    "filter_recipient",
    "filter_sender",
]
