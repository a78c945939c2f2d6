"""Certificates, verified as those will who have to: Postfix's LMTP client ours, we submission's.

How strictly lmtp(8) looks is its level (TLS_README): at `verify` and `secure` chain and name, at
`fingerprint` the certificate itself, below that at nothing. What is expired is said by the
verification; what will be within a fortnight is said before.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamson.net import tls
from lamson.postfix import transport
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamson.postfix.configuration import Service
    from lamson.postfix.site import Site

SOON = 14  # days
_DAY = 86400.0
_VERIFIED = ("verify", "secure")
_WAITS = "mail for us stays in the queue: Server certificate not verified"


@dataclass(frozen=True, slots=True)
class Demand:
    """What lmtp(8) wants to see of the server at ``place``, by the options of its service."""

    level: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    algorithm: str
    ca_file: str
    ca_path: str
    chain: tuple[str, str]  # its own certificate and key, which it shows

    @property
    def is_verified(self) -> bool:
        return self.level in _VERIFIED

    def context(self) -> ssl.SSLContext:
        """For a client that is as strict about the chain. Raises OSError (SSLError) for its files.

        Names are compared apart, as Postfix has rules of its own for them.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        if not self.is_verified:
            context.verify_mode = ssl.CERT_NONE
        elif self.ca_file or self.ca_path:
            context.load_verify_locations(self.ca_file or None, self.ca_path or None)
        if self.chain[0]:
            context.load_cert_chain(self.chain[0], self.chain[1] or None)
        return context


def demand(site: Site, service: Service | None, place: str) -> Demand:
    """What the service demands of the next hop ``place`` (``inet:host:port``)."""

    def get(name: str) -> str:
        return site.effective(service, f"lmtp_tls_{name}")

    level, attributes = _policy(site, get("policy_maps"), place)
    level = level or get("security_level").lower() or "none"
    usual = get("secure_cert_match") if level == "secure" else get("verify_cert_match")
    match = attributes.get("match", "")
    host = _host(place)
    chain = get("chain_files").split(",")[0].strip()
    return Demand(
        level,
        tuple(_named(match or usual or "nexthop", host)),
        tuple(_split(match or get("fingerprint_cert_match"), "|, ")),
        get("fingerprint_digest") or "sha256",
        get("CAfile"),
        get("CApath"),
        (chain, chain) if chain else (get("cert_file"), get("key_file")),
    )


def failed(site: Site, wanted: Demand, error: BaseException) -> Finding | None:
    """The finding for a handshake that failed over the server's certificate, or over a file."""
    reason = tls.why(error)
    if reason is None:
        return None
    # What `tls` says of ca_file is for submission's.
    reason = reason.replace("ca_file", "lmtp_tls_CAfile")
    return Finding(
        "lmtp-certificate",
        f"at the level {wanted.level} Postfix does not believe lmtp.tls_certificate"
        f" ({site.settings.lmtp.tls_certificate}): {reason}",
        _WAITS,
        "by hand: renew the certificate, or set lmtp_tls_CAfile of the service"
        f" {transport.of(site).name} to the authority that has signed it",
    )


def findings(site: Site, wanted: Demand, sock: ssl.SSLSocket) -> Iterator[Finding]:
    """What Postfix has against the certificate that was shown, its chain being right."""
    seen: dict[str, Any] = sock.getpeercert() or {}
    shown = site.settings.lmtp.tls_certificate
    if wanted.is_verified:
        own = _names(seen)
        if not any(_matches(pattern, name) for pattern in wanted.names for name in own):
            yield Finding(
                "lmtp-certificate-name",
                f"lmtp.tls_certificate ({shown}) is for {', '.join(own) or 'no name'}, and Postfix"
                f" wants {' or '.join(wanted.names)} at the level {wanted.level}",
                _WAITS,
                f"by hand: lmtp_tls_{wanted.level}_cert_match of the service"
                f" {transport.of(site).name}, or a certificate for that name",
            )
        yield from expiring(seen, f"lmtp.tls_certificate ({shown})", _WAITS)
    elif wanted.level == "fingerprint":
        der = sock.getpeercert(binary_form=True) or b""
        got = hashlib.new(wanted.algorithm, der).hexdigest().upper()
        known = {one.replace(":", "").upper() for one in wanted.digests}
        if got not in known:
            pairs = ":".join(re.findall("..", got))
            yield Finding(
                "lmtp-certificate",
                f"lmtp_tls_fingerprint_cert_match does not have the fingerprint of {shown}",
                _WAITS,
                f"by hand, unless it is a public key's: add {pairs}",
            )


def expiring(seen: dict[str, Any], which: str, why: str) -> Iterator[Finding]:
    """It will be over soon. ``seen`` is what `SSLSocket.getpeercert` says of it."""
    end = str(seen.get("notAfter", ""))
    if not end:
        return
    left = (ssl.cert_time_to_seconds(end) - time.time()) / _DAY
    if left < SOON:
        yield Finding(
            "certificate-expires",
            f"{which} is valid for {max(0, int(left))} more days, until {end}",
            f"then: {why}",
            "renew it; whoever shows it then has to read it again: lamson restart, postfix reload",
        )


def _policy(site: Site, maps: str, place: str) -> tuple[str, dict[str, str]]:
    """The level and the attributes that a policy table has for the next hop."""
    bare = place.removeprefix("inet:")
    keys = [place, bare, f"inet:{bare}"]
    for table in maps.replace(",", " ").split():
        found = site.maps.answers(table, keys)
        for key in keys:
            if key in found:
                level, *rest = found[key].split()
                return level.lower(), dict(one.split("=", 1) for one in rest if "=" in one)
    return "", {}


def _named(match: str, host: str) -> Iterator[str]:
    for one in _split(match, ":, "):
        if one == "dot-nexthop":
            yield f".{host}"
        else:
            yield host if one in ("nexthop", "hostname") else one


def _split(text: str, signs: str) -> Sequence[str]:
    return [one for one in re.split(f"[{re.escape(signs)}]+", text) if one]


def _host(place: str) -> str:
    found = re.match(r"(?:inet:)?(?:\[([^]]+)\]|([^:]+))", place)
    return (found[1] or found[2]).lower() if found else place


def _names(seen: dict[str, Any]) -> list[str]:
    """The names of a certificate: those for DNS, else its common name (RFC 6125)."""
    names = [str(value) for kind, value in seen.get("subjectAltName", ()) if kind == "DNS"]
    subject = [pair for part in seen.get("subject", ()) for pair in part]
    return names or [str(value) for kind, value in subject if kind == "commonName"]


def _matches(pattern: str, name: str) -> bool:
    """A pattern that begins with a dot is for what is below it; a name may begin with ``*.``."""
    pattern, name = pattern.lower(), name.lower()
    if pattern.startswith("."):
        return name.endswith(pattern) and name != pattern
    if name.startswith("*."):
        return pattern.partition(".")[2] == name[2:]
    return pattern == name
