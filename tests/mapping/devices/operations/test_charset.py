"""P31, P32: in which letters and bytes an answer leaves."""

from __future__ import annotations

import pytest

from mwl.mapping.devices.device import SiteFacts, Withheld
from mwl.mapping.trace import Recorder

WANG = "Wang^XiaoDong=王^小东"
BARE = "王^小明"


@pytest.fixture
def chosen(bind, doc, flat):
    """Choose a character set for an answer; returns its label and the answer."""

    def choose(lines: str, answer: dict, requested: str = "", site: str | None = None, base: str = "[]"):
        profile = bind(lines, base=base, site=SiteFacts(charset=site))
        _, document, _ = profile.choose_charset(
            doc(answer), tuple(requested.split("\\")) if requested else ()
        )
        found = flat(document)
        return found.pop("SpecificCharacterSet", ""), found

    return choose


@pytest.mark.parametrize(
    ("site", "requested", "name", "label"),
    [
        # The site decides where it states a set, whatever the device asks for.
        ("ISO_IR 192", "ISO_IR 100", "MÜLLER^J", "ISO_IR 192"),
        ("ISO_IR 100", "ISO_IR 192", "MÜLLER^J", "ISO_IR 100"),
        # A silent site leaves it to the request (F42, F-X25).
        (None, "GB18030", WANG, "GB18030"),
        (None, "ISO_IR 100", "MÜLLER^J", "ISO_IR 100"),
        (None, "ISO_IR 192", "DOE", "ISO_IR 192"),
        (None, "\\ISO 2022 IR 149", "Hong=洪=홍", ["", "ISO 2022 IR 149"]),
        # What the site's does not hold, the request's may.
        ("ISO_IR 100", "ISO_IR 101", "Łódź^Ewa", "ISO_IR 101"),
        # A device that declares nothing, or what nobody knows (A-50, F-X19, F-X20).
        (None, "", "MÜLLER^J", "ISO_IR 100"),
        (None, "", "DOE^J", "ISO_IR 100"),
        (None, "ISO_IR 999", "MÜLLER^J", "ISO_IR 100"),
    ],
)
def test_generic_lets_the_site_decide_then_the_request(chosen, site, requested, name, label):
    """The order profile, site, request; the label is always sent (A-51)."""
    assert chosen("", {"PatientName": name}, requested, site, base="generic") == (
        label,
        {"PatientName": name},
    )


@pytest.mark.parametrize(("name", "shown"), [("Łódź^Ewa", "Lodz^Ewa"), (BARE, "WANG^XIAOMING")])
def test_f_x15_f40_a_device_is_never_sent_a_set_it_did_not_declare(chosen, name, shown):
    """What does not fit the declared set is read in its letters: the console may know no other."""
    assert chosen("", {"PatientName": name}, "ISO_IR 100", base="generic") == (
        "ISO_IR 100",
        {"PatientName": shown},
    )


def test_a_55_a_group_that_does_not_fit_is_dropped_rather_than_the_set_changed(chosen):
    """A device that asks for Latin-1 gets Latin-1 as long as the alphabetic group fits."""
    found = chosen("", {"PatientName": WANG}, "ISO_IR 100", base="generic")

    assert found == ("ISO_IR 100", {"PatientName": "Wang^XiaoDong"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MÜLLER^Jürgen", "MÜLLER^Jürgen"),
        (BARE, "WANG^XIAOMING"),
        ("Łódź^Ewa", "Lodz^Ewa"),
        (WANG, "Wang^XiaoDong"),
    ],
)
def test_f40_f41_ge_ct_gets_latin_1_whatever_it_asks(chosen, name, expected):
    """A fixed set is kept; what it does not hold is transliterated, and never a question mark."""
    for requested in ("ISO_IR 192", ""):
        found = chosen("", {"PatientName": name}, requested, "GB18030", base="ge-ct-connectpro")

        assert found == ("ISO_IR 100", {"PatientName": expected})


def test_text_in_sequences_is_written_in_the_same_letters(chosen):
    """Every affected value at every depth."""
    answer = {
        "RequestedProcedureCodeSequence": [{"CodeMeaning": "Łódź", "CodeValue": "1"}],
        "PatientName": "A",
    }

    label, found = chosen("charset: {fixed: ISO_IR 100, unfit: transliterate}", answer)

    assert label == "ISO_IR 100"
    assert found["RequestedProcedureCodeSequence"] == [{"CodeMeaning": "Lodz", "CodeValue": "1"}]


@pytest.mark.parametrize(
    ("policy", "answer", "expected"),
    [
        ("drop_group", {"PatientName": "A=王", "AdmissionID": "王"}, {"PatientName": "A", "AdmissionID": ""}),
        ("skip_item", {"PatientName": "A=王"}, {"PatientName": "A"}),
        ("skip_item", {"PatientName": "王"}, None),
        ("skip_item", {"AdmissionID": "王"}, None),
        ("drop_group", {"PatientName": "王"}, None),
    ],
)
def test_p31_what_happens_to_text_that_does_not_fit(chosen, policy, answer, expected):
    """Dropped or withheld; a patient without a name is never sent."""
    lines = f"charset: {{fixed: ISO_IR 100, unfit: {policy}}}"

    if expected is None:
        with pytest.raises(Withheld) as error:
            chosen(lines, answer)
        assert error.value.origin.endswith("site.yaml:4")  # the line that explain names
    else:
        assert chosen(lines, answer)[1] == expected


@pytest.mark.parametrize("identity", ["PatientID", "AccessionNumber", "RequestedProcedureID"])
def test_r2_an_identity_is_never_put_into_other_letters(chosen, identity):
    """It comes back: an ID that cannot be written keeps its item off the list."""
    with pytest.raises(Withheld) as error:
        chosen("charset: {fixed: ISO_IR 100, unfit: transliterate}", {identity: "Ł1"})

    assert error.value.path == identity
    assert "Ł" not in str(error.value)


def test_control_characters_do_not_cost_the_item(chosen):
    """NUL and ESC are no text in any set: they are cleaned like other unfit characters."""
    found = chosen("charset: {prefer: [ISO_IR 192], unfit: transliterate}", {"AdmissionID": "a\x1bb\x00c"})

    assert found[1]["AdmissionID"].isprintable()


def test_plain_ascii_needs_no_label_unless_it_is_always_sent(chosen):
    """A-51: without `always` the default repertoire is not declared; it never has a label of its own."""
    assert chosen("charset: {prefer: [from_request]}", {"PatientID": "1"}, "ISO_IR 100")[0] == ""
    assert chosen("charset: {fixed: ISO_IR 6, unfit: transliterate}", {"AdmissionID": "é"}) == (
        "",
        {"AdmissionID": "e"},
    )


def test_where_nothing_is_stated_it_is_utf_8(chosen):
    """A preference of nothing but absent words still has an answer."""
    assert chosen("charset: {prefer: [site, from_request]}", {"PatientName": "王"}) == (
        "ISO_IR 192",
        {"PatientName": "王"},
    )


def test_the_choice_is_explained(bind, doc):
    """The notes say which set and why, and what was done; the trace names the line of the preference."""
    recorder = Recorder()
    profile = bind("", base="ge-ct-connectpro")

    _, _, notes = profile.choose_charset(doc({"PatientName": WANG}), (), recorder)

    assert notes[0] == "ISO_IR 100, from the profile"
    assert notes[1].startswith("PatientName: ideographic group dropped")
    assert {note.path for note in recorder.notes} == {"PatientName", "SpecificCharacterSet"}
    assert all("ge-ct-connectpro.yaml:" in note.origin for note in recorder.notes)
    assert all((note.stage, note.operation) == ("encode", "charset") for note in recorder.notes)


def test_a_sites_unknown_character_set_is_a_mistake(bind):
    """It is found when the profile is bound, not with the first patient."""
    with pytest.raises(Exception, match="there is no character set 'ISO_IR 999'"):
        bind("", base="generic", site=SiteFacts(charset="ISO_IR 999"))


@pytest.mark.parametrize(
    ("lines", "name", "label"),
    [
        # alone it names the set, and is written as it stands
        (r"literal: '\ISO 2022 IR 87', unfit: transliterate", "Yamada=山田", ["", "ISO 2022 IR 87"]),
        ("literal: UTF-8", "王", "UTF-8"),
        ("literal: ISO IR 192", "王", "ISO IR 192"),
        # beside another it is the label alone
        ("fixed: GB18030, literal: ISO_IR 100, unfit: transliterate", "王", "ISO_IR 100"),
        ("prefer: [ISO_IR 192], literal: ''", "王", ""),
    ],
)
def test_p31_a_literal_label(chosen, lines, name, label):
    """F45: a console that knows its own words for a character set, or none at all."""
    assert chosen(f"charset: {{{lines}}}", {"PatientName": name}) == (label, {"PatientName": name})


def test_p31_the_bytes_are_those_of_the_set_and_not_of_the_label(bind, doc):
    """The label is what the device wants to read."""
    profile = bind("charset: {fixed: GB18030, literal: ISO_IR 100, unfit: transliterate}")

    charset, _, _ = profile.choose_charset(doc({"PatientName": "王"}), ())

    assert charset.encode("王") == "王".encode("gb18030")


def test_p31_question_marks_only_where_they_are_meant(chosen, problems):
    """A name of question marks is nobody's: `unsafe` says that somebody wants it."""
    asked = "charset: {fixed: ISO_IR 100, unfit: question"
    (found,) = problems(site=f"profile: site\nstatus: evidence\n{asked}}}\n")

    assert "question marks make a name nobody's" in found
    assert chosen(f"{asked}, unsafe: true}}", {"PatientName": "王^A"})[1] == {"PatientName": "?^A"}


@pytest.mark.parametrize("key", ["fixed", "literal"])
def test_l5_a_set_that_cannot_hold_every_name_needs_a_word_on_it(write, key):
    """A warning, unless the profile itself says what happens."""
    from mwl.mapping.devices.device import load_devices

    def codes(lines: str) -> list[str]:
        folder = write(site=f"profile: site\nstatus: evidence\nextends: []\n{lines}\n")
        return [problem.code for problem in load_devices([folder]).warnings]

    assert codes(f"charset: {{{key}: ISO_IR 100}}") == ["L5"]
    assert codes(f"charset: {{{key}: ISO_IR 100, unfit: skip_item}}") == []
    assert codes(f"charset: {{{key}: ISO_IR 192}}") == codes(f"charset: {{{key}: utf-8}}") == []


def test_p3_charset_fits_is_a_guard(answer):
    """A step only for names that a set holds, or does not."""
    lines = "respond: [{set: {AdmissionID: yes}, when: {PatientName: {charset_fits: ISO_IR 100}}}]"

    assert [answer(lines, {"PatientName": name, "AdmissionID": ""})["AdmissionID"] for name in
            ("MÜLLER^A", "Łódź^A", "A=王", "")] == ["yes", "", "", "yes"]  # fmt: skip
