"""What an experienced engineer would say beside the facts, each on its condition."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from workbench.house import NOW, House

from mwl.mapping.devices.operations.order import Limit
from mwl.store import callers, queries
from mwl.store.associations import AssociationRecord
from mwl.store.callers import CallerFacts
from mwl.workbench.explain import Explanation
from mwl.workbench.hints import _KEPT, HintKind, hints

STUDY_ROOT_FIND, WORKLIST_FIND = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.31"
DATE = "SPS.ScheduledProcedureStepStartDate"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A hospital with one device and one step for it."""
    made = House(tmp_path)
    made.order(1)
    yield made
    made.store.close_now()


def said(explanation: Explanation) -> dict[HintKind, str]:
    """Return the hints by kind."""
    return {hint.kind: hint.text for hint in hints(explanation)}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("20260704", "device date is 1 day behind: look at its clock, or at the day chosen on its console"),
        ("20260703-20260704", "device date is 1 day behind: "),
        ("20260707", "device date is 2 days ahead: "),
        ("20260707-", "device date is 2 days ahead: "),
        ("2026.07.04", "device date is 1 day behind: "),
        ("20250101", "the day asked for is 550 days before today"),
    ],
)
def test_a_device_s_clock_is_doubted_where_its_window_misses_the_day_it_asked_on(house, asked, text):
    """Its own key counts, not what the profile makes of it (F19)."""
    key = f"{DATE}={asked}"

    found = said(house.explain(key, captured=house.captured(key)))

    assert found[HintKind.CLOCK].startswith(text)


@pytest.mark.parametrize("asked", ["20260705", "20260701-20260705", "-20260706", "20260704-", ""])
def test_a_window_that_holds_today_says_nothing_about_the_clock(house, asked):
    """Nor does a query without a date."""
    assert HintKind.CLOCK not in said(house.explain(f"{DATE}={asked}"))


def test_the_clock_is_compared_with_the_day_of_the_query(house):
    """A query of yesterday that asked for yesterday was right then."""
    yesterday = (NOW - dt.timedelta(days=1)).isoformat()
    captured = house.captured(f"{DATE}=20260704", last_at=yesterday)

    found = said(house.explain(f"{DATE}=20260704", captured=captured))

    assert HintKind.CLOCK not in found
    assert found[HintKind.OLD_QUERY] == (
        "the query is of 2026-07-04 09:30; it is explained on the steps of now"
    )


def test_f43_text_that_is_not_in_the_character_set_it_declares_is_told(house):
    """A console in Japan writes Shift-JIS under the label of Latin-1; its keys match nothing then."""
    shift_jis = house.captured("PatientName=XXXX", "SpecificCharacterSet=ISO_IR 100")
    identifier = shift_jis.identifier.replace(b"XXXX", "山田".encode("cp932"))

    found = said(house.explain("PatientName=x", captured=replace(shift_jis, identifier=identifier)))
    sound = said(house.explain("PatientName=x", captured=shift_jis))

    assert found[HintKind.CHARACTER_SET] == (
        "the text of its keys cannot be in the character set it declares (ISO_IR 100); "
        "it looks like sjis_or_jis: accept.charset_label"
    )
    assert HintKind.CHARACTER_SET not in sound


def test_a_profile_that_changed_since_the_answer_is_told(house):
    """By its digest, which the captured query carries."""
    same = house.captured(profile="site", profile_digest=house.bench.profile("CT1")[1].digest)
    other = replace(same, profile_digest="0" * 32)

    assert HintKind.PROFILE_CHANGED not in said(house.explain(captured=same))
    assert HintKind.PROFILE_CHANGED in said(house.explain(captured=other))


def test_a_device_that_may_filter_by_itself_is_told_of_where_something_was_sent(house):
    """F13."""
    house.profile("local_filter: possible\n")

    sent, empty = house.explain("SPS.Modality=CT"), house.explain("SPS.Modality=MR")

    assert said(sent)[HintKind.LOCAL_FILTER].startswith("1 sent; ")
    assert HintKind.LOCAL_FILTER not in said(empty)


def test_ff01_and_the_keys_behind_it_are_told(house):
    """Some consoles take it for a failure (A-20)."""
    house.profile("session: {pending: auto}\n")

    found = said(house.explain("InstitutionName=HOSP"))

    assert found[HintKind.UNSUPPORTED_KEYS].startswith("not matched on: InstitutionName")
    assert "session.pending" in found[HintKind.WARNING_STATUS]


def test_a_list_that_was_cut_is_told(house):
    """By the limit that cut it, and what stays by it."""
    house.profile("limit: {max: 1, overflow: truncate}\n")
    house.order(2)

    assert said(house.explain())[HintKind.LIMIT] == (
        "more than 1 match, the limit: the first of them are sent"
    )


def test_a_list_that_the_broker_may_have_sent_again_is_told_of(house):
    """What a device was shown may be older than what is explained (P33)."""
    house.profile("session: {min_poll: 30s}\n")

    assert said(house.explain())[HintKind.OLD_LIST] == (
        "by session.min_poll the broker may send a list again that it sent before"
    )


def test_every_overflow_has_its_words():
    """Those that a profile may write."""
    words = Limit.model_fields["overflow"].annotation

    assert set(get_args(words)) == set(_KEPT)


def test_a_device_that_asks_query_retrieve_is_told_of(house):
    """Its refusals on record tell what it proposed (F09)."""
    record = AssociationRecord.of([(STUDY_ROOT_FIND, ["1.2.840.10008.1.2"])])
    right = AssociationRecord.of([(STUDY_ROOT_FIND, []), (WORKLIST_FIND, [])])
    for ae, proposed in (("CT1", record), ("CT2", right)):
        facts = CallerFacts(ae, "MWL", "10.0.0.7", "no context", association=proposed)
        house.store.write_now(lambda tx, facts=facts: callers.refused(tx, facts))

    assert HintKind.WRONG_CLASS in said(house.explain())
    assert HintKind.WRONG_CLASS not in said(house.explain(ae="CT2"))


def test_a_request_without_message_id_is_told_of(house):
    """F52: consoles time out where nothing answers it."""
    captured = house.captured(association=AssociationRecord(missing_message_id=True), microseconds=6_000_000)
    house.store.write_now(lambda tx: queries.record(tx, [captured], per_device=10))

    found = said(house.explain(captured=captured))

    assert HintKind.MESSAGE_ID in found
    assert found[HintKind.SLOW] == "its last answer took 6.0 s"


def test_a_refused_caller_that_looks_alike_is_named_where_the_device_never_asked(house):
    """A misspelt AE title is the first thing to look for."""
    for ae in ("ct1", "US7"):
        facts = CallerFacts(ae, "MWL", "10.0.0.8", "calling AE title not configured")
        house.store.write_now(lambda tx, facts=facts: callers.refused(tx, facts))

    found = [hint.text for hint in hints(house.explain()) if hint.kind is HintKind.ALIKE]

    assert found == [
        "ct1 from 10.0.0.8 was refused 1 times: calling AE title not configured; is that the device?"
    ]


def test_what_is_on_hold_and_today_s_modalities_are_told(house):
    """With their numbers."""
    house.hold(house.order(2, SPS__Modality="MR"))

    found = said(house.explain("SPS.Modality=MR"))

    assert found[HintKind.HELD] == "1 match, and are on hold by their orders"
    assert found[HintKind.MODALITY] == "modalities of today's steps: CT (1)"
