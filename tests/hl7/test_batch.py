"""Batches: taking a block apart, and the block that answers it."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.errors import NotUnderstood
from mwl.hl7.batch import MAX_PARTS, Batch

NOW = dt.datetime(2026, 7, 5, 12, 0, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))
FHS = b"FHS|^~\\&|RIS|HOSP|MWL|RAD|2026||||F1\r"
BHS = b"BHS|^~\\&|RIS|HOSP|MWL|RAD|2026||||B1\r"
ONE = b"MSH|^~\\&|RIS|HOSP|MWL|RAD|2026||ORM^O01|1|P|2.3\rPID|1\r"
TWO = b"MSH|^~\\&|RIS|HOSP|MWL|RAD|2026||ORM^O01|2|P|2.3\rPID|1\r"


def opened(raw: bytes) -> Batch:
    batch = Batch.open(raw)
    assert batch is not None
    return batch


def messages(raw: bytes) -> list[list[bytes]]:
    return [list(part.messages) for part in opened(raw).parts]


def answer(raw: bytes, *answers: list[bytes], more: list[bytes] | None = None) -> list[str]:
    numbers = iter("XYZ")
    made = opened(raw).answer(answers, more or [], now=NOW, new_id=lambda: next(numbers))
    assert made is not None
    return made.decode().split("\r")[:-1]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(BHS + ONE + TWO + b"BTS|2\r", [[ONE, TWO]], id="a batch"),
        pytest.param(
            FHS + BHS + ONE + b"BTS|1\r" + BHS + TWO + b"BTS|1\rFTS|2\r", [[ONE], [TWO]], id="a file"
        ),
        pytest.param(FHS + ONE + TWO + b"FTS|1\r", [[ONE, TWO]], id="a file without batches"),
        pytest.param(BHS + ONE + BHS + TWO, [[ONE], [TWO]], id="without trailers"),
        pytest.param(b"\r\n " + BHS + ONE + b"BTS", [[ONE]], id="blank before, bare trailer behind"),
        pytest.param(b"\xef\xbb\xbf" + BHS + ONE, [[ONE]], id="a byte order mark"),
        pytest.param(BHS + b"BTS|0\r", [[]], id="an empty batch"),
        pytest.param(FHS + b"FTS|0\r", [[]], id="an empty file"),
        pytest.param(BHS, [[]], id="a header alone"),
        pytest.param(BHS + b"BTS|0\r" + ONE, [[], [ONE]], id="a message behind the trailer"),
    ],
)
def test_a_block_is_taken_apart(raw: bytes, expected: list[list[bytes]]):
    """Each message comes out as it stands, to the byte."""
    assert messages(raw) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_may_end_in_any_way(end: bytes):
    """As in a single message (D-23)."""
    found = messages((BHS + ONE + TWO + b"BTS|2\r").replace(b"\r", end))

    assert [each.split(end)[0] for each in found[0]] == [each.split(b"\r")[0] for each in (ONE, TWO)]


def test_text_that_looks_like_a_header_begins_no_message():
    """An LF in text of a message that ends its segments with CR separates nothing (D-23)."""
    note = ONE + b"NTE|1||see\nMSH|^~\\&| above, and MSH|x\r"

    assert messages(BHS + note + b"BTS|1\r") == [[note]]


def test_the_delimiters_of_a_message_are_its_own():
    """The batch's may differ."""
    other = ONE.replace(b"|", b"$")

    assert messages(BHS + other + TWO) == [[other, TWO]]


@pytest.mark.parametrize(
    "raw", [ONE, b"", b"\r\n", b"BH", b"BHSxyz|", b"PID|1\r" + BHS, b"BTS|1\r", b"hello"]
)
def test_what_begins_with_no_batch_header_is_none(raw: bytes):
    """It is one message, good or bad."""
    assert Batch.open(raw) is None


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (BHS + ONE + TWO + b"BTS|2\r", []),
        (BHS + ONE + TWO + b"BTS|02|two\r", []),
        (BHS + ONE + b"BTS\r", []),
        (BHS + ONE + b"BTS|\r", []),
        (BHS + ONE, []),
        (BHS + ONE + b"BTS|2\r", [("BTS-1", 100)]),
        (BHS + ONE + b"BTS|one\r", [("BTS-1", 102)]),
        (BHS + ONE + b"BTS|" + b"9" * 5000 + b"\r", [("BTS-1", 100)]),
        (FHS + BHS + b"BTS|0\r" + BHS + ONE + b"BTS|0\rFTS|1\r", [("BTS[2]-1", 100), ("FTS-1", 100)]),
        (FHS + ONE + TWO + b"FTS|1\r", []),
        (FHS + ONE + TWO + b"FTS|2\r", []),
        (FHS + ONE + TWO + b"FTS|3\r", [("FTS-1", 100)]),
    ],
)
def test_trailers_that_count_wrong_are_found(raw: bytes, found: list[tuple[str, int]]):
    """The number, where one is stated, is that of the messages, and of the batches (BTS-1, FTS-1)."""
    assert [(str(each.location), each.code) for each in opened(raw).findings] == found


@pytest.mark.parametrize("part", [b"MSH|\r", b"BHS|\r", b"FHS|\r", b"BTS|1\r", b"FTS\r"])
def test_too_many_parts_are_refused_before_the_first_message_is_begun(part: bytes):
    """The bound is on messages, headers and trailers alike; octets are bounded by the listener."""
    assert Batch.open(BHS + part * (MAX_PARTS - 1)) is not None
    with pytest.raises(NotUnderstood) as caught:
        Batch.open(BHS + part * MAX_PARTS)

    assert caught.value.findings[0].code == 207


def test_the_frame_is_kept_without_the_messages():
    """It is what goes on record where the frame itself is wrong."""
    assert opened(FHS + BHS + ONE + b"BTS|2\rFTS|1").frame == FHS + BHS + b"BTS|2\rFTS|1\r"


def test_an_answer_to_the_frame_refers_to_the_batch_or_else_to_the_file():
    """The number nearest to the messages."""
    assert opened(FHS + BHS + ONE).named.control_id == "B1"
    assert opened(FHS + ONE).named.control_id == "F1"
    assert opened(BHS + BHS.replace(b"B1", b"B2")).named.control_id == "B2"


def test_the_answer_mirrors_the_batch():
    """Applications are swapped, the sender's numbers are referred to, the answers are counted."""
    told = answer(FHS + BHS + ONE + b"BTS|1\r" + TWO + b"BTS|1\rFTS|2\r", [b"A\r"], [b"B\r", b"C\r"])

    assert told == [
        "BHS|^~\\&|MWL|RAD|RIS|HOSP|20260705120001+0200||||X|B1",
        "A",
        "BTS|1",
        "BHS|^~\\&|MWL|RAD|RIS|HOSP|20260705120001+0200||||Y|F1",
        "B", "C",
        "BTS|2",
    ]  # fmt: skip


def test_the_answer_uses_the_batchs_delimiters():
    """As an acknowledgement does (D-15)."""
    raw = BHS.replace(b"|", b"$") + ONE

    assert answer(raw, [b"A\r"])[0].startswith("BHS$^~\\&$MWL$RAD$RIS$HOSP$")
    assert answer(raw, [b"A\r"])[-1] == "BTS$1"


def test_what_is_said_to_the_frame_stands_in_the_last_batch():
    """Where there is none, one is made for it."""
    assert answer(BHS + ONE + BHS + TWO, [b"A\r"], [b"B\r"], more=[b"M\r"])[-3:] == ["B", "M", "BTS|2"]
    assert answer(FHS + b"FTS|3\r", more=[b"M\r"])[1:] == ["M", "BTS|1"]


def test_silence_to_every_message_is_silence():
    """Nobody wants an answer; an empty batch has nobody, and is answered."""
    assert opened(BHS + ONE).answer([[]], now=NOW) is None
    assert opened(BHS).answer([], now=NOW) is not None


@pytest.mark.parametrize("header", [b"BHS", b"BHS\r", b"BHS|^^^^\r", b"BHS|\r", b"BHS \r"])
def test_a_header_that_says_nothing_is_answered_in_the_usual_delimiters(header: bytes):
    """It announces a batch all the same."""
    batch = opened(header if header.endswith(b"\r") else header + b"\r")

    assert batch.answer([[b"A\r"]] * sum(len(p.messages) for p in batch.parts), now=NOW)


@given(
    st.lists(
        st.sampled_from([b"FHS", b"BHS", b"MSH", b"BTS", b"FTS", b"|", b"^~\\&", b"\r", b"\n", b"1", b" ", b"\xca|", b"\x1c", b"PID"]),
        max_size=40,
    ).map(b"".join)
)  # fmt: skip
def test_any_bytes_are_a_batch_or_none_and_the_answer_has_its_frame(rest: bytes):
    """Nothing raises, no message is lost or doubled, and no header breaks the answer's structure."""
    batch = opened(b"BHS|^~\\&|" + rest)
    found = [message for part in batch.parts for message in part.messages]
    made = batch.answer([[b"MSA\r"]] * len(found), [b"ERR\r"], now=NOW)

    assert made is not None
    lines = made.split(b"\r")[:-1]
    assert lines.count(b"MSA") == len(found)
    assert lines.count(b"ERR") == 1
    assert {line[:3] for line in lines} <= {b"FHS", b"BHS", b"MSA", b"ERR", b"BTS", b"FTS"}
    assert all(message in rest for message in found)
