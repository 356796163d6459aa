"""Played devices at the real broker: each judge is shown to object, and to be content with the right profile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from acceptance.manual import Reader
from mwl.dicom.emulators import DEVICES, Emulator, emulate
from mwl.model import text

TODAY = dt.date(2026, 7, 5)
QUERIES = [(name, query) for name, device in DEVICES.items() for query in device.queries]
ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260704120000||ORM^O01|C{n}|P|2.3.1||||||UNICODE UTF-8\n"
    "PID|1||{patient}^^^HOSP||{name}||{born}|F\n"
    "ORC|NW|PL{n}^RIS|FI{n}^RIS||||1^once^^20260705{time}^^S|||||||||||{station}\n"
    "OBR|1|PL{n}^RIS|FI{n}^RIS|{code}||||||||||||||ACC{n}|RP{n}|SPS{n}||||{modality}"
    "|||1^once^^20260705{time}^^S\n"
    "ZDS|1.2.276.0.99.{study}^RIS^Application^DICOM\n"
)
PROFILES = {
    "as-generic": "extends: [generic]\n",
    "utf8": "extends: [ge-ct-connectpro]\ncharset: {fixed: ISO_IR 192}\n",
    "short-times": "extends: [ge-ct-connectpro]\nformat: {SPS.ScheduledProcedureStepStartTime: HHMM}\n",
    "loses-schemes": (
        "extends: [generic]\ncode: null\nclear: [RequestedProcedureCodeSequence.CodingSchemeDesignator]\n"
    ),
}


def order(n: int, *, modality: str = "CT", station: str = "", **fields: Any) -> str:
    said = {
        "name": "DOE^JANE",
        "born": "19700101",
        "time": "093000",
        "code": "CT01^CT head^L",
        "study": n,
        "patient": f"PID{n}",
        **fields,
    }
    return ORDER.format(n=n, modality=modality, station=station, **said)


@pytest.fixture(scope="module")
def broker(serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker with profiles that are right and wrong for their devices, and an entry for anyone."""
    folder = tmp_path_factory.mktemp("emulators")
    (folder / "mappings" / "devices").mkdir(parents=True)
    for name, lines in PROFILES.items():
        header = f"profile: {name}\nstatus: hypothesis\n"
        (folder / "mappings" / "devices" / f"{name}.yaml").write_text(header + lines)
    devices = {
        "CT1": {"profile": "ge-ct-connectpro"},
        "CT_UTF8": {"profile": "utf8"},
        "CT_TIMES": {"profile": "short-times"},
        "XR_LOSES": {"profile": "loses-schemes"},
        "*": {"profile": "as-generic"},
    }
    with serving(folder, devices=devices, mappings=str(folder / "mappings")) as running:
        yield running


@pytest.fixture(scope="module")
def ordered(broker: Any) -> Any:
    """The broker with an order for every modality that is played, and for every judge."""
    from hl7.client import MLLPClient

    messages = [
        order(1, station="CT1", name="Müller^Jürgen"),
        order(2, station="CT1", name="王^小明^^^^^L^I"),
        order(3, modality="US", code="US01^Abdomen^L", study=77),
        order(4, modality="US", code="US02^Thyroid^L", study=77, patient="PID3"),
        order(5, modality="DX", code="DX01^Chest"),
        order(6, modality="CR", station="NX_WL", code="^Hand"),
        order(7, name="YAMADA^TARO^^^^^L^A~山田^太郎^^^^^L^I"),
        *(order(10 + n, modality=modality) for n, modality in enumerate(("RF", "MG", "MR"))),
    ]
    with MLLPClient(*broker.addresses["hl7"]) as client:
        for message in messages:
            answer = client.send(b"\x0b" + message.encode().replace(b"\n", b"\r") + b"\x1c\x0d")
            assert b"MSA|AA|" in answer, answer
    return broker


def play(broker: Any, device: str, query: str = "", **how: Any) -> Any:
    """Play *device* at the broker."""
    return emulate(device, query, at=broker.addresses["dicom"], called="MWL", today=TODAY, **how)


def accessions(items: list[Any]) -> list[str]:
    return sorted(text(item, "00080050") for item in items)


@pytest.mark.parametrize(("name", "query"), QUERIES)
def test_every_query_is_answered(ordered, name, query):
    """With success, and nothing that its console refuses: LOGIQ 7 alone hides one of two (F28)."""
    typed = {"birth date": "19700101"}.get(query, "PID1")

    seen = play(ordered, name, query, typed=typed)

    assert (seen.status, seen.error) == (0, "")
    assert len(seen.not_shown) == (name == "sim-ge-logiq7")
    assert not seen.log or seen.log == ["the console says: no items found"]


def test_a_ge_ct_gets_latin_1_and_its_own(ordered):
    """F40, F41, F26: pinyin, umlauts, and with "this modality" an order that names no station."""
    own = play(ordered, "sim-ge-ct", "this scanner/today")
    all_ct = play(ordered, "sim-ge-ct", "this modality/both")

    assert [text(item, "00100010") for item in own.shown] == ["Müller^Jürgen", "WANG^XIAOMING"]
    assert "Müller^Jürgen".encode("latin-1") in own.raw[0]
    assert "ACC7" in accessions(all_ct.shown)


@pytest.mark.parametrize(
    ("ae", "reason"),
    [
        ("CT_UTF8", "SpecificCharacterSet is ISO_IR 192, not ISO_IR 100"),
        ("CT_TIMES", "SPS.ScheduledProcedureStepStartTime '0930' is not exactly six digits"),
    ],
)
def test_a_ge_ct_refuses_what_a_wrong_profile_sends(ordered, ae, reason):
    """The broker says 0000, and the console is empty all the same."""
    seen = play(ordered, "sim-ge-ct", "this modality/today", ae=ae)

    assert (seen.status, seen.shown) == (0, [])
    assert seen.not_shown
    assert all(reason in why for _, why in seen.not_shown)


def test_a_ge_ct_that_aborts_leaves_the_broker_well(ordered):
    """C-CANCEL and A-ABORT in the middle of an answer."""
    seen = play(ordered, "sim-ge-ct", "this modality/today", ae="CT_UTF8", on_bad="abort")

    assert (len(seen.not_shown), seen.error) == (
        1,
        "an entry of the worklist is wrong: the update was aborted",
    )
    assert play(ordered, "sim-ge-ct").content


def test_an_aristos_does_not_show_a_code_without_its_scheme(ordered):
    """F24: unless a profile sends it incomplete."""
    right = play(ordered, "sim-siemens-aristos")
    wrong = play(ordered, "sim-siemens-aristos", ae="XR_LOSES")

    assert (accessions(right.shown), right.not_shown) == (["ACC5"], [])
    assert wrong.shown == []
    ((_, why),) = wrong.not_shown
    assert why == "RequestedProcedureCodeSequence has an item without Coding Scheme Designator"


def test_a_logiq_7_hides_one_of_two_steps_of_a_study(ordered):
    """F28, F29: until its profile gives each step a study, or merges them."""
    seen = play(ordered, "sim-ge-logiq7")

    assert len(seen.received) == 2
    assert [why for _, why in seen.not_shown] == ["a later entry has the same StudyInstanceUID"]


def test_a_siemens_fluoroscopy_is_answered(ordered):
    """F52: though its request has no number."""
    seen = play(ordered, "sim-siemens-flc")

    assert accessions(seen.shown) == ["ACC10"]


def test_a_medison_gets_no_empty_code(ordered):
    """F25: its sequence comes back without an item."""
    seen = play(ordered, "sim-medison")

    assert len(seen.shown) == 10
    steps = [item["00400100"]["Value"][0] for item in seen.shown]
    assert all(
        not step["00400008"].get("Value") or "Value" in step["00400008"]["Value"][0]["00080100"]
        for step in steps
    )
    assert any(not step["00400008"].get("Value") for step in steps)


def test_a_mammography_system_may_cancel(ordered):
    """F53: FE00, and no error on its console."""
    seen = play(ordered, "sim-philips-mg", cancel_after=1)

    assert (seen.error, len(seen.shown)) == ("", 1)


@pytest.mark.parametrize(
    ("query", "found"),
    [("day", 3), ("from", 3), ("until", 3), ("between", 3), ("star", 3), ("empty date", 3)],
)
def test_a_low_cost_console_is_answered_whatever_its_date(ordered, query, found):
    """F06, F15, F16: keys at the root, in every form of a date."""
    seen = play(ordered, "sim-lowcost-cn", query)

    assert accessions(seen.shown) == ["ACC1", "ACC2", "ACC7"]
    assert len(seen.received) == found


def test_a_low_cost_console_finds_a_name_in_gb18030(ordered):
    """F42: as it writes it, and in the same character set."""
    seen = play(ordered, "sim-lowcost-cn", "name", typed="=王^小明*")

    assert accessions(seen.shown) == ["ACC2"]
    assert "王^小明".encode("gb18030") in seen.raw[0]


def test_an_agfa_reports_under_its_other_title(ordered):
    """M10, M11: N-CREATE and N-SET in associations of their own, from NX_MPPS."""
    nx = Emulator("sim-agfa-nx", ordered.addresses["dicom"], called="MWL", today=TODAY)
    (entry,) = nx.run("broad").shown

    reports = nx.perform(entry, variant="moved")

    assert [(each.state, each.calling_ae, each.status) for each in reports] == [
        ("IN PROGRESS", "NX_MPPS", 0),
        ("DISCONTINUED", "NX_MPPS", 0),
    ]
    listed = ordered.run("steps", "list", "--accession", "ACC6").stdout
    assert " DISCONTINUED " in listed


@pytest.mark.parametrize(
    ("device", "variant"),
    [
        (name, variant)
        for name, device in DEVICES.items()
        for variant in device.performing
        if variant != "moved"
    ],
)
def test_every_report_is_taken(ordered, device, variant):
    """M06 to M09: post-processing, groups, edited accession numbers, exams without an order."""
    items = play(ordered, "sim-ge-ct", "this modality/today").received
    emulator = Emulator(device, ordered.addresses["dicom"], called="MWL", today=TODAY)

    reports = emulator.perform(*[*items, {}, {}][:2], variant=variant)

    assert [(each.operation, each.status, each.error) for each in reports] == [
        ("N-CREATE", 0, ""),
        ("N-SET", 0, ""),
    ] * (len(reports) // 2)


def test_the_manual_s_example_comes_out_as_it_is_printed_there(start_broker: Callable[..., Any]) -> None:
    """Every line of "Playing a device", from the empty console to the performed step."""
    reader = Reader(start_broker)

    reader.read_section("field-engineer.md", "Playing a device")

    assert reader.seen == reader.said
    assert any("not ISO_IR 100" in line for line in reader.seen)
    assert any("N-SET COMPLETED as CT1: 0000" in line for line in reader.seen)
