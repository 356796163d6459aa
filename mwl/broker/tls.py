"""From the configuration's ``tls:`` to what a listener, or a connection of ours, needs (E-01 to E-03)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mwl.errors import BadDocument, Problem

if TYPE_CHECKING:
    from mwl.config import ClientTls, Configuration, Tls

# BCP 195 (PS3.15 B.12, B.13): forward secrecy, authenticated encryption; TLS 1.3 brings its own.  RSA keys
# below 2048 bits, SHA-1 in signatures and the like are not taken (RFC 9325 4.2): level 2 of OpenSSL.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(configuration: Configuration, section: str) -> ssl.SSLContext | None:
    """Return the context of a section's listener, None where it has no TLS; raise `BadDocument`."""
    tls: Tls | None = getattr(configuration, section).tls
    if tls is None:
        return None
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.minimum_version = _VERSIONS[tls.version]
    place = (section, "tls")
    problems = _load_own(context, tls.certificate, tls.key, configuration, place)
    if tls.clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        problems += _load_authorities(context, tls.clients, configuration, (*place, "clients"))
    if problems:
        raise BadDocument(problems)
    return context


def client_context(configuration: Configuration, place: Sequence[str], tls: ClientTls) -> ssl.SSLContext:
    """Return the context of connections to a peer, written at *place*; raise `BadDocument`."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = True  # many an old peer's certificate has no other name
    problems: list[Problem] = []
    if tls.authorities is None:
        context.load_default_certs()
    else:
        problems += _load_authorities(context, tls.authorities, configuration, (*place, "authorities"))
    if tls.certificate is not None and tls.key is not None:
        problems += _load_own(context, tls.certificate, tls.key, configuration, place)
    if problems:
        raise BadDocument(problems)
    return context


def own(configuration: Configuration) -> dict[str, Path]:
    """Return the files of the broker's own certificates, by where they are configured."""
    found = {f"{name}.tls": getattr(configuration, name).tls for name in ("dicom", "hl7", "web")}
    found |= {
        f"systems.{name}": each.status.tls for name, each in configuration.systems.items() if each.status
    }
    found |= {f"receivers.{name}": each.tls for name, each in configuration.receivers.items()}
    found |= {"audit": configuration.audit.tls} if configuration.audit else {}
    return {name: each.certificate for name, each in found.items() if each and each.certificate}


def files(configuration: Configuration) -> Iterator[Path]:
    """Yield the files of certificates, keys and authorities that a configuration names."""
    for tls in (configuration.dicom.tls, configuration.hl7.tls, configuration.web.tls):
        if tls is not None:
            yield from filter(None, (tls.certificate, tls.key, tls.clients))
    status = (system.status for system in configuration.systems.values())
    audited = (configuration.audit,) if configuration.audit else ()
    peers = (*(each for each in status if each), *configuration.receivers.values(), *audited)
    for towards in (each.tls for each in peers if each.tls):
        yield from filter(None, (towards.authorities, towards.certificate, towards.key))


def _context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION
    return context


def _load_own(
    context: ssl.SSLContext, certificate: Path, key: Path, configuration: Configuration, place: Sequence[str]
) -> list[Problem]:
    try:
        # Without a password function OpenSSL would ask the terminal for the passphrase.
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        return [_problem(configuration, (*place, "certificate"), error)]
    return []


def _load_authorities(
    context: ssl.SSLContext, file: Path, configuration: Configuration, place: Sequence[str]
) -> list[Problem]:
    try:
        context.load_verify_locations(file)
    except OSError as error:
        return [_problem(configuration, place, error)]
    return []


def _no_passphrase() -> str:
    raise ValueError("the private key has a passphrase")


def _problem(configuration: Configuration, place: Sequence[str], error: Exception) -> Problem:
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "what it names is not in PEM form"
    else:
        reason = getattr(error, "strerror", None) or str(error)
    return configuration.problem(place, f"{place[-1]}: cannot be used: {reason}")
