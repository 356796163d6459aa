"""`mwl support`: a bundle without anybody in it, which the site alone can read."""

from __future__ import annotations

import json
import os
import zipfile

import pytest
import yaml

from mwl.dicom.encoding import encode_dataset
from mwl.mapping.text.charset import parse_terms
from mwl.model import name_value
from mwl.store import performed, queries, requests
from mwl.store.queries import CapturedQuery
from mwl.workbench.bench import EXPLICIT_LE

NAME, IDEOGRAMS, KANA = "Quennerstedt^Zsofia", "鬼頭^雛子", "ｷﾄｳ^ﾋﾅｺ"
PATIENT, ACCESSION, PLACER, FILLER = "MRN7731552", "ACZX90417", "PLQX5521", "FLQX5522"
NOTE, STUDY = "Her neighbour Vandersloot telephoned", "1.2.276.0.99.88123.7"
MARKS = (
    "quennerstedt", "zsofia", "鬼頭", "雛子", "ｷﾄｳ", "ﾋﾅｺ", PATIENT, ACCESSION, PLACER, FILLER, "Vandersloot",
    "neighbour", "88123", "Oberholtzer", "Wilhelmina", "Winnifred", "MRN99120", "Rumpelgasse", "19550423", "1955-04-23", "hunter2", "20260705", "2026-07-05",
)  # fmt: skip
ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260704120000||ORM^O01|{control_id}|P|2.3.1||||||UNICODE UTF-8\r"
    f"PID|1||{PATIENT}^^^HOSP||{NAME}={IDEOGRAMS}={KANA}||19550423|F|||Rumpelgasse 3\r"
    f"ORC|NW|{PLACER}^RIS|{FILLER}^RIS||||1^^^20260705093000^^R|||||||||||\r"
    "OBR|1|"
    + PLACER
    + "^RIS|"
    + FILLER
    + "^RIS|{code}^"
    + NOTE
    + "^L||||||||||||||"
    + ACCESSION
    + "|RP1|SPS1\r"
    f"NTE|1||{NOTE}, {PATIENT}\r"
    f"ZDS|{STUDY}^RIS^Application^DICOM\r"
)
DOCUMENT = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080050": {"vr": "SH", "Value": [ACCESSION]},
    "00100010": {"vr": "PN", "Value": [name_value(f"{NAME}={IDEOGRAMS}={KANA}")]},
    "00100020": {"vr": "LO", "Value": [PATIENT]},
    "00104000": {"vr": "LT", "Value": [NOTE]},
    "0020000D": {"vr": "UI", "Value": [STUDY]},
    "00400252": {"vr": "CS", "Value": ["IN PROGRESS"]},
}

EXAMPLES = """\
profile: for-a-patient
extends: generic
tests:
  - name: what she was not shown
    query: {PatientName: "Oberholtzer, Wilhelmina*"}
    steps: [{PatientName: Oberholtzer^Wilhelmina, PatientID: MRN99120}, {OtherPatientNames: Winnifred}]

note: Oberholtzer
"""


@pytest.fixture
def site(ris, tmp_path):
    """A site where marked people are everywhere: in what it has on record, its profile and its log."""
    with (tmp_path / "mwl.yaml").open("a") as configuration:
        configuration.write("dicom: {users: {anna: {password: hunter2}}}\n")
        configuration.write(f"web: {{listen: '127.0.0.1:{_closed()}'}}\n")
    accepted = ORDER.format(control_id="C1", code="CTHEAD").encode()
    refused = ORDER.format(control_id="C2", code="NOSUCH").encode()
    garbage = b"MSH|^~\\&|RIS\rPID|1||" + f"{PATIENT}||{NAME}".encode()
    shifted = accepted.replace(b"ORM^O01|C1|P", f"ORM^{NAME}|C3|Quennerstedt".encode())
    shifted = shifted.replace(b"UNICODE UTF-8", b"Zsofia")
    ris.sends(accepted, refused, garbage, shifted)
    identifier = encode_dataset(DOCUMENT, EXPLICIT_LE, parse_terms(["ISO_IR 192"]))
    query = CapturedQuery("CT1", identifier, EXPLICIT_LE, "2026-07-05T10:00:00.000000+00:00", "0000")

    def exam(tx):
        queries.record(tx, [query], per_device=10)
        done = performed.create(tx, "1.2.3.4", DOCUMENT, calling_ae="CT1", told=())
        requests.keep(
            tx, done.step.key, operation="N-CREATE", calling_ae="CT1", address="", data=identifier,
            transfer_syntax=EXPLICIT_LE,
        )  # fmt: skip

    ris.store.write_now(exam)
    ris.profile.write_text(ris.profile.read_text() + f"# asked by {NAME}, {IDEOGRAMS} on 2026-07-05\n")
    ris.profile.parent.with_name("devices").mkdir(exist_ok=True)
    ris.profile.parent.with_name("devices").joinpath(f"for-{PATIENT}.yaml").write_text(EXAMPLES)
    lines = (
        {"time": "2026-07-05T10:00:00Z", "level": "info", "event": "odd", "value": f"{IDEOGRAMS} {PATIENT}"},
        {"time": "2026-07-05T10:00:00Z", "level": "warning", "event": "open", "performed": STUDY},
        {"time": "2026-07-05T10:00:00Z", "level": "debug", "event": "in detail", "value": "anybody at all"},
    )
    (tmp_path / "mwl.log").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + f"Trace: {NAME}\n")
    return ris


def _closed() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def packed(path) -> dict[str, str]:
    with zipfile.ZipFile(path) as bundle:
        return {name: bundle.read(name).decode() for name in bundle.namelist()}


def test_nobody_is_in_a_bundle(mwl, site, tmp_path):
    """Not in messages taken, refused or not understood, answers, queries, exams, profiles, logs, settings."""
    done = mwl("support", "bundle", "out.zip", "--log", "mwl.log")
    files = packed(tmp_path / "out.zip")

    text = "\n".join([*files, *files.values()]).lower()
    assert done.code == 0, done.err
    assert [mark for mark in MARKS if mark.lower() in text] == []
    assert "anybody at all" not in text
    assert os.stat("out.zip").st_mode & 0o777 == 0o600


def test_a_bundle_holds_what_a_supporter_needs(mwl, site, tmp_path):
    """Messages with their answers and outcomes, queries, exams, the profile, settings, versions, the check."""
    mwl("support", "bundle", "out.zip", "--log", "mwl.log")
    files = packed(tmp_path / "out.zip")

    outcomes = [json.loads(files[f"messages/{n}.json"])["outcome"] for n in (1, 2)]
    assert outcomes == ["AA", "AE"]
    assert "MSA|AA|" in files["messages/1.answer.hl7"]
    assert "ORC|NW|" in files["messages/1.hl7"]
    assert "|CTHEAD^" in files["messages/1.hl7"]
    assert json.loads(files["queries/1.json"])["calling_ae"] == "CT1"
    assert json.loads(files["performed/1.json"])[0]["data"]["00400252"]["Value"] == ["IN PROGRESS"]
    assert yaml.safe_load(files["profiles/systems/ours.yaml"])["profile"] == "ours"
    assert "odd" in files["logs/1-mwl.log"]
    settings = {each["key"]: each["value"] for each in json.loads(files["configuration.json"])}
    assert settings["systems.RIS.application"] == "RIS"
    assert "*" in settings["dicom.users.anna.password"]
    assert json.loads(files["versions.json"])["broker_answered"] is False
    assert {each["what"] for each in json.loads(files["check.json"])} >= {"profiles", "database"}
    assert "113100 (DCM)" in files["deidentification.json"]


def test_the_same_patient_is_the_same_throughout(mwl, site, tmp_path):
    """In messages, data sets, notes and the log."""
    mwl("support", "bundle", "out.zip", "--log", "mwl.log")
    files = packed(tmp_path / "out.zip")

    (query,) = json.loads(files["queries/1.json"])["identifier"]["00100020"]["Value"]
    assert f"|{query}^" in files["messages/1.hl7"]
    assert f"|{query}|" in files["messages/3.hl7"]
    assert f", {query}" in files["messages/1.hl7"]
    assert query in files["logs/1-mwl.log"]
    assert query in files["performed/1.json"]
    assert f"profiles/devices/for-{query}.yaml" in files
    (study,) = json.loads(files["queries/1.json"])["identifier"]["0020000D"]["Value"]
    assert study in files["logs/1-mwl.log"]


def test_the_site_alone_reads_pseudonyms(mwl, site, tmp_path):
    """With the key that it made and keeps; two bundles of one key say the same."""
    made = mwl("support", "key", "site.key")
    for name in ("one.zip", "two.zip"):
        assert mwl("support", "bundle", name, "--key", "site.key").code == 0
    one, two = packed(tmp_path / "one.zip"), packed(tmp_path / "two.zip")
    pid = next(line for line in one["messages/1.hl7"].splitlines() if line.startswith("PID")).split("|")

    revealed = mwl("support", "reveal", "--key", "site.key", pid[5], pid[7])

    assert made.code == 0
    assert os.stat("site.key").st_mode & 0o777 == 0o600
    assert one["messages/1.hl7"] == two["messages/1.hl7"]
    assert f"{NAME}={IDEOGRAMS}={KANA}" in revealed.out
    assert "1955-04-23" in revealed.out


def test_a_key_is_never_written_over_and_has_to_be_one(mwl, database, tmp_path):
    """Old bundles could not be read any more; a wrong file is told as such."""
    (tmp_path / "notes.txt").write_text("buy milk")
    (tmp_path / "mine.zip").write_text("mine")

    assert mwl("support", "key", "notes.txt").code == 2
    assert mwl("support", "bundle", "out.zip", "--key", "notes.txt").code == 78
    assert mwl("support", "bundle", "mine.zip").code == 2
    assert mwl("support", "bundle", "mine.zip", "--force").code == 0
    assert (tmp_path / "notes.txt").read_text() == "buy milk"


def test_without_a_database_a_bundle_is_not_made(mwl, tmp_path):
    """The exit code says why."""
    (tmp_path / "mwl.yaml").write_text(f"database: sqlite:///{tmp_path / 'none.db'}\n")

    assert mwl("support", "bundle", "out.zip").code == 69
    assert not (tmp_path / "out.zip").exists()
