"""From a raw message to its effects and its answer, on a real store with the real generic profile."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from mwl import metrics
from mwl.errors import Unacceptable, Unavailable
from mwl.hl7.batch import Batch
from mwl.hl7.envelope import Envelope, sender
from mwl.hl7.intake import Intake, System
from mwl.hl7.message import Message, parse
from mwl.hl7.mllp import Deframer, Frame, frame
from mwl.logs import JsonFormatter
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile
from mwl.model import WorklistItem, text, values
from mwl.query import WorklistQuery
from mwl.store import Store, orders, steps, tables

Order = Callable[[str], bytes]
PEER = "127.0.0.1:40000"


def edited(raw: bytes, segment: str, changes: dict[int, str]) -> bytes:
    """Return *raw* with fields of the first such segment replaced."""
    lines = raw.split(b"\r")
    index = next(i for i, line in enumerate(lines) if line.startswith(segment.encode()))
    fields = lines[index].split(b"|")
    for number, value in changes.items():
        position = number - (segment == "MSH")
        fields += [b""] * (position + 1 - len(fields))
        fields[position] = value.encode()
    lines[index] = b"|".join(fields)
    return b"\r".join(lines)


def answers(payload: bytes | None) -> list[Message]:
    """Return the messages an answer holds, as they leave."""
    found = [] if payload is None else Deframer().feed(frame(payload))
    return [parse(each.payload.decode("latin-1")) for each in found if isinstance(each, Frame)]


def told(payload: bytes | None) -> tuple[str, ...]:
    """Return MSA-1 of each answer."""
    return tuple(each.field("MSA", 1, 1)[0][0][0] for each in answers(payload))


def error(payload: bytes | None) -> str:
    """Return code and place of the first error as the conformance vectors write it: "103 @ORC^1^1"."""
    (answer,) = answers(payload)
    assert answer.header.version < (2, 5)
    segment, sequence, field, code = (each[0] for each in answer.field("ERR", 1, 1)[0])
    return f"{code} @{segment}^{sequence}^{field}".rstrip("^")


async def worklist(store: Store) -> list[WorklistItem]:
    """Return every step there is."""
    return await store.read(lambda tx: steps.load(tx, steps.match(tx, WorklistQuery())))


async def records(store: Store) -> list[dict[str, object]]:
    """Return every message on record, oldest first."""
    everything = select(tables.messages).order_by(tables.messages.c.key)
    return await store.read(lambda tx: [dict(row._mapping) for row in tx.connection.execute(everything)])


# ── what is applied ──


async def test_an_order_is_on_the_worklist_once_it_is_acknowledged(
    intake: Intake, store: Store, order: Order
):
    """AA means: raw bytes, effects, answer and links are committed (design 4.1)."""
    raw = order("orm-2.3-without-zds")

    answer = await intake.receive(raw, PEER)

    assert told(answer) == ("AA",)
    (item,) = await worklist(store)
    assert text(item.procedure, "00080050") == "ACX1101"
    assert item.system == "RIS"
    (record,) = await records(store)
    assert record["raw"] == raw
    assert record["acknowledgement"] == answer
    assert (record["system"], record["application"], record["facility"]) == ("RIS", "RIS", "HOSP")
    assert (record["outcome"], record["control_id"], record["kind"]) == ("AA", "FIX1101", "ORM^O01")
    links = await store.read(lambda tx: tx.connection.execute(select(tables.message_links)).all())
    assert {link.message_key for link in links} == {record["key"]}
    assert [link.step_key for link in links if link.step_key] == [item.ref.key]


async def test_whoever_looks_on_hears_what_was_applied_and_nothing_else(
    intake: Intake, store: Store, order: Order
):
    """Its number and what it touched, once; not what was refused, or came a second time."""
    seen = []
    intake.on_applied = lambda key, done: seen.append((key, done))
    raw = order("orm-2.3-without-zds")

    await intake.receive(raw, PEER)
    await intake.receive(raw, PEER)
    await intake.receive(edited(raw, "MSH", {9: "ZZZ^Z99"}), PEER)

    ((key, done),) = seen
    (item,) = await worklist(store)
    assert key == (await records(store))[0]["key"]
    assert done.steps == (item.ref.key,)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "orm-utf8-chinese", {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}, id="F-H41"
        ),
        pytest.param("orm-8859-5", {"Alphabetic": "ИВАНОВ^ИВАН"}, id="F-H43"),
        pytest.param("orm-latin1", {"Alphabetic": "MÜLLER^JÜRGEN"}, id="Latin-1"),
        pytest.param("orm-mislabelled", {"Alphabetic": "MÜLLER^JÜRGEN"}, id="mislabelled"),
        pytest.param(
            "orm-iso-ir87",
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
            id="F-H46",
        ),
        pytest.param("orm-escapes", {"Alphabetic": "O&BRIEN^MARY"}, id="F-H28"),
        pytest.param("orm-delimiters", {"Alphabetic": "ROE^RICHARD"}, id="F-H27"),
    ],
)
async def test_names_arrive_in_their_own_script(
    intake: Intake, store: Store, order: Order, name: str, expected: dict[str, str]
):
    """What the sender wrote is what is stored, whatever its bytes."""
    assert told(await intake.receive(order(name), PEER)) == ("AA",)

    (item,) = await worklist(store)

    assert values(item.patient, "00100010") == [expected]


@pytest.mark.parametrize(
    "name", ["orm-gb18030", "orm-ks-x-1001", "orm-big5", "orm-2.3.1-mesa", "orm-unknown-segments"]
)
async def test_every_fixture_is_taken(intake: Intake, store: Store, order: Order, name: str):
    """What systems really send makes a step (F-H01, F-H42, F-H45, F-H47, F-H56)."""
    assert told(await intake.receive(order(name), PEER)) == ("AA",)

    assert len(await worklist(store)) == 1


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
async def test_f_h25_line_ends_make_no_difference(intake: Intake, store: Store, order: Order, end: bytes):
    """LF and CRLF end segments as CR does."""
    raw = order("orm-2.3-without-zds").replace(b"\r", end)

    assert told(await intake.receive(raw, PEER)) == ("AA",)
    assert len(await worklist(store)) == 1


async def test_f_h26_the_last_segment_may_lack_its_end(intake: Intake, order: Order):
    """A missing last CR loses nothing."""
    assert told(await intake.receive(order("orm-2.3-without-zds").rstrip(b"\r"), PEER)) == ("AA",)


async def test_f_h03_steps_of_one_procedure_are_all_there(intake: Intake, store: Store, order: Order):
    """One OMI, two IPC: two steps, the answer in the form of 2.5.1."""
    (answer,) = answers(await intake.receive(order("omi-2.5.1-two-steps"), PEER))

    assert answer.header.raw(9) == "ACK^O23^ACK"
    assert [text(item.step, "00400009") for item in await worklist(store)] == ["SPX1103A", "SPX1103B"]


async def test_f_h27_the_answer_uses_the_senders_delimiters(intake: Intake, order: Order):
    """The sender reads its own dialect."""
    answer = await intake.receive(order("orm-delimiters"), PEER)

    assert answer is not None
    assert answer.startswith(b"MSH$%~\\&$MWL$HOSP$RIS$HOSP$20260704150000+0200$$ACK%O01$")
    assert b"\rMSA$AA$FIX1107\r" in answer


async def test_a_warning_is_kept_with_the_message_and_not_told(intake: Intake, store: Store, order: Order):
    """A label that lies is for the analyst, not for the sender."""
    (answer,) = answers(await intake.receive(order("orm-mislabelled"), PEER))

    assert answer.count("ERR") == 0
    assert "labelled '8859/1'" in str((await records(store))[0]["error"])


# ── what is refused ──


@pytest.mark.parametrize(
    ("segment", "changes", "code", "where"),
    [
        pytest.param("MSH", {9: "MDM^T02"}, "AR", "200 @MSH^1^9", id="F-H18"),
        pytest.param("MSH", {9: "ADT^Z99"}, "AR", "201 @MSH^1^9", id="F-H19"),
        pytest.param("MSH", {9: ""}, "AR", "200 @MSH^1^9", id="no MSH-9"),
        pytest.param("MSH", {11: "T"}, "AR", "202 @MSH^1^11", id="F-H65"),
        pytest.param("MSH", {18: "CNS 11643-1992"}, "AE", "103 @MSH^1^18", id="F-H49"),
        pytest.param("MSH", {2: "^~^&"}, "AR", "102 @MSH^1^2", id="delimiters"),
        pytest.param("ORC", {1: "ZZ"}, "AE", "103 @ORC^1^1", id="F-H12"),
        pytest.param("PID", {3: ""}, "AE", "101 @PID^1^3", id="no patient ID"),
        pytest.param("OBR", {18: "A" * 17}, "AE", "102 @OBR^1^18", id="F-H32"),
    ],
)
async def test_what_is_refused_changes_nothing_and_is_on_record(
    intake: Intake, store: Store, order: Order, segment: str, changes: dict[int, str], code: str, where: str
):
    """The answer names code and place; the analyst finds the raw bytes."""
    raw = edited(order("orm-2.3-without-zds"), segment, changes)

    answer = await intake.receive(raw, PEER)

    assert told(answer) == (code,)
    assert error(answer) == where
    assert await worklist(store) == []
    (record,) = await records(store)
    assert (record["raw"], record["outcome"], record["acknowledgement"]) == (raw, code, answer)
    assert f"[{where.partition(' ')[0]}]" in str(record["error"])


@pytest.mark.parametrize("version", ["", "2.9", "3"])
async def test_no_version_is_a_reason_to_refuse(intake: Intake, order: Order, version: str):
    """A later MSH-12 reads the same (C-04)."""
    raw = edited(order("orm-2.3-without-zds"), "MSH", {12: version})

    assert told(await intake.receive(raw, PEER)) == ("AA",)


async def test_f_h10_an_effect_that_is_refused_is_an_error_of_the_content(
    intake: Intake, store: Store, order: Order
):
    """What the store cannot apply is AE, and nothing of it stays."""
    answer = await intake.receive(order("orm-ca"), PEER)

    assert told(answer) == ("AE",)
    assert error(answer) == "204 @ORC^1^2"
    assert [record["outcome"] for record in await records(store)] == ["AE"]


async def test_f_h57_one_bad_order_of_two_takes_both_back(intake: Intake, store: Store, order: Order):
    """A message is applied whole or not at all."""
    good, bad = order("orm-two-orders"), b"ORC|CA|NOBODY^RIS|KNOWS^RIS\rOBR|9|NOBODY^RIS|KNOWS^RIS\r"

    answer = await intake.receive(good + bad, PEER)

    assert told(answer) == ("AE",)
    assert await worklist(store) == []
    assert len(await records(store)) == 1


async def test_f_h50_undecodable_text_is_refused_not_guessed(intake: Intake, store: Store, order: Order):
    """No mojibake is stored; ERR names the field."""
    raw = order("orm-latin1").replace(b"8859/1", b"UNICODE UTF-8")

    answer = await intake.receive(raw, PEER)

    assert error(answer) == "102 @PID^1^5"
    assert await worklist(store) == []


def batch(*messages: bytes, count: str = "", file: bool = False) -> bytes:
    """Return messages as a batch of RIS, number B77; in a file, number F7."""
    inner = b"BHS|^~\\&|RIS|HOSP|MWL|HOSP|2026||||B77\r" + b"".join(messages) + f"BTS|{count}\r".encode()
    return b"FHS|^~\\&|RIS|HOSP|MWL|HOSP|2026||||F7\r" + inner + b"FTS|1\r" if file else inner


def lines(payload: bytes | None) -> list[list[str]]:
    """Return the segments of an answer, split into fields."""
    assert payload is not None
    return [line.split("|") for line in payload.decode().split("\r") if line]


async def test_f_h54_each_message_of_a_batch_is_answered_in_one_batch(
    intake: Intake, store: Store, order: Order
):
    """Applied each for itself, the good one beside the bad; BHS-12 is the sender's number."""
    good, bad = order("orm-2.3-without-zds"), edited(order("orm-2.3.1-mesa"), "ORC", {1: "ZZ"})

    answer = lines(
        await intake.receive(batch(good, bad, order("orm-two-orders"), count="3", file=True), PEER)
    )

    assert [line[0] for line in answer] == [
        "BHS", "MSH", "MSA", "MSH", "MSA", "ERR", "MSH", "MSA", "BTS",
    ]  # fmt: skip
    assert [line[1:3] for line in answer if line[0] == "MSA"] == [
        ["AA", "FIX1101"], ["AE", "FIX1102"], ["AA", "FIX1104"],
    ]  # fmt: skip
    assert answer[0][2:6] == ["MWL", "HOSP", "RIS", "HOSP"]
    assert (answer[0][11], answer[-1]) == ("B77", ["BTS", "3"])
    assert len(await worklist(store)) == 3
    assert [record["outcome"] for record in await records(store)] == ["AA", "AE", "AA"]
    assert (await records(store))[0]["raw"] == good


async def test_f_h54_a_batch_sent_again_changes_nothing(intake: Intake, store: Store, order: Order):
    """Each message of it is a duplicate and gets its first answer."""
    raw = batch(order("orm-2.3-without-zds"), order("orm-2.3.1-mesa"), count="2")

    once = await intake.receive(raw, PEER)
    before = await worklist(store)
    again = await intake.receive(raw, PEER)

    assert lines(again)[1:] == lines(once)[1:]
    assert await worklist(store) == before


async def test_f_h54_a_batch_with_another_number_of_messages_than_it_says_is_told_so(
    intake: Intake, store: Store, order: Order
):
    """What is there is taken; one answer more, AE to the batch's number, names BTS-1 (D-29)."""
    answer = lines(await intake.receive(batch(order("orm-2.3-without-zds"), count="2"), PEER))

    assert [line[1:3] for line in answer if line[0] == "MSA"] == [["AA", "FIX1101"], ["AE", "B77"]]
    assert [line[1] for line in answer if line[0] == "ERR"] == ["BTS^1^1^100&Segment sequence error&HL70357"]
    assert answer[-1] == ["BTS", "2"]
    assert len(await worklist(store)) == 1
    assert [(r["outcome"], r["control_id"]) for r in await records(store)] == [
        ("AA", "FIX1101"),
        ("AE", "B77"),
    ]


async def test_the_messages_of_a_batch_are_answered_as_each_asks(intake: Intake, order: Order):
    """CA and AA stand in the batch one after the other; silence leaves no trace (D-11)."""
    raw = order("orm-2.3-without-zds")
    both = edited(raw, "MSH", {10: "BOTH", 15: "AL", 16: "AL"})
    none = edited(raw, "MSH", {10: "NONE", 15: "NE", 16: "NE"})

    answer = lines(await intake.receive(batch(both, none), PEER))
    silent = await intake.receive(batch(none.replace(b"NONE", b"NONE2")), PEER)

    assert [line[1:3] for line in answer if line[0] == "MSA"] == [["CA", "BOTH"], ["AA", "BOTH"]]
    assert answer[-1] == ["BTS", "2"]
    assert silent is None


async def test_an_empty_batch_is_answered_by_one(intake: Intake, store: Store):
    """Systems send them to show that there is nothing to send (HL7 2.10.3)."""
    answer = lines(await intake.receive(batch(count="0"), PEER))

    assert [line[0] for line in answer] == ["BHS", "BTS"]
    assert await records(store) == []


async def test_a_batch_beyond_all_bounds_is_refused_whole(
    intake: Intake, store: Store, order: Order, monkeypatch
):
    """AR to the batch's number; nothing of it is begun."""
    monkeypatch.setattr("mwl.hl7.batch.MAX_PARTS", 4)

    answer = await intake.receive(batch(*[order("orm-2.3-without-zds")] * 3), PEER)

    assert told(answer) == ("AR",)
    assert answers(answer)[0].field("MSA", 1, 2) == ((("B77",),),)
    assert await worklist(store) == []


@pytest.mark.parametrize("raw", [b"hello", b"PID|1||X\r", b"\xff\xfe\x00", b"MSH"])
async def test_what_has_no_header_is_answered_and_recorded(intake: Intake, store: Store, raw: bytes):
    """MSH of the answer is made up (D-17)."""
    answer = await intake.receive(raw, PEER)

    assert told(answer) == ("AR",)
    assert [record["raw"] for record in await records(store)] == [raw]


async def test_an_empty_block_is_answered_and_not_recorded(intake: Intake, store: Store):
    """A sign of life fills no table."""
    assert told(await intake.receive(b"\r\n", PEER)) == ("AR",)
    assert await records(store) == []


async def test_f_h53_a_message_too_large_is_refused_to_its_sender(intake: Intake, store: Store, order: Order):
    """The head is enough to answer by."""
    answer = intake.too_large(order("orm-2.3-without-zds")[:200], 100, PEER)

    assert told(answer) == ("AR",)
    assert error(answer) == "207 @MSH^1"
    assert answers(answer)[0].field("MSA", 1, 2) == ((("FIX1101",),),)
    assert await records(store) == []


async def test_a_message_of_a_megabyte_is_taken(intake: Intake, store: Store, order: Order):
    """Below the limit size is no reason to refuse."""
    raw = order("orm-2.3-without-zds") + b"ZBG|" + b"x" * 1_000_000 + b"\r"

    assert told(await intake.receive(raw, PEER)) == ("AA",)
    assert len((await records(store))[0]["raw"]) == len(raw)


# ── who sends ──


async def test_the_system_that_says_most_about_the_sender_is_meant(store: Store, generic, order: Order):
    """Application before facility, either before anyone."""
    anyone = System("anyone", generic)
    house = System("house", generic, facility="HOSP")
    ris = System("ris", generic, application="RIS")
    exact = System("exact", generic, application="RIS", facility="HOSP")
    everyone = [anyone, house, ris, exact]

    assert sender(everyone, "RIS", "HOSP") is exact
    assert sender(everyone, "RIS", "ELSEWHERE") is ris
    assert sender(everyone, "PACS", "HOSP") is house
    assert sender(everyone, "PACS", "ELSEWHERE") is anyone
    assert sender([exact], "RIS", "ELSEWHERE") is None


async def test_an_unknown_sender_is_refused_with_its_place(
    intake: Intake, store: Store, generic, order: Order
):
    """AE 103 at MSH-3; the message is on record without a system (D-20)."""
    intake.systems = [System("RIS", generic, application="OTHER")]

    answer = await intake.receive(order("orm-2.3-without-zds"), PEER)

    assert told(answer) == ("AE",)
    assert error(answer) == "103 @MSH^1^3"
    assert (await records(store))[0]["system"] == ""


async def test_systems_may_be_replaced_between_messages(intake: Intake, store: Store, generic, order: Order):
    """What was refused is tried again under the new configuration, byte for byte the same."""
    systems, intake.systems = intake.systems, []
    raw = order("orm-2.3-without-zds")
    assert told(await intake.receive(raw, PEER)) == ("AE",)
    intake.systems = systems

    assert told(await intake.receive(raw, PEER)) == ("AA",)
    assert len(await worklist(store)) == 1


# ── what is not done twice, or not at all ──


async def test_f_h05_the_same_bytes_again_get_the_same_answer_and_change_nothing(
    intake: Intake, store: Store, order: Order
):
    """The first answer, to the byte; one record, one step, one revision (D-30)."""
    raw = order("orm-2.3-without-zds")

    once = await intake.receive(raw, PEER)
    before = await worklist(store)
    again = await intake.receive(raw, "127.0.0.1:40001")

    assert again == once
    assert await worklist(store) == before
    assert len(await records(store)) == 1


async def test_f_h06_the_same_number_with_other_content_is_another_message(
    intake: Intake, store: Store, order: Order, caplog
):
    """Senders reset their counters: it is done, and that the number came before is on record and in the log."""
    raw = order("orm-2.3-without-zds")
    await intake.receive(raw, PEER)

    with caplog.at_level(logging.INFO, "mwl.hl7.intake"):
        answer = await intake.receive(raw.replace(b"20260705090000", b"20260705100000"), PEER)

    assert told(answer) == ("AA",)
    (item,) = await worklist(store)
    assert text(item.step, "00400003") == "100000"
    assert ["MSH-10" in str(record["error"]) for record in await records(store)] == [False, True]
    assert ["MSH-10" in str(line.fields.get("findings")) for line in caplog.records] == [True]


@pytest.mark.parametrize("changes", [{10: ""}, {3: "OTHER"}, {10: "FIX1102"}])
async def test_another_sender_or_number_is_no_news(
    intake: Intake, store: Store, order: Order, changes: dict[int, str]
):
    """Numbers are each sender's own, and none at all is no number."""
    raw = edited(order("orm-2.3-without-zds"), "MSH", {10: "" if changes.get(10) == "" else "FIX1101"})
    await intake.receive(raw, PEER)

    await intake.receive(edited(raw.replace(b"20260705090000", b"20260705100000"), "MSH", changes), PEER)

    assert len(await records(store)) == 2
    assert not any("MSH-10" in str(record["error"]) for record in await records(store))


async def test_f_h67_the_same_order_on_two_connections_makes_one_step(
    intake: Intake, store: Store, order: Order
):
    """Both are answered with one answer."""
    raw = order("orm-2.3-without-zds")

    one, other = await asyncio.gather(intake.receive(raw, PEER), intake.receive(raw, "127.0.0.1:40001"))

    assert told(one) == told(other) == ("AA",)
    assert len(await worklist(store)) == 1


async def test_a_kind_the_profile_ignores_is_acknowledged_and_recorded(
    intake: Intake, store: Store, order: Order
):
    """AA without effect (C-51)."""
    raw = edited(order("orm-2.3-without-zds"), "MSH", {9: "SIU^S23"})

    once = await intake.receive(raw, PEER)

    assert told(once) == ("AA",)
    assert await worklist(store) == []
    assert [record["outcome"] for record in await records(store)] == ["ignored"]
    assert await intake.receive(raw, PEER) == once


@pytest.mark.parametrize("changes", [{9: "ACK^O01"}, {9: "ORR^O02"}, {9: "ACK"}])
async def test_f_h55_an_acknowledgement_is_never_acknowledged(
    intake: Intake, store: Store, order: Order, changes: dict[int, str]
):
    """It is kept, and nothing is answered (D-16)."""
    raw = edited(order("orm-2.3-without-zds"), "MSH", changes)

    assert await intake.receive(raw, PEER) is None
    assert [record["outcome"] for record in await records(store)] == ["ignored"]


async def test_f_h55_whatever_holds_msa_is_an_acknowledgement(intake: Intake, order: Order):
    """The type alone does not tell."""
    raw = order("orm-2.3-without-zds") + b"MSA|AA|1\r"

    assert await intake.receive(raw, PEER) is None


@pytest.mark.parametrize(
    ("wishes", "good", "bad"),
    [
        pytest.param({}, ("AA",), ("AE",), id="F-H20"),
        pytest.param({15: "AL", 16: "NE"}, ("CA",), ("CE",), id="F-H21"),
        pytest.param({15: "AL", 16: "AL"}, ("CA", "AA"), ("CA", "AE"), id="F-H22"),
        pytest.param({15: "NE", 16: "NE"}, (), (), id="F-H23"),
        pytest.param({15: "ER", 16: "NE"}, (), ("CE",), id="F-H24"),
    ],
)
async def test_the_sender_gets_the_acknowledgements_it_asks_for(
    intake: Intake,
    store: Store,
    order: Order,
    wishes: dict[int, str],
    good: tuple[str, ...],
    bad: tuple[str, ...],
):
    """The effect does not depend on the mode, the answer does (D-11)."""
    raw = edited(order("orm-2.3-without-zds"), "MSH", wishes)

    assert told(await intake.receive(raw, PEER)) == good
    assert len(await worklist(store)) == 1
    assert told(await intake.receive(raw.replace(b"ORC|NW", b"ORC|ZZ"), PEER)) == bad
    assert [record["outcome"] for record in await records(store)] == ["AA", "AE"]


async def test_f_h22_both_acknowledgements_are_messages_of_their_own(intake: Intake, order: Order):
    """Each has its own MSH-10; both name the original's."""
    raw = edited(order("orm-2.3-without-zds"), "MSH", {15: "AL", 16: "AL"})

    accept, application = answers(await intake.receive(raw, PEER))

    assert accept.header.control_id != application.header.control_id
    assert accept.field("MSA", 1, 2) == application.field("MSA", 1, 2) == ((("FIX1101",),),)


# ── what goes wrong on our side ──


async def test_an_unavailable_store_means_later(intake: Intake, store: Store, order: Order, caplog):
    """AR 207, nothing on record, one line: the sender repeats what was not acknowledged (D-14)."""

    async def gone(work: object) -> None:
        raise Unavailable("the database does not answer")

    store.write, write = gone, store.write
    with caplog.at_level(logging.INFO, "mwl.hl7"):
        answer = await intake.receive(order("orm-2.3-without-zds"), PEER)
    store.write = write

    assert told(answer) == ("AR",)
    assert error(answer) == "207 @MSH^1"
    assert b"temporarily unavailable" in answer
    assert b"database" not in answer
    assert [line.fields["cause"] for line in caplog.records] == ["the database does not answer"]
    assert await records(store) == []
    assert told(await intake.receive(order("orm-2.3-without-zds"), PEER)) == ("AA",)


async def test_a_defect_is_answered_recorded_and_logged_once(
    intake: Intake, store: Store, order: Order, monkeypatch, caplog
):
    """AE 207 without details; the traceback is in the log (D-21)."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug, near patient DOE")

    monkeypatch.setattr(orders, "apply", broken)

    answer = await intake.receive(order("orm-2.3-without-zds"), PEER)

    assert told(answer) == ("AE",)
    assert error(answer) == "207 @MSH^1"
    assert b"DOE" not in answer
    assert [record["outcome"] for record in await records(store)] == ["AE"]
    assert len([line for line in caplog.records if line.exc_info]) == 1


async def test_a_record_that_fails_does_not_take_the_answer_with_it(
    intake: Intake, order: Order, store: Store, caplog
):
    """The sender hears what was wrong all the same."""

    async def broken(work: object) -> None:
        raise RuntimeError("disk")

    store.write = broken

    answer = await intake.receive(order("orm-2.3-without-zds").replace(b"ORC|NW", b"ORC|ZZ"), PEER)

    assert error(answer) == "103 @ORC^1^1"
    assert [line.message for line in caplog.records if line.exc_info] == ["message not recorded"]


async def test_one_line_a_message_without_patient_data(intake: Intake, order: Order, caplog):
    """Control ID, kind, system, outcome, duration; no name, no ID, no number of an order (design 4.7)."""
    with caplog.at_level(logging.INFO, "mwl"):
        await intake.receive(order("orm-2.3-without-zds"), PEER)
        await intake.receive(edited(order("orm-2.3-without-zds"), "ORC", {1: "ZZ"}), PEER)
        await intake.receive(edited(order("orm-2.3-without-zds"), "OBR", {18: "ACX1101-SECRET-0001"}), PEER)

    lines = [
        json.loads(JsonFormatter().format(record))
        for record in caplog.records
        if record.name == "mwl.hl7.intake"
    ]
    assert [(line["outcome"], line["level"], line["system"]) for line in lines] == [
        ("AA", "info", "RIS"), ("AE", "warning", "RIS"), ("AE", "warning", "RIS"),
    ]  # fmt: skip
    assert {(line["control_id"], line["kind"], line["peer"]) for line in lines} == {
        ("FIX1101", "ORM^O01", PEER)
    }
    assert all("ms" in line for line in lines)
    for secret in ("DOE", "JOHN", "PIX1101", "ACX1101", "1958", "SECRET"):
        assert secret not in caplog.text + json.dumps(lines)


async def test_messages_are_counted_by_system_and_outcome(intake: Intake, order: Order):
    """Labels are bounded: configured names and outcomes."""

    def count(outcome: str) -> float:
        return metrics.messages_received.labels("RIS", outcome)._value.get()

    before = count("AA"), count("duplicate")
    await intake.receive(order("orm-2.3-without-zds"), PEER)
    await intake.receive(order("orm-2.3-without-zds"), PEER)

    assert (count("AA"), count("duplicate")) == (before[0] + 1, before[1] + 1)


_PIECE = st.sampled_from(
    [
        b"MSH|^~\\&|RIS|HOSP|",
        b"|",
        b"\r",
        b"\n",
        b"ORM^O01",
        b"||||||",
        b"8859/1",
        b"PID|1||",
        b"ORC|NW",
        b"\\",
        b"\xff",
    ]
)


@pytest.fixture(scope="module")
def storeless(generic: SystemProfile) -> Callable[[], Intake]:
    """Make an intake whose store is never there."""

    class Gone:
        async def write(self, work: object) -> None:
            raise Unavailable("no store")

    now = dt.datetime(2026, 7, 4, tzinfo=dt.UTC)
    return lambda: Intake(Gone(), [System("RIS", generic)], SiteFacts(), (), lambda: now)


@given(raw=st.one_of(st.binary(max_size=200), st.lists(_PIECE, max_size=30).map(b"".join)))
def test_any_bytes_end_with_a_whole_answer_or_none(storeless: Callable[[], Intake], raw: bytes):
    """Nothing a peer sends raises, and no answer has a broken structure."""
    answer = asyncio.run(storeless().receive(raw, PEER))
    batch = Batch.open(answer or b"")
    inside = [answer] if batch is None else [each for part in batch.parts for each in part.messages]

    assert {code for each in inside for code in told(each)} <= {"AA", "AE", "AR", "CA", "CE", "CR"}
    assert told(storeless().too_large(raw, 1, PEER)) in (("AR",), ("CR",), ())


@given(raw=st.one_of(st.binary(max_size=200), st.lists(_PIECE, max_size=30).map(b"".join)))
def test_any_bytes_are_understood_or_refused(storeless: Callable[[], Intake], raw: bytes):
    """No message, however broken, is a defect of ours."""
    envelope = Envelope.open(raw, PEER, storeless().systems, SiteFacts())

    findings: tuple[object, ...] = ()
    understood = None
    try:
        understood = envelope.understand()
    except Unacceptable as refusal:
        findings = refusal.findings

    assert findings or understood is None or understood.procedures


async def test_an_order_no_device_can_be_shown_says_so_on_record(intake: Intake, store: Store, order: Order):
    """The answer stays AA; why the step is on no worklist stands with the message."""
    raw = edited(order("orm-2.3-without-zds"), "OBR", {24: ""})

    assert told(await intake.receive(raw, PEER)) == ("AA",)

    (record,) = await records(store)
    assert record["error"] == "warning: ORC: no device can be shown this step: Modality is missing [101]"
