"""`mwl check`: what would keep the broker from running, before it is started."""

from __future__ import annotations

import socket

import pytest

FREE = 'dicom: {listen: "127.0.0.1:0"}\nhl7: {listen: "127.0.0.1:0"}\nweb: {listen: "127.0.0.1:0"}\n'


@pytest.fixture
def written(tmp_path):
    """Write a configuration on free ports, with more text."""

    def write(text: str = "") -> None:
        (tmp_path / "mwl.yaml").write_text(FREE + text)

    write()
    return write


def results(outcome) -> dict[str, int]:
    """Return the code of each thing that was looked at."""
    return {check["what"]: check["code"] for check in outcome.json["checks"]}


def test_a_broker_that_would_run_is_fine(mwl, written):
    """Exit 0, one line a check; nothing is made by looking."""
    outcome = mwl("check", "--json")

    assert outcome.code == 0
    assert results(outcome) == {
        "configuration": 0,
        "profiles": 0,
        "database": 0,
        "dicom.listen": 0,
        "hl7.listen": 0,
        "web.listen": 0,
    }
    assert mwl("check").out.splitlines()[0].split() == ["CHECK", "RESULT"]
    assert "will be made" in mwl("check").out


def test_a_wrong_profile_ends_with_78(mwl, written):
    """Found without starting anything; the other checks are made all the same."""
    written("devices: {CT1: {profile: generik}}\n")

    outcome = mwl("check", "--json")

    assert outcome.code == 78
    assert results(outcome)["profiles"] == 78
    assert results(outcome)["web.listen"] == 0


def test_a_wrong_configuration_is_told_with_the_mistakes_of_its_profiles(mwl, written):
    """One round for whoever has to mend both."""
    written("retention: {mesages: 3d}\ndevices: {CT1: {profile: generik}}\n")

    outcome = mwl("check")

    assert outcome.code == 78
    assert [line.partition(": ")[2] for line in outcome.err.splitlines()] == [
        "error: unknown key 'mesages': did you mean 'messages'?",
        "error: there is no profile 'generik' for devices: did you mean 'generic'?",
    ]


def test_a_database_that_is_away_ends_with_69(mwl, written):
    """The password is not shown."""
    written("database: postgresql+psycopg://user:secret@127.0.0.1:1/none\n")

    outcome = mwl("check")

    assert outcome.code == 69
    assert "secret" not in outcome.out


def test_a_file_that_cannot_be_made_ends_with_69(mwl, written):
    """A folder that does not exist is no place for a database."""
    written("database: sqlite:////nowhere/mwl.db\n")

    assert mwl("check").code == 69


def test_a_current_schema_is_shown(mwl, written):
    """After an upgrade the revision is known."""
    mwl("db", "upgrade")

    assert "has schema" in mwl("check").out


def test_an_older_schema_is_no_fault(mwl, written, tmp_path):
    """`mwl serve` brings it up to date."""
    (tmp_path / "mwl.db").touch()

    outcome = mwl("check")

    assert outcome.code == 0
    assert "will be brought to schema" in outcome.out


def test_a_taken_port_is_a_finding(mwl, tmp_path):
    """Exit 1: a broker that runs already is no fault of the configuration."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (tmp_path / "mwl.yaml").write_text(
            FREE.replace(
                'web: {listen: "127.0.0.1:0"', f'web: {{listen: "127.0.0.1:{taken.getsockname()[1]}"'
            )
        )

        outcome = mwl("check", "--json")

    assert outcome.code == 1
    assert results(outcome)["web.listen"] == 1


def test_a_certificate_that_is_missing_ends_with_78(mwl, tmp_path):
    """TLS is checked as the listener would set it up."""
    (tmp_path / "mwl.yaml").write_text(
        'hl7:\n  listen: "127.0.0.1:0"\n  tls: {certificate: a.pem, key: b.pem}\n'
    )

    outcome = mwl("check", "--json")

    assert outcome.code == 78
    assert results(outcome)["hl7.tls"] == 78


def test_whom_a_system_is_told_by_tls_is_checked(mwl, tmp_path):
    """Each system for itself, as its connection would be set up."""
    status = 'status: {to: "h:1", tls: {%s}}'
    (tmp_path / "mwl.yaml").write_text(
        FREE + f"systems: {{A: {{{status % ''}}}, B: {{application: B, {status % 'authorities: a.pem'}}}}}\n"
    )

    found = results(mwl("check", "--json"))

    assert (found["systems.A.status.tls"], found["systems.B.status.tls"]) == (0, 78)


def test_whom_the_collector_is_trusted_by_is_checked(mwl, tmp_path):
    """Audit messages go to a collector that proves who it is, or nowhere."""
    audit = 'audit: {to: "collector:6514", tls: {authorities: nowhere.pem}}\n'
    (tmp_path / "mwl.yaml").write_text(FREE + audit)

    outcome = mwl("check", "--json")

    assert results(outcome)["audit.tls"] == 78


def test_every_setting_is_shown_with_its_origin(mwl, written, monkeypatch):
    """File and line, variable, or default."""
    monkeypatch.setenv("MWL_SITE__NAME", "HOSP")

    lines = [line.split() for line in mwl("check", "--show").out.splitlines()]

    assert ["web.listen", "127.0.0.1:0", "mwl.yaml:3"] in lines
    assert ["site.name", "HOSP", "$MWL_SITE__NAME"] in lines
    assert ["dicom.ae_title", "MWL", "default"] in lines


def test_settings_as_json(mwl, written):
    """A program reads the same."""
    assert {"key": "dicom.ae_title", "value": "MWL", "origin": "default"} in mwl(
        "check", "--show", "--json"
    ).json["settings"]
