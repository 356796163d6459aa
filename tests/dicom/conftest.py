"""A running acceptor, and peers that are not ours: a raw socket, DCMTK's commands, pynetdicom's SCU; a store with orders."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shutil
import socket
import ssl
import struct
import textwrap
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pynetdicom import AE
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationVersionNameNotification
from pynetdicom.presentation import PresentationContext

from mwl.dicom.acceptor import Acceptor, Settings
from mwl.dicom.association import Limits, Timeouts
from mwl.dicom.devices import Devices
from mwl.dicom.dimse import Fragmenter, decode_command, encode_command
from mwl.dicom.pdu import RELEASE_RP, pdvs
from mwl.dicom.service import (
    C_ECHO_RQ,
    C_FIND_RQ,
    N_CREATE_RQ,
    AssociationFacts,
    Command,
    Context,
    Reply,
    Request,
)
from mwl.dicom.verification import VERIFICATION, VerificationService
from mwl.lifecycle import StepEvent
from mwl.mapping.devices.device import DeviceProfile, SiteFacts, load_devices
from mwl.model import OrderAction, OrderMessage, ProcedureChange, WorklistItem
from mwl.store import Store, Transaction, open_store, orders, transitions

WORKLIST = "1.2.840.10008.5.1.4.31"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
RELEASE_RQ = b"\x05" + RELEASE_RP[1:]
NAME_KEY = struct.pack("<HHI", 0x0010, 0x0010, 0)  # an identifier: Patient's Name, universal


class Answers:
    """A C-FIND service for tests: runs *handle* and remembers what it was asked."""

    sop_classes = (WORKLIST,)
    operations = frozenset({C_FIND_RQ})

    def __init__(self, handle: Callable[[Request, Reply], Awaitable[None]]) -> None:
        self._handle = handle
        self.requests: list[Request] = []

    async def handle(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        await self._handle(request, reply)


def association_request(
    *contexts: tuple[str, Sequence[str]],
    calling: str = "CT1",
    called: str = "MWL",
    max_pdu: int = 16384,
    extra: Sequence[Any] = (),
) -> bytes:
    """Return an A-ASSOCIATE-RQ made by pynetdicom; contexts get the IDs 1, 3, 5."""
    proposed = []
    for number, (abstract_syntax, transfer_syntaxes) in enumerate(contexts):
        context = PresentationContext()
        context.context_id = 2 * number + 1
        context.abstract_syntax = abstract_syntax
        context.transfer_syntax = list(transfer_syntaxes)
        proposed.append(context)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = "PEER_1"
    associate = A_ASSOCIATE()
    associate.calling_ae_title, associate.called_ae_title = calling, called
    associate.application_context_name = "1.2.840.10008.3.1.1.1"
    associate.presentation_context_definition_list = proposed
    associate.maximum_length_received = max_pdu
    associate.implementation_class_uid = "1.2.3.4"
    associate.user_information += [version, *extra]
    return A_ASSOCIATE_RQ(associate).encode()


class RawPeer:
    """A peer that says exactly what the test wants, on a plain socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.max_pdu = 16384

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def receive(self) -> tuple[int, bytes]:
        """Return type and body of the next PDU; (0, b"") when the connection is closed."""
        try:
            head = await self.reader.readexactly(6)
            kind, length = struct.unpack(">BxI", head)
            return kind, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return 0, b""

    async def associate(self, request: bytes | None = None) -> A_ASSOCIATE_AC:
        self.send(request or association_request((WORKLIST, [IMPLICIT])))
        kind, body = await self.receive()
        assert kind == 2, (kind, body)
        accepted = A_ASSOCIATE_AC()
        accepted.decode(struct.pack(">BxI", kind, len(body)) + body)
        return accepted

    def request(
        self,
        field: int,
        *,
        message_id: int | None = 1,
        sop_class: str | None = WORKLIST,
        data: bytes | None = None,
        context: int = 1,
        **more: Any,
    ) -> None:
        """Send a request; None leaves an attribute out."""
        elements: dict[int, object] = {0x100: field, 0x800: 0x0101 if data is None else 1}
        if message_id is not None:
            elements[0x110] = message_id
        if sop_class is not None:
            elements[2] = sop_class
        elements |= more.pop("elements", {})
        assert not more
        fragmenter = Fragmenter(context, self.max_pdu)
        octets = fragmenter.command(encode_command(elements))
        self.send(octets if data is None else octets + fragmenter.data(data))

    def find(self, message_id: int | None = 1, **more: Any) -> None:
        self.request(C_FIND_RQ, message_id=message_id, data=NAME_KEY, **more)

    def echo(self, message_id: int | None = 1, **more: Any) -> None:
        self.request(C_ECHO_RQ, message_id=message_id, sop_class=VERIFICATION, **more)

    def cancel(self, message_id: int) -> None:
        self.request(0x0FFF, message_id=None, sop_class=None, elements={0x120: message_id})

    async def response(self) -> tuple[Command, bytes]:
        """Return the next response: its command set and its data set."""
        command, data = b"", b""
        while True:
            kind, body = await self.receive()
            assert kind == 4, (kind, body)
            for pdv in pdvs(body):
                if pdv.control & 1:
                    command += pdv.fragment
                else:
                    data += pdv.fragment
                if pdv.control == 3 and not (found := decode_command(command)).has_data:
                    return found, b""
                if pdv.control == 2:
                    return decode_command(command), data

    async def statuses(self) -> list[int]:
        """Return the statuses of a whole answer, the final one last."""
        found: list[int] = []
        while not found or found[-1] in (0xFF00, 0xFF01):
            command, _ = await self.response()
            found.append(int(command.elements[0x900]))
        return found

    async def release(self) -> None:
        self.send(RELEASE_RQ)
        kind, _ = await self.receive()
        assert kind == 6
        await self.close()

    async def closed(self) -> None:
        """Wait until the acceptor has closed the connection, whatever it still says before."""
        while (await self.receive())[0]:
            pass

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


class Running:
    """An acceptor that listens, and how to reach it."""

    def __init__(self, acceptor: Acceptor, stack: AsyncExitStack) -> None:
        self.acceptor = acceptor
        self.port = acceptor.address[1]
        self._stack = stack

    async def connect(
        self, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None, local: str = ""
    ) -> RawPeer:
        """Connect, from the address *local*; *receive_buffer* bounds what the kernel takes of what is not read."""
        sock = socket.socket()
        if local:
            sock.bind((local, 0))
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
            name = "127.0.0.1" if tls else None
            peer = RawPeer(*await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name))
        except OSError:
            sock.close()
            raise
        self._stack.push_async_callback(peer.close)
        return peer

    async def associated(self, request: bytes | None = None) -> RawPeer:
        peer = await self.connect()
        await peer.associate(request)
        return peer


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start an acceptor on a free port: verification, and whatever services are given."""
    async with AsyncExitStack() as stack:

        async def begin(
            *services: Any,
            timeouts: Timeouts | None = None,
            limits: Limits | None = None,
            tls: Any = None,
            admit: Any = lambda facts: None,
            **options: Any,
        ) -> Running:
            settings = replace(
                Settings(port=0), timeouts=timeouts or Timeouts(), limits=limits or Limits(), tls=tls
            )
            by_class = {uid: s for s in (VerificationService(), *services) for uid in s.sop_classes}
            acceptor = Acceptor(settings, admit, by_class, **options)
            await acceptor.start()
            stack.push_async_callback(acceptor.stop, 0.0)
            return Running(acceptor, stack)

        yield begin


@pytest.fixture
def answers() -> type[Answers]:
    """The C-FIND service for tests."""
    return Answers


@pytest.fixture
def request_octets() -> Callable[..., bytes]:
    """Make an A-ASSOCIATE-RQ."""
    return association_request


def peer_command(name: str) -> str:
    """Return the path of a foreign peer's command; without it the test is skipped, or fails where peers are required."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} (DCMTK) is not installed"
        if os.environ.get("MWL_REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture
def dcmtk() -> Callable[..., Awaitable[tuple[int, str]]]:
    """Run a DCMTK command; return its exit code and output."""

    async def run(name: str, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            peer_command(name),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode or 0, output.decode("latin-1")

    return run


@pytest.fixture
def scu() -> Iterator[AE]:
    """pynetdicom's SCU; blocking, so call it through `asyncio.to_thread`."""
    entity = AE(ae_title="PYNETDICOM")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about test data
        yield entity
    entity.shutdown()


# --- services without a network ------------------------------------------------------------------

SHIPPED = Path(__file__).parents[2] / "mappings"
SITE = SiteFacts("HOSP", ZoneInfo("Europe/Berlin"))
NOW = dt.datetime(2026, 7, 5, 9, 15, tzinfo=dt.UTC)


class Answer:
    """What a service said to one request; *on_stream* is called after each stream of pendings."""

    def __init__(self, on_stream: Callable[[], None] = lambda: None) -> None:
        self.pendings: list[tuple[int, bytes]] = []
        self.finals: list[tuple[int, bytes | None, dict[int, Any]]] = []
        self._on_stream = on_stream

    async def send(self, status: int, *, data: bytes | None = None, fields: Any = None) -> None:
        self.finals.append((status, data, dict(fields or {})))

    async def stream(self, pendings: Any, status: int) -> int:
        found = [(status, data) for data in pendings]
        self.pendings += found
        self._on_stream()
        return len(found)

    @property
    def final(self) -> int:
        """The status of the one final response."""
        ((status, _, _),) = self.finals
        return status

    @property
    def data(self) -> bytes | None:
        """The data set of the one final response."""
        ((_, data, _),) = self.finals
        return data

    @property
    def fields(self) -> dict[int, Any]:
        """What the command set of the one final response holds beside the usual."""
        ((_, _, fields),) = self.finals
        return fields


@pytest.fixture
def ask() -> Callable[..., Awaitable[Answer]]:
    """Put one request to a service."""

    async def put(
        service: Any,
        field: int,
        data: bytes | None,
        *,
        calling: str = "CT1",
        uid: str | None = None,
        syntax: str = EXPLICIT,
        cancelled: Callable[[], bool] = lambda: False,
        answer: Answer | None = None,
        association: AssociationFacts | None = None,
        more: dict[int, Any] | None = None,
    ) -> Answer:
        answer = answer or Answer()
        elements: dict[int, Any] = {0x100: field, 0x110: 1}
        if uid is not None:
            elements[0x1000 if field == N_CREATE_RQ else 0x1001] = uid
        context = Context(1, next(iter(service.sop_classes)), syntax)
        elements |= more or {}
        facts = association or AssociationFacts(calling, "MWL", "127.0.0.1", "1.2.3")
        await service.handle(Request(Command(elements), data, context, facts, cancelled), answer)
        return answer

    return put


@pytest.fixture
def said() -> type[Answer]:
    """The class of a service's answer, for tests that listen while it speaks."""
    return Answer


@pytest.fixture(scope="session")
def generic() -> DeviceProfile:
    """The shipped profile that every other rests on."""
    return load_devices([SHIPPED]).bind("generic", {}, SITE)


@pytest.fixture
def profile(tmp_path: Path) -> Callable[[str], DeviceProfile]:
    """Bind the generic profile with more lines."""

    def bind(lines: str) -> DeviceProfile:
        folder = tmp_path / f"mappings{len(list(tmp_path.iterdir()))}"
        (folder / "devices").mkdir(parents=True)
        written = f"profile: site\nextends: generic\nstatus: evidence\n{textwrap.dedent(lines)}"
        (folder / "devices" / "site.yaml").write_text(written, "utf-8")
        return load_devices([folder, SHIPPED]).bind("site", {}, SITE)

    return bind


@pytest.fixture
def devices() -> Callable[..., Devices]:
    """Configure devices: AE titles, "anyone" for ``*``, and their profiles."""

    def configure(**profiles: DeviceProfile) -> Devices:
        named = {title.replace("anyone", "*"): bound for title, bound in profiles.items()}
        return Devices("MWL", named, ZoneInfo("Europe/Berlin"), lambda: NOW)

    return configure


@pytest.fixture(scope="session")
def ordered(tmp_path_factory: pytest.TempPathFactory, f0_items: dict[str, WorklistItem]) -> Path:
    """A database file with the standard's data set (F.0), as its orders make it."""
    path = tmp_path_factory.mktemp("store") / "f0.db"
    events = {"COMPLETED": StepEvent.COMPLETE, "CANCELED": StepEvent.CANCEL}

    def put(tx: Transaction) -> None:
        for item in f0_items.values():
            change = ProcedureChange(OrderAction.CREATE, item.procedure, (item.step,))
            order = OrderMessage("RIS", item.patient, (change,))
            (key,) = orders.apply(tx, order, source="hl7 RIS", uid_root=None, told=()).steps
            if event := events.get(item.step["00400020"]["Value"][0]):
                transitions.advance(tx, key, event, source="hl7 RIS")

    opened = open_store(f"sqlite:///{path}")
    opened.write_now(put)
    opened.close_now()
    return path


@pytest.fixture
def store(ordered: Path, tmp_path: Path) -> Iterator[Store]:
    """An open store with the standard's data set."""
    opened = open_store(f"sqlite:///{shutil.copy(ordered, tmp_path / 'mwl.db')}", migrate=False)
    yield opened
    opened.close_now()
