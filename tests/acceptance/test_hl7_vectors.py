"""Vectors F-H01 to F-H67 at the wire, against a broker of its own process; a device sees what came of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hl7
import pytest
import yaml
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pynetdicom.association import Association

from acceptance.find_orders import Step as Order
from acceptance.find_orders import perform
from acceptance.hl7_vectors import VECTORS, Again, Begin, Sees, Send, Vector
from acceptance.hl7_wire import CR, FS, ORDER, VT, block, changed, connected, error, text, told
from foreign.dicom.clients import associated, find
from foreign.dicom.identifier import identifier

NUMBERS = {vector.id: 1000 + at for at, vector in enumerate(VECTORS)}
PROFILES = {
    "picky": {
        "order": {"pick": {"PID-3": ["4.1=HOSP_A", 1]}},
        "accept": {"processing": ["P", "T"], "charset": {"aliases": {"CNS 11643-1992": "BIG-5"}}},
    },
    "strict": {"accept": {"charset": {"default": "ASCII", "trust_label": True}}},
    "replies": {"acknowledge": {"type": ["ORR", "ORI"]}},
    "original": {"acknowledge": {"mode": "original"}},
    "enhanced": {"acknowledge": {"mode": "enhanced"}},
    "wide": {"accept": {"charset": {"utf_16": True}}},
}
"""A system each; any other sender is read by the generic profile."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, serving: Callable[..., Any]) -> Iterator[Any]:
    """One broker for all vectors: each has patients and orders of its own."""
    folder = tmp_path_factory.mktemp("vectors")
    systems = folder / "mappings" / "systems"
    systems.mkdir(parents=True)
    for name, said in PROFILES.items():
        (systems / f"{name}.yaml").write_text(yaml.safe_dump({"profile": name, **said}), "utf-8")
    senders = {name.upper(): {"application": name.upper(), "profile": name} for name in PROFILES}
    with serving(
        folder,
        mappings=str(folder / "mappings"),
        devices={"*": {"profile": "generic"}},
        systems={"RIS": {}, **senders},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def device(broker: Any) -> Iterator[Association]:
    """A device that queries in one association."""
    with associated(broker.addresses["dicom"], calling="CT1") as association:
        yield association


def seen(device: Association, sees: Sees, n: int) -> list[list[str]]:
    """Return what the device gets of each attribute that *sees* names, for each item."""
    where = [each.replace("{n}", str(n)) for each in sees.where.split()]
    names = [each.partition("=")[0] for each in sees.expected]
    asked = {
        name.split(".")[0] if not name.startswith("SPS.") else ".".join(name.split(".")[:2]) for name in names
    }
    keys = [*(name for name in asked if name not in {key.partition("=")[0] for key in where}), *where]
    answer = find(device, identifier("SpecificCharacterSet=ISO_IR 192", "step", *keys))
    assert answer.final == 0
    return [[shown(item, name) for name in names] for item in answer]


def shown(item: Dataset, path: str) -> str:
    """Return a value as text, several joined by a backslash, of all items of a sequence."""
    here = [item]
    *sequences, name = path.replace("SPS.", "ScheduledProcedureStepSequence.").split(".")
    for sequence in sequences:
        here = [each for dataset in here for each in dataset.get(sequence) or ()]
    values = [dataset.get(name) for dataset in here]
    return "\\".join(_text(value) for value in values if value is not None and _text(value))


def _text(value: Any) -> str:
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)


def message(send: Send, n: int, control_id: str) -> bytes:
    """Return the bytes of a vector's message."""
    return send.as_(text(changed(send.base, *send.changes), n, control_id).encode(send.codec))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_vector(vector: Vector, broker: Any, device: Association) -> None:
    """The answer's code and place, and what a device gets afterwards."""
    n = NUMBERS[vector.id]
    last = first = b""
    with connected(broker) as wire:
        for at, step in enumerate(vector.steps):
            match step:
                case Send():
                    last = message(step, n, f"V{n}-{at}")
                    first = wire.ask(last)
                    usual = first.replace(b"$", b"|").replace(b"%", b"^") if b"$" in first[:4] else first
                    assert (*told(usual), error(usual)) == (step.code, f"V{n}-{at}", step.error), first
                case Again():
                    assert wire.ask(last) == first
                case Begin():
                    begun = Order(f"SPS{n}", "DOE^JOHN", f"P{n}", accession=f"ACC{n}", procedure=f"RP{n}",
                                  study=f"1.2.276.0.99.{n}", stations="CT1")  # fmt: skip
                    perform(broker, begun, "IN PROGRESS", calling="CT1")
                case Sees():
                    expected = [each.replace("{n}", str(n)).partition("=")[2] for each in step.expected]
                    assert seen(device, step, n) == [expected] * step.rows


# ── acknowledgement modes ──


def wishes(accept: str, application: str, *changes: str, n: int, control_id: str) -> str:
    return text(changed(ORDER, f"MSH-15={accept}", f"MSH-16={application}", *changes), n, control_id)


@pytest.mark.parametrize(
    ("vector", "accept", "application", "good", "bad"),
    [
        ("F-H20", "", "", ["AA"], ["AE"]),
        ("F-H21", "AL", "NE", ["CA"], ["CE"]),
        ("F-H22", "AL", "AL", ["CA", "AA"], ["CA", "AE"]),
        ("F-H23", "NE", "NE", [], []),
        ("F-H24", "ER", "NE", [], ["CE"]),
        ("success only", "SU", "NE", ["CA"], []),
        ("application only", "NE", "AL", ["AA"], ["AE"]),
        ("application errors", "NE", "ER", [], ["AE"]),
        ("application success", "NE", "SU", ["AA"], []),
        ("errors of both kinds", "ER", "ER", [], ["AE"]),
        ("mixed", "SU", "ER", ["CA"], ["CA", "AE"]),
    ],
)
def test_acknowledgement_modes(
    broker: Any,
    device: Association,
    vector: str,
    accept: str,
    application: str,
    good: list[str],
    bad: list[str],
) -> None:
    """Each answer is a block and a message of its own; a plain message behind proves that no more came."""
    n = 3000 + sum(map(ord, vector))
    with connected(broker) as wire:
        wire.send(
            wishes(accept, application, n=n, control_id="GOOD"),
            wishes(accept, application, "ORC-1=ZZ", n=n, control_id="BAD"),
            text(changed(ORDER, "ORC-1=XO"), n, "END"),
        )
        answers = [wire.answer() for _ in range(len(good) + len(bad) + 1)]

    assert [told(answer) for answer in answers] == [
        *((code, "GOOD") for code in good), *((code, "BAD") for code in bad), ("AA", "END"),
    ]  # fmt: skip
    numbers = [str(hl7.parse(answer.decode()).segment("MSH")[10]) for answer in answers]
    assert len({*numbers, "GOOD", "BAD", "END"}) == len(numbers) + 3
    assert seen(device, Sees("AccessionNumber"), n) == [[f"ACC{n}"]]


@pytest.mark.parametrize(
    ("application", "accept", "answered"),
    [("ORIGINAL", "AL", ["AA"]), ("ENHANCED", "", ["CA"]), ("ENHANCED", "NE", [])],
)
def test_a_profile_may_name_the_mode(broker: Any, application: str, accept: str, answered: list[str]) -> None:
    """Where a sender's fields do not say what it waits for (C-07, D-13)."""
    mode = changed(
        ORDER, f"MSH-3={application}", f"MSH-15={accept}", "MSH-16=NE" if accept == "NE" else "MSH-16="
    )
    with connected(broker) as wire:
        wire.send(text(mode, 3900, f"M{application}{accept}"), text(ORDER, 3901, "END"))

        codes = [told(wire.answer())[0] for _ in range(len(answered) + 1)]

    assert codes == [*answered, "AA"]


def test_a_profile_may_name_the_answer(broker: Any) -> None:
    """ORR^O02 answers an ORM; an error in it stands where it stands in ACK (C-07)."""
    with connected(broker) as wire:
        good = wire.ask(text(changed(ORDER, "MSH-3=REPLIES", "MSH-12=2.5"), 3910, "R1"))
        bad = wire.ask(text(changed(ORDER, "MSH-3=REPLIES", "ORC-1=ZZ"), 3910, "R2"))

    assert str(hl7.parse(good.decode()).segment("MSH")[9]) == "ORR^O02^ORR_O02"
    assert str(hl7.parse(bad.decode()).segment("MSH")[9]) == "ORR^O02"
    assert (told(good), told(bad), error(bad)) == (("AA", "R1"), ("AE", "R2"), "103 @ORC^1^1")


def test_f_h27_the_answer_uses_the_senders_delimiters(broker: Any) -> None:
    """MSH-2 comes back, and what separates its fields."""
    (vector,) = (each for each in VECTORS if each.id == "F-H27")
    send = vector.steps[0]
    assert isinstance(send, Send)
    with connected(broker) as wire:
        answer = wire.ask(message(send, 3920, "D1")).decode()

    assert answer.startswith("MSH$%~\\&$MWL$HOSP$RIS$HOSP$")
    assert "$ACK%O01$" in answer
    assert "\rMSA$AA$D1\r" in answer


# ── blocks ──


def numbered(n: int, *changes: str) -> str:
    return text(changed(ORDER, *changes), n, f"N{n}")


def test_f_h51_three_messages_in_one_segment_are_answered_in_order(broker: Any) -> None:
    """Pipelining is tolerated, and nothing overtakes."""
    with connected(broker) as wire:
        wire.send(*(numbered(4000 + at) for at in range(3)))

        assert [told(wire.answer()) for _ in range(3)] == [("AA", f"N{4000 + at}") for at in range(3)]


def test_f_h51_a_message_in_segments_of_one_byte_is_answered_once(broker: Any) -> None:
    """However it arrives, it is one message."""
    raw = block(numbered(4010))
    with connected(broker) as wire:
        for at in range(len(raw)):
            wire.raw(raw[at : at + 1])
        first = wire.answer()

        assert told(first) == ("AA", "N4010")
        assert told(wire.ask(numbered(4011))) == ("AA", "N4011")


def test_f_h52_garbage_and_half_messages_cost_nothing(broker: Any, device: Association) -> None:
    """Bytes before a block are skipped; a block that never ends is dropped without an answer."""
    with connected(broker) as wire:
        wire.raw(b"garbage\r\n" + VT + numbered(4020).encode() + block(numbered(4021)) + b"\0\xff\r\n")

        assert told(wire.answer()) == ("AA", "N4021")
        assert told(wire.ask(numbered(4022))) == ("AA", "N4022")
    assert seen(device, Sees(rows=0), 4020) == []


@pytest.mark.parametrize("end", [FS, FS + b"\n", FS + CR + b"\n\n"])
def test_a_block_that_ends_otherwise_is_taken(broker: Any, end: bytes) -> None:
    """FS alone, FS LF, blank lines behind: senders do all of it (D-02)."""
    with connected(broker) as wire:
        wire.raw(VT + numbered(4030).encode() + end)
        if end == FS + b"\n":  # what follows FS is content until the next block begins
            wire.raw(block(numbered(4031)))
            assert told(wire.answer())[0] == "AA"
            return

        assert told(wire.answer()) == ("AA", "N4030")


def test_f_h53_a_message_above_the_limit_is_refused_and_the_next_one_taken(broker: Any) -> None:
    """10 MiB pass by; the sender hears why, and the connection goes on."""
    with connected(broker) as wire:
        wire.send(numbered(4040) + "ZBG|" + "x" * (10 << 20), numbered(4041))

        refused = wire.answer()
        assert (told(refused), error(refused)) == (("AR", "N4040"), "207 @MSH^1")
        assert told(wire.answer()) == ("AA", "N4041")


def batch(*messages: str, count: int) -> str:
    return (
        f"FHS|^~\\&|RIS|HOSP\rBHS|^~\\&|RIS|HOSP|MWL|HOSP|2026||||B1\r{''.join(messages)}BTS|{count}\rFTS|1\r"
    )


def test_f_h54_a_batch_is_answered_message_by_message_in_one_block(broker: Any, device: Association) -> None:
    """Three orders, one of them wrong: the others are on the worklist."""
    three = [numbered(4050), numbered(4051, "ORC-1=ZZ"), numbered(4052)]
    with connected(broker) as wire:
        answer = wire.ask(batch(*three, count=3)).decode()
        after = wire.ask(numbered(4053))

    lines = answer.split("\r")
    assert [line.split("|")[1:3] for line in lines if line.startswith("MSA")] == [
        ["AA", "N4050"], ["AE", "N4051"], ["AA", "N4052"],
    ]  # fmt: skip
    assert (lines[0][:3], lines[0].split("|")[11], lines[-2]) == ("BHS", "B1", "BTS|3")
    assert told(after) == ("AA", "N4053")
    assert [len(seen(device, Sees("AccessionNumber"), n)) for n in (4050, 4051, 4052)] == [1, 0, 1]


def test_f_h54_a_batch_that_counts_wrong_is_told_so(broker: Any, device: Association) -> None:
    """What is there is taken; BTS-1 is named in an answer of its own."""
    with connected(broker) as wire:
        answer = wire.ask(batch(numbered(4060), count=2)).decode()

    assert "MSA|AA|N4060\r" in answer
    assert "MSA|AE|B1|BTS-1: " in answer
    assert "ERR|BTS^1^1^" in answer
    assert len(seen(device, Sees("AccessionNumber"), 4060)) == 1


@pytest.mark.parametrize("kind", ["ACK^O01", "ORR^O02", "ORI^O24", "ACK"])
def test_f_h55_an_acknowledgement_gets_no_reply(broker: Any, kind: str) -> None:
    """The next message is the next to be answered (D-16)."""
    with connected(broker) as wire:
        wire.send(f"MSH|^~\\&|RIS|HOSP|MWL|HOSP|2026||{kind}|A1|P|2.3\rMSA|AA|1\r", numbered(4070))

        assert told(wire.answer()) == ("AA", "N4070")


def test_f_h59_without_a_study_uid_one_is_made_that_stays(broker: Any, device: Association) -> None:
    """Sent again under another number, and changed: the same UID, a valid one."""
    uids = []
    for at, control in enumerate(("NW", "NW", "XO")):
        with connected(broker) as wire:
            sent = text(changed(ORDER, "-ZDS", "OBR-19=", f"ORC-1={control}"), 4080, f"U{at}")
            assert told(wire.ask(sent)) == ("AA", f"U{at}")
        ((uid, procedure),) = seen(device, Sees("StudyInstanceUID", "RequestedProcedureID"), 4080)
        uids.append(uid)

    assert len(set(uids)) == 1
    assert re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*))+", uids[0])
    assert len(uids[0]) <= 64
    assert procedure == "ACC4080"


@pytest.mark.parametrize("same", [True, False], ids=["the same bytes", "numbers of their own"])
def test_f_h67_the_same_order_on_many_connections_is_one_step(
    broker: Any, device: Association, same: bool
) -> None:
    """All are told AA; there is one step, one procedure, one patient."""
    n, senders, rounds = (4090, 8, 5) if same else (4190, 8, 5)

    def sender(number: int) -> list[str]:
        with connected(broker) as wire:
            return [
                told(wire.ask(text(ORDER, n + at, f"S{at}" if same else f"S{number}.{at}")))[0]
                for at in range(rounds)
            ]

    with ThreadPoolExecutor(senders) as pool:
        codes = list(pool.map(sender, range(senders)))

    assert codes == [["AA"] * rounds] * senders
    assert [len(seen(device, Sees("AccessionNumber"), n + at)) for at in range(rounds)] == [1] * rounds


# ── what the table holds ──


def test_every_vector_of_f_4_is_here() -> None:
    """F-H01 to F-H67: none is left out without a word."""
    source = Path(__file__).read_text("utf-8")
    here = set(re.findall(r"f_h([0-9]{2})_", source)) | set(re.findall(r'"F-H([0-9]{2})"', source))
    here |= {vector.id[3:5] for vector in VECTORS if vector.id.startswith("F-H")}

    assert {f"{number:02}" for number in range(1, 68)} <= here


def test_utf_16_is_refused_in_words_its_sender_reads_unless_it_is_taken(
    broker: Any, device: Association
) -> None:
    """AR 103 at MSH-18, in UTF-16; a profile may take it (D-04)."""

    def asked(application: str, n: int) -> bytes:
        raw = text(changed(ORDER, f"MSH-3={application}", "MSH-18=UNICODE UTF-16"), n, f"W{n}")
        with connected(broker) as wire:
            return wire.ask(raw.encode("utf-16-le")).decode("utf-16-le").encode()

    refused, taken = asked("RIS", 4300), asked("WIDE", 4301)

    assert (told(refused), error(refused)) == (("AR", "W4300"), "103 @MSH^1^18")
    assert told(taken) == ("AA", "W4301")
    assert [len(seen(device, Sees("AccessionNumber"), n)) for n in (4300, 4301)] == [0, 1]
