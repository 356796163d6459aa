"""Four worklist clients by four authors: DCMTK, pynetdicom, dcmjs-dimse and odil.

Each takes the same identifiers and tells what it received in the same form.  None is told what is
expected, and none shares code with the broker.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from pydicom import config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from foreign.dicom.answer import PENDING, PENDING_WARNING, SUCCESS, Answer
from foreign.dicom.identifier import WORKLIST, Identifier, write_file
from foreign.dicom.presence import missing, program

HERE = Path(__file__).parent
TIMEOUT = 60  # seconds; for a machine that is busy with other tests

Address = tuple[str, int]


class Client(Protocol):
    """A program, or a library, that queries worklists."""

    name: str

    def find(
        self, address: Address, queries: Sequence[Identifier], *, calling: str = "WS", called: str = "MWL"
    ) -> list[Answer]:
        """Return the answer to each query."""
        ...


class Findscu:
    """DCMTK's command; *options* are its own, a transfer syntax above all."""

    name = "findscu"

    def __init__(self, *options: str) -> None:
        self._command = [program("findscu", "Debian: dcmtk"), "-d", "-W", "-X", *options]

    def find(
        self, address: Address, queries: Sequence[Identifier], *, calling: str = "WS", called: str = "MWL"
    ) -> list[Answer]:
        """Query once per association, as most devices do."""
        return [self._find(address, query, calling, called) for query in queries]

    def _find(self, address: Address, query: Identifier, calling: str, called: str) -> Answer:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            asked = write_file(folder / "query.dcm", query)
            titles = ["-aet", calling, "-aec", called, "-od", str(folder)]
            command = [*self._command, *titles, address[0], str(address[1]), str(asked)]
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
            output = (done.stdout + done.stderr).decode("utf-8", "replace")
            files = tuple(file.read_bytes() for file in sorted(folder.glob("rsp*.dcm")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom does not know every character set
            received = tuple(dcmread(BytesIO(file)) for file in files)
        statuses = [int(code, 16) for code in re.findall(r"DIMSE Status +: 0x([0-9a-f]{4})", output)]
        assert statuses, output
        *pending, final = statuses
        assert len(pending) == len(received), output
        named = re.findall(r"\(([0-9a-f]{4}),([0-9a-f]{4})\)", _line(output, "(0000,0901) AT"))
        comment = _line(output, "(0000,0902) LO").partition("[")[2].rpartition("]")[0].strip()
        offending = tuple(f"{group}{number}".upper() for group, number in named[1:])
        return Answer(tuple(pending), received, final, offending, comment, files)


def _line(output: str, begin: str) -> str:
    return next(
        (line[line.index(begin) :].partition("#")[0] for line in output.splitlines() if begin in line), ""
    )


class Pynetdicom:
    """pynetdicom's SCU: all queries in one association."""

    name = "pynetdicom"

    def find(
        self, address: Address, queries: Sequence[Identifier], *, calling: str = "WS", called: str = "MWL"
    ) -> list[Answer]:
        """Query in turn."""
        with associated(address, calling=calling, called=called) as association:
            return [find(association, query) for query in queries]


@contextmanager
def associated(
    address: Address, *contexts: str, calling: str = "WS", called: str = "MWL", **options: Any
) -> Iterator[Association]:
    """Hold a pynetdicom association for the worklist, or for the SOP classes named."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT
    for context in contexts or (WORKLIST,):
        entity.add_requested_context(context)
    association = entity.associate(*address, ae_title=called, **options)
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def find(association: Association, query: Identifier, *, message_id: int = 1) -> Answer:
    """Send one C-FIND and take all that comes."""
    with tempfile.TemporaryDirectory() as name, config.disable_value_validation():
        request = dcmread(BytesIO(write_file(Path(name) / "query.dcm", query).read_bytes()))
        responses = list(association.send_c_find(request, WORKLIST, msg_id=message_id))
    return _answer(responses)


def _answer(responses: Iterable[tuple[Dataset, Dataset | None]]) -> Answer:
    *pending, (last, _) = responses
    assert "Status" in last, "the association ended within an answer"
    offending = last.get("OffendingElement") or []
    offending = [offending] if isinstance(offending, int) else offending
    return Answer(
        tuple(int(status.Status) for status, _ in pending),
        tuple(item for _, item in pending if item is not None),
        int(last.Status),
        tuple(f"{int(tag):08X}" for tag in offending),
        str(last.get("ErrorComment", "")),
    )


class Odil:
    """odil's SCU through its Python module, which belongs to Debian's own interpreter.

    Its command ``odil find`` knows Query/Retrieve alone, and its ``FindSCU`` takes a failure for an
    empty list; so the script beside this file asks with the library's messages.
    """

    name = "odil"
    _PYTHON = "/usr/bin/python3"

    def __init__(self) -> None:
        there = Path(self._PYTHON).exists() and subprocess.run(
            [self._PYTHON, "-c", "import odil"], capture_output=True, timeout=TIMEOUT, check=False
        )
        if not there or there.returncode:
            missing("odil", "Debian: python3-odil")

    def find(
        self, address: Address, queries: Sequence[Identifier], *, calling: str = "WS", called: str = "MWL"
    ) -> list[Answer]:
        """Query in turn, in one association."""
        with tempfile.TemporaryDirectory() as name:
            files = [write_file(Path(name) / f"{n}.dcm", query) for n, query in enumerate(queries)]
            command = [
                self._PYTHON,
                HERE / "odil_find.py",
                address[0],
                str(address[1]),
                calling,
                called,
                *files,
            ]
            found = _json_of(command)
        return [
            Answer(
                tuple(entry["pending"]),
                tuple(Dataset.from_json(item) for item in entry["identifiers"]),
                entry["final"],
            )
            for entry in found
        ]


class Dcmjs:
    """npm's dcmjs-dimse, installed once into the user's cache.

    Its worklist request has a fixed shape: a key it is not given is sent empty, Pregnancy Status as
    0 and the Query/Retrieve Level too.  It takes FF01 for the end of an answer: what comes later may
    be lost, or the connection.
    """

    name = "dcmjs-dimse"

    def __init__(self) -> None:
        self._node = program("node", "Debian: nodejs")
        self._modules = _installed("dcmjs-dimse", program("npm", "Debian: npm"))

    def find(
        self, address: Address, queries: Sequence[Identifier], *, calling: str = "WS", called: str = "MWL"
    ) -> list[Answer]:
        """Query in turn, each time in an association of its own."""
        told = {
            "host": address[0], "port": address[1], "calling": calling, "called": called,
            "queries": [_natural(query) for query in queries],
        }  # fmt: skip
        found = _json_of(
            [self._node, HERE / "dcmjs_find.cjs"], told, {**os.environ, "NODE_PATH": str(self._modules)}
        )
        assert not any(entry["error"] for entry in found), found
        return [
            Answer(
                tuple(entry["pending"]),
                tuple(_dataset(item) for item in entry["identifiers"]),
                entry["final"],
            )
            for entry in found
        ]


def _json_of(command: Sequence[Any], told: object = None, environment: dict[str, str] | None = None) -> Any:
    done = subprocess.run(
        [str(part) for part in command], input=json.dumps(told), env=environment,
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _installed(package: str, npm: str) -> Path:
    """Return the folder of modules that holds *package*; install it when it is not there."""
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"][package]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mwl-peers"
    folder = cache / f"{package}-{wanted}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=cache))
        shutil.copy(HERE / "package.json", making)
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=making, capture_output=True, text=True, timeout=90, check=False)
        if done.returncode:
            shutil.rmtree(making)
            missing(f"{package} {wanted}", "npm: " + done.stderr.strip().partition("\n")[0])
        try:
            making.rename(folder)
        except OSError:  # another process was quicker
            shutil.rmtree(making)
    return folder / "node_modules"


def _natural(query: Identifier) -> dict[str, Any]:
    """Return *query* as dcmjs wants it: values under keywords."""
    return {
        name: value.decode()
        if isinstance(value, bytes)
        else value
        if isinstance(value, str | int)
        else [_natural(item) for item in value]
        for name, value in query.items()
    }


def _dataset(natural: dict[str, Any]) -> Dataset:
    """Return what dcmjs received as the others tell it."""
    dataset = Dataset()
    for keyword, value in natural.items():
        if not keyword.startswith("_"):
            setattr(dataset, keyword, _value(keyword, value))
    return dataset


def _value(keyword: str, value: Any) -> Any:
    if dictionary_VR(keyword) == "SQ":
        return [_dataset(item) for item in value]
    return [_text(part) for part in value] if isinstance(value, list) else value


def _text(value: Any) -> Any:
    if isinstance(value, dict):  # a person name
        groups = [value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    return value


ALL: tuple[type[Client], ...] = (Findscu, Pynetdicom, Dcmjs, Odil)
__all__ = [
    "ALL", "PENDING", "PENDING_WARNING", "SUCCESS", "Client", "Dcmjs", "Findscu", "Odil", "Pynetdicom",
    "associated", "find",
]  # fmt: skip
