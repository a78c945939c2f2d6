"""smtpd(8): which of its services strangers reach, and what they may do to the protocol there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lamson.net.endpoint import is_loopback, split_host_port
from lamson.postfix import submission
from lamson.postfix.configuration import words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_INTERNET = ("inet", "pass")
_BEHIND_POSTSCREEN = "smtpd/pass"
_OF_USERS = ("submission", "submissions", "smtps", "587", "465")
_CERTIFICATES = (
    "smtpd_tls_chain_files",
    "smtpd_tls_cert_file",
    "smtpd_tls_key_file",
    "smtpd_tls_eccert_file",
    "smtpd_tls_eckey_file",
)


def is_public(site: Site, service: Service) -> bool:
    """An smtpd that other machines can reach, as far as master.cf says, or that is said to take
    mail from the world."""
    if service.program != "smtpd":
        return False
    is_reachable = service.kind in _INTERNET and not is_loopback(service.host)
    return is_reachable or faces_the_world(site, service)


def faces_the_world(site: Site, service: Service) -> bool:
    """It listens at port 25, or where the setting ``postfix.smtpd`` says."""
    _, world = split_host_port(site.settings.postfix.smtpd)
    return service.kind in _INTERNET and service.port in ("smtp", "smtpd", "25", str(world))


def behind(site: Site, host: str, port: int) -> Service | None:
    """The smtpd that takes mail at this address and port: postscreen(8) hands its clients on."""
    service = submission.listener(host, port, site.services)
    if service is not None and service.program == "postscreen":
        return site.services.get(_BEHIND_POSTSCREEN, service)
    return service


def newlines(site: Site) -> Iterator[Finding]:
    """Bare newlines end no message (CVE-2023-51764), and mail that has them by BDAT comes in."""
    if site.value("smtpd_forbid_bare_newline") is None:
        yield Finding(
            "old-postfix",
            f"Postfix {site.get('mail_version')} has no smtpd_forbid_bare_newline",
            "strangers can smuggle messages with forged senders in (CVE-2023-51764)",
            "upgrade Postfix (3.5.23, 3.6.13, 3.7.9, 3.8.4 or later)",
        )
    if "chunking" not in site.get("smtpd_discard_ehlo_keywords").lower() and (
        site.get("smtpd_forbid_bare_newline") == "reject"
    ):
        yield Finding(
            "newline-reject-and-bdat",
            "smtpd_forbid_bare_newline is reject, but BDAT is offered",
            "mail of Microsoft's servers, which sends bare newlines by BDAT, is refused",
            site.mend.set("smtpd_forbid_bare_newline", "normalize"),
        )


def passwords(site: Site, service: Service) -> Iterator[Finding]:
    """No password goes over the wire in clear."""
    get = partial(site.effective, service)
    if get("smtpd_sasl_auth_enable") == "yes" and (
        get("smtpd_tls_auth_only") != "yes"
        and get("smtpd_tls_security_level") != "encrypt"
        and get("smtpd_tls_wrappermode") != "yes"
    ):
        fix = site.mend.override(service.key, "smtpd_tls_auth_only=yes")
        if get("smtpd_tls_security_level") in ("", "none") and get("smtpd_use_tls") != "yes":
            # Nobody could log in any more.
            fix = (
                "by hand: give it a certificate (smtpd_tls_chain_files) and"
                " smtpd_tls_security_level=may, and then smtpd_tls_auth_only=yes"
            )
        yield Finding(
            "password-in-clear",
            f"{service.key} takes passwords without TLS",
            "whoever listens on the wire has them",
            fix,
        )


def open_to_strangers(site: Site, service: Service) -> Iterator[Finding]:
    """Where mail comes in from the world TLS is offered, and nobody has to use it (RFC 3207)."""
    get = partial(site.effective, service)
    if not faces_the_world(site, service) or service.port in _OF_USERS:
        return
    is_wanted = get("smtpd_tls_security_level") == "encrypt" or get("smtpd_enforce_tls") == "yes"
    if get("smtpd_tls_wrappermode") == "yes" or is_wanted:
        name = "smtpd_tls_security_level"
        if get("smtpd_tls_wrappermode") == "yes":
            name = "smtpd_tls_wrappermode"
        fix = f"by hand: {name} is for services of users; where the world comes, may is enough"
        if name in service.options:
            fix = site.mend.no_override(service.key, name)
        yield Finding(
            "world-has-to-use-tls",
            f"{name} is {get(name)} for {service.key}",
            "mail of servers that send without it is refused, or never gets a word in",
            fix,
        )


def certificates(site: Site, service: Service) -> Iterator[Finding]:
    """What is offered can be shown: the files are there."""
    get = partial(site.effective, service)
    if get("smtpd_tls_security_level") in ("", "none") and get("smtpd_use_tls") != "yes":
        return
    for name in _CERTIFICATES:
        for path in words(get(name)):
            if path.startswith("/") and not Path(path).exists():
                yield Finding(
                    "certificate-is-missing",
                    f"{name} of {service.key} is {path}, which is not there",
                    "STARTTLS fails: 454 4.7.0 TLS not available due to local problem",
                    f"by hand: put it there, or correct {name}",
                )
