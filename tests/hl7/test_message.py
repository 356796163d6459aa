"""The ER7 reader."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mwl.errors import NotUnderstood
from mwl.hl7.escapes import Delimiters, escape, unescape
from mwl.hl7.message import MAX_PARTS, MAX_SEGMENTS, Message, Segment, parse, split
from mwl.hl7.text import decode
from mwl.mapping.systems.source import Source

MSH = "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260705120000||ORM^O01|42|P|2.3.1"

Order = Callable[[str], bytes]


def first(message: Source, segment: str, field: int, occurrence: int = 1) -> str:
    """Return the first sub-component of a field, "" where it is absent."""
    found = message.field(segment, occurrence, field)
    return found[0][0][0] if found else ""


def names(message: Message) -> list[str]:
    return [segment.name for segment in message.segments]


# ── segments ──


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\r\n\r\n", " \r"])
@pytest.mark.parametrize("last", ["", "end"])
def test_f_h25_f_h26_segments_may_end_in_any_way(end: str, last: str):
    """CR, LF, CRLF and blank lines end segments; the last end may be missing."""
    message = parse(end.join((MSH, "PID|1||ID1", "ORC|NW|PL1")) + (end if last else ""))

    assert names(message) == ["MSH", "PID", "ORC"]
    assert first(message, "PID", 3) == "ID1"
    assert first(message, "ORC", 2) == "PL1"


def test_segments_may_end_in_different_ways():
    """Mixed terminators are read where the segment's name is known."""
    message = parse(f"{MSH}\rPID|1||ID1\nORC|NW|PL1\r\nOBR|1|PL1\nZDS|1.2\r")

    assert names(message) == ["MSH", "PID", "ORC", "OBR", "ZDS"]


def test_lf_ends_segments_where_only_the_last_has_a_cr():
    """A sender that joins lines with LF and adds one CR is understood by its MSH."""
    assert names(parse(f"{MSH}\nPID|1||ID1\nQQQ|1\r")) == ["MSH", "PID", "QQQ"]


def test_lf_inside_text_begins_no_segment():
    """A text of a CR-terminated message may have lines, even one that looks like a segment (D-23)."""
    message = parse(f"{MSH}\rNTE|1||first\nsecond\nEND|RE\rOBR|1\r")

    assert names(message) == ["MSH", "NTE", "OBR"]
    assert first(message, "NTE", 3) == "first\nsecond\nEND"


def test_lf_inside_text_of_an_lf_message_begins_no_segment():
    """A line that does not look like a segment belongs to the one before."""
    message = parse(f"{MSH}\nNTE|1||first\nsecond line\nOBR|1\n")

    assert names(message) == ["MSH", "NTE", "OBR"]
    assert first(message, "NTE", 3) == "first\nsecond line"


def test_f_h56_unknown_segments_and_long_segments_are_kept(order: Order):
    """Nothing is dropped because nobody knows it (D-24)."""
    message = parse(order("orm-unknown-segments").decode())

    assert names(message) == ["MSH", "PID", "PD1", "ZPI", "PV1", "ORC", "OBR", "ZXX", "ZDS"]
    assert message.field("ZXX", 1, 1) == ((("anything",), ("at",)), (("all",),))
    assert message.field("OBR", 1, 60) == ((("60",), ("last",)),)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("", 100, id="empty"),
        pytest.param("hello", 100, id="garbage"),
        pytest.param("MSH", 100, id="name alone"),
        pytest.param("PID|1||ID1", 100, id="no MSH"),
        pytest.param("MSHX^~\\&X", 102, id="a letter separates"),
        pytest.param("MSH|^^~|APP", 102, id="a delimiter twice"),
        pytest.param("MSH|^~\\&#!|APP", 102, id="too many delimiters"),
        pytest.param("FHS|^~\\&|RIS\rBHS|^~\\&|RIS\rMSH|^~\\&|RIS", 200, id="F-H54 file"),
        pytest.param("BHS|^~\\&|RIS|HOSP|MWL|HOSP|2026||||77\rMSH|^~\\&|RIS", 200, id="F-H54 batch"),
        pytest.param(f"{MSH}\rPID|1\r{MSH}\rPID|2", 100, id="two messages"),
        pytest.param(f"{MSH}\rDSC|1", 100, id="D-32 continued"),
        pytest.param(MSH + "\rZ" * (MAX_SEGMENTS + 1), 100, id="too many segments"),
        pytest.param(MSH + "\nZZZ|1" * (MAX_SEGMENTS + 1), 100, id="too many lines"),
    ],
)
def test_what_is_no_single_whole_message_is_refused(text: str, code: int):
    """These cannot be answered in any finer way."""
    with pytest.raises(NotUnderstood) as refusal:
        parse(text)

    assert refusal.value.findings[0].code == code


def test_a_field_of_absurdly_many_parts_is_refused_when_it_is_read():
    """Memory stays bounded by what was sent."""
    message = parse(f"{MSH}\rPID|1||{'^' * MAX_PARTS}x^\rORC|NW")

    assert first(message, "ORC", 1) == "NW"
    with pytest.raises(NotUnderstood):
        message.field("PID", 1, 3)


# ── fields ──


def test_fields_of_msh_are_numbered_from_the_separator():
    """MSH-1 is the separator itself, MSH-2 is not split (D-22)."""
    message = parse(MSH)

    assert [message.field("MSH", 1, n) for n in (1, 2)] == [((("|",),),), ((("^~\\&",),),)]
    assert first(message, "MSH", 3) == "RIS"
    assert message.field("MSH", 1, 9) == ((("ORM",), ("O01",)),)


def test_repetitions_components_and_sub_components_are_told_apart():
    """The four levels of a field keep their places."""
    message = parse(f"{MSH}\rPID|1||A^^B&C~D")

    assert message.field("PID", 1, 3) == ((("A",), ("",), ("B", "C")), (("D",),))


@pytest.mark.parametrize("written", ["", "^", "~", "^^~&", "  ", " ^ "])
def test_a_field_without_content_is_absent(written: str):
    """Delimiters alone say nothing (D-25)."""
    assert parse(f"{MSH}\rPID|1||{written}|x").field("PID", 1, 3) == ()


def test_f_h40_two_quotes_are_a_value_of_their_own():
    """Absent, to be deleted, and valued differ (D-25)."""
    message = parse(f'{MSH}\rOBR|1||""|x')

    assert message.field("OBR", 1, 2) == ()
    assert message.field("OBR", 1, 3) == ((('""',),),)
    assert message.field("OBR", 1, 4) == ((("x",),),)
    assert message.field("OBR", 1, 99) == ()
    assert message.field("OBR", 2, 1) == message.field("OBR", 0, 1) == message.field("ZZZ", 1, 1) == ()
    assert (message.count("OBR"), message.count("ZZZ")) == (1, 0)


def test_f_h27_delimiters_are_the_senders(order: Order):
    """Nothing assumes the usual characters."""
    message = parse(order("orm-delimiters").decode())

    assert message.field("PID", 1, 5) == ((("ROE",), ("RICHARD",)),)
    assert message.header.kind == "ORM^O01"
    assert message.header.delimiters.declared == "%~\\&"


@pytest.mark.parametrize(
    ("declared", "written", "read"),
    [
        pytest.param(
            "^~", r"A\T\B^C&D", ((r"A\T\B",), ("C", "D")), id="no escape character: nothing is escaped"
        ),
        pytest.param("^~\\", r"A\T\B^C&D", (("A&B",), ("C", "D")), id="no sub-component separator"),
        pytest.param("^~\\&#", r"A\P\B", (("A#B",),), id="2.7: truncation"),
        pytest.param("^~!&", r"A!T!B\T\C", ((r"A&B\T\C",),), id="another escape character"),
        pytest.param("", r"A\T\B^C&D", ((r"A\T\B",), ("C", "D")), id="none declared"),
        pytest.param("^~\\@", r"A@B\T\C&", (("A", "B@C&"),), id="another sub-component separator"),
    ],
)
def test_short_long_and_unusual_encoding_characters(declared: str, written: str, read: object):
    """What MSH-2 leaves out has its usual character (D-22)."""
    message = parse(MSH.replace("^~\\&", declared) + f"\rPID|1||{written}")

    assert message.field("PID", 1, 3) == (read,)


# ── groups ──


def test_each_group_sees_its_own_segments_and_those_around(order: Order):
    """MSH, PID and the ZDS after both orders are everyone's; OBR and NTE are not (C-01, C-05)."""
    one, two = parse(order("orm-two-orders").decode()).groups(("ORC",))

    assert [first(view, "OBR", 3) for view in (one, two)] == ["FI1104", "FI1105"]
    assert [view.count("OBR") for view in (one, two)] == [1, 1]
    assert [view.count("NTE") for view in (one, two)] == [1, 0]
    assert [first(view, "ZDS", 1) for view in (one, two)] == ["1.2.276.0.7230010.3.1.99.1104"] * 2
    assert [first(view, "PID", 3) for view in (one, two)] == ["PIX1104"] * 2
    assert two.location("OBR", 1) == ("OBR", 2)
    assert two.location("PID", 1) == ("PID", 1)
    assert two.location("NTE", 1) == ("NTE", 1)


def test_each_group_with_a_zds_has_its_own():
    """A Z segment that every group holds stands alone for none (peers 2)."""
    text = f"{MSH}\rORC|NW|1\rOBR|1\rZDS|1.1\rORC|NW|2\rOBR|2\rZDS|1.2"

    one, two = parse(text).groups(["ORC"])

    assert (first(one, "ZDS", 1), first(two, "ZDS", 1)) == ("1.1", "1.2")
    assert one.count("ZDS") == 1
    assert two.location("ZDS", 1) == ("ZDS", 2)


def test_a_group_without_zds_does_not_borrow_that_of_another():
    """Only what follows the last group is shared."""
    text = f"{MSH}\rORC|NW|1\rOBR|1\rZDS|1.1\rORC|NW|2\rOBR|2"

    assert [view.count("ZDS") for view in parse(text).groups(["ORC"])] == [1, 0]


def test_of_several_starts_each_stands_once_in_a_group():
    """An OBR belongs to the ORC before it, and begins a group where there is none."""
    text = f"{MSH}\rOBR|1\rORC|NW|2\rTQ1|1\rOBR|2\rOBR|3"

    groups = parse(text).groups(("ORC", "OBR"))

    assert [(g.count("ORC"), first(g, "OBR", 1)) for g in groups] == [(0, "1"), (1, "2"), (0, "3")]


def test_groups_of_a_group(order: Order):
    """The steps of an order see the order (C-03)."""
    (only,) = parse(order("omi-2.5.1-two-steps").decode()).groups(("ORC",))

    steps = only.groups(("IPC",))

    assert [first(step, "IPC", 4) for step in steps] == ["SPX1103A", "SPX1103B"]
    assert [first(step, "OBR", 3) for step in steps] == ["FI1103", "FI1103"]
    assert steps[1].location("IPC", 1) == ("IPC", 2)
    assert steps[1].field("IPC", 1, 9) == ((("US_1",),), (("US_2",),))


def test_a_note_on_the_patient_is_no_note_on_an_order():
    """NTE belongs to what it follows."""
    text = f"{MSH}\rPID|1\rNTE|1||patient\rORC|NW\rOBR|1"
    message = parse(text)

    assert first(message, "NTE", 3) == "patient"
    assert message.groups(["ORC"])[0].count("NTE") == 0


def test_a_note_on_an_order_is_seen_from_each_of_its_steps():
    """What stands before the first step is the order's; a note on one step is no other's."""
    (order_view,) = parse(
        f"{MSH}\rPID|1\rNTE|1||patient\rORC|NW\rOBR|1\rNTE|1||order\rIPC|A\rIPC|B\rNTE|1||step"
    ).groups(["ORC"])

    notes = [first(step, "NTE", 3) for step in order_view.groups(["IPC"])]

    assert notes == ["order", "step"]


def test_a_message_without_groups_has_no_views():
    """No start, no group."""
    assert parse(MSH + "\rPID|1").groups(["ORC"]) == []


# ── escapes ──


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param(r"O\T\BRIEN", "O&BRIEN", id="F-H28"),
        pytest.param(r"SMITH\S\JONES", "SMITH^JONES", id="F-H29"),
        pytest.param(r"A\E\B", "A\\B", id="F-H30"),
        pytest.param(r"line1\.br\line2", "line1\r\nline2", id="F-H31"),
        pytest.param(r"\F\\R\\P\ ", "|~# ", id="field, repetition, truncation"),
        pytest.param(r"\X41\\X0D\\X0a\ ", "A\r\n ", id="bytes"),
        pytest.param(r"\XC3BC\ \XC3\\XBC\ ", "ü ü ", id="bytes of one character, together and apart"),
        pytest.param(r"\XFF\ \X4\ \X\ ", r"\XFF\ \X4\ \X\ ", id="bytes that are no text"),
        pytest.param(r"\H\bold\N\ \Z12\x", "bold x", id="highlighting and local"),
        pytest.param(r"a\.sp\b\.sp2\c\.sp+3\d", "a\r\nb\r\n\r\nc\r\n\r\n\r\nd", id="blank lines"),
        pytest.param(r"a\.sk3\b\.in+4\c\.ti2\\.fi\\.nf\d\.ce\e", "a   bcd\r\ne", id="layout"),
        pytest.param(r"a\.BR\b\.sp99999\c", "a\r\nb\\.sp99999\\c", id="case, and an absurd count"),
        pytest.param(r"\TEST\ ", r"\TEST\ ", id="peers 13"),
        pytest.param(r"C:\TEMP\F\x", "C:\\TEMP|x", id="a lone backslash before a sequence"),
        pytest.param("a\\", "a\\", id="unterminated"),
        pytest.param(r"\E\T\E\ ", r"\T\ ", id="decoded once"),
        pytest.param(r"\M2442\;3ED\C2842\ x", "山田 x", id="switch of the character set"),
        pytest.param(r"\C2842\Müller", "Müller", id="a switch that cannot be followed"),
        pytest.param(r"\q\ \.xx\ ", r"\q\ \.xx\ ", id="unknown"),
    ],
)
def test_escapes_are_decoded_once_and_the_unknown_kept(written: str, read: str):
    """D-27, after splitting."""
    assert parse(f"{MSH}\rNTE|1||{written}|").field("NTE", 1, 3) == (((read,),),)


def test_hexadecimal_bytes_are_of_the_messages_character_set():
    """The same bytes mean other letters in another set."""
    assert parse(f"{MSH}\rNTE|1||\\XDCDF\\", "iso8859_1").field("NTE", 1, 3) == ((("Üß",),),)


def test_an_escaped_delimiter_separates_nothing(order: Order):
    """Splitting comes before decoding."""
    message = parse(order("orm-escapes").decode())

    assert message.field("PID", 1, 5) == ((("O&BRIEN",), ("MARY",)),)
    assert first(message, "NTE", 3) == "line1\r\nline2 | ^ ~ \\ A bold \\TEST\\ C:\\TEMP"


@given(st.text())
def test_escaping_is_undone_by_reading(text: str):
    """Any text survives a field."""
    written = escape(text)

    assert unescape(written) == text
    assert not set(written) & set("|^~&\r\n\x0b\x1c")


@given(st.text(alphabet=st.sampled_from("\\.brspXHNEFSTRZCM0123456789ABC \r\n"), max_size=60))
def test_any_escapes_end_with_text(text: str):
    """No sequence, however broken, raises or grows without bound."""
    assert len(unescape(text)) <= 40 * len(text)


def test_without_an_escape_character_delimiters_become_spaces():
    """They would be read as structure."""
    delimiters = Delimiters.read("|", "^~")

    assert delimiters is not None
    assert escape("a|b^c\\d\r", delimiters) == "a b c\\d "


# ── header ──


def test_the_header_knows_who_sends_what():
    """Facts are read by name, unescaped, from the first repetition."""
    header = parse(
        "MSH|^~\\&|RIS\\T\\X^1.2^ISO|HOSP|A|B|20260705120000-0500||ADT^A04^ADT_A01|42 |p|2.5.1^DEU|||al|NE"
    ).header

    assert (header.application, header.facility) == ("RIS&X", "HOSP")
    assert (header.kind, header.message_type, header.trigger) == ("ADT^A04", "ADT", "A04")
    assert (header.control_id, header.processing_id, header.version) == ("42", "P", (2, 5, 1))
    assert (header.accept_ack, header.application_ack) == ("AL", "NE")
    assert header.raw(3) == "RIS\\T\\X^1.2^ISO"


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("20260705120000-0500", "2026-07-05T12:00:00-05:00"),
        ("202607051200", "2026-07-05T12:00:00+02:00"),
        ("20260705120001.25", "2026-07-05T12:00:01.250000+02:00"),
        ("20260705120000^S", "2026-07-05T12:00:00+02:00"),
        ("20260705", None),
        ("20261305120000", None),
        ("20260705120000+9999", None),
        ("today", None),
        ("", None),
    ],
)
def test_the_time_of_sending_is_an_instant_or_absent(written: str, instant: str | None):
    """MSH-7 without an offset is site time; nothing is invented for a broken one."""
    header = parse(MSH.replace("20260705120000", written)).header

    sent_at = header.sent_at(ZoneInfo("Europe/Berlin"))

    assert sent_at == (dt.datetime.fromisoformat(instant) if instant else None)


def test_a_batch_header_gives_the_facts_of_its_sender():
    """A refused batch is answered to its sender, under its own number."""
    from mwl.hl7.header import read_header

    header = read_header("BHS|^~\\&|RIS|HOSP|MWL|X|2026||||77")

    assert (header.application, header.facility, header.control_id, header.kind) == ("RIS", "HOSP", "77", "")


# ── against a foreign reader ──

_PART = st.text(alphabet="ABCxyz .-äß王", max_size=6).map(str.strip)
_COMPONENT = st.lists(_PART, min_size=1, max_size=3).map("&".join)
_FIELD = st.lists(st.lists(_COMPONENT, max_size=4).map("^".join), max_size=3).map("~".join)
_SEGMENT = st.tuples(
    st.sampled_from(["PID", "PV1", "ORC", "OBR", "ZDS", "ZXX"]), st.lists(_FIELD, max_size=12)
).map(lambda made: "|".join((made[0], *made[1])))


Nested: TypeAlias = "tuple[Nested, ...] | str"


def _content(parts: Nested) -> Nested:
    """Return the parts without empty ones at the end: whether they are there is not content (D-25)."""
    if isinstance(parts, str):
        return parts
    kept = [_content(part) for part in parts]
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)


def _taken_apart(field: str, d: Delimiters) -> Nested:
    return tuple(
        tuple(tuple(component.split(d.subcomponent)) for component in repetition.split(d.component))
        for repetition in field.split(d.repetition)
    )


def _altered(given: str, returned: str, d: Delimiters) -> str:
    """Return in which of its known ways hl7apy changed a field on the way through, "" where in none."""
    if _content(_taken_apart(given, d)) == _content(_taken_apart(returned, d)):
        return ""
    if given.replace("\\E\\", "\\") == returned.replace("\\E\\", "\\"):
        return "an escape it does not know is escaped once more"
    parts = str.maketrans("", "", d.repetition + d.component + d.subcomponent)
    if given.translate(parts) == returned.translate(parts):
        return "empty parts beyond the data type are dropped, and what follows moves up"
    try:
        if float(given) == float(returned):
            return "a number is written in another way"
    except ValueError:
        pass
    raise AssertionError(f"hl7apy made {returned!r} of {given!r}")


class Oracle:
    """hl7apy beside our reader, field by field; what cannot be compared is counted with the reason."""

    def __init__(self) -> None:
        self.compared = 0
        self.skipped: Counter[str] = Counter()

    def compare(self, text: str) -> None:
        from hl7apy.consts import VALIDATION_LEVEL
        from hl7apy.parser import parse_message

        theirs = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
        ours = parse(text)
        assert [child.name for child in theirs.children] == names(ours)
        for segment, child in zip(ours.segments, theirs.children, strict=True):
            if segment.name != "MSH":  # its delimiters are fields of their own there
                self._segment(segment, child, ours.header.delimiters)

    def _segment(self, segment: Segment, child: Any, d: Delimiters) -> None:
        if any(field.name is None for field in child.children):
            self.skipped[f"{segment.name}: a field its version does not know has no number"] += 1
            return
        written: dict[int, list[str]] = {}
        for field in child.children:
            written.setdefault(int(field.name.rsplit("_", 1)[1]), []).append(field.to_er7())
        last = segment.text.count(d.field)
        assert max(written, default=0) <= last
        for number in range(1, last + 1):
            returned = d.repetition.join(written.get(number, []))
            if reason := _altered(segment.raw(number), returned, d):
                self.skipped[f"{segment.name}-{number}: {reason}"] += 1
                continue
            self.compared += 1
            found = tuple(
                tuple(tuple(escape(part, d) for part in component) for component in repetition)
                for repetition in segment.field(number)
            )
            assert _content(found) == _content(_taken_apart(returned, d))

    @property
    def reasons(self) -> set[str]:
        return {each.partition(": ")[2] for each in self.skipped}


def test_hl7apy_finds_the_same_fields(record_property: Callable[[str, object], None]):
    """Where hl7apy gives a field back as it got it, it reads what we read; it does so nearly always."""
    oracle = Oracle()

    @settings(max_examples=400)  # it takes 10 ms to read one
    @given(lines=st.lists(_SEGMENT, max_size=6))
    def compare(lines: list[str]) -> None:
        oracle.compare("\r".join((MSH, *lines)))

    compare()

    record_property("hl7apy compared", oracle.compared)
    record_property("hl7apy skipped", dict(oracle.skipped))
    assert oracle.reasons <= {
        "empty parts beyond the data type are dropped, and what follows moves up",
        "a number is written in another way",
    }
    assert sum(oracle.skipped.values()) < oracle.compared / 20


ALTERED: dict[str, dict[str, int]] = {
    "orm-escapes": {"NTE-3: an escape it does not know is escaped once more": 1},
    "orm-two-orders": {"NTE-3: an escape it does not know is escaped once more": 1},
    "orm-unknown-segments": {"OBR: a field its version does not know has no number": 1},
}
"""What hl7apy alters of our fixtures, so that it cannot be asked: field, reason, how often."""


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "fixtures" / "hl7").glob("*.hl7")), ids=lambda path: path.stem
)
def test_hl7apy_reads_every_fixture_as_we_do(path: Path):
    """All of it but what is listed, with the reason."""
    oracle = Oracle()
    raw = path.read_bytes()
    decoded = decode(raw if b"\r" in raw else raw.replace(b"\n", b"\r"), "8859/1")

    oracle.compare("\r".join(split(decoded.text, parse(decoded.text).header.delimiters.field)))

    assert dict(oracle.skipped) == ALTERED.get(path.stem, {})
    assert oracle.compared > 5


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str):
    """Nothing but NotUnderstood comes out."""
    for candidate in (text, MSH + "\r" + text, "MSH|" + text):
        try:
            message = parse(candidate)
        except NotUnderstood:
            continue
        for segment in message.segments:
            for number in range(segment.text.count(message.header.delimiters.field) + 2):
                assert isinstance(segment.field(number), tuple)
        assert message.groups(["ORC", "OBR"]) is not None


def test_the_reader_is_a_source():
    """Mapping reads it through the protocol; mypy holds both to it."""
    source: Source = parse(MSH)

    assert source.count("MSH") == 1
