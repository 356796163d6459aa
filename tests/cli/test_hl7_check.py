"""`mwl hl7 check`: what a message would become, without a database."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|C1|P|2.3.1\n"
    "PID|1||PID001^^^HOSP||DOE^JANE||19700101|F\n"
    "PV1|1|I|WARD1\n"
    "ORC|NW|PL1^RIS|FI1^RIS||||1^^^20260705093000^^S|||||||||||CT1\n"
    "OBR|1|PL1^RIS|FI1^RIS|{code}^Knee^L||||||||||||||{accession}|RP1|SPS1||||CT\n"
)


def written(tmp_path, name="order.hl7", code="CT01", accession="ACC1", sender="RIS"):
    path = tmp_path / name
    path.write_text(ORDER.format(code=code, accession=accession).replace("|RIS|", f"|{sender}|", 1))
    return path


def test_a_good_message_shows_what_it_would_become(mwl, tmp_path):
    """Steps by level, each value with its place and the profile's line; no database is made."""
    result = mwl("hl7", "check", written(tmp_path))

    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[0][-6:] == ["ORM^O01", "C1", "of", "any", "(profile", "generic)"]
    assert ["AA", "would", "be", "taken"] in lines
    (accession,) = [line for line in lines if line and line[0] == "AccessionNumber"]
    assert accession[1:3] == ["ACC1", "OBR-18"]
    assert "generic.yaml:" in accession[3]
    assert [" ".join(line) for line in lines if line[:1] in (["patient"], ["step"], ["procedure"])] == [
        "patient", "procedure 1: create", "step 1",
    ]  # fmt: skip
    assert result.out.splitlines()[-1].strip() == "nothing found"
    assert not list(tmp_path.glob("*.db"))


def test_a_message_that_would_be_refused_ends_with_1(mwl, tmp_path):
    """The reason, its place, the code of the answer, and the line of the profile that says so."""
    result = mwl("hl7", "check", written(tmp_path, accession="ACC12345678901234"))

    assert result.code == 1
    (error,) = [line for line in result.out.splitlines() if "error" in line]
    assert "OBR-18: AccessionNumber is longer than 16 characters [102]" in error
    assert "generic.yaml:" in error
    assert "patient: PatientID" in result.out


def test_an_unknown_sender_is_told(mwl, tmp_path):
    """With systems configured, somebody else is nobody."""
    (tmp_path / "mwl.yaml").write_text("systems: {RIS: {application: RIS}}\n")

    result = mwl("hl7", "check", written(tmp_path, sender="OTHER"))

    assert result.code == 1
    assert "of nobody configured" in result.out
    assert "this sender is not configured [103]" in result.out


def test_another_system_or_profile_can_be_named(mwl, tmp_path):
    """Before a system is configured, or to try a profile on the samples of another."""
    (tmp_path / "mwl.yaml").write_text("systems: {RIS: {application: RIS}}\n")
    (tmp_path / "mappings" / "systems").mkdir(parents=True)
    (tmp_path / "mappings" / "systems" / "ours.yaml").write_text(
        "profile: ours\nprocedure: {AccessionNumber: {from: ORC-2.1, as: identifier}}\n"
    )
    order = written(tmp_path, sender="OTHER")

    named = mwl("hl7", "check", order, "--system", "RIS")
    tried = mwl("hl7", "check", order, "--profile", "ours", "--json")

    assert (named.code, "of RIS (profile generic)" in named.out) == (0, True)
    (shown,) = tried.json
    assert (shown["system"], shown["profile"]) == ("ours", "ours")
    (value,) = [value for value in shown["values"] if value["target"] == "AccessionNumber"]
    assert value["source"] == "ORC-2.1"
    assert value["origin"] == "mappings/systems/ours.yaml:2"


@pytest.mark.parametrize(("option", "hint"), [("--system", "'RIS'"), ("--profile", "'generic'")])
def test_a_name_that_does_not_exist_is_wrong_usage(mwl, tmp_path, option, hint):
    """With the name that was probably meant."""
    (tmp_path / "mwl.yaml").write_text("systems: {RIS: {application: RIS}}\n")

    result = mwl("hl7", "check", written(tmp_path), option, hint.strip("'")[:-1])

    assert (result.code, result.out) == (2, "")
    assert f"did you mean {hint}" in result.err


def test_a_wrong_profile_is_a_wrong_configuration(mwl, tmp_path):
    """Nothing can be told with it."""
    (tmp_path / "mappings" / "systems").mkdir(parents=True)
    (tmp_path / "mappings" / "systems" / "ours.yaml").write_text("profile: ours\nnonsense: 1\n")

    result = mwl("hl7", "check", written(tmp_path))

    assert (result.code, result.out) == (78, "")
    assert "ours.yaml:2:1" in result.err


def test_several_files_with_several_messages_are_checked(mwl, tmp_path):
    """Each message is told by file and number; one that would be refused is enough for 1."""
    both = tmp_path / "both.hl7"
    both.write_text(written(tmp_path).read_text() + "\n" + ORDER.format(code="CT01", accession="A" * 17))

    result = mwl("hl7", "check", written(tmp_path), both, "--json")

    assert result.code == 1
    assert [(each["file"].rpartition("/")[2], each["number"], each["outcome"]) for each in result.json] == [
        ("order.hl7", 1, "AA"),
        ("both.hl7", 1, "AA"),
        ("both.hl7", 2, "AE"),
    ]


def test_stdin_is_read(mwl, tmp_path, monkeypatch):
    """A message from a pipe."""
    raw = io.BytesIO(written(tmp_path).read_bytes())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=raw))

    (shown,) = mwl("hl7", "check", "-", "--json").json

    assert (shown["file"], shown["outcome"]) == ("-", "AA")


@pytest.mark.parametrize(
    ("octets", "begins"),
    [
        (b"rub\xffbish", "it begins with 'rub\\\\xffbish'"),
        (b"Order of Jane Doe for the morning", "it begins with 'Order of Jane Doe fo'"),
        (b"\n", "it is empty"),
    ],
)
def test_what_is_no_message_is_rejected(mwl, tmp_path, octets, begins):
    """As the broker would answer it: AR; how it begins shows what it is."""
    (tmp_path / "rubbish").write_bytes(octets)

    result = mwl("hl7", "check", tmp_path / "rubbish")
    plain = mwl("hl7", "check", tmp_path / "rubbish", "--json")

    assert result.code == plain.code == 1
    assert "rubbish: no HL7 message" in result.out
    assert "AR  would be refused: its kind or form" in result.out
    assert f"{begins}: a message begins with MSH" in result.out
    assert "[100]" in result.out
    assert [each["outcome"] for each in plain.json] == ["AR"]


def test_structure_is_advice_unless_strict(mwl, tmp_path):
    """Many senders break the grammar unharmed; whoever wants it strict says so."""
    order = tmp_path / "order.hl7"
    order.write_text(ORDER.format(code="CT01", accession="ACC1").replace("PV1|1|I", "PV1|1|"))

    advised, strict = mwl("hl7", "check", order), mwl("hl7", "check", order, "--strict")

    assert (advised.code, strict.code) == (0, 1)
    assert "structure, by the grammar of HL7 2.3.1 ORM_O01" in advised.out
    assert "error    PV1-2 is required" in advised.out


def test_warnings_are_told_and_end_with_0(mwl, tmp_path):
    """A text that is cut is taken all the same."""
    order = tmp_path / "order.hl7"
    order.write_text(ORDER.format(code="CT01", accession="ACC1").replace("^Knee^", f"^{'K' * 80}^"))

    result = mwl("hl7", "check", order)

    assert result.code == 0
    assert any(line.strip().startswith("warning  OBR-4") for line in result.out.splitlines())


def test_a_message_that_is_not_for_the_broker_is_ignored(mwl, tmp_path):
    """An acknowledgement: nothing would be done, and that is no finding."""
    (tmp_path / "ack.hl7").write_text("MSH|^~\\&|RIS|HOSP|||20260701||ACK|1|P|2.3.1\nMSA|AA|7\n")

    result = mwl("hl7", "check", tmp_path / "ack.hl7")

    assert result.code == 0
    assert "ignored  would be acknowledged, and nothing done" in result.out


def test_equal_values_of_two_orders_have_their_own_places(mwl, tmp_path):
    """The second step's modality comes from the second OBR."""
    order = tmp_path / "order.hl7"
    text = ORDER.format(code="CT01", accession="ACC1")
    again = "".join(line for line in text.splitlines(keepends=True)[3:]).replace("SPS1", "SPS2")
    order.write_text(text + again)

    lines = [line.split() for line in mwl("hl7", "check", order).out.splitlines()]

    assert [line[2] for line in lines if line[:2] == ["Modality", "CT"]] == ["OBR-24", "OBR[2]-24"]
