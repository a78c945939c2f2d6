"""The probe of submission: whether our replies and forwards are taken, from every sender of ours.

It logs in as the relay does, and ends before DATA.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.net import tls
from lamson.postfix import submission
from lamson.postfix.checks import certificates
from lamson.postfix.checks.answers import ELSEWHERE, TIMEOUT, shown, why
from lamson.postfix.configuration import bare, words
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site
    from lamson.settings import Submission

_LOGINS = "smtpd_sender_login_maps"
_REJECTED = b"Sender address rejected"
_UNLISTED = ("5.1.0", "User unknown", "5.1.7")


def findings(site: Site) -> Iterator[Finding]:
    """What our submission server has against our mail."""
    own = site.settings.submission
    try:
        with _connected(own) as client:
            code, text = client.mail("")
            if code < 300:
                code, text = client.rcpt(ELSEWHERE)
                code = 250 if code < 500 else code  # it may look for the domain
            if code >= 300:
                raise OSError(f"it refuses our mail: {code} {shown(text)}")
            if isinstance(client.sock, ssl.SSLSocket):
                yield from certificates.expiring(
                    client.sock.getpeercert() or {},
                    f"the certificate of submission at {own.host}:{own.port}",
                    "replies and forwards stay in the outbox",
                )
            yield from _sender(site, client)
    except (OSError, UnicodeError, smtplib.SMTPException, LamsonError) as error:
        is_login = isinstance(error, smtplib.SMTPAuthenticationError)
        name, fix = (
            "submission",
            "lamson postfix apply, or correct submission in config/settings.py",
        )
        if is_login:
            name = "submission-login"
            fix = (
                f"by hand: give the user {own.user} one password, at the server's SASL and here"
                " (lamson config says where submission.secret comes from), then lamson reload"
            )
        if isinstance(error, ssl.SSLError):
            name = "submission-tls"
        yield Finding(
            name,
            f"submission to {own.host}:{own.port}: {tls.why(error) or why(error)}",
            "replies and forwards stay in the outbox",
            fix,
        )


@contextlib.contextmanager
def _connected(own: Submission) -> Iterator[smtplib.SMTP]:
    """Logged in, where we have a login."""
    context = None
    if own.security != "none":
        context = tls.client_context(own.ca_file, own.tls_name)
    if own.security == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            own.host, own.port, timeout=TIMEOUT, context=context
        )
    else:
        client = smtplib.SMTP(own.host, own.port, timeout=TIMEOUT)
    with client:
        client.ehlo("lamson-check.invalid")
        if own.security == "starttls":
            client.starttls(context=context)
            client.ehlo("lamson-check.invalid")
        if own.user is not None:
            client.login(own.user, own.password() or "")
        yield client


def _refused(site: Site, domain: str, said: str) -> Finding:
    """What keeps strangers from writing in our name keeps us from it, too.

    The service that `apply` has made is for this machine alone, and can do without.
    """
    own, service = site.settings.submission, submission.existing(site)
    setting = "smtpd_sender_restrictions="
    if any(one in said for one in _UNLISTED):
        setting = "smtpd_reject_unlisted_sender=no"
    fix = f"by hand, for the service at {own.host}:{own.port} alone: {setting}"
    if service is not None and service.options.get("syslog_name") == submission.SYSLOG_NAME:
        fix = site.mend.override(service.key, setting)
    return Finding(
        "submission-sender",
        f"{own.host}:{own.port} refuses mail from @{domain}: {said}",
        "replies and forwards that have a sender end in run/undeliverable, or wait",
        fix,
    )


def _sender(site: Site, client: smtplib.SMTP) -> Iterator[Finding]:
    """Whether our user may send under our addresses."""
    domain = min(site.domains.listed, default="")
    if not domain:
        return
    client.rset()
    code, text = client.mail(f"lamson-check@{domain}")
    if code < 300:
        code, text = client.rcpt(ELSEWHERE)
    if code >= 400 and _REJECTED in text and b"not owned" not in text:
        yield _refused(site, domain, f"{code} {shown(text)}")
    if code < 500 or b"not owned" not in text:
        return
    own = site.settings.submission
    yield Finding(
        "submission-sender",
        f"{own.host}:{own.port} does not let {own.user} send as @{domain}: {shown(text)}",
        "replies and forwards that have a sender end in run/undeliverable",
        _login(site, domain),
    )


def _login(site: Site, domain: str) -> str:
    """How our user comes to own our senders; who owns what already goes on to do so."""
    own, service = site.settings.submission, submission.existing(site)
    there = words(site.effective(service, _LOGINS)) if service is not None else []
    for word in there:
        if site.answers(bare(word), domain, lambda one: (f"@{one}", f"lamson-check@{one}")):
            return f"by hand: let {own.user} own @{domain} in {word} ({_LOGINS}), too"
    maps = [f"inline:{{@{one}={own.user or 'lamson'}}}" for one in sorted(site.domains.listed)]
    login = f"{_LOGINS}={','.join([*there, *maps])}"
    if service is None:
        return f"let {own.user} send as @{domain} on {own.host}: {login}"
    return site.mend.override(service.key, login)
