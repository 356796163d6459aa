"""From the configuration's ``tls:`` to what a listener needs (E-01 to E-03)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mwl.errors import BadDocument, Problem

if TYPE_CHECKING:
    from mwl.config import Configuration, Tls

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # BCP 195 (PS3.15 B.12); TLS 1.3 brings its own


def server_context(configuration: Configuration, section: str) -> ssl.SSLContext | None:
    """Return the context of a section's listener, None where it has no TLS; raise `BadDocument`."""
    tls: Tls | None = getattr(configuration, section).tls
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    problems: list[Problem] = []
    try:
        # Without a password function OpenSSL would ask the terminal for the passphrase.
        context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        problems.append(_problem(configuration, (section, "tls", "certificate"), error))
    if tls.clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(tls.clients)
        except OSError as error:
            problems.append(_problem(configuration, (section, "tls", "clients"), error))
    if problems:
        raise BadDocument(problems)
    return context


def _no_passphrase() -> str:
    raise ValueError("the private key has a passphrase")


def _problem(configuration: Configuration, place: Sequence[str], error: Exception) -> Problem:
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "what it names is not in PEM form"
    else:
        reason = getattr(error, "strerror", None) or str(error)
    return configuration.problem(place, f"{place[-1]}: cannot be used: {reason}")
