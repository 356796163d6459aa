"""P32 to P36: what a profile says to the services; they read it as data."""

from __future__ import annotations

import datetime as dt

import pytest

from mwl.mapping.devices.device import SiteFacts

HEADER = "profile: site\nstatus: evidence\nextends: []\n"


def test_p32_how_answers_travel(bind, shipped):
    """Transfer syntaxes in order, lengths and group lengths."""
    profile = bind("wire: {ts: [ELE, ILE], sequences: undefined, group_lengths: present}")

    assert profile.transfer_syntaxes == ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
    assert (profile.wire.sequences, profile.wire.group_lengths) == ("undefined", "present")
    assert (bind("").wire.sequences, bind("").wire.group_lengths) == ("explicit", "none")
    assert shipped.bind("generic", {}, SiteFacts()).transfer_syntaxes == ()
    assert shipped.bind("ge-ct-connectpro", {}, SiteFacts()).transfer_syntaxes == ("1.2.840.10008.1.2",)


def test_p33_how_a_query_is_answered(bind, shipped):
    """Status, times and what happens where there is no answer."""
    profile = bind("""
        session:
          {pending: auto, fuzzy_names: true, on_error: stale, stale: 2m, answer_within: 20s, min_poll: 5s,
           cancel: as_success}
        """)
    session = profile.session

    assert (profile.pending_status, profile.fuzzy_names) == ("auto", True)
    assert (session.on_error, session.stale, session.cancel) == (
        "stale",
        dt.timedelta(minutes=2),
        "as_success",
    )
    assert (session.answer_within, session.min_poll) == (dt.timedelta(seconds=20), dt.timedelta(seconds=5))
    assert session.keeps_lists
    assert not bind("").session.keeps_lists
    assert bind("").session.on_error == "fail"
    assert shipped.bind("generic", {}, SiteFacts()).pending_status == "FF00"


def test_p34_p35_p36_how_performed_steps_are_taken(bind):
    """Every form of the reference, as typed settings."""
    mpps = bind("""
        mpps:
          accept:
            {strict: true, ncreate_final: synthesise, nset_unknown: create, nset_after_final: ack,
             repeat: idempotent, missing: [PatientID, PerformedSeriesSequence], no_uid: reject,
             closed_order: report, calling_ae_differs: ok, separate_associations: ok,
             empty_code_sequences: ok, empty_image_list: ok, late: ok}
          link: [[SPS_ID, RP_ID], [StudyInstanceUID], [AccessionNumber, Station],
                 [PatientID, Station, {within: 6h}], [PlacerNumber, FillerNumber]]
          none: unscheduled
          conflict: {AccessionNumber: prefer_worklist, report: true}
          state: {ncreate: STARTED, completed: COMPLETED, discontinued: SCHEDULED, several: all}
          idle: 12h
          forward: {exclude: [{Modality: SR}]}
        """).mpps

    assert mpps.strict
    assert mpps.accept.missing == ("PatientID", "PerformedSeriesSequence")
    assert [[each.by or each.within for each in rung] for rung in mpps.link] == [
        ["SPS_ID", "RP_ID"],
        ["StudyInstanceUID"],
        ["AccessionNumber", "Station"],
        ["PatientID", "Station", dt.timedelta(hours=6)],
        ["PlacerNumber", "FillerNumber"],
    ]
    assert mpps.conflict.lines == {"AccessionNumber": "prefer_worklist"}
    assert (mpps.state.discontinued, mpps.state.several) == ("SCHEDULED", "all")
    assert mpps.idle == dt.timedelta(hours=12)
    assert mpps.forward is not None


def test_what_is_not_said_of_performed_steps_is_as_the_standard_has_it(bind, shipped):
    """No ladder of its own, no other states, and today's refusals."""
    for profile in (bind(""), shipped.bind("generic", {}, SiteFacts())):
        assert not profile.mpps.strict
        assert profile.mpps.accept.repeat == profile.mpps.accept.nset_after_final == "reject"
        assert (profile.mpps.link, profile.mpps.idle, profile.mpps.forward) == ((), None, None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("session: {on_error: success_empty}", "an empty list in place of a failure misinforms"),
        ("session: {on_error: stale}", "say in 'stale' how old the list may be"),
        ("session: {stale: 2}", "stale: a duration is a number of seconds, minutes, hours or days"),
        ("session: {stale: 2 weeks}", "stale: a duration is a number"),
        ("session: {cancel: ignore}", "cancel: input should be 'honour' or 'as_success'"),
        ("wire: {max_pdu: 16384}", "unknown key 'max_pdu'"),
        ("wire: {padding: space}", "unknown key 'padding'"),
        ("mpps: {link: [[SPSID]]}", "by: input should be 'SPS_ID', 'RP_ID'"),
        ("mpps: {link: [[{within: 2h}]]}", "each rung needs a number or the station"),
        ("mpps: {link: [[{within: 2h, by: SPS_ID}]]}", "a name, or 'within' and a time"),
        ("mpps: {accept: {missing: [Foo]}}", "unknown attribute 'Foo'"),
        ("mpps: {accept: {missing: 7}}", "tolerate, reject, or a list of attributes"),
        ("mpps: {state: {ncreate: COMPLETED}}", "ncreate: input should be 'STARTED'"),
        ("mpps: {conflict: {AccessionNumber: mine}}", "input should be 'prefer_worklist' or 'prefer_device'"),
        ("mpps: {idle: soon}", "idle: a duration is a number"),
        ("limit: {max: 1, overflow: notice_item}", "notice_item sends a line that is no patient"),
        ("merge: {by: [PatientName]}", "needs StudyInstanceUID, AccessionNumber or RequestedProcedureID"),
        ("merge: {by: [StudyInstanceUID], join: {PatientID: '+'}}", "PatientID is an identity"),
        ("sources: {prefer: {PatientID: RIS}}", "PatientID is an identity"),
        ("truncate: {PatientID: 8}", "PatientID is an identity"),
        ("truncate: {AccessionNumber: 8}", "AccessionNumber must keep its 16 characters"),
        ("pn: {tag: PatientName, swap: [phonetic, phonetic]}", "a group cannot take its own place"),
        ("text: {tags: PatientName, ops: ['replace:x']}", "after 'replace:' come texts"),
        ("split: per_code", "input should be 'per_step' or 'per_protocol_code'"),
    ],
)
def test_what_would_misinform_or_mean_nothing_is_refused(problems, lines, message):
    """12.3, L2, L3, L6: one message for one mistake, before any device is answered."""
    found = problems(site=HEADER + lines)

    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    "lines",
    [
        "session: {on_error: success_empty, unsafe: true}",
        "limit: {max: 1, overflow: notice_item, unsafe: true}",
        "truncate: {PatientID: 8, unsafe: true}",
        "clear: {tags: [PatientID], unsafe: true}",
        "default: {PatientBirthDate: '19000101', unsafe: true}",
    ],
)
def test_what_somebody_means_is_taken(bind, lines):
    """`unsafe` stands beside the line it is about."""
    assert bind(lines).name == "site"


@pytest.fixture
def warned(write):
    """Load profiles beside the shipped ones and return the warnings about them, as code and line."""
    from mwl.mapping.devices.device import load_devices

    def found(**files: str) -> list[tuple[str, str]]:
        folder = write(**files)
        (folder / "systems").mkdir(exist_ok=True)
        for system in ("generic", "other"):
            path = folder / "systems" / f"{system}.yaml"
            more = "patient: {PatientWeight: PID-99}\nstep: {PreMedication: OBR-99}\n"
            path.write_text(f"profile: {system}\n{more if system == 'other' else ''}", "utf-8")
        return [(each.code, each.message) for each in load_devices([folder]).warnings]

    return found


def test_l6_a_merge_says_what_becomes_of_different_studies(warned):
    """Without a word on it they stay apart, which is told."""
    generic = "profile: generic\nstatus: evidence\nmerge: {by: [AccessionNumber]}\n"
    stated = generic.replace("]}", "], study_uid: first}")

    ((code, message),) = warned(generic=generic)

    assert (code, "studies stay apart" in message) == ("L6", True)
    assert warned(generic=stated) == []
    assert warned(generic=generic.replace("[Acc", "[StudyInstanceUID, Acc")) == []


def test_l7_what_nobody_fills_hides_every_item(warned):
    """A required attribute that no system sends and no line fills; one that either fills is no doubt."""
    generic = """
        profile: generic
        status: evidence
        set: {SPS.PreMedication: none}
        require: {type1: [PatientName, PatientWeight, SPS.PreMedication, PatientSize, SPS.RequestedContrastAgent]}
        ---
        profile: site
        status: evidence
        require: {type1: [AdmissionID, PatientState], fill: {AdmissionID: $calling_ae}, on_fail: [fill, skip_item]}
        copy: {from: AdmissionID, to: PatientSize}
        """

    found = warned(generic=generic)

    assert [(code, message.partition(" fills ")[2].partition(",")[0]) for code, message in found] == [
        ("L7", "PatientSize"),
        ("L7", "SPS.RequestedContrastAgent"),
        ("L7", "PatientState"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("calling_ae: 'CT*'", "calling_ae: CT1", False),
        ("calling_ae: 'CT*'", "calling_ae: 'CT_*'", True),
        ("calling_ae: [CT1, CT2]", "calling_ae: [CT2, CT3]", True),
        ("calling_ae: 'CT*'", "calling_ae: 'MR*'", False),
        ("calling_ae: 'CT*'", "called_ae: 'CT*'", False),
        ("impl_uid: '1.2'", "impl_uid: '1.2', calling_ae: 'X*'", False),
        ("impl_uid: '1.2', calling_ae: 'A*'", "impl_uid: '1.2', calling_ae: 'B*'", False),
    ],
)
def test_l8_two_profiles_for_one_device(warned, one, other, told):
    """As far as patterns show; a more specific one, or a priority, tells them apart."""
    text = f"profile: generic\nstatus: evidence\n---\nprofile: a\nstatus: partial\nmatch: {{{one}}}\n---\n"
    second = f"profile: b\nstatus: partial\nmatch: {{{other}}}\n"

    assert [code for code, _ in warned(generic=text + second)] == (["L8"] if told else [])
    assert warned(generic=f"{text}{second}priority: 1\n") == []
