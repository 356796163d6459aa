"""`mwl hl7 show`: one message, with all that is known of it."""

from __future__ import annotations

import pytest


@pytest.fixture
def applied(ris):
    """A message that was refused, and accepted when it came again."""
    ris.sends(ris.order(1))
    ris.knows("CTHEAD: CT, MRKNEE: MR")
    ris.sends(ris.order(1))
    return ris


def section(out: str, title: str) -> list[str]:
    """Return the lines below a title, up to the next one."""
    lines = out.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(title)) + 1
    end = next((i for i in range(begin, len(lines)) if not lines[i].startswith(" ")), len(lines))
    return [line.strip() for line in lines[begin:end]]


@pytest.mark.parametrize("name", ["1", "C1"])
def test_a_message_is_shown_with_its_answer_and_its_effects(mwl, applied, name):
    """By its number or its control ID."""
    result = mwl("hl7", "show", name)

    assert result.code == 0
    facts = section(result.out, "message 1")
    assert any(line.startswith("came again  1 times, last") for line in facts)
    assert "sender      RIS HOSP" in facts
    assert "numbers     accession ACC1, order FI1, order PL1, order RP1, patient PID001" in facts
    assert "outcome     AA" in facts
    assert section(result.out, "segments")[1] == "PID|1||PID001^^^HOSP||DOE^JANE||19700101|F"
    assert section(result.out, "answer")[1] == "MSA|AA|C1"
    assert [line.split()[:4] for line in section(result.out, "effects")] == [
        ["patient", "1", "PID001", "HOSP"],
        ["procedure", "1", "RP1", "ACC1"],
        ["step", "1", "SPS1", "MR"],
    ]


def test_what_the_sender_was_told_before_is_shown(mwl, applied):
    """The refusal that came first, and why."""
    result = mwl("hl7", "show", "1")

    (line,) = result.out.splitlines()[result.out.splitlines().index("other attempts") + 2 :][:1]
    assert "came" in line
    assert line.endswith("AE       error: OBR-4: Modality stands in no row of its table [103]")


def test_fields_have_places_and_names(mwl, applied):
    """Each component below its field, as the standard counts them."""
    lines = mwl("hl7", "show", "1").out.splitlines()

    (field,) = [line for line in lines if line.startswith("PID-3 ")]
    (component,) = [line for line in lines if line.startswith("PID-3.4 ")]
    assert field.split() == ["PID-3", "PID001^^^HOSP", "Patient", "identifier", "list"]
    assert component.split() == ["PID-3.4", "HOSP"]


def test_values_tell_where_each_field_goes(mwl, applied):
    """Attribute, value and the profile's line; what is not read says so."""
    lines = mwl("hl7", "show", "1", "--values").out.splitlines()

    def line(place: str) -> list[str]:
        return next(line for line in lines if line.startswith(f"{place} ")).split()

    assert line("OBR-18")[1:5] == ["ACC1", "procedure:", "AccessionNumber", "ACC1"]
    assert "generic.yaml:" in line("OBR-18")[-1]
    assert line("OBR-4.1")[1] == "MRKNEE"
    modality = next(line for line in lines if "step: Modality" in line)
    assert modality.split()[-1] == "mappings/systems/ours.yaml:3"
    assert line("MSH-10")[2:] == ["(repeated", "in", "the", "answer)"]
    assert line("PID-1")[1:] == ["1", "-"]


def test_values_of_a_refused_message_show_what_is_wrong_where_it_stands(mwl, ris):
    """With the profile's line that refuses it."""
    ris.sends(ris.order(1))

    lines = mwl("hl7", "show", "1", "--values").out.splitlines()

    (wrong,) = [line for line in lines if "! Modality stands in no row" in line]
    assert wrong.startswith("OBR-4 ")
    assert wrong.endswith("mappings/systems/ours.yaml:3")


def test_a_message_as_json_holds_the_same(mwl, applied):
    """For programs: fields with places and, with --values, where they go."""
    shown = mwl("hl7", "show", "1", "--values", "--json").json

    assert (shown["key"], shown["outcome"], shown["answer"][1]) == (1, "AA", "MSA|AA|C1")
    assert shown["segments"][2].startswith("ORC|NW|PL1")
    (field,) = [field for field in shown["fields"] if field["place"] == "OBR-18"]
    (value,) = field["goes_to"]
    assert (value["target"], value["element"]) == ("AccessionNumber", {"vr": "SH", "Value": ["ACC1"]})
    assert [each["outcome"] for each in shown["other_attempts"]] == ["AE"]
    assert shown["effects"]["steps"][0]["step_id"] == "SPS1"
    assert "goes_to" not in mwl("hl7", "show", "1", "--json").json["fields"][0]


def test_the_bytes_can_be_had_as_they_came(applied, capfdbinary):
    """For a file, or for `mwl hl7 check -`."""
    from mwl.cli import run

    code = run(["hl7", "show", "1", "--raw"])

    assert code == 0
    assert applied.order(1) in capfdbinary.readouterr().out


def test_rubbish_is_shown_as_far_as_it_goes(mwl, ris):
    """No fields, but bytes, answer and reason."""
    ris.sends(b"rub\xffbish \x1b[2J")

    result = mwl("hl7", "show", "1", "--values")

    assert result.code == 0
    assert any("rub" in line and "\x1b" not in line for line in section(result.out, "segments"))
    assert section(result.out, "answer")[1].startswith("MSA|AR")
    assert "nobody configured" in result.out


def test_a_wrong_profile_keeps_nobody_from_looking(mwl, applied):
    """Only where each value goes cannot be told then."""
    applied.profile.write_text("profile: ours\nnonsense: 1\n")

    looked, asked = mwl("hl7", "show", "1"), mwl("hl7", "show", "1", "--values")

    assert looked.code == 0
    assert "PID-3 " in looked.out
    assert "shown without them" in looked.err
    assert asked.code == 78
    assert "ours.yaml:2" in asked.err


@pytest.mark.parametrize("name", ["99", "nobody", "9" * 40, "\x1b[2J"])
def test_an_unknown_message_is_refused(mwl, applied, name):
    """Exit 1, and nothing on stdout."""
    result = mwl("hl7", "show", name)

    assert (result.code, result.out) == (1, "")
    assert "no message has the number or control ID" in result.err
    assert "\x1b" not in result.err
