"""What a message is found by: the numbers where its profile, or the standard, has them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.hl7 import numbers
from mwl.hl7.envelope import Envelope, System
from mwl.hl7.header import Header
from mwl.hl7.numbers import search_keys
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile, load_systems

MAPPINGS = Path(__file__).parents[2] / "mappings"
Order = Callable[[str], bytes]


def enveloped(raw: bytes, profile: SystemProfile | None) -> Envelope:
    return Envelope(raw, "", SiteFacts(dt.UTC), Header(), System("RIS", profile) if profile else None)


def found(raw: bytes, profile: SystemProfile | None) -> set[str]:
    return {f"{key.kind}={key.value}" for key in search_keys(enveloped(raw, profile))}


def message(*segments: str) -> bytes:
    return "\r".join(("MSH|^~\\&|RIS|HOSP|||20260705||ORM^O01|1|P|2.3.1", *segments)).encode()


def test_every_order_of_a_message_is_found(generic: SystemProfile, order: Order) -> None:
    """Two orders have their numbers each; the patient is the same."""
    raw = message("PID|||P1^^^A~P2^^^B", "ORC|NW|PL1|FI1", "OBR|1|PL1|FI1", "ORC|NW|PL2", "OBR|2|PL2||C^T")
    raw += b"\rOBR" + b"|" * 18 + b"ACC9"

    assert found(raw, generic) == {
        "patient=P1", "patient=P2", "accession=ACC9", "order=PL1", "order=FI1", "order=PL2",
    }  # fmt: skip


def test_what_stands_in_for_an_accession_counts_where_there_is_none(generic: SystemProfile) -> None:
    """A RIS of 2.3 sends no accession number: the order's own is it."""
    raw = message("PID|||P1", "ORC|NW|PL1|FI1", "OBR|1")

    assert {"accession=FI1", "accession=PL1"} <= found(raw, generic)


def test_a_site_whose_numbers_stand_elsewhere_is_asked(tmp_path: Path) -> None:
    """The profile says where, Z segments included; the standard's places count beside it."""
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "ours.yaml").write_text(
        "profile: ours\npatient: {PatientID: {from: ZPI-2, as: identifier}}\n"
        "procedure: {AccessionNumber: {from: ['OBX[3=ACC]-5', ZPI-4.2], as: identifier}}\n"
    )
    ours = load_systems([tmp_path, MAPPINGS]).bind("ours")
    raw = message("PID|||P1", "ZPI||Z1||x^Z4", "OBX|1|ST|OTHER||NO", "OBX|2|ST|ACC||X5")

    assert found(raw, ours) == {"patient=Z1", "patient=P1", "accession=X5", "accession=Z4"}


def test_a_message_of_nobody_is_found_all_the_same() -> None:
    """Whoever forgot to configure a system finds what it sent; a merge by both of its numbers."""
    raw = message("PID|||P1", "MRG|P0", "ORC|NW|PL1", "OBR|||||||||||||||||||RP1", "IPC|ACC1|RP1|1.2.3|S1")

    assert found(raw, None) == {"patient=P1", "patient=P0", "accession=ACC1", "order=PL1", "order=RP1"}


def test_the_character_set_of_a_message_is_that_of_its_numbers(generic: SystemProfile, order: Order) -> None:
    """They are searched as people write them."""
    raw = order("orm-8859-5")

    assert any(key.startswith("patient=") for key in found(raw, generic))


@pytest.mark.parametrize("raw", [b"", b"rubbish", b"MSH|", b"MSH|^~\\&\rMSH|^~\\&", b"\xff" * 100])
def test_what_cannot_be_split_has_no_numbers(generic: SystemProfile, raw: bytes) -> None:
    """Best effort: nothing is refused here."""
    assert found(raw, generic) == set()


def test_the_numbers_of_one_message_are_bounded(generic: SystemProfile) -> None:
    """A message with a thousand identifiers does not fill the index."""
    raw = message("PID|||" + "~".join(f"P{n}" for n in range(1000)))

    assert len(search_keys(enveloped(raw, generic))) == 200


def test_profiles_that_are_gone_are_forgotten(
    generic: SystemProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reload may bring a new one; what is remembered of them is bounded."""
    monkeypatch.setattr(numbers, "_REMEMBERED", 1)
    monkeypatch.setattr(numbers, "_places", {})
    raw = message("PID|||P1")

    assert found(raw, None) == found(raw, generic) == found(raw, None) == {"patient=P1"}
    assert len(numbers._places) == 1


@given(st.text(alphabet='MSHPIDORCOBR|^~\\&\r\n0123 "', max_size=300))
def test_nothing_a_sender_writes_breaks_it(text: str) -> None:
    """Any text at all gives numbers, or none."""
    keys = search_keys(enveloped(f"MSH|^~\\&|{text}".encode(), None))

    assert all(key.value for key in keys)
