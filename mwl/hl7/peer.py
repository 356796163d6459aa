"""Who is at the other end of a connection."""

from __future__ import annotations

from typing import Any, Protocol


class Named(Protocol):
    """A transport or a stream's writer: what knows its peer."""

    def get_extra_info(self, name: str, default: Any = None) -> Any: ...


def peer_name(connection: Named) -> str:
    """Return the peer's address and port."""
    peer = connection.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if peer else "unknown"
