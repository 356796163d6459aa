"""`mwl import`: what another worklist held, and what its RIS had sent, is here afterwards; once."""

from __future__ import annotations

import json
import subprocess

import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select

from foreign.dicom import wlmscpfs
from mwl.store import tables


def item(n: int, *steps: str, **changes: object) -> Dataset:
    """Return a worklist item with these steps."""
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientName, data.PatientID = "DOE^JANE=山田^花子", f"PID{n:03}"
    data.IssuerOfPatientID = "HOSP"
    data.AccessionNumber, data.RequestedProcedureID = f"ACC{n}", f"RP{n}"
    data.StudyInstanceUID, data.RequestedProcedureDescription = f"1.2.276.0.99.{n}", "CT head"
    data.ScheduledProcedureStepSequence = [_step(step) for step in steps]
    for keyword, value in changes.items():
        setattr(data, keyword, value)
    return data


def _step(step: str) -> Dataset:
    data = Dataset()
    data.Modality, data.ScheduledStationAETitle, data.ScheduledProcedureStepID = "CT", "CT1", step
    data.ScheduledProcedureStepStartDate, data.ScheduledProcedureStepStartTime = "20260705", "093000"
    return data


@pytest.fixture
def save(tmp_path):
    """Write an item as a DICOM file into the folder "worklist"."""
    (tmp_path / "worklist" / "CT").mkdir(parents=True)
    (tmp_path / "worklist" / "lockfile").touch()

    def saved(name: str, data: Dataset) -> None:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.31", "1.2.3"
        path = tmp_path / "worklist" / name
        FileDataset(path, data, file_meta=meta, preamble=b"\0" * 128).save_as(path, enforce_file_format=True)

    return saved


def done(result) -> dict[str, tuple[int, int, int]]:
    """Return what became of each file."""
    return {
        each["file"].rpartition("/")[2]: (each["new"], each["known"], each["refused"]) for each in result.json
    }


def steps(store) -> list[tuple[str, str]]:
    chosen = select(tables.steps.c.step_id, tables.steps.c.state).order_by(tables.steps.c.step_id)
    return store.read_now(lambda tx: [tuple(row) for row in tx.connection.execute(chosen)])


def test_a_folder_of_items_becomes_steps_and_again_changes_nothing(mwl, ris, save):
    """Those of folders in it, too; a lock file is none."""
    save("a.wl", item(1, "S1"))
    save("CT/b.wl", item(2, "S2", "S3"))

    first = mwl("import", "worklist", "--json")
    again = mwl("import", "worklist", "--json")

    assert (first.code, done(first)) == (0, {"a.wl": (1, 0, 0), "b.wl": (2, 0, 0)})
    assert (again.code, done(again)) == (0, {"a.wl": (0, 1, 0), "b.wl": (0, 2, 0)})
    assert steps(ris.store) == [(f"S{n}", "SCHEDULED") for n in (1, 2, 3)]
    shown = mwl("steps", "show", "3").out
    assert "山田^花子" in shown
    assert "1.2.276.0.99.1" in shown


def test_what_became_of_a_step_since_stays(mwl, ris, save):
    """A cancelled one is not put back, and a name that was mended is not spoilt."""
    save("a.wl", item(1, "S1", PatientName="TYPO^JANE", RequestedProcedureDescription="head, mended"))
    mwl("import", "worklist")
    assert mwl("steps", "cancel", "1", "--reason", "a mistake").code == 0
    ris.knows("MRKNEE: MR")
    ris.sends(ris.order(2, patient="PID001"))
    save("a.wl", item(1, "S1", "S9", PatientName="TYPO^JANE", RequestedProcedureDescription="typo"))

    again = mwl("import", "worklist", "--json", "--system", "RIS")

    assert done(again) == {"a.wl": (1, 1, 0)}
    assert dict(steps(ris.store)) == {"S1": "CANCELED", "S9": "SCHEDULED", "SPS2": "SCHEDULED"}
    shown = mwl("steps", "show", "1").out
    assert "DOE^JANE" in shown
    assert "TYPO" not in shown
    assert "head, mended" in shown


def test_a_rehearsal_changes_nothing(mwl, ris, save, tmp_path):
    """It says what would be new."""
    save("a.wl", item(1, "S1"))
    (tmp_path / "orders.hl7").write_bytes(ris.order(2, code="CTHEAD"))

    rehearsed = mwl("import", "worklist", "orders.hl7", "--dry-run", "--json")

    assert done(rehearsed) == {"a.wl": (1, 0, 0), "orders.hl7": (1, 0, 0)}
    assert "nothing was changed" in rehearsed.err
    assert steps(ris.store) == []
    assert mwl("hl7", "list", "--json").json == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PatientID": ""}, "no patient ID"),
        ({"AccessionNumber": "", "RequestedProcedureID": ""}, "neither an accession number"),
        ({"ScheduledProcedureStepSequence": []}, "no scheduled step"),
        ({"ScheduledProcedureStepSequence": [Dataset()]}, "without an ID"),
    ],
)
def test_what_does_not_say_enough_is_refused_with_its_reason(mwl, ris, save, changes, reason):
    """The others are taken."""
    save("a.wl", item(1, "S1", **changes))
    save("b.wl", item(2, "S2"))

    result = mwl("import", "worklist", "--json")

    assert (result.code, done(result)) == (1, {"a.wl": (0, 0, 1), "b.wl": (1, 0, 0)})
    assert reason in result.json[0]["reason"]


@pytest.mark.parametrize("day", ["20260231", "2026", "tomorrow"])
def test_a_step_on_a_day_that_is_none_is_refused(mwl, ris, tmp_path, day):
    """It would wait for ever: no query by date finds it, and nothing that waits is deleted."""
    data = json.loads(item(1, "S1").to_json())
    data["00400100"]["Value"][0]["00400002"]["Value"] = [day]
    (tmp_path / "item.json").write_text(json.dumps(data))

    result = mwl("import", "item.json", "--json")

    assert result.json[0]["reason"] == "a scheduled step whose start date is no YYYYMMDD"


def test_a_number_as_long_as_nobody_has_one_is_known_again(mwl, ris, tmp_path):
    """It is kept in part where orders are found by it."""
    data = json.loads(item(1, "S1", RequestedProcedureID="").to_json())
    data["00080050"]["Value"] = ["A" * 5000]
    (tmp_path / "item.json").write_text(json.dumps(data))

    again = [done(mwl("import", "item.json", "--json")) for _ in range(2)]

    assert again == [{"item.json": (1, 0, 0)}, {"item.json": (0, 1, 0)}]


def test_a_step_that_is_over_is_refused(mwl, ris, save):
    """A worklist is of what waits."""
    over = item(1, "S1")
    over.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus = "COMPLETED"
    save("a.wl", over)

    assert "COMPLETED" in mwl("import", "worklist", "--json").json[0]["reason"]


def test_messages_of_files_are_taken_as_if_they_came_now(mwl, ris, tmp_path):
    """Accepted, refused, and known the second time; the journal has them."""
    messages = ris.order(1, code="CTHEAD") + b"\r" + ris.order(2)
    (tmp_path / "orders.hl7").write_bytes(messages)

    first = mwl("import", "orders.hl7", "--json")
    again = mwl("import", "orders.hl7")

    assert (first.code, done(first)) == (1, {"orders.hl7": (1, 0, 1)})
    assert "OBR" in first.json[0]["reason"]
    assert again.code == 1
    assert "1 files: 0 new, 1 known, 1 refused" in again.err
    assert [each["outcome"] for each in mwl("hl7", "list", "--json").json] == ["AE", "AA"]


def test_the_worklist_of_dcmtk_is_taken(mwl, ris, tmp_path):
    """The ten items that DCMTK ships, as files, as dumps, and in JSON."""
    items = wlmscpfs.items(tmp_path / "OFFIS")
    taken = mwl("import", "OFFIS", "--json")
    dump = subprocess.run(["dcmdump", "-q", items[0]], capture_output=True, check=True, timeout=60).stdout
    (tmp_path / "dump.txt").write_bytes(dump)
    as_dump = mwl("import", "dump.txt", "--json")

    assert taken.code == 0, taken.out
    assert sum(new for new, _, _ in done(taken).values()) == len(steps(ris.store)) >= 10
    assert done(as_dump) == {"dump.txt": (0, 1, 0)}


def test_rubbish_is_refused_and_names_its_file(mwl, ris, tmp_path):
    """Text, an image, nothing."""
    (tmp_path / "in").mkdir()
    for name, raw in {"note.txt": b"buy milk", "photo.jpg": b"\xff\xd8\xff\0rubbish", "none": b""}.items():
        (tmp_path / "in" / name).write_bytes(raw)

    result = mwl("import", "in")

    assert result.code == 1
    assert all(name in result.out for name in ("note.txt", "photo.jpg", "none"))
    assert "3 refused" in result.err


def test_whose_orders_data_sets_are_has_to_be_known(mwl, ris, save, tmp_path):
    """With several systems somebody says it; a name that is none is told."""
    with (tmp_path / "mwl.yaml").open("a") as configuration:
        configuration.write("# more\n")
    text = (tmp_path / "mwl.yaml").read_text()
    (tmp_path / "mwl.yaml").write_text(text.replace("systems: {", "systems: {HIS: {application: HIS}, "))
    save("a.wl", item(1, "S1"))

    assert mwl("import", "worklist", "--json").json[0]["reason"].startswith("of several systems")
    assert mwl("import", "worklist", "--system", "NOBODY").code == 2
    assert mwl("import", "worklist", "--system", "RIS").code == 0


def test_nothing_to_take_is_wrong_usage_and_no_database_is_unavailable(mwl, tmp_path):
    """Exit codes as everywhere."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "mwl.yaml").write_text(f"database: sqlite:///{tmp_path / 'none.db'}\n")
    (tmp_path / "a.json").write_text(json.dumps({"00100020": {"vr": "LO", "Value": ["P"]}}))

    assert mwl("import", "empty").code == 2
    assert mwl("import", "nowhere").code == 2
    assert mwl("import", "a.json").code == 69
