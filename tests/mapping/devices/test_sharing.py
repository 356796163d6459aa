"""P1: devices that share one AE title, told apart by their associations and by what they ask."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path

import pytest

from mwl.mapping.devices.device import load_devices
from mwl.mapping.devices.sharing import foreign, serving
from mwl.mapping.facts import SiteFacts

SHIPPED = Path(__file__).parents[3] / "mappings"
ASKED = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": "",
    "SPS.Modality": "US",
    "SPS.ScheduledStationAETitle": "",
    "SPS.ScheduledProtocolCodeSequence": [{"CodeValue": ""}],
}


@pytest.fixture
def bound(write):
    """Bind a profile for each `match`; of its variables it has `room`."""

    def bind(**matches):
        text = "\n---\n".join(
            f"profile: {name}\nstatus: partial\nvars: {{room: ER}}\nmatch: {match}"
            for name, match in matches.items()
        )
        profiles = load_devices([write(site=text), SHIPPED])
        return {name: profiles.bind(name, {}, SiteFacts()) for name in ("generic", *matches)}

    return bind


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("SPS.Modality: US", True),
        ("SPS.Modality: CT", False),
        ("SPS.Modality: {in: [US, MR]}, SpecificCharacterSet: ISO_IR 100", True),
        ("SPS.Modality: US, SpecificCharacterSet: ISO_IR 192", False),
        ("SPS.ScheduledStationAETitle: {present: true}", False),
        ("SPS.ScheduledStationAETitle: {requested: true, present: false}", True),
        ("'(0040,1400)': {requested: true}", False),
        ("not: {PatientID: {requested: true}}", True),
        ("SPS.ScheduledProtocolCodeSequence.CodeValue: {requested: true}", True),
        ("any: [{Modality: US}, {SPS.Modality: {regex: '^U'}}]", True),
        ("SPS.Modality: US, $calling_ae: CT1", True),
        ("SPS.Modality: US, $impl_uid: '9.9'", False),
        ("SPS.Modality: US, var.room: ER", True),
    ],
)
def test_p1_a_query_has_a_fingerprint(bound, doc, facts, line, fits):
    """The guard's own words, about the identifier as it came: values, emptiness, what is asked for."""
    profiles = bound(us=f"{{query: {{{line}}}}}")

    found = serving(profiles["generic"], [profiles["us"]], facts, doc(ASKED))

    assert found.name == ("us" if fits else "generic")


def test_p1_without_a_query_no_fingerprint_fits(bound, doc, facts):
    """An association, and a performed step, say nothing of what is asked."""
    profiles = bound(us="{query: {not: {SPS.Modality: CT}}}", other="{any: [{query: {PatientName: X}}]}")
    shared = [profiles["us"], profiles["other"]]

    assert serving(profiles["generic"], shared, facts, None).name == "generic"
    assert serving(profiles["generic"], shared, facts, doc(ASKED)).name == "us"


def test_p1_the_most_specific_serves(bound, doc, facts):
    """More lines before fewer, then what names one thing alone; in whatever order they stand."""
    profiles = bound(
        by_query="{query: {SPS.Modality: US}}",
        by_both="{query: {SPS.Modality: US}, impl_uid: '1.2.*'}",
        by_uid="{impl_uid: '1.2.3'}",
    )
    shared = [profiles[name] for name in ("by_query", "by_uid", "by_both")]

    def named(*chosen, **changed):
        asked = doc({**ASKED, "SPS.Modality": changed.pop("modality", "US")})
        return serving(profiles["generic"], chosen, dataclasses.replace(facts, **changed), asked).name

    assert named(*shared) == named(*reversed(shared)) == "by_both"
    assert named(*shared, implementation_uid="9") == "by_query"
    assert named(*shared, modality="CT") == "by_uid"
    assert named(*shared, modality="CT", implementation_uid="9") == "generic"


def test_p1_a_device_that_its_own_profile_does_not_recognise_is_foreign(bound, doc, facts):
    """12.3 f: a software update changes what a device says; a profile without `match` says nothing."""
    profiles = bound(ct="{impl_uid: '1.2.3'}")
    updated = dataclasses.replace(facts, implementation_uid="1.2.4")

    assert not foreign(profiles["ct"], facts, doc(ASKED))
    assert foreign(profiles["ct"], updated, doc(ASKED))
    assert not foreign(profiles["generic"], updated, doc(ASKED))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("age: {under: 3Y}", "age is of a step"),
        ("not: {any: [{source: RIS}]}", "source is of a step"),
        ("PatientNmae: X", "did you mean 'PatientName'"),
        ("var.romo: X", "did you mean 'room'"),
        ("SPS.Modality: {regex: '['}", "is no regular expression"),
    ],
)
def test_p1_a_wrong_fingerprint_is_told_at_its_line(problems, line, told):
    """Nothing is known of a step before any is found."""
    text = f"profile: site\nstatus: partial\nvars: {{room: ER}}\nmatch:\n  query:\n    {line}\n"

    (found,) = problems(site=text)

    assert "site.yaml:6:" in found
    assert told in found


def test_p1_a_fingerprint_names_the_profile_to_suggest(write, doc, facts):
    """To who has the query; a profile that must be given a variable is not offered by it."""
    text = """\
        profile: us
        status: partial
        match: {query: {SPS.Modality: US}}
        ---
        profile: other
        status: partial
        vars: {modality: null}
        match: {query: {SPS.Modality: $var.modality}}
        """
    profiles = load_devices([write(site=textwrap.dedent(text)), SHIPPED])

    assert profiles.matching(facts) == []
    assert profiles.matching(facts, doc(ASKED)) == ["us"]


def test_r2_profiles_that_lead_identities_back_in_other_words_are_told_apart(write):
    """By what is written of codecs, aliases and study UIDs, and not by anything else."""
    codec = "codec: {tag: PatientID, op: pad, width: 8, char: '0'}"
    lines = {
        "plain": "limit: {max: 3}",
        "padded": codec,
        "listed": "query:\n  - alias: {tag: SPS.Modality, query: {DX: [CR]}, response: {CR: DX}}",
        "per_step": "uid: {StudyInstanceUID: {per_sps: derive}}",
        "wider": codec.replace("8", "10"),
        "also_padded": f"{codec}\nset: {{SPS.ScheduledProcedureStepLocation: ER}}",
    }
    text = "\n---\n".join(f"profile: {name}\nstatus: partial\n{each}" for name, each in lines.items())
    loaded = load_devices([write(site=text), SHIPPED])
    bound = {name: loaded.bind(name, {}, SiteFacts()) for name in ("generic", *lines)}

    alike = {(one, other) for one in bound for other in bound if bound[one].leads_back_like(bound[other])}

    assert {pair for pair in alike if pair[0] < pair[1]} == {("generic", "plain"), ("also_padded", "padded")}
