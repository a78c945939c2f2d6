"""What a chrooted service cannot see: a process of Postfix that has its queue directory alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.postfix import ours, transport
from lamson.postfix.checks.restrictions import LISTS
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_ASKED = ("smtpd_milters", "relay_recipient_maps", "virtual_mailbox_maps", "virtual_alias_maps")
_SOCKET = re.compile(r"(?:unix|local):(/[^\s,:{}]+)")
_SOCKETMAP = "socketmap:unix:"


def findings(site: Site) -> Iterator[Finding]:
    """Sockets of ours that are out of sight: of the LMTP client, then of each smtpd."""
    yield from _lmtp(site)
    yield from _proxymap(site)
    for service in site.smtpds:
        if service.is_chrooted:
            yield from _socketmap(site, service)
            if site.settings.has_milter:
                yield from _milter(site, service)


def _lmtp(site: Site) -> Iterator[Finding]:
    queue, used = site.get("queue_directory"), transport.of(site)
    lmtp, path = used.service(site), used.place.removeprefix("unix:")
    if lmtp is None or not lmtp.is_chrooted or not used.place.startswith("unix:"):
        return
    if not _is_seen(queue, path, site.settings.lmtp.unix_path):
        yield Finding(
            "lmtp-chroot",
            f"{used.name} is chrooted to {queue} and cannot see {path}",
            "mail for us stays in the queue: connect: No such file or directory",
            site.mend.no_chroot(lmtp.key),
        )


def _proxymap(site: Site) -> Iterator[Finding]:
    """proxymap(8) asks in place of a chrooted smtpd, which helps where it is not chrooted itself.

    For tables of files it makes no difference: they are opened before.
    """
    service, own = site.services.get("proxymap/unix"), site.settings.socketmap
    if service is None or not service.is_chrooted or not ours.has_socketmap(site):
        return
    asked = site.settings.lookup("")
    maps = filter(ours.is_recipients(site), words(site.get("relay_recipient_maps")))
    if not asked.startswith(_SOCKETMAP) or not any(one.startswith("proxy:") for one in maps):
        return
    path = asked.removeprefix(_SOCKETMAP).removesuffix(":")
    if not _is_seen(site.get("queue_directory"), path, own.unix_path if own.listen else None):
        yield Finding(
            "proxymap-chroot",
            f"proxymap is chrooted and cannot see {path}",
            "all mail for us is deferred: Temporary lookup failure",
            site.mend.no_chroot(service.key),
        )


def _socketmap(site: Site, service: Service) -> Iterator[Finding]:
    own = site.settings.socketmap
    asked = site.settings.lookup("") if ours.has_socketmap(site) else ""
    is_ours = ours.is_recipients(site)
    maps = filter(is_ours, words(site.get("relay_recipient_maps")))
    is_proxied = any(item.startswith("proxy:") for item in maps)
    if not asked.startswith(_SOCKETMAP) or is_proxied:
        return
    path = asked.removeprefix(_SOCKETMAP).removesuffix(":")
    if not _is_seen(site.get("queue_directory"), path, own.unix_path if own.listen else None):
        yield Finding(
            "socketmap-chroot",
            f"smtpd ({service.key}) is chrooted and cannot see {path}",
            "all mail for us is deferred: Temporary lookup failure",
            _let_out(site, service),
        )


def _milter(site: Site, service: Service) -> Iterator[Finding]:
    milters = words(site.effective(service, "smtpd_milters"))
    own = site.settings.milter.endpoint()
    asked = list(filter(ours.is_milter(site), map(bare, milters)))
    if "smtpd_milters" not in service.options and not asked:
        asked = [own]  # as `apply` would write it
    if own.startswith("unix:") and own in asked:
        queue, path = site.get("queue_directory"), own.removeprefix("unix:")
        yield Finding(
            "milter-chroot",
            f"smtpd ({service.key}) is chrooted to {queue} and cannot see {path}",
            "all mail is deferred, or passes unfiltered: as milter_default_action says",
            _let_out(site, service),
        )


def _let_out(site: Site, service: Service) -> str:
    """Unless it would lose sight of others' sockets: Debian's guides have them below the queue."""
    queue = Path(site.get("queue_directory"))
    values = [site.effective(service, name) for name in (*LISTS, *_ASKED)]
    for path in _SOCKET.findall(" ".join(values)):
        if not Path(path).exists() and (queue / path.lstrip("/")).exists():
            return (
                f"by hand: {service.key} asks {path} as it is seen from {queue}; leave it there,"
                " and put our socket below that directory, too"
            )
    return site.mend.no_chroot(service.key)


def _is_seen(queue: str, path: str, socket: Path | None) -> bool:
    """A chrooted process that is told this path reaches our socket: it looks below the queue.

    Where Lamson runs elsewhere, as in a container, all that can be seen is the directory.
    """
    inside = Path(queue) / path.lstrip("/")
    return inside == socket or (Path(path) != socket and inside.parent.is_dir())
