"""TLS as this project wants it, on both sides, and what is wrong with a certificate, in words.

For submission, which verifies the server, and for the LMTP server, which shows a certificate and
may ask for one. A file that cannot be used raises SettingsError, naming it.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Literal

from lamson.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

Security = Literal["none", "starttls", "tls"]  # of a connection: by STARTTLS, or from its start

# X509_verify_cert_error_string(3): what is worth telling apart, and what to do about it.
_REASONS = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is self-signed; give it, or its authority, in ca_file",
    19: "its certificate is signed by an authority of its own; give that in ca_file",
    20: "the authority of its certificate is not known here; give that in ca_file",
    21: "its certificate does not come with the chain to a known authority",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}


class _NamedContext(ssl.SSLContext):
    """Expects a certificate for ``name``, whatever the host is called that is connected to."""

    name: str

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*arguments, **{**options, "server_hostname": self.name})

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return super().wrap_bio(*arguments, **{**options, "server_hostname": self.name})


def client_context(ca_file: Path | None = None, name: str | None = None) -> ssl.SSLContext:
    """For a client that verifies the server: by ``ca_file``, else by what the system trusts.

    Raises SettingsError.
    """
    if name is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = named = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        named.name = name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs()
    else:
        _load(ca_file, lambda: context.load_verify_locations(ca_file))
    return context


def server_context(
    certificate: Path, key: Path, client_ca_file: Path | None = None
) -> ssl.SSLContext:
    """For a server; with ``client_ca_file`` a client has to show a certificate signed by it.

    Raises SettingsError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(certificate, lambda: context.load_cert_chain(certificate, key), key)
    if client_ca_file is not None:
        _load(client_ca_file, lambda: context.load_verify_locations(client_ca_file))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(file: Path, load: Any, key: Path | None = None) -> None:
    try:
        load()
    except ssl.SSLError as error:
        beside = f" (with {key})" if key else ""
        problem = (error.reason or "no PEM").replace("_", " ").lower()
        raise SettingsError(f"{file}{beside}: not usable for TLS: {problem}") from None
    except OSError as error:
        both = f"{file} or {key}" if key else str(file)
        raise SettingsError(f"{both}: {error.strerror or error}") from None


def why(error: BaseException | None) -> str | None:
    """What is wrong with the peer's certificate, where that is behind ``error``; else None."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = _REASONS.get(error.verify_code, "its certificate cannot be verified")
            return f"{reason} ({error.verify_message.rstrip('.')})"
        error = error.__cause__ or error.__context__
    return None
