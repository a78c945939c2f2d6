"""The submission service in master.cf: where replies and forwards are handed in.

For `plan` and `apply`, which write one where there is none, and `check`. A service that is there
already is left alone, as others may use it: what it lacks is told, with the commands. So is a
server that is not this Postfix: nothing is looked at then.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from lamson.net.endpoint import is_loopback, join_host_port
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site
    from lamson.postfix.want import Want
    from lamson.routing.domains import Domains
    from lamson.settings.model import Settings

_PORTS = {"smtp": 25, "submission": 587, "submissions": 465, "smtps": 465}
TAKING = ("smtpd", "postscreen")
"""Programs that take mail by SMTP: postscreen(8) hands whom it lets in to smtpd."""
SYSLOG_NAME = "postfix/lamson"
"""By which one that is for this machine alone, as `apply` makes it, is known."""
_NAMES = {587: "submission"}
_CERTIFICATES = ("smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file")


class WantedService(NamedTuple):
    """One entry of master.cf; ``doubt`` is why `apply` cannot write it.

    What is there already has to be one of ``programs`` and to have the ``options``, if need be of
    its own; ``reserve`` is why `apply` cannot give it these, and ``taken`` why it is not for us.
    """

    key: str
    entry: str
    why: str
    doubt: str = ""
    programs: tuple[str, ...] = TAKING
    options: tuple[Want, ...] = ()
    reserve: str = ""
    taken: str = ""


def wanted(site: Site) -> list[WantedService]:
    """The service that takes our mail, where that is one of this Postfix.

    One that is there already is given with its own key. Raises RouteError where the domains cannot
    be listed.
    """
    own = site.settings.submission
    if not _is_ours(site):
        return []
    doubt = ""
    if own.security == "none":
        options = _trusting()
    else:
        options = _asking(site.settings, site.domains)
        if not any(map(site.get, _CERTIFICATES)):
            doubt = (
                "Postfix has no certificate to show; set smtpd_tls_chain_files (key and chain, PEM)"
                " first"
            )
    at = join_host_port(own.host, own.port)
    name = at if is_loopback(own.host) else _NAMES.get(own.port, own.port)
    written = " ".join(f"-o {option}={value}" for option, value in options.items())
    there = existing(site)
    return [
        WantedService(
            there.key if there else f"{name}/inet",
            f"{name} inet n - n - - smtpd {written}",
            "replies and forwards are handed to Postfix here",
            doubt,
        )
    ]


# What the site asks of strangers is not asked of us, who say `localhost`, and send as list+bounces.
INHERITED = {
    "smtpd_helo_restrictions": "",
    "smtpd_sender_restrictions": "",
    "smtpd_data_restrictions": "",
    "smtpd_end_of_data_restrictions": "",
    "smtpd_reject_unlisted_sender": "no",
}


def _trusting() -> dict[str, str]:
    """For this machine alone, which is believed."""
    return INHERITED | {
        "syslog_name": SYSLOG_NAME,
        "mynetworks": "127.0.0.0/8,[::1]/128",
        "smtpd_client_restrictions": "permit_mynetworks,reject",
        "smtpd_relay_restrictions": "permit_mynetworks,reject",
        "smtpd_recipient_restrictions": "permit_mynetworks,reject",
    }


def _asking(settings: Settings, domains: Domains) -> dict[str, str]:
    """For a network: TLS, a login, and for each login the senders it may use."""
    own = settings.submission
    options = INHERITED | {"syslog_name": "postfix/submission"}
    if own.security == "tls":
        options["smtpd_tls_wrappermode"] = "yes"
    options["smtpd_tls_security_level"] = "encrypt"
    options["smtpd_tls_auth_only"] = "yes"
    allowed = "permit_mynetworks,reject"
    if own.user is not None:
        allowed = "permit_sasl_authenticated,reject"
        options["smtpd_sasl_auth_enable"] = "yes"
        if not own.any_sender:
            options["smtpd_sender_login_maps"] = ",".join(
                f"inline:{{@{domain}={own.user}}}" for domain in domains.complete()
            )
            options["smtpd_sender_restrictions"] = "reject_sender_login_mismatch"
    restrictions = ("smtpd_client", "smtpd_relay", "smtpd_recipient")
    return options | {f"{name}_restrictions": allowed for name in restrictions}


def _is_ours(site: Site) -> bool:
    """This Postfix is the submission server, as far as can be told without asking DNS."""
    host = site.settings.submission.host.lower()
    if is_loopback(host):
        return True
    names = [site.get("myhostname"), *words(site.get("inet_interfaces"))]
    return host in {name.lower().strip("[]") for name in names}


def existing(site: Site) -> Service | None:
    """What listens at the address and port of our submission server already."""
    own = site.settings.submission
    return listener(own.host, own.port, site.services)


def is_own(site: Site, service: Service) -> bool:
    """That is it, and it is this Postfix's."""
    return _is_ours(site) and existing(site) is service


def listener(host: str, port: int, services: Mapping[str, Service]) -> Service | None:
    """The entry of master.cf that listens at this address and port."""
    for service in services.values():
        at = service.host.lower()
        is_there = not at or bool(_addresses(at) & _addresses(host.lower()))
        if service.kind in ("inet", "pass") and is_there and port_of(service) == port:
            return service
    return None


def _addresses(host: str) -> set[str]:
    """The host, and what it is known to be without asking DNS."""
    return {host, "127.0.0.1", "::1"} if host == "localhost" else {host}


def port_of(service: Service) -> int | None:
    """The number of the port that it listens at; None for what is no port of this machine."""
    name = service.port
    if name.isdigit():
        return int(name)
    try:
        return _PORTS.get(name) or socket.getservbyname(name, "tcp")
    except OSError:
        return None


def remark(site: Site) -> str | None:
    """Why `plan` says nothing of the submission server; None where it has looked at it."""
    if _is_ours(site):
        return None
    own = site.settings.submission
    return (
        f"submission goes to {own.host}:{own.port}, which is not this Postfix (myhostname is"
        f" {site.get('myhostname')}): its service has to be set up there"
    )


def lacking(site: Site) -> Iterator[Finding]:
    """What a service that is there already lacks. It is for others too, so that we leave it."""
    own, service = site.settings.submission, existing(site)
    if not _is_ours(site) or service is None or service.program != "smtpd":
        return
    effective = partial(site.effective, service)
    missing = []
    if own.security == "tls" and effective("smtpd_tls_wrappermode") != "yes":
        missing.append("smtpd_tls_wrappermode=yes")
    elif own.security == "starttls" and not (
        effective("smtpd_tls_security_level") in ("may", "encrypt")
        or (
            not effective("smtpd_tls_security_level")  # it wins over these old ones
            and "yes" in (effective("smtpd_use_tls"), effective("smtpd_enforce_tls"))
        )
    ):
        missing.append("smtpd_tls_security_level=encrypt")
    if own.user is not None:
        if effective("smtpd_sasl_auth_enable") != "yes":
            missing.append("smtpd_sasl_auth_enable=yes")
        relay = words(effective("smtpd_relay_restrictions"))
        if relay and "permit_sasl_authenticated" not in relay:
            missing.append("smtpd_relay_restrictions=permit_sasl_authenticated,reject")
    for setting in missing:
        yield Finding(
            "submission-service",
            f"{service.key}, where our replies are to go, is without {setting}, and apply leaves a"
            " service alone that is there already",
            "replies and forwards stay in the outbox",
            site.mend.override(service.key, setting),
        )
    if own.security != "none" and not any(effective(name) for name in _CERTIFICATES):
        yield Finding(
            "submission-certificate",
            f"{service.key} has no certificate to show",
            "STARTTLS fails, and replies and forwards stay in the outbox",
            f"by hand: smtpd_tls_chain_files (key and chain, PEM) for {service.key}",
        )
