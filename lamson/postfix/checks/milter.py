"""Our filters: that each service which takes mail from the world asks them, or lets mail wait."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lamson.errors import LamsonError
from lamson.postfix import ours, submission, wanted
from lamson.postfix.checks.smtpd import faces_the_world
from lamson.postfix.configuration import bare, option, words
from lamson.postfix.finding import Finding
from lamson.postfix.want import seconds
from lamson.postfix.wanted import ACTION, SAFE_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_BLANKS = re.compile(r"(?<=[{,])\s+|\s+(?=[},])")
_PROTOCOL = "6"
_PROXY, _FILTER = "smtpd_proxy_filter", "content_filter"
_NO_MILTERS = "no_milters"
_STRANGERS = ("192.0.2.1", "198.51.100.1", "203.0.113.1")  # nobody's (RFC 5737)


def findings(site: Site, service: Service) -> Iterator[Finding]:
    """What keeps the service from it."""
    if not site.settings.has_milter or not faces_the_world(site, service):
        return
    own, is_ours = site.settings.milter.endpoint(), ours.is_milter(site)
    milters = service.options.get("smtpd_milters")
    if milters is not None and not any(map(is_ours, map(bare, words(milters)))):
        beside = ",".join(wanted.milters(site, words(milters)).items)
        yield Finding(
            "milter-switched-off",
            f"master.cf has {service.key} ask {milters or 'no milters'}, not {own}",
            "our filters are not asked",
            # postconf -P takes no blanks, and Postfix splits at commas as well.
            site.mend.override(service.key, f"smtpd_milters={_BLANKS.sub('', beside)}"),
        )
    for item in () if milters is None else words(milters):
        action = option(item, ACTION) or site.effective(service, "milter_default_action")
        if is_ours(bare(item)) and action not in SAFE_ACTIONS:
            yield Finding(
                "milter-default-action",
                f"master.cf has {service.key} ask {own} with {ACTION}={action}",
                "mail passes unfiltered, or is lost, while the filters are down",
                f"by hand, as other filters are named beside it: {{ {own}, {ACTION}=tempfail }}",
            )


def patience(site: Site) -> Iterator[Finding]:
    """Postfix waits for our filters as long as they may take, and speaks as they do."""
    if not site.settings.has_milter:
        return
    is_ours = ours.is_milter(site)
    listed = [item for item in words(site.get("smtpd_milters")) if is_ours(bare(item))]
    if len(listed) > 1:
        yield Finding(
            "milter-twice",
            f"smtpd_milters has {bare(listed[0])} {len(listed)} times",
            "our filters see each message several times",
            "by hand: one of them is enough",
        )
    for item in listed[:1]:
        for name, least, setting in (
            ("command", site.settings.milter.timeout, "milter.timeout"),
            ("content", site.settings.milter.content_timeout, "milter.content_timeout"),
            ("connect", 1.0, "a busy moment"),
        ):
            value = option(item, f"{name}_timeout") or site.get(f"milter_{name}_timeout")
            try:
                is_enough = not value or seconds(value) > least
            except LamsonError:
                is_enough = False
            if not is_enough:
                yield Finding(
                    "milter-timeout",
                    f"milter_{name}_timeout is {value}, and {setting} {least:g} s",
                    "Postfix gives up on a filter at work, and puts the mail off",
                    f"by hand: {name}_timeout={int(least * 2)}s in the braces of {bare(item)}, or a"
                    " smaller value in config/settings.py",
                )
        protocol = option(item, "protocol") or site.get("milter_protocol")
        if protocol and not protocol.startswith(_PROTOCOL):
            yield Finding(
                "milter-protocol",
                f"milter_protocol is {protocol}",
                "our filters are not told what they ask for, and mail is put off",
                f"by hand: milter_protocol = {_PROTOCOL}, Postfix's default",
            )


def beside(site: Site) -> Iterator[Finding]:
    """Filters of content in Postfix's own way: mail comes to ours without them, or twice."""
    if not site.settings.has_milter:
        return
    is_ours = ours.is_milter(site)
    world = [one for one in site.smtpds if faces_the_world(site, one)]
    for service in world:
        asked = map(bare, words(site.effective(service, "smtpd_milters")))
        if site.effective(service, _PROXY) and site.settings.filters and any(map(is_ours, asked)):
            yield Finding(
                "milter-switched-off",
                f"{_PROXY} is {site.effective(service, _PROXY)} for {service.key}",
                "our filters are told who writes to whom there, and see no message",
                "by hand: smtpd_milters of the service to which that filter hands mail on",
            )
    if not any(site.effective(one, _FILTER) for one in world):
        return
    for service in site.smtpds:
        asked = map(bare, words(site.effective(service, "smtpd_milters")))
        given = words(site.effective(service, "receive_override_options"))
        if service.options.get(_FILTER) == "" and service not in world and _NO_MILTERS not in given:
            is_own = submission.existing(site) is service
            if not is_own and any(map(is_ours, asked)):
                yield Finding(
                    "milter-twice",
                    f"{service.key}, to which a content filter hands mail back, asks ours as well",
                    "our filters see each message twice, and take the filter for its client",
                    f"by hand: an smtpd_milters of its own for {service.key}, without ours",
                )


def passed_over(site: Site, service: Service) -> Iterator[Finding]:
    """The service has our milter, and does not ask it."""
    if not site.settings.has_milter or not faces_the_world(site, service):
        return
    name = "receive_override_options"
    given = words(site.effective(service, name))
    if _NO_MILTERS in given:
        left = ",".join(one for one in given if one != _NO_MILTERS)
        fix = site.mend.set(name, left)
        if name in service.options:
            fix = site.mend.override(service.key, f"{name}={left}")
        is_ours = ours.is_milter(site)
        asked = map(bare, words(site.effective(service, "smtpd_milters")))
        if others := [one for one in asked if not is_ours(one)]:
            fix = (
                f"by hand: without {_NO_MILTERS} {service.key} asks {', '.join(others)} as well;"
                " name in its smtpd_milters those that it is to ask"
            )
        yield Finding(
            "milter-switched-off",
            f"{name} has {_NO_MILTERS} for {service.key}",
            "our filters are not asked",
            fix,
        )
    for table in map(bare, words(site.effective(service, "smtpd_milter_maps"))):
        answers = site.maps.answers(table, _STRANGERS)
        if all(_is_without(site, answers.get(one, "")) for one in _STRANGERS):
            yield Finding(
                "milter-switched-off",
                f"{table} in smtpd_milter_maps has other milters for everybody at {service.key}",
                "our filters are not asked",
                "by hand: such a table names the few clients that are not to be filtered",
            )


def _is_without(site: Site, answer: str) -> bool:
    is_ours = ours.is_milter(site)
    return bool(answer) and not any(is_ours(bare(one)) for one in words(answer))
