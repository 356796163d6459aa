"""P34 `mpps.accept`: what a profile tolerates of a device's performed steps, and what it insists on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dicom.performing import (
    BIG_ENDIAN,
    COMMENT,
    DEFLATED,
    END_DATE,
    ERROR_ID,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    ITEMS,
    SERIES,
    STATION,
    STATUS,
    TAGS,
    TOLD,
    U1,
    document,
    element,
    encoded,
    ended,
    kept,
    n_create,
    reported,
    series,
    states,
    stored,
    told,
)

from mwl.dicom.devices import Devices
from mwl.dicom.encoding import decode_dataset
from mwl.dicom.performed import Begun, PerformedService
from mwl.dicom.service import N_CREATE_RQ, N_SET_RQ, AssociationFacts
from mwl.mapping.devices.device import DeviceProfile
from mwl.model import Document, WorklistItem, text, values
from mwl.store import Store
from mwl.store.linking import Remark


@pytest.fixture
def nc(f0_items: dict[str, WorklistItem]) -> Callable[..., Document]:
    """The base N-CREATE of F.3 for S1."""
    return lambda **changes: n_create(f0_items["S1"], **changes)


@pytest.fixture
def by(store: Store, devices: Any, profile: Any) -> Callable[..., PerformedService]:
    """The service by a profile with these tolerances."""

    def make(written: str, **others: Any) -> PerformedService:
        lines = f"mpps: {{accept: {{{written}}}}}"
        return PerformedService(store, devices(anyone=profile(lines)), TOLD, **others)

    return make


@pytest.fixture
def create(ask: Any) -> Callable[..., Any]:
    """Send N-CREATE."""
    return lambda service, document, uid=U1, **more: ask(
        service, N_CREATE_RQ, encoded(document), uid=uid, **more
    )


@pytest.fixture
def change(ask: Any) -> Callable[..., Any]:
    """Send N-SET."""
    return lambda service, document, uid=U1, **more: ask(
        service, N_SET_RQ, encoded(document), uid=uid, **more
    )


async def test_m01_a_uid_is_assigned_or_insisted_on(by: Any, store: Store, create: Any, nc: Any) -> None:
    """0000 with (0000,1000), and with that the step can be set; or 0117."""
    assigned = await create(by("no_uid: assign"), nc(), uid=None)
    refused = await create(by("no_uid: reject"), nc(), uid=None)

    assert (assigned.final, refused.final) == (0x0000, 0x0117)
    assert stored(store, assigned.fields[INSTANCE]) is not None


@pytest.mark.parametrize(("state", "event"), [("COMPLETED", "CM"), ("DISCONTINUED", "DC")])
async def test_m02_a_step_that_is_over_when_it_is_created_begins_and_ends(
    by: Any, store: Store, create: Any, change: Any, nc: Any, caplog: Any, state: str, event: str
) -> None:
    """One instance; the scheduled step goes through STARTED, the RIS hears both, and it is final."""
    service = by("ncreate_final: synthesise")
    over = nc(**{f"t{tag}": each for tag, each in ended(state).items()})

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await create(service, over)
    later = await change(service, {SERIES: series("9.9")})

    assert (answer.final, later.fields[ERROR_ID]) == (0x0000, 0xA710)
    assert (states(store, "S1"), told(store)) == ([state], [("IP", "ACC1001"), (event, "ACC1001")])
    assert (text(document(store), STATUS), stored(store).state.value) == (state, state)
    assert reported(caplog) == ["it was over when it was created"]


async def test_m02_one_that_is_over_needs_what_a_final_state_needs(by: Any, create: Any, nc: Any) -> None:
    """0121 where the profile insists; by default it is not taken at all: 0106."""
    over = nc(t00400252=element("CS", "COMPLETED"))

    strictly = await create(by("ncreate_final: synthesise, strict: true"), over)

    assert (await create(by("no_uid: assign"), over)).final == 0x0106
    assert strictly.final == 0x0121
    assert END_DATE in decode_dataset(strictly.data, EXPLICIT)


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN, DEFLATED])
async def test_m03_a_repetition_is_told_by_what_it_says(
    by: Any, store: Store, create: Any, change: Any, ask: Any, nc: Any, syntax: str
) -> None:
    """In another transfer syntax and after the step was set: nothing differs from the first, nothing is done."""
    service = by("repeat: idempotent")
    await create(service, nc())
    await change(service, {SERIES: series("1.1")})
    before = stored(store)

    again = await ask(service, N_CREATE_RQ, encoded(nc(), syntax), uid=U1, syntax=syntax)
    other = await create(service, nc(t00400253=element("SH", "PPS2")))

    assert (again.finals, other.final) == ([(0x0000, None, {INSTANCE: U1})], 0x0111)
    assert (stored(store), told(store)) == (before, [("IP", "ACC1001")])


async def test_m03_a_step_of_which_no_request_is_kept_is_told_by_what_is_stored(
    by: Any, store: Store, create: Any, nc: Any
) -> None:
    """As those are that were created by an earlier version."""
    service = by("repeat: idempotent")
    await create(service, nc())
    store.write_now(lambda tx: tx.connection.exec_driver_sql("DELETE FROM performed_requests"))

    assert (await create(service, nc())).final == 0x0000
    assert (await create(service, nc(t00400253=element("SH", "PPS2")))).final == 0x0111


async def test_m04_what_is_acknowledged_and_not_done_is_kept(
    by: Any, store: Store, create: Any, change: Any, nc: Any, caplog: Any
) -> None:
    """0000 and an event; the device's bytes are there for whoever wants to know."""
    service = by("nset_after_final: ack")
    await create(service, nc())
    await change(service, ended("COMPLETED"))
    before = stored(store)

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await change(service, {SERIES: series("9.9")})

    assert (answer.final, stored(store)) == (0x0000, before)
    assert [each.operation for each in kept(store)] == ["N-CREATE", "N-SET", "N-SET"]
    assert kept(store)[-1].data == encoded({SERIES: series("9.9")})
    assert len(reported(caplog)) == 1


async def test_m05_a_step_nobody_created_is_made_of_what_is_set(
    by: Any, store: Store, change: Any, nc: Any, caplog: Any
) -> None:
    """Linked by what the device sends along, ended as it says, and remarked on; the default stays 0112."""
    assert (await change(by("no_uid: assign"), ended("COMPLETED"))).final == 0x0112
    whole = {**nc(), **ended("COMPLETED")}

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await change(by("nset_unknown: create"), whole)

    assert (answer.final, states(store, "S1")) == (0x0000, ["COMPLETED"])
    assert told(store) == [("IP", "ACC1001"), ("CM", "ACC1001")]
    assert stored(store).remarks == (Remark.IRREGULAR,)
    assert reported(caplog)[0] == "nobody had created it"


async def test_m05_one_that_goes_on_is_made_in_progress(by: Any, store: Store, change: Any) -> None:
    """With nothing to link it by it is unscheduled, and can be set further."""
    service = by("nset_unknown: create")

    answers = [await change(service, {SERIES: series("1.1")}), await change(service, ended("COMPLETED"))]

    assert [answer.final for answer in answers] == [0x0000, 0x0000]
    assert text(document(store), STATUS) == "COMPLETED"
    assert Remark.UNSCHEDULED in stored(store).remarks


@pytest.mark.parametrize("state", ["ABORTED", "COMPLETE", "DONE", "CANCELED"])
async def test_a_state_nobody_knows_makes_no_step(by: Any, store: Store, change: Any, state: str) -> None:
    """It is never taken for COMPLETED, whatever is tolerated besides."""
    answer = await change(by("nset_unknown: create, ncreate_final: synthesise"), ended(state))

    assert (answer.final, stored(store)) == (0x0106, None)


async def test_m13_what_is_missing_is_taken_and_code_strings_are_put_right(
    by: Any, store: Store, create: Any, nc: Any, caplog: Any
) -> None:
    """0000 with a warning event; what is stored is clean, and the device's own bytes stand beside it."""
    wrong = nc(t00080060=element("CS", "ct"), t00100040=element("CS", "m "), t00100030=None,
               t00400252=element("CS", "in progress"), t00180015=element("CS", "HEAD-NECK"))  # fmt: skip

    with caplog.at_level(logging.WARNING, "mwl"):
        answer = await create(by("missing: tolerate"), wrong)

    assert (answer.final, states(store, "S1")) == (0x0000, ["STARTED"])
    found = document(store)
    assert [text(found, tag) for tag in ("00080060", "00100040", STATUS, "00180015")] == [
        "CT", "M", "IN PROGRESS", "HEAD_NECK",
    ]  # fmt: skip
    assert [each.split(":")[0] for each in reported(caplog)] == [
        "a code string was put right", "a type 2 attribute is missing",
    ]  # fmt: skip
    assert "PatientSex" in reported(caplog)[0]
    assert stored(store).remarks == ()  # nothing a person has to decide about
    assert [each.data for each in kept(store)] == [encoded(wrong)]


async def test_m13_a_strict_profile_refuses_them(by: Any, store: Store, create: Any, nc: Any) -> None:
    """0120 with the tags, 0106 with the values."""
    service = by("strict: true")

    missing = await create(service, nc(t00100030=None, t00200010=None))
    illegal = await create(service, nc(t00080060=element("CS", "ct")))

    assert (missing.final, missing.fields[TAGS]) == (0x0120, [0x00100030, 0x00200010])
    assert illegal.final == 0x0106
    assert decode_dataset(illegal.data, EXPLICIT) == {"00080060": element("CS", "ct")}
    assert stored(store) is None


async def test_m13_a_profile_insists_on_the_attributes_it_names(
    by: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """0120 or 0121 for these, at any level; for any other it is as tolerant as before."""
    named = "missing: [PerformedStationAETitle, PerformedSeriesSequence, ScheduledStepAttributesSequence.AccessionNumber]"
    service = by(named)
    item = {tag: each for tag, each in values(nc(), ITEMS)[0].items() if tag != "00080050"}

    missing = await create(service, nc(t00400241=None, t00080060=None))
    inside = await create(service, nc(t00400270=element("SQ", item)))
    taken = await create(service, nc(t00080060=None))
    unfinished = await change(service, ended("COMPLETED", t00400340=element("SQ"), t00400250=element("DA")))

    assert (missing.final, missing.fields[TAGS]) == (0x0120, [int(STATION, 16)])
    assert (inside.final, decode_dataset(inside.data, EXPLICIT)) == (
        0x0121, {ITEMS: element("SQ", {"00080050": element("SH")})},
    )  # fmt: skip
    assert taken.final == 0x0000
    assert (unfinished.final, decode_dataset(unfinished.data, EXPLICIT)) == (0x0121, {SERIES: element("SQ")})


async def test_what_is_not_known_is_left_out_by_a_strict_profile(
    by: Any, store: Store, create: Any, nc: Any
) -> None:
    """0107, a warning, with the tags: the rest is done.  Others keep it: it may be of a later edition."""
    unknown = nc(t00080099=element("UN"), t00090010=element("LO", "ACME"), t00091001=element("LO", "X"))

    answer = await create(by("strict: true"), unknown)
    other = await create(by("strict: false"), unknown, uid="1.2.9")

    assert (answer.final, answer.fields, answer.data) == (0x0107, {INSTANCE: U1, TAGS: [0x00080099]}, None)
    assert ("00080099" in document(store), "00091001" in document(store)) == (False, True)
    assert (other.final, "00080099" in document(store, "1.2.9")) == (0x0000, True)


@pytest.mark.parametrize(
    ("option", "setting", "offending"),
    [
        ("empty_code_sequences", {}, ["00081032", "00400260"]),
        ("empty_image_list", {SERIES: series()}, [SERIES]),
    ],
)
async def test_m07_m09_a_profile_may_want_codes_or_images_at_the_end(
    by: Any, store: Store, create: Any, change: Any, nc: Any, option: str, setting: Any, offending: list[str]
) -> None:
    """0121 and the step goes on; by default nobody minds, and nothing is reported."""
    service = by(f"{option}: reject")
    await create(service, nc())

    refused = await change(service, {**ended("COMPLETED"), **setting})
    taken = await change(by(f"{option}: ok"), {**ended("COMPLETED"), **setting})

    assert (refused.final, list(decode_dataset(refused.data, EXPLICIT))) == (0x0121, offending)
    assert (taken.final, states(store, "S1")) == (0x0000, ["COMPLETED"])


async def test_m15_a_profile_may_refuse_what_comes_late(
    by: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """0110 to what was over a day before the clock of these tests, which shows 5 July, 11:15 on the site's wall."""
    service = by("late: reject")
    old = {"t00400244": element("DA", "20260704"), "t00400245": element("TM", "1114")}

    refused = await create(service, nc(**old))
    taken = await create(service, nc(t00400244=element("DA", "20260704"), t00400245=element("TM", "1116")))
    too_late = await change(service, ended("COMPLETED", t00400250=element("DA", "20260703")))
    anyway = await create(by("late: ok"), nc(**old), uid="1.2.9")

    assert [each.final for each in (refused, taken, too_late, anyway)] == [0x0110, 0x0000, 0x0110, 0x0000]
    assert refused.fields[COMMENT] == "the exam is long over"


@pytest.fixture
def workstation(store: Store, profile: Any) -> Callable[[str], PerformedService]:
    """The service for a device that queries as CT1 and reports as CT1_MPPS, and another one."""

    def make(written: str) -> PerformedService:
        bound: DeviceProfile = profile(f"mpps: {{accept: {{{written}}}}}")
        known = Devices(
            "MWL", {"CT1": bound, "CT2": bound}, ZoneInfo("Europe/Berlin"), also={"CT1_MPPS": "CT1"}
        )
        return PerformedService(store, known, TOLD)

    return make


async def test_m11_the_titles_of_a_device_are_one_device(
    workstation: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """N-CREATE as one, N-SET as the other, in associations of their own; and another device may end it, too."""
    service = workstation("calling_ae_differs: ok")

    answers = [
        await create(service, nc(), calling="CT1_MPPS"),
        await change(service, {SERIES: series("1.1")}, calling="CT1"),
        await change(service, ended("COMPLETED"), calling="CT2"),
    ]

    assert [answer.final for answer in answers] == [0x0000] * 3
    assert stored(store).calling_ae == "CT1"
    assert [each.calling_ae for each in kept(store)] == ["CT1_MPPS", "CT1", "CT2"]


async def test_m11_a_profile_may_want_the_title_it_knows(
    workstation: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """0124 to the other title, and to another device."""
    service = workstation("calling_ae_differs: reject")

    answers = [
        await create(service, nc(), calling="CT1_MPPS"),
        await create(service, nc(), calling="CT1"),
        await change(service, ended("COMPLETED"), calling="CT2"),
        await change(service, ended("COMPLETED"), calling="CT1"),
    ]

    assert [answer.final for answer in answers] == [0x0124, 0x0000, 0x0124, 0x0000]


async def test_a_profile_may_want_one_association(
    by: Any, store: Store, create: Any, change: Any, nc: Any
) -> None:
    """0110 to an N-SET in another, and to one whose N-CREATE a broker took that is gone."""
    begun = Begun(most=1)
    service = by("separate_associations: reject", begun=begun)
    one, other = (AssociationFacts("CT1", "MWL") for _ in range(2))
    await create(service, nc(), association=one)

    apart = await change(service, {SERIES: series("1.1")}, association=other)
    same = await change(
        by("separate_associations: reject", begun=begun), {SERIES: series("1.1")}, association=one
    )
    await create(service, nc(), uid="1.2.9", association=one)
    forgotten = await change(service, {SERIES: series("1.1")}, association=one)

    assert [each.final for each in (apart, same, forgotten)] == [0x0110, 0x0000, 0x0110]
    assert (await change(by("separate_associations: ok"), ended("COMPLETED"), association=other)).final == 0


async def test_every_request_that_changed_anything_is_kept_as_it_came(
    by: Any, store: Store, ask: Any, create: Any, change: Any, nc: Any
) -> None:
    """To the byte, with its transfer syntax and who sent it; what was refused changed nothing."""
    service = by("missing: tolerate")
    implicit = encoded(nc(), IMPLICIT, "ISO_IR 100")
    await ask(service, N_CREATE_RQ, implicit, uid=U1, syntax=IMPLICIT)
    await change(service, ended("ABORTED"))
    await create(service, nc())
    await change(service, ended("COMPLETED"))

    assert [(each.operation, each.transfer_syntax, each.address, each.data) for each in kept(store)] == [
        ("N-CREATE", IMPLICIT, "127.0.0.1", implicit),
        ("N-SET", EXPLICIT, "127.0.0.1", encoded(ended("COMPLETED"))),
    ]
