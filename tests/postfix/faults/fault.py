"""A fault: what somebody does to a configuration that was right, and what the doctor has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Texts = Mapping[str, str]

CONFIGURATION, PROBE, MAIL = "configuration", "probe", "mail"
"""What finds it: to read the configuration, to try the services, or to send a message through."""


@dataclass(frozen=True)
class Fault:
    """``named`` are the codes of the findings that there have to be; there must be no other.

    ``effect`` is what happens to mail. In all texts ``<etc>`` is the directory of main.cf,
    ``<world>`` the key of the smtpd that takes mail from the world, ``<own>`` that of our
    submission server, ``<host>`` the name of this machine. ``main`` are lines for
    main.cf, ``override`` are ``-o`` of master.cf (``key/parameter``), ``column`` fields of it
    (``key/number``), ``gone`` services that are taken out, ``added`` lines for it. ``files`` are
    written into ``<etc>``, those in ``hashed`` made tables by postmap(1). ``base`` is the kind of
    project: see `tests.postfix.faults.bases`. What only trying the services finds is ``shown_in``
    another file below tests/.
    """

    name: str
    effect: str
    named: tuple[str, ...]
    main: Texts = field(default_factory=dict)
    override: Texts = field(default_factory=dict)
    column: Texts = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    files: Texts = field(default_factory=dict)
    hashed: tuple[str, ...] = ()
    base: str = "plain"
    found_by: str = CONFIGURATION
    shown_in: str = ""

    def __str__(self) -> str:
        return self.name


def fault(name: str, effect: str, *named: str, **what: object) -> Fault:
    """One of the catalogue."""
    return Fault(name, effect, named, **what)  # type: ignore[arg-type]
