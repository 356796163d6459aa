"""What a peer's certificate says of it (E-03)."""

from __future__ import annotations

_NAMED = frozenset({"DNS", "IP Address", "URI", "email"})


def common_name(certificate: object) -> str:
    """Return the common name of a peer's certificate, as `ssl` tells it; "" without a certificate."""
    subject = certificate.get("subject", ()) if isinstance(certificate, dict) else ()
    return next((str(value) for part in subject for name, value in part if name == "commonName"), "")


def names(certificate: object) -> tuple[str, ...]:
    """Return what a certificate names its holder: its common name, and its subject's alternative names."""
    if not isinstance(certificate, dict):
        return ()
    others = (str(value) for kind, value in certificate.get("subjectAltName", ()) if kind in _NAMED)
    return tuple(dict.fromkeys(filter(None, (common_name(certificate), *others))))
