"""Recipients: smtpd looks ours up with us, refuses the unknown for good, and loses none to others.

Mail for an unknown recipient that smtpd takes becomes a bounce, to a sender who may be forged.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from lamson.postfix import known, ours, tables
from lamson.postfix.checks.smtpd import faces_the_world
from lamson.postfix.checks.tables import used
from lamson.postfix.configuration import words
from lamson.postfix.finding import NOBODY, Finding
from lamson.postfix.recipients import are_others_seen, is_opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

_OVERRIDES, _UNCHECKED = "receive_override_options", "no_unknown_recipient_checks"
_UNLISTED = "smtpd_reject_unlisted_recipient"
_INLINE, _INLINE_KEYS = re.compile(r"inline:\{.*\}"), re.compile(r"([^\s{},=]+)\s*=")
_OTHERS = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains")
_WHOLE = ("socketmap", "proxy")  # asked for parts of an address as well, as patterns are not


def taken_by_others(site: Site) -> Iterator[Finding]:
    """A catch-all takes our mail away, or stands for recipients that there are not."""
    name, value = "virtual_alias_maps", site.get("virtual_alias_maps")
    for domain in sorted(site.domains.listed):
        for word in words(value):
            if site.answers(word, domain, _anybody):
                yield Finding(
                    "virtual-alias-takes-ours",
                    f"{word} in {name} has an address for all of @{domain}",
                    "mail for us goes there, also that for unknown recipients",
                    _without_catch_all(site, name, word, f"@{domain}"),
                )
    yield from _known_to_others(site)


def _known_to_others(site: Site) -> Iterator[Finding]:
    is_ours = ours.is_recipients(site)
    maps = words(site.get("relay_recipient_maps"))
    for word in maps:
        if is_ours(word) or word.removeprefix("proxy:").startswith("socketmap:"):
            continue
        if is_opening(site, word):
            continue  # where it has ours, `plan` leaves them out of it
        for domain in sorted(site.domains.listed):
            is_routed = bool(site.router.match(f"{NOBODY}@{domain}"))
            if not is_routed and site.answers(word, domain, _nobody_and_anybody):
                yield Finding(
                    "anybody-is-a-recipient",
                    f"{word} in relay_recipient_maps has all of @{domain}",
                    "smtpd takes mail for unknown recipients, whose bounces go to forged senders",
                    _without_anybody(site, word, domain),
                )
                break


def _without_catch_all(site: Site, name: str, table: str, key: str) -> str:
    """One that is written out for nobody else is left out whole."""
    if _INLINE.fullmatch(table) and set(_INLINE_KEYS.findall(table)) == {key}:
        return site.leave_out(name, table)
    return site.mend.without_key(name, table, key)


def _without_anybody(site: Site, table: str, domain: str) -> str:
    """Where there are other relay domains, the table may well have their recipients."""
    name, key = "relay_recipient_maps", f"@{domain}"
    if not are_others_seen(site):
        return site.leave_out(name, table)
    if site.answers(table, domain, _anybody):
        return _without_catch_all(site, name, table, key)
    return f"by hand: take {key} out of {table}, which {name} names, and leave what others have"


def put_off(site: Site) -> Iterator[Finding]:
    """A refusal is final."""
    code = site.get("unknown_relay_recipient_reject_code")
    if not code.startswith("5"):
        yield Finding(
            "unknown-recipients-are-deferred",
            f"unknown_relay_recipient_reject_code is {code}",
            "strangers try for days to reach an address that there is not",
            _for_all(
                site,
                "unknown_relay_recipient_reject_code = 550",
                site.mend.set("unknown_relay_recipient_reject_code", "550"),
            ),
        )
    if site.get("soft_bounce") == "yes":
        yield Finding(
            "soft-bounce",
            "soft_bounce is yes",
            "no refusal of ours is final: what we refuse stays in the queue for days",
            _for_all(site, "soft_bounce = no", site.mend.set("soft_bounce", "no")),
        )


def unrouted(site: Site) -> Iterator[Finding]:
    """Others' maps have addresses of ours that no route takes, or Postfix makes some up itself."""
    is_ours = ours.is_recipients(site)
    for word in words(site.get("relay_recipient_maps")):
        if is_ours(word):
            continue
        unrouted = [
            key
            for key in sorted(site.maps.keys(word))
            if key.rpartition("@")[2] in site.domains.listed
            and key.partition("@")[0]
            and not site.router.match(key)
        ]
        if unrouted:
            yield Finding(
                "recipient-without-route",
                f"{word} in relay_recipient_maps has {unrouted[0]}, and no route takes it",
                "smtpd takes its mail, we refuse it, and Postfix bounces it to forged senders",
                f"by hand: take our addresses out of {word}",
            )
    yield from _extended(site)


def _extended(site: Site) -> Iterator[Finding]:
    """smtpd asks for an address without its extension, too, unless a pattern stands before."""
    signs = site.get("recipient_delimiter")
    is_ours, maps = ours.is_recipients(site), words(site.get("relay_recipient_maps"))
    bare_ones = [one for one in maps if is_ours(one) and one.partition(":")[0] in _WHOLE]
    for address in known.addresses(site) if signs and bare_ones else ():
        local, _, domain = address.rpartition("@")
        extended = f"{local}{signs[0]}{NOBODY}@{domain}"
        if signs[0] not in local and not site.router.match(extended):
            yield Finding(
                "extension-is-taken",
                f"recipient_delimiter is {signs}, with which smtpd takes {extended} for {address}",
                "no route takes that: we refuse it, and Postfix bounces it to forged senders",
                f"by hand: pipemap:{{FILTER, {bare_ones[0]}}} in relay_recipient_maps, as lamson"
                " postfix apply writes it where there is none",
            )
            return


def overridden(site: Site, service: Service) -> Iterator[Finding]:
    """An override must not take away what main.cf says of our recipients."""
    maps = service.options.get("relay_recipient_maps")
    if maps is None or not faces_the_world(site, service):
        return
    own = ours.recipients(site)
    known = [f"{kind}:{path}" for path in used(site) for kind in tables.KINDS]
    is_ours = ours.is_recipients(site)
    if any(is_ours(word) or word.removeprefix("proxy:") in known for word in words(maps)):
        return
    yield Finding(
        "recipients-switched-off",
        f"master.cf has {service.key} look recipients up in {maps or 'no maps'}, not {own}",
        "smtpd takes mail for unknown recipients, whose bounces go to forged senders",
        site.mend.no_override(service.key, "relay_recipient_maps")
        if set(words(maps)) <= set(words(site.get("relay_recipient_maps")))
        else f"by hand: relay_recipient_maps of {service.key} has to have {own}, too",
    )


def unlisted(site: Site, service: Service) -> Iterator[Finding]:
    """smtpd looks recipients up unless it is told not to."""
    if not faces_the_world(site, service):
        return
    get = partial(site.effective, service)
    given = words(get(_OVERRIDES))
    if _UNCHECKED in given:
        left = [one for one in given if one != _UNCHECKED]
        fix = site.mend.set(_OVERRIDES, ", ".join(left))
        if _OVERRIDES in service.options:
            fix = site.mend.override(service.key, f"{_OVERRIDES}={','.join(left)}")
        yield Finding(
            "unlisted-recipients-are-taken",
            f"{_OVERRIDES} has {_UNCHECKED} for {service.key}",
            "smtpd takes mail for unknown recipients, whose bounces go to forged senders",
            _for_all(site, f"{_OVERRIDES} without {_UNCHECKED}", fix),
        )
    asked = words(f"{get('smtpd_recipient_restrictions')} {get('smtpd_relay_restrictions')}")
    if get(_UNLISTED) != "no" or {"reject_unlisted_recipient", "check_recipient_maps"} & {*asked}:
        return
    is_own = _UNLISTED in service.options
    yield Finding(
        "unlisted-recipients-are-taken",
        f"{_UNLISTED} is no" + (f" in master.cf, for {service.key}" if is_own else ""),
        "smtpd takes mail for unknown recipients, whose bounces go to forged senders",
        _for_all(
            site,
            f"{_UNLISTED} = yes",
            site.mend.no_override(service.key, _UNLISTED)
            if is_own
            else site.mend.set(_UNLISTED, "yes"),
        ),
    )


def _for_all(site: Site, what: str, command: str) -> str:
    """The command, where there are no domains of others: smtpd may take mail for addresses of
    theirs that it cannot look up, on purpose, as with luser_relay or a catch-all."""
    if not are_others_seen(site) and not any(map(site.get, _OTHERS)):
        return command
    return f"by hand, as it decides about recipients of others, too: {what}"


def _anybody(domain: str) -> tuple[str]:
    return (f"@{domain}",)


def _nobody_and_anybody(domain: str) -> tuple[str, str]:
    return f"{NOBODY}@{domain}", f"@{domain}"
