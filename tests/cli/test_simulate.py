"""``mwl simulate``: what is played, against a provider that is not ours, and how it is shown."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from foreign.dicom.provider import Provider, item, provided


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider to be started."""
    with provided() as made:
        yield made


@pytest.fixture
def configured(provider, tmp_path):
    """Start the provider with items, as the broker that the configuration names."""

    def start(*items, ae_title="SCP"):
        host, port = provider.start(*items)
        (tmp_path / "mwl.yaml").write_text(f'dicom: {{ae_title: {ae_title}, listen: "{host}:{port}"}}')
        return f"{host}:{port}"

    return start


def test_without_a_device_all_are_listed(mwl):
    """With what each is known for, and what it reports; no configuration is needed."""
    result = mwl("simulate")

    header, *lines = result.out.splitlines()
    assert header.split() == ["DEVICE", "PLAYS", "MPPS", "KNOWN", "FOR"]
    assert len(lines) == 14
    (agfa,) = [line for line in lines if line.startswith("sim-agfa-nx ")]
    assert "scheduled, moved" in agfa
    assert "two AE titles" in agfa


def test_the_list_as_json_says_what_each_rests_on(mwl):
    """Evidence, what is assumed, queries and what must be typed for them."""
    devices = {each["device"]: each for each in mwl("simulate", "--json").json}

    ct, hd7 = devices["sim-ge-ct"], devices["sim-philips-hd7"]
    assert ct["evidence"][0]["grade"] == "A"
    assert "DOC0500644" in ct["evidence"][0]["says"]
    assert ct["queries"]["requested procedure"] == {"typed": "a Requested Procedure ID"}
    assert hd7["assumed"][0] == "which keys it sends"
    assert hd7["mpps"] == ["scheduled", "edited", "unscheduled"]


def test_the_configured_broker_is_asked(mwl, provider, configured):
    """As the device, or under the AE title given; each match stands in a line with what becomes of it."""
    at = configured(item(1), item(2, PatientName=""))

    result = mwl("simulate", "sim-ge-ct", "this modality/today", "--ae", "CT7")

    heading, header, first, second, counted = result.out.splitlines()
    assert heading == f"CT7 asks SCP at {at} as sim-ge-ct: this modality/today"
    assert header.split()[-1] == "CONSOLE"
    assert first.split()[:3] == ["20260705", "083000", "CT1"]
    assert first.endswith("  shown")
    assert second.endswith("  not shown: PatientName is empty")
    assert counted == "1 shown, 1 not shown"
    assert (result.code, result.err) == (1, "")
    assert provider.identity[:2] == ("CT7", "SCP")


def test_a_console_that_shows_all_is_content(mwl, configured):
    """Exit 0, with remarks on what it shortens; an empty list is no error."""
    configured(item(PatientName="A" * 40))
    assert mwl("simulate", "sim-terason").code == 0

    result = mwl("simulate", "sim-ge-ct")

    assert "shown; PatientName is cut to 32 of 40 characters" in result.out
    assert result.code == 0


def test_an_error_of_the_console_is_shown(mwl, provider, configured):
    """Exit 1; what the log has stands beside it."""
    configured()
    provider.entity.require_called_aet = True

    result = mwl("simulate", "sim-esaote", "--called", "WRONG")

    assert "the console says: association rejected: called AE title not recognised" in result.out
    assert result.code == 1


def test_a_device_can_be_made_to_cancel_abort_and_wait(mwl, provider, configured):
    """Options of one query."""
    configured(item(1, PatientName=""), item(2))

    aborted = mwl("simulate", "sim-ge-ct", "--on-bad", "abort")
    silent = mwl("simulate", "sim-siemens-flc", "--timeout", "0.2", "--called", "SCP")
    cancelled = mwl("simulate", "sim-philips-mg", "--cancel-after", "2")

    assert "the update was aborted" in aborted.out
    assert "no answer within 0.2 seconds" in silent.out
    assert "log: C-CANCEL was sent after 2 matches" in cancelled.out
    assert [aborted.code, silent.code] == [1, 1]


def test_what_is_typed_is_asked_for(mwl, provider, configured):
    """And how many days a range has."""
    configured(item())

    mwl("simulate", "sim-agfa-nx", "accession", "--typed", "ACC7")
    mwl("simulate", "sim-ge-ct", "all/after", "--days", "0")

    assert provider.asked[0].AccessionNumber == "ACC7"
    begin, end = (
        provider.asked[1].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate.split("-")
    )
    assert begin == end


def test_a_device_may_ask_several_times(mwl, provider, configured):
    """In bounded number, each time shown."""
    configured(item())

    result = mwl("simulate", "sim-terason", "--times", "3", "--every", "0")

    assert result.out.count("1 shown, 0 not shown") == 3
    assert len(provider.asked) == 3
    assert mwl("simulate", "sim-terason", "--times", "1001").code == 2


def test_an_exam_is_reported_of_what_is_shown_first(mwl, provider, configured):
    """N-CREATE and N-SET with their answers; under the title of --mpps-ae."""
    configured(item(1), item(2))

    result = mwl("simulate", "sim-agfa-nx", "--mpps", "moved", "--mpps-ae", "XR_MPPS")

    assert result.out.splitlines()[-2:] == [
        "N-CREATE IN PROGRESS as XR_MPPS: 0000",
        "N-SET DISCONTINUED as XR_MPPS: 0000",
    ]
    assert result.code == 0
    assert provider.told[0][3].PatientID == "PID1"


def test_a_refused_report_ends_with_1(mwl, provider, configured):
    """The status is shown."""
    configured(item(1))
    provider.status = 0x0110

    result = mwl("simulate", "sim-ge-ct", "--mpps", "scheduled")

    assert "N-CREATE IN PROGRESS as CT1: 0110" in result.out
    assert result.code == 1


def test_nothing_shown_is_nothing_to_perform(mwl, provider, configured):
    """The list is shown, and no report is sent; an unscheduled exam needs no list."""
    configured()

    result = mwl("simulate", "sim-ge-ct", "--mpps", "scheduled")
    walked_in = mwl("simulate", "sim-philips-hd7", "--mpps", "unscheduled")

    assert result.err == "mwl: the console shows 0: 'scheduled' performs 1\n"
    assert (result.code, walked_in.code) == (1, 0)
    assert [each[3].get("PatientID") for each in provider.told] == ["WALKIN1", None]


def test_runs_and_reports_as_json_are_whole(mwl, configured):
    """What was asked, shown and refused, and what was reported, in the DICOM JSON model."""
    configured(item(1), item(2, PatientID=""))

    found = mwl("simulate", "sim-ge-ct", "--mpps", "scheduled", "--json").json

    (run,), (created, completed) = found["runs"], found["reports"]
    assert run["asked"]["00080005"]["Value"] == ["ISO_IR 100"]
    assert run["shown"][0]["00100020"]["Value"] == ["PID1"]
    assert [each["why"] for each in run["not_shown"]] == ["PatientID is empty"]
    assert (run["status"], run["error"], run["log"]) == ("0000", None, [])
    assert (created["operation"], created["status"], completed["state"]) == ("N-CREATE", "0000", "COMPLETED")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sim-ge"], "did you mean 'sim-ge-ct'?"),
        (["sim-ge-ct", "this"], "It has 'this scanner/today', 'this scanner/before'"),
        (["sim-agfa-nx", "accession"], "needs 'typed': an accession number"),
        (["sim-esaote", "--mpps", "scheduled"], "sim-esaote has no MPPS"),
        (["sim-ge-ct", "--ae", "A_TITLE_TOO_LONG_"], "16"),
        (["sim-ge-ct", "--at", "somewhere"], "HOST:PORT"),
    ],
)
def test_what_cannot_be_played_is_wrong_usage(mwl, provider, configured, arguments, message):
    """Said before anything is sent."""
    configured(item())

    result = mwl("simulate", *arguments)

    assert result.code == 2
    assert message.lower() in " ".join(result.err.split()).lower()
    assert provider.requests == []


def test_a_broker_elsewhere_is_not_asked_by_itself(mwl, tmp_path):
    """A played device leaves this machine only where the command line says so."""
    (tmp_path / "mwl.yaml").write_text('dicom: {listen: "192.0.2.7:11112"}')

    result = mwl("simulate", "sim-ge-ct")

    assert result.code == 2
    assert "say --at 192.0.2.7:11112" in " ".join(result.err.split())


def test_another_application_may_be_asked(mwl, provider, tmp_path):
    """--at is any worklist, not only a broker of ours."""
    host, port = provider.start(item())

    result = mwl("simulate", "sim-radlink", "--at", f"{host}:{port}", "--called", "OTHER")

    assert result.out.startswith(f"RADLINK asks OTHER at {host}:{port} as sim-radlink: today\n")


def test_nobody_there_ends_with_69(mwl):
    """As every command that finds its peer unavailable."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host, port = closed.getsockname()

    result = mwl("simulate", "sim-ge-ct", "--at", f"{host}:{port}")

    assert result.code == 69
    assert "cannot be reached" in result.err
