"""A whole association with 20 matches: the broker beside a plain pynetdicom server, in one run.

    python benchmarks/association.py [--runs 200]

Each run connects, associates, queries and releases; the two servers take turns, and the medians and
their ratio are printed.  The broker runs as a process of its own on SQLite with synchronous=FULL;
so does the plain server, which builds and encodes its responses as pynetdicom's own example does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pydicom.dataset import Dataset
from raw_client import script, whole_association

MATCHES = 20
_ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|B{n}|P|2.3.1||||||UNICODE UTF-8\r"
    "PID|1||PID{n}^^^HOSP||DOE{n}^JANE||19700101|F\rPV1|1|I|WARD1^12^1|||||2201^SOMMER^EVA\r"
    "ORC|NW|PL{n}^RIS|FI{n}^RIS||||1^once^^20260705{h:02}{m:02}00^^S|||||||||||CT1\r"
    "OBR|1|PL{n}^RIS|FI{n}^RIS|CT01^CT head^L||||||||||||2201^SOMMER^EVA||ACC{n}|RP{n}|SPS{n}||||CT\r"
    "ZDS|1.2.276.0.99.{n}^RIS^Application^DICOM\r"
)


def keys() -> Dataset:
    """What a CT asks for: 20 return keys, station, modality and day."""
    asked = Dataset()
    for keyword in (
        "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID", "PatientBirthDate",
        "PatientSex", "PatientWeight", "MedicalAlerts", "Allergies", "PregnancyStatus", "StudyInstanceUID",
        "RequestingPhysician", "RequestedProcedureDescription", "RequestedProcedureID",
    ):  # fmt: skip
        setattr(asked, keyword, None)
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle, step.ScheduledProcedureStepStartDate = (
        "CT",
        "CT1",
        "20260705",
    )
    for keyword in (
        "ScheduledProcedureStepStartTime",
        "ScheduledProcedureStepDescription",
        "ScheduledProcedureStepID",
    ):
        setattr(step, keyword, None)
    asked.ScheduledProcedureStepSequence = [step]
    return asked


@contextmanager
def broker(folder: Path) -> Iterator[tuple[str, int]]:
    """Run `mwl serve` with the orders of one day; yield its DICOM address."""
    configuration = {
        "database": f"sqlite:///{folder / 'bench.db'}",
        **{door: {"listen": "127.0.0.1:0"} for door in ("dicom", "hl7", "web")},
    }
    (folder / "mwl.yaml").write_text(json.dumps(configuration), "utf-8")
    command = [sys.executable, "-m", "mwl", "serve", "--config", str(folder / "mwl.yaml")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stderr=log)
        try:
            addresses = _ready(folder, process)
            _order(addresses["hl7"])
            yield addresses["dicom"]
        finally:
            process.terminate()
            process.wait(30)


def _ready(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, tuple[str, int]]:
    for _ in range(600):
        for line in (folder / "log").read_text("utf-8").splitlines():
            event = json.loads(line)
            if event["event"] == "ready":
                return {
                    k: (event[k].rpartition(":")[0], int(event[k].rpartition(":")[2]))
                    for k in ("dicom", "hl7")
                }
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError("the broker did not start: " + (folder / "log").read_text("utf-8"))


def _order(address: tuple[str, int]) -> None:
    from hl7.client import MLLPClient

    with MLLPClient(*address) as client:
        for n in range(MATCHES):
            message = _ORDER.format(n=n, h=8 + n // 4, m=n % 4 * 15).encode()
            if b"MSA|AA" not in client.send(b"\x0b" + message + b"\x1c\x0d"):
                raise RuntimeError("an order was refused")


@contextmanager
def plain_server() -> Iterator[tuple[str, int]]:
    """Run this file as a plain pynetdicom worklist server; yield its address."""
    command = [sys.executable, __file__, "--serve-plain"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield "127.0.0.1", int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)


def _serve_plain() -> None:
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import ModalityWorklistInformationFind

    def answer(_: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for n in range(MATCHES):
            response = keys()
            response.PatientName, response.PatientID = f"DOE{n}^JANE", f"PID{n}"
            response.AccessionNumber, response.RequestedProcedureID = f"ACC{n}", f"RP{n}"
            response.StudyInstanceUID = f"1.2.276.0.99.{n}"
            yield 0xFF00, response

    entity = AE(ae_title="MWL")
    entity.add_supported_context(ModalityWorklistInformationFind)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    print(server.server_address[1], flush=True)
    while True:
        time.sleep(3600)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200, help="associations with each server")
    parser.add_argument("--serve-plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_plain:
        _serve_plain()
    said = script("CT1", "MWL", keys())
    times: dict[str, list[float]] = {"mwl": [], "pynetdicom": []}
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as ours, plain_server() as plain:
        for name, address in [("mwl", ours), ("pynetdicom", plain)] * (options.runs + 5):
            began = time.perf_counter()
            found = whole_association(address, said)
            times[name].append((time.perf_counter() - began) * 1000)
            if found != MATCHES:
                raise RuntimeError(f"{name} answered {found} instead of {MATCHES}")
    medians = {name: statistics.median(taken[5:]) for name, taken in times.items()}  # the first five warm up
    for name, median in medians.items():
        ordered = sorted(times[name][5:])
        low, high = ordered[len(ordered) // 20], ordered[-len(ordered) // 20]
        print(f"{name:12} median {median:7.2f} ms   p5 {low:7.2f}   p95 {high:7.2f}")
    print(f"{'ratio':12} {medians['pynetdicom'] / medians['mwl']:7.1f} times")


if __name__ == "__main__":
    main()
