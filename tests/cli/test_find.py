"""`mwl find` and `mwl echo`: what is asked for, and how the answer is shown."""

from __future__ import annotations

import pytest

from mwl.cli.find import identify
from mwl.dicom import requestor
from mwl.errors import Unavailable

STEP = "00400100"


@pytest.fixture
def asked(monkeypatch, f0_items):
    """Stand in for the network: keep what is asked, answer with step S6."""
    calls: list[tuple[requestor.Peer, dict]] = []

    def find(peer, keys):
        calls.append((peer, keys))
        return [f0_items["S6"].merged()]

    monkeypatch.setattr(requestor, "find", find)
    return calls


def test_keys_stand_where_their_paths_lead():
    """The long and the short form of the step's sequence are one."""
    identifier = identify(
        [
            "PatientName=DOE*",
            "ScheduledProcedureStepSequence.Modality=MR",
            "SPS.ScheduledStationAETitle=MR_1",
            "(0010,0020)=P1",
        ]
    )

    (step,) = identifier[STEP]["Value"]
    assert identifier["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "DOE*"}]}
    assert identifier["00100020"] == {"vr": "LO", "Value": ["P1"]}
    assert step["00080060"] == {"vr": "CS", "Value": ["MR"]}
    assert step["00400001"] == {"vr": "AE", "Value": ["MR_1"]}


def test_what_a_console_shows_is_always_asked_for():
    """A key without a value is asked for, not matched."""
    identifier = identify(["AdmissionID"])

    assert identifier["00380010"] == identifier["0020000D"] | {"vr": "LO"}
    assert identifier[STEP]["Value"][0]["00400002"] == {"vr": "DA"}


@pytest.mark.parametrize(
    ("key", "element"),
    [
        ("StudyInstanceUID=1.2\\1.3", {"vr": "UI", "Value": ["1.2", "1.3"]}),
        ("PregnancyStatus=4", {"vr": "US", "Value": [4]}),
        ("PatientName==王*", {"vr": "PN", "Value": [{"Ideographic": "王*"}]}),
        ("PatientName=", {"vr": "PN"}),
    ],
)
def test_values_have_the_form_of_their_attribute(key, element):
    """Lists are separated by backslashes, names by groups, numbers are numbers."""
    from mwl.mapping.paths import parse_path

    assert identify([key])[parse_path(key.partition("=")[0])[0]] == element


def test_other_scripts_are_sent_as_utf8():
    """The identifier names its character set only where it needs one."""
    assert identify(["PatientName=王*"])["00080005"]["Value"] == ["ISO_IR 192"]
    assert "00080005" not in identify(["PatientName=DOE*"])


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("PatientNme=X", "did you mean 'PatientName'?"),
        ("SPS=X", "write SEQUENCE.KEY=VALUE"),
        ("PregnancyStatus=x", "invalid literal"),
        ("PatientID.Modality=X", "no sequence"),
    ],
)
def test_a_wrong_key_is_wrong_usage(mwl, asked, key, message):
    """Nothing is sent; the message helps."""
    result = mwl("find", key)

    assert (result.code, asked) == (2, [])
    assert message in " ".join(result.err.split())


def test_the_configured_broker_is_asked_by_default(mwl, asked, tmp_path):
    """One that listens everywhere is reached on loopback."""
    (tmp_path / "mwl.yaml").write_text('dicom: {ae_title: BROKER, listen: "0.0.0.0:104"}')

    mwl("find", "--ae", "CT1", "SPS.Modality=CT")

    ((peer, _),) = asked
    assert (peer.host, peer.port, peer.called_ae, peer.calling_ae) == ("127.0.0.1", 104, "BROKER", "CT1")


def test_another_application_may_be_asked(mwl, asked):
    """The address stands in front of the keys."""
    mwl("find", "[::1]:11113", "PatientID=1", "--called", "OTHER", "--timeout", "3")

    ((peer, keys),) = asked
    assert (peer.host, peer.port, peer.called_ae, peer.timeout) == ("::1", 11113, "OTHER", 3.0)
    assert keys["00100020"]["Value"] == ["1"]


def test_what_was_found_is_a_table(mwl, asked):
    """One line an item; how many were found is no data."""
    result = mwl("find")

    header, line = result.out.splitlines()
    assert header.split()[:3] == ["START", "TIME", "STATION"]
    assert line.split() == ["20260707", "070000", "CT_ROOM2", "CT", "Wang^XiaoDong=王^小东", "PID005", "ACC1006", "Step", "S6", "SCHEDULED"]  # fmt: skip
    assert result.err == "1 found\n"


def test_what_was_found_as_json_is_the_dicom_model(mwl, asked, f0_items):
    """PS3.18 Annex F, as it came."""
    assert mwl("find", "--json").json == [f0_items["S6"].merged()]


@pytest.mark.parametrize("title", ["A_TITLE_TOO_LONG_", "A\\B", " "])
def test_a_wrong_ae_title_is_wrong_usage(mwl, asked, title):
    """E-05: it is refused before anything is sent."""
    assert mwl("find", "--ae", title).code == 2
    assert asked == []


def test_an_application_that_answers_is_named(mwl, monkeypatch):
    """`mwl echo` says who answered whom."""
    monkeypatch.setattr(requestor, "echo", lambda peer: None)

    assert (
        mwl("echo", "127.0.0.1:104", "--called", "PACS", "--ae", "CT1").out
        == "PACS at 127.0.0.1:104 answers CT1\n"
    )


def test_an_application_that_is_not_there_ends_with_69(mwl, monkeypatch):
    """A peer that is unavailable."""

    def silent(peer):
        raise Unavailable("nobody there")

    monkeypatch.setattr(requestor, "echo", silent)

    result = mwl("echo", "127.0.0.1:104")

    assert (result.code, result.out, result.err) == (69, "", "mwl: nobody there\n")


def test_a_peer_out_of_resources_may_be_asked_again(mwl, monkeypatch):
    """A7xx is no refusal: exit 75."""

    def busy(peer, keys):
        raise requestor.Failed("C-FIND", 0xA700)

    monkeypatch.setattr(requestor, "find", busy)

    assert mwl("find").code == 75
