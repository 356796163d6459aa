"""The connection to the collector: syslog over TLS (RFC 5425), or in datagrams (RFC 5426).

Theory of operation
-------------------
Syslog has no acknowledgement.  What TLS was given may lie in a kernel's buffer when the collector dies, and
nobody would hear of it.  So `Collector.send` returns only when the collector's kernel has acknowledged every
octet.  What it raises for may have arrived, and is sent again.  What the collector's process loses after
that, no sender can know.  A datagram is gone when it has left.

A kept connection is looked at before it is used: a collector that was restarted has closed it.

The calls block; they are made in a thread of their own.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mwl.audit.syslog import framed
from mwl.errors import Unavailable

PATIENCE = 5.0
"""Seconds the collector may take to be connected to, to shake hands, and to take what is sent."""

_LOOK = 0.002  # seconds between two looks at what the peer's kernel has not acknowledged yet
_COUNTER = struct.Struct("i")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the collector is; *tls* None means datagrams, *name* is what its certificate must hold."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Collector:
    """Takes messages to the collector; one caller at a time."""

    def __init__(self, address: Address, patience: float = PATIENCE) -> None:
        self._address, self._patience = address, patience
        self._line: socket.socket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """Return once the collector has all *messages*; raises `Unavailable`.

        A datagram holds one, and no more than `mwl.audit.syslog.DATAGRAM` octets.
        """
        try:
            if self._line is not None and _is_gone(self._line):
                self.close()
            line = self._line = self._line or self._opened()
            if self._address.tls is None:
                for each in messages:
                    line.send(each)
            else:
                line.sendall(framed(messages))
                self._await_acknowledgement(line)
        except (OSError, UnicodeError) as error:  # UnicodeError: of a host's name
            self.close()
            raise Unavailable(f"{self._address}: {_reason(error)}") from None

    def close(self) -> None:
        """Close the connection; doing so twice is fine."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _opened(self) -> socket.socket:
        at, tls = self._address, self._address.tls
        if tls is None:
            return _datagrams(at, self._patience)
        plain = socket.create_connection((at.host, at.port), self._patience)
        try:
            # RFC 5425 has the certificate verified; its name is that of the collector.
            return tls.wrap_socket(plain, server_hostname=at.name or at.host)
        except BaseException:
            plain.close()
            raise

    def _await_acknowledgement(self, line: socket.socket) -> None:
        """Return once the peer's kernel has everything; ours tells nobody when, so it is asked.

        Nothing is read meanwhile: TLS would answer the peer's farewell, and nobody acknowledges that.
        """
        deadline = time.monotonic() + self._patience
        while _unacknowledged(line):
            if fault := line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(fault, os.strerror(fault))
            if time.monotonic() > deadline:
                raise TimeoutError("what was sent is not acknowledged")
            time.sleep(_LOOK)  # in a thread of our own: nobody else waits


def _datagrams(at: Address, patience: float) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_DGRAM)[0]
    line = socket.socket(family, kind, protocol)
    try:
        line.settimeout(patience)
        line.connect(where)  # so that "port unreachable" comes back to us
    except BaseException:
        line.close()
        raise
    return line


def _unacknowledged(line: socket.socket) -> int:
    """Return how many octets the peer's kernel has not acknowledged; 0 where the system cannot tell."""
    try:
        count: int = _COUNTER.unpack(fcntl.ioctl(line, termios.TIOCOUTQ, _COUNTER.pack(0)))[0]
    except OSError:
        return 0
    return count


def _is_gone(line: socket.socket) -> bool:
    """Tell whether the peer has ended the connection; what it says besides (session tickets) is read over."""
    patience = line.gettimeout()
    line.settimeout(0.0)
    try:
        while select.select([line], [], [], 0)[0]:
            if not line.recv(4096):
                return True
    except (ssl.SSLWantReadError, BlockingIOError):
        return False
    except OSError:
        return True
    finally:
        line.settimeout(patience)
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
