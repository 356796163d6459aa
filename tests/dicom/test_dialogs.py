"""Whole dialogs with all services on a real store: several services, queries and peers; and nonsense of every kind.

What is drawn here is bounded; `tests/fuzz/` looks further, by hand.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mwl.dicom.dimse import Fragmenter, encode_command
from mwl.dicom.encoding import decode_dataset, encode_dataset
from mwl.dicom.performed import PERFORMED_STEP, PerformedService
from mwl.dicom.verification import VERIFICATION
from mwl.dicom.worklist import WORKLIST_FIND, WorklistService
from mwl.mapping.paths import parse_path
from mwl.mapping.text.charset import UTF8
from mwl.model import Document, WorklistItem, items, text
from mwl.store import Store

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
SYNTAXES = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)
STEP, STEP_ID, STATE, STUDY = "00400100", "00400009", "00400020", "0020000D"
INSTANCE = "1.2.276.0.99.51"

# Every status that PS3.4 K.4 and F.7.2 and PS3.7 Annex C leave to these services.
KNOWN = {0x0000, 0x0105, 0x0106, 0x0107, 0x0110, 0x0111, 0x0112, 0x0116, 0x0117, 0x0118, 0x0119, 0x0120, 0x0121,
         0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0x0213, 0xA700, 0xA900, 0xC001, 0xC002, 0xC003, 0xFE00, 0xFF00,
         0xFF01}  # fmt: skip


def key(vr: str, *found: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(found)} if found else {"vr": vr}


def wanted(step: str) -> Document:
    """Return an identifier that asks for one step and its state."""
    inner = {STATE: key("CS"), STEP_ID: key("SH", step)}
    return {"00100010": key("PN"), STEP: key("SQ", dict(sorted(inner.items())))}


def started(item: WorklistItem) -> Document:
    """Return what a device reports when it begins a step."""
    scheduled = {
        "00080050": item.procedure["00080050"], STUDY: item.procedure[STUDY],
        STEP_ID: item.step[STEP_ID], "00401001": item.procedure["00401001"],
    }  # fmt: skip
    said = {
        "PerformedProcedureStepStatus": key("CS", "IN PROGRESS"), "PerformedProcedureStepID": key("SH", "P1"),
        "PerformedStationAETitle": key("AE", "CT1"), "Modality": key("CS", "CT"),
        "PerformedProcedureStepStartDate": key("DA", "20260705"),
        "PerformedProcedureStepStartTime": key("TM", "0900"),
        "ScheduledStepAttributesSequence": key("SQ", dict(sorted(scheduled.items()))),
        "PatientName": item.patient["00100010"], "PatientID": item.patient["00100020"],
        "PerformedSeriesSequence": key("SQ"),
    }  # fmt: skip
    return dict(sorted((parse_path(name)[0], element) for name, element in said.items()))


@pytest.fixture
async def running(start: Any, store: Store, devices: Callable[..., Any], generic: Any) -> Any:
    """An acceptor with all services, for anyone."""
    known = devices(anyone=generic)
    return await start(WorklistService(store, known), PerformedService(store, known, frozenset()))


async def find(peer: Any, keys: Document, *, context: int, syntax: str, message_id: int) -> list[Document]:
    """Query; return the matches."""
    peer.request(0x20, message_id=message_id, data=encode_dataset(keys, syntax, UTF8), context=context)
    found = []
    while True:
        command, data = await peer.response()
        assert command.message_id_responded_to == message_id
        if command.get(0x900) not in (0xFF00, 0xFF01):
            assert command.get(0x900) == 0
            return found
        found.append(decode_dataset(data, syntax))


def states(found: list[Document]) -> list[str]:
    return [text(step, STATE) for each in found for step in items(each, STEP)]


async def test_all_services_on_one_association(
    running: Any, request_octets: Any, f0_items: dict[str, WorklistItem]
) -> None:
    """C-ECHO, C-FIND, N-CREATE, C-FIND: the second query shows the step as STARTED (F-C51, E-14)."""
    contexts = (VERIFICATION, [IMPLICIT]), (WORKLIST_FIND, [EXPLICIT]), (PERFORMED_STEP, [BIG_ENDIAN])
    peer = await running.associated(request_octets(*contexts))
    peer.echo(1)
    echoed = await peer.statuses()
    before = await find(peer, wanted("S1"), context=3, syntax=EXPLICIT, message_id=2)
    report = encode_dataset(started(f0_items["S1"]), BIG_ENDIAN, UTF8)
    peer.request(
        0x0140, message_id=3, sop_class=PERFORMED_STEP, data=report, context=5, elements={0x1000: INSTANCE}
    )
    created = await peer.statuses()
    after = await find(peer, wanted("S1"), context=3, syntax=EXPLICIT, message_id=4)
    await peer.release()

    assert (echoed, created) == ([0], [0])
    assert (states(before), states(after)) == (["SCHEDULED"], ["STARTED"])


async def test_contexts_of_one_class_each_have_their_syntax(running: Any, request_octets: Any) -> None:
    """The same query in each of four contexts, in turns, on one association (F-C52)."""
    peer = await running.associated(request_octets(*((WORKLIST_FIND, [syntax]) for syntax in SYNTAXES)))
    found = [
        await find(peer, wanted("S2"), context=2 * n + 1, syntax=syntax, message_id=n)
        for n, syntax in [*enumerate(SYNTAXES), *enumerate(SYNTAXES)]
    ]

    assert len(found[0]) == 1
    assert all(each == found[0] for each in found)


async def test_fifty_devices_at_once_are_all_answered(running: Any, request_octets: Any) -> None:
    """None waits for another to finish, none gets another's answer (F-C53)."""
    octets = request_octets((WORKLIST_FIND, [EXPLICIT]))

    async def device(number: int) -> list[str]:
        peer = await running.associated(octets)
        answers = [
            await find(peer, wanted(f"S{1 + (number + n) % 3}"), context=1, syntax=EXPLICIT, message_id=n)
            for n in range(3)
        ]
        await peer.release()
        return [text(step, STEP_ID) for found in answers for each in found for step in items(each, STEP)]

    async with asyncio.timeout(60):
        found = await asyncio.gather(*(device(number) for number in range(50)))

    assert found == [[f"S{1 + (number + n) % 3}" for n in range(3)] for number in range(50)]


@pytest.mark.parametrize(
    "said",
    [
        key("TM", "08", None),
        key("LO", "CT"),
        {"vr": "OB", "InlineBinary": "AAA="},
    ],
    ids=["two times", "text", "octets"],
)
@pytest.mark.parametrize(
    "beside", [{}, {"00080060": key("CS", "CT")}], ids=["alone", "beside a key at the root"]
)
async def test_a_step_sequence_that_is_none_is_refused(
    running: Any, request_octets: Any, said: dict[str, Any], beside: Document
) -> None:
    """A900 with the sequence as Offending Element: not a failure of ours, and never the whole list."""
    peer = await running.associated(request_octets((WORKLIST_FIND, [EXPLICIT])))
    peer.request(0x20, data=encode_dataset({**beside, STEP: said}, EXPLICIT, UTF8))
    command, _ = await peer.response()

    assert (command.get(0x900), command.get(0x901)) == (0xA900, (0x00400100,))


@pytest.mark.parametrize("vr", ["LO", "TM", "UN"])
async def test_an_empty_step_key_of_another_kind_is_a_whole_sequence(
    running: Any, request_octets: Any, vr: str
) -> None:
    """It asks for nothing in particular, as a zero-length sequence does (A-44)."""
    peer = await running.associated(request_octets((WORKLIST_FIND, [EXPLICIT])))
    asked = {"00100010": key("PN")}
    found = [
        await find(peer, {**asked, STEP: key(each)}, context=1, syntax=EXPLICIT, message_id=n)
        for n, each in enumerate((vr, "SQ"))
    ]

    assert found[0] == found[1]
    assert all(text(step, STEP_ID) for each in found[0] for step in items(each, STEP))


# --- nonsense --------------------------------------------------------------------------------------

KEYS = st.sampled_from([
    0x00080005, 0x00080020, 0x00080030, 0x00080050, 0x00080052, 0x00080060, 0x00080090, 0x00080201,
    0x00100010, 0x00100020, 0x00100030, 0x00101030, 0x001021C0, 0x0020000D, 0x00321064, 0x00400001,
    0x00400002, 0x00400003, 0x00400006, 0x00400009, 0x00400020, 0x00400100, 0x00400252, 0x00400270,
    0x00400340, 0x00090010, 0x00091001, 0x00080000,
])  # fmt: skip
TAGS = st.one_of(KEYS, KEYS, KEYS, KEYS, st.integers(0, 0xFFFFFFFF))
WORDS = st.sampled_from([
    b"", b"*", b"?", b"20260705", b"20260701-", b"-20260701", b"20260709-20260701", b"today", b"0800-1200",
    b"26", b"CT", b"CT\\MR", b"DOE^J*", b"DOE^JANE=\xe7=x", b"%_\\'\";--", b"\x1b$B", b"ISO_IR 100",
    b"\\ISO 2022 IR 87", b"GB18030", b"klingon", b"+0100", b"\xff\xfe\xfd", b"S1", b"1.2.3", b"\0" * 20,
])  # fmt: skip
VALUES = st.one_of(WORDS, WORDS, WORDS, st.binary(max_size=12))
VRS = st.sampled_from(
    [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FL",
        "IS",
        "LO",
        "LT",
        "OB",
        "OW",
        "PN",
        "SH",
        "SL",
        "SQ",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "UN",
        "US",
        "UT",
        "ZZ",
    ]
)
LIES = st.sampled_from([0] * 40 + [1, -1, 0x7FFFFFFF, None])  # added to a length; None: undefined


def written(explicit: bool, depth: int = 2) -> st.SearchStrategy[bytes]:
    """Return data sets that are nearly well formed: a length may lie, items may be missing or nested."""
    plain = st.builds(
        lambda tag, vr, raw, lie: _element(tag, vr, raw, lie, explicit), TAGS, VRS, VALUES, LIES
    )
    if not depth:
        return st.lists(plain, max_size=4).map(b"".join)
    item = st.builds(_item, written(explicit, depth - 1), st.booleans())
    sequence = st.builds(
        lambda tag, found, lie: _element(tag, "SQ", b"".join(found), lie, explicit),
        st.sampled_from([0x00400100, 0x00321064, 0x00400270, 0x00400340]), st.lists(item, max_size=3), LIES,
    )  # fmt: skip
    return st.lists(st.one_of(plain, plain, sequence), max_size=6).map(b"".join)


def _element(tag: int, vr: str, raw: bytes, lie: int | None, explicit: bool) -> bytes:
    length = 0xFFFFFFFF if lie is None else max(0, len(raw) + lie)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack("<I", length) + raw
    if vr in ("OB", "OW", "SQ", "UN", "UT", "ZZ"):
        return head + vr.encode() + struct.pack("<HI", 0, length) + raw
    return head + vr.encode() + struct.pack("<H", length & 0xFFFF) + raw


def _item(raw: bytes, closed: bool) -> bytes:
    if closed:
        return struct.pack("<HHI", 0xFFFE, 0xE000, len(raw)) + raw
    return struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + raw + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)


IDENTIFIERS = st.one_of(  # the context, and what is sent in it
    st.tuples(st.just(1), written(explicit=False)),
    st.tuples(st.just(3), written(explicit=True)),
    st.tuples(st.sampled_from([1, 3]), st.binary(max_size=60)),
)
BEGUN = _element(0x00400252, "CS", b"IN PROGRESS ", 0, explicit=False)
REPORTS = st.builds(
    lambda begun, more: begun + more, st.sampled_from([b"", BEGUN, BEGUN]), written(explicit=False)
)
CONTEXTS = (
    (WORKLIST_FIND, [IMPLICIT]), (WORKLIST_FIND, [EXPLICIT]), (PERFORMED_STEP, [IMPLICIT]), (VERIFICATION, [IMPLICIT]),
)  # fmt: skip


@pytest.fixture
async def alive(running: Any, request_octets: Any, caplog: pytest.LogCaptureFixture) -> Any:
    """Associate, and tell afterwards whether the broker is well: no defect was logged, another peer is served."""
    caplog.set_level(logging.WARNING, "mwl")
    octets = request_octets(*CONTEXTS)

    class Broker:
        async def associated(self) -> Any:
            caplog.clear()
            return await running.associated(octets)

        async def is_well(self) -> bool:
            other = await running.associated(octets)
            other.echo(1, context=7)
            served = await other.statuses() == [0]
            await other.release()
            defects = [r for r in caplog.records if r.exc_info or "defect" in str(getattr(r, "fields", ""))]
            if left := set(running.acceptor._tasks):  # a report that is being stored
                _, left = await asyncio.wait(left, timeout=10)
            return served and defects == [] and not left

    return Broker()


FUZZED = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@settings(FUZZED, max_examples=150)
@given(sent=IDENTIFIERS)
async def test_any_identifier_is_answered_and_the_association_goes_on(
    sent: tuple[int, bytes], alive: Any
) -> None:
    """A well-formed C-FIND-RQ with whatever identifier ends with a status of the standard (A-14, F-C43, F-A17)."""
    context, raw = sent
    peer = await alive.associated()
    peer.request(0x20, message_id=3, data=raw, context=context)
    found = await peer.statuses()
    peer.echo(4, context=7)

    assert set(found) <= KNOWN
    assert found[-1] not in (0xFF00, 0xFF01, 0xC003)  # C003 is a defect of ours
    assert await peer.statuses() == [0]
    await peer.release()
    assert await alive.is_well()


@settings(FUZZED, max_examples=80)
@given(
    raw=REPORTS,
    field=st.sampled_from([0x0140, 0x0140, 0x0120]),
    uid=st.sampled_from(["", "1.2.3", "1.2.4", "x"]),
)
async def test_any_report_is_answered_and_the_association_goes_on(
    raw: bytes, field: int, uid: str, alive: Any
) -> None:
    """So do N-CREATE and N-SET."""
    peer = await alive.associated()
    instance = {0x1000 if field == 0x0140 else 0x1001: uid}
    peer.request(field, message_id=3, sop_class=PERFORMED_STEP, data=raw, context=5, elements=instance)
    found = await peer.statuses()
    peer.echo(4, context=7)

    assert set(found) <= KNOWN
    assert await peer.statuses() == [0]
    await peer.release()
    assert await alive.is_well()


COMMANDS = st.fixed_dictionaries(
    {0x100: st.sampled_from([0x20, 0x20, 0x30, 0x0120, 0x0140, 0x0FFF, 0x0110, 0x8020, 0x0001, 0xABCD])},
    optional={
        0x2: st.sampled_from([WORKLIST_FIND, PERFORMED_STEP, VERIFICATION, "", "1.2", "x" * 70]),
        0x3: st.sampled_from([PERFORMED_STEP, "1.2"]),
        0x110: st.integers(0, 0xFFFF), 0x120: st.integers(0, 3), 0x700: st.integers(0, 9),
        0x800: st.sampled_from([0x101, 0x101, 1, 0]), 0x900: st.integers(0, 0xFFFF),
        0x1000: st.sampled_from(["1.2.3", "", "x"]), 0x1001: st.sampled_from(["1.2.3", ""]),
        0x4242: st.binary(max_size=6),
    },
)  # fmt: skip
NUMBERS = st.sampled_from([1, 1, 1, 3, 5, 7, 9, 0])


def said(elements: dict[int, object], data: bytes, number: int, room: int, with_data: bool) -> bytes:
    """Return a message in fragments, its command and data as drawn."""
    fragmenter = Fragmenter(number, room)
    command = fragmenter.command(encode_command(elements))
    return command + fragmenter.data(data) if with_data else command


MESSAGES = st.builds(
    said,
    COMMANDS,
    st.one_of(REPORTS, written(explicit=True)),
    NUMBERS,
    st.sampled_from([8, 32, 16384]),
    st.booleans(),
)
PDUS = st.one_of(
    MESSAGES, MESSAGES, MESSAGES,
    st.sampled_from([b"\5\0\0\0\0\4\0\0\0\0", b"\7\0\0\0\0\4\0\0\0\0", b"\1\0\0\0\0\4\0\0\0\0", b"\4\0\0\0\0\0"]),
    st.binary(max_size=12),
)  # fmt: skip


@settings(FUZZED, max_examples=120)
@given(octets=st.lists(PDUS, min_size=1, max_size=5), cut=st.integers(0, 200))
async def test_no_dialog_is_unforeseen(octets: list[bytes], cut: int, alive: Any) -> None:
    """Commands, data, releases and noise in any order and cut anywhere: the peer is answered or aborted (E-10, F-A17).

    Afterwards the connection comes to its end, no work is left, and another peer is served.
    """
    stream = b"".join(octets)
    peer = await alive.associated()
    peer.send(stream[:cut])
    await asyncio.sleep(0)
    peer.send(stream[cut:])
    peer.writer.write_eof()
    kinds = set()
    while (pdu := await peer.receive()) != (0, b""):
        kinds.add(pdu[0])
    await peer.close()

    assert kinds <= {4, 6, 7}
    assert await alive.is_well()
