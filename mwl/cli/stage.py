"""The parts that `mwl demo` plays: a RIS that orders and is told, devices that query and perform.

They speak to the broker over the network like anybody else.  CT1 asks as the GE CT of `mwl simulate`;
what else is said comes from the fixtures folder, with today's date filled in.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import string
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mwl.config import Address
from mwl.dicom import requestor
from mwl.dicom.emulators import Emulator
from mwl.dicom.uids import new_uid
from mwl.errors import MwlError
from mwl.hl7.ack import acknowledge
from mwl.hl7.message import parse
from mwl.hl7.mllp import Deframer, Frame, frame
from mwl.hl7.sender import send
from mwl.model import Document, items, text

_STEP = "00400100"
_COLUMNS = {
    "start": (_STEP, "00400003"), "patient": ("00100010",), "ID": ("00100020",),
    "procedure": ("00321060",), "accession": ("00080050",), "status": (_STEP, "00400020"),
}  # fmt: skip


class Ris:
    """A RIS's ear: accepts status messages and keeps them."""

    def __init__(self) -> None:
        self.port = 0
        self.told: asyncio.Queue[str] = asyncio.Queue()

    @classmethod
    @contextlib.asynccontextmanager
    async def listening(cls) -> AsyncIterator[Ris]:
        """Listen on a free port of the loopback."""
        ris = cls()
        server = await asyncio.start_server(ris._serve, "127.0.0.1", 0)
        ris.port = server.sockets[0].getsockname()[1]
        try:
            yield ris
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        deframer = Deframer(1 << 20)
        with contextlib.closing(writer):
            while chunk := await reader.read(65536):
                for found in (*deframer.feed(chunk), *deframer.flush()):
                    if isinstance(found, Frame):
                        received = found.payload.decode("utf-8")
                        await self.told.put(received)
                        answer = acknowledge(parse(received).header, "AA", now=dt.datetime.now(dt.UTC))
                        writer.write(frame(answer.encode("utf-8")))


@dataclass
class Stage:
    """The played parts against one broker."""

    addresses: Mapping[str, Address]
    ris: Ris
    fixtures: Path
    today: dt.date
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True, width=110))
    _performed: str = ""
    _step: int = 0

    def announce(self) -> None:
        """Say where the broker listens."""
        for name, address in self.addresses.items():
            self.console.print(f"[dim]{name:6} {address}[/dim]")

    def say_goodbye(self) -> None:
        """Say how to go on by hand."""
        dicom = self.addresses["dicom"]
        self.console.print(
            "\n[bold]The broker serves on; Ctrl-C ends it.[/bold]  Try, in another terminal:\n"
            "  findscu -W -aec MWL -k PatientName "
            f"-k ScheduledProcedureStepSequence[0].Modality=CT {dicom.host} {dicom.port}"
        )

    async def order(self, name: str) -> None:
        """Send one order as the RIS, and show it with its acknowledgement."""
        message = self._fill(self.fixtures / "demo" / f"{name}.hl7").replace("\n", "\r")
        hl7 = self.addresses["hl7"]
        answer = await send(hl7.host, hl7.port, message.encode("utf-8"))
        self._heading(f"RIS sends {name}")
        self._lines("dim", message)
        self._lines("green", answer.decode("utf-8"))

    async def refresh(self, why: str) -> dict[str, list[Document]]:
        """Query as both devices and show what each would show."""
        self._heading(why)
        keys = json.loads(self._fill(self.fixtures / "queries" / "us-generic.json"))
        found = {
            "CT1": await asyncio.to_thread(self._scanner),
            "US1": await asyncio.to_thread(requestor.find, self._peer("US1"), keys),
        }
        for device, worklist in found.items():
            self._show(device, worklist)
        return found

    async def begin(self, item: Document) -> None:
        """Start the exam of *item* on CT1."""
        step = next(items(item, _STEP))
        values = {
            "patient_name": text(item, "00100010"), "patient_id": text(item, "00100020"),
            "accession": text(item, "00080050"), "study_uid": text(item, "0020000D"),
            "procedure_id": text(item, "00401001"), "step_id": text(step, "00400009"),
        }  # fmt: skip
        self._performed = new_uid()
        await self._perform("ct-create", requestor.create_performed, "N-CREATE, IN PROGRESS", values)

    async def complete(self) -> None:
        """Complete the exam that `begin` started."""
        await self._perform("ct-complete", requestor.set_performed, "N-SET, COMPLETED", {})

    async def _perform(self, name: str, send_it: Any, what: str, values: dict[str, str]) -> None:
        attributes = json.loads(self._fill(self.fixtures / "mpps" / f"{name}.json", values))
        await asyncio.to_thread(send_it, self._peer("CT1"), self._performed, attributes)
        self._heading(f"CT1 reports a performed step: {what}")
        self.console.print("[green]0000[/green]  and the RIS is told:")
        async with asyncio.timeout(30):
            self._lines("yellow", await self.ris.told.get())

    def _scanner(self) -> list[Document]:
        """Return what the console of CT1 shows of today's list."""
        dicom = self.addresses["dicom"]
        seen = Emulator("sim-ge-ct", (dicom.host, dicom.port), ae="CT1", today=self.today).run()
        if not seen.content:
            raise MwlError("CT1 shows an error or refuses an entry", says=seen.error)
        return seen.shown

    def _peer(self, device: str) -> requestor.Peer:
        dicom = self.addresses["dicom"]
        return requestor.Peer(dicom.host, dicom.port, called_ae="MWL", calling_ae=device)

    def _fill(self, path: Path, values: Mapping[str, str] = {}) -> str:
        return string.Template(path.read_text("utf-8")).substitute(today=f"{self.today:%Y%m%d}", **values)

    def _heading(self, text_: str) -> None:
        self._step += 1
        self.console.print(f"\n[bold]{self._step}. {text_}[/bold]")

    def _lines(self, style: str, message: str) -> None:
        for line in message.splitlines():
            self.console.print("  ", line, style=style, markup=False)

    def _show(self, device: str, found: list[Document]) -> None:
        if not found:
            self.console.print(f"  {device}: [dim]empty[/dim]")
            return
        charset = text(found[0], "00080005") or "default repertoire"
        table = Table(title=f"{device} ({charset})", title_justify="left", title_style="cyan")
        for column in _COLUMNS:
            table.add_column(column, overflow="fold")
        for item in found:
            table.add_row(*(_at(item, path) for path in _COLUMNS.values()))
        self.console.print(table)


def _at(item: Document, path: tuple[str, ...]) -> str:
    for sequence in path[:-1]:
        item = next(items(item, sequence), {})
    return text(item, path[-1])
