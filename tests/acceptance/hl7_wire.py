"""The wire as a sender sees it: sockets, blocks and the text of messages; nothing of the broker's code.

Answers are taken apart by python-hl7, which is not ours.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hl7

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
PATIENCE = 60.0  # seconds; for a machine that is busy with other tests

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|{id}|P|2.3.1||||||UNICODE UTF-8",
    "PID|1||P{n}^^^HOSP_A||DOE^JOHN||19580312|M",
    "PV1|1|I|WARD1",
    "ORC|NW|PL{n}^RIS|FI{n}^RIS||||1^once^^20260705090000^^R|||||||||||CT1",
    "OBR|1|PL{n}^RIS|FI{n}^RIS|CTH^CT head^L^CTHP^CT head plain^L||||||||||||||ACC{n}|RP{n}|SPS{n}||||CT",
    "ZDS|1.2.276.0.99.{n}^RIS^Application^DICOM",
)
"""An order of 2.3.1 with everything a worklist needs."""

Segments = Sequence[str]


def changed(segments: Segments, *changes: str) -> list[str]:
    """Return a message with changes: ``PID-5=DOE`` sets a field, ``+NTE|1`` adds a segment, ``-ZDS`` takes one.

    A field's segment is the last of its name; ``OBR[1]-4=X`` names another.  An added one goes to the end.
    """
    lines = list(segments)
    for change in changes:
        if change.startswith("+"):
            lines.append(change[1:])
        elif change.startswith("-"):
            lines = [line for line in lines if line[:3] != change[1:]]
        else:
            place, _, value = change.partition("=")
            name, _, number = place.partition("-")
            at = [index for index, line in enumerate(lines) if line[:3] == name[:3]]
            index = at[int(name[4:-1]) - 1] if "[" in name else at[-1]
            lines[index] = _with_field(lines[index], int(number), value)
    return lines


def _with_field(line: str, number: int, value: str) -> str:
    fields = line.split("|")
    number -= line.startswith("MSH")
    fields += [""] * (number + 1 - len(fields))
    fields[number] = value
    return "|".join(fields)


def text(segments: Segments, n: int, control_id: str) -> str:
    """Return a message as text, its numbers filled in."""
    return "\r".join(segments).replace("{n}", str(n)).replace("{id}", control_id) + "\r"


def block(message: bytes | str) -> bytes:
    """Return a message in its MLLP block."""
    raw = message.encode() if isinstance(message, str) else message
    return VT + raw + FS + CR


class Wire:
    """One connection to a broker, TLS or plain."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    def send(self, *messages: bytes | str) -> None:
        """Send messages, each in a block."""
        self.socket.sendall(b"".join(map(block, messages)))

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def answer(self) -> bytes:
        """Return the next block's content; fail where the connection ends before it."""
        while FS + CR not in self._buffer:
            data = self.socket.recv(65536)
            assert data, "the connection was closed"
            self._buffer += data
        found, _, self._buffer = self._buffer.partition(FS + CR)
        assert found.startswith(VT), found
        return found[1:]

    def closed(self) -> bool:
        """Wait for the end of the connection; tell whether nothing came before it."""
        try:
            return self._buffer == b"" and self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def ask(self, message: bytes | str) -> bytes:
        """Send one message and return the answer."""
        self.send(message)
        return self.answer()


@contextmanager
def connected(broker: Any, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Connect to a broker's HL7 listener."""
    with socket.create_connection(broker.addresses["hl7"], timeout=PATIENCE) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is None:
            yield Wire(plain)
            return
        with tls.wrap_socket(plain, server_hostname="localhost") as secured:
            yield Wire(secured)


def told(answer: bytes) -> tuple[str, str]:
    """Return MSA-1 and MSA-2 as python-hl7 reads them."""
    msa = hl7.parse(answer.decode("latin-1")).segment("MSA")
    return str(msa[1]), str(msa[2]) if len(msa) > 2 else ""


def error(answer: bytes) -> str:
    """Return code and place of the first error as the vectors write them: ``103 @ORC^1^1``."""
    message = hl7.parse(answer.decode("latin-1"))
    try:
        err = message.segment("ERR")
    except KeyError:
        return ""
    if len(err) > 3:  # 2.5: ERR-2 and ERR-3
        place, code = str(err[2]).split("^")[:3], str(err[3]).partition("^")[0]
    else:
        *place, coded = str(err[1]).partition("~")[0].split("^")
        code = coded.partition("&")[0]
    return f"{code} @{'^'.join(place).rstrip('^')}"
