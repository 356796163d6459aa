"""What a device's performed steps do, as data."""

from __future__ import annotations

import datetime as dt

import pytest

from mwl.conduct import Conduct, Conducts, Key, Rung
from mwl.discontinuation import ORDER_AT_FAULT, REASONS, WRONG_ENTRY, reasons
from mwl.lifecycle import StepState

S = StepState


def discontinued(*codes: tuple[str, str]) -> dict:
    items = [
        {"00080100": {"vr": "SH", "Value": [code]}, "00080102": {"vr": "SH", "Value": [scheme]}}
        for code, scheme in codes
    ]
    return {"00400281": {"vr": "SQ", "Value": items}}


def test_the_standard_has_seventeen_reasons():
    """110500 to 110516 without a gap (PS3.16 CID 9300)."""
    assert sorted(REASONS) == [str(code) for code in range(110500, 110517)]
    assert REASONS.keys() > ORDER_AT_FAULT


@pytest.mark.parametrize(
    ("document", "codes"),
    [
        ({}, ()),
        ({"00400281": {"vr": "SQ"}}, ()),
        (discontinued(("110501", "DCM")), ("110501",)),
        (discontinued(("110501 ", "DCM "), ("110514", "DCM")), ("110501", "110514")),
        (discontinued(("110514", "99LOCAL"), ("4711", "DCM")), ()),
    ],
)
def test_reasons_are_those_of_the_standard_alone(document, codes):
    """In DICOM's own scheme; padding does not count."""
    assert reasons(document) == codes


@pytest.mark.parametrize(
    ("conduct", "codes", "state"),
    [
        (Conduct(), (), S.DISCONTINUED),
        (Conduct(), ("110501",), S.DISCONTINUED),
        (Conduct(), (WRONG_ENTRY,), S.SCHEDULED),
        (Conduct(), ("110501", WRONG_ENTRY), S.SCHEDULED),
        (Conduct(discontinued=S.SCHEDULED), (), S.SCHEDULED),
        (Conduct(discontinued=S.COMPLETED), (WRONG_ENTRY,), S.SCHEDULED),
        (Conduct(reasons={"110501": S.SCHEDULED}), ("110501",), S.SCHEDULED),
        (Conduct(reasons={WRONG_ENTRY: S.DISCONTINUED}), (WRONG_ENTRY,), S.DISCONTINUED),
    ],
)
def test_what_a_discontinuation_does(conduct, codes, state):
    """The profile's word for the reason, else the wrong entry, else the profile's word for all."""
    assert conduct.discontinuation(codes) is state


def test_a_device_goes_by_its_own_conduct():
    """Whoever has none by that of anyone."""
    own, anyone = Conduct(exams="any"), Conduct(steps="first")
    conducts = Conducts({"CT1": own}, anyone)

    assert (conducts.of("CT1"), conducts.of("CT2")) == (own, anyone)


@pytest.mark.parametrize(
    ("within", "name"),
    [(6, "patient ID + within 6h"), (1.5, "patient ID + within 90m"), (None, "patient ID")],
)
def test_a_rung_reads_as_a_person_would_say_it(within, name):
    """It is stored with the link."""
    time = None if within is None else dt.timedelta(hours=within)

    assert Rung((Key.PATIENT,), time).name == name
