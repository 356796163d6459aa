"""The examples that profiles carry, run: each asks the profile as a device would, and judges the answer (R6).

An example has its own steps and its own clock, and a site that says nothing (UTC, no character set), so its
result is the same in every house.  What it asks is encoded, read, matched and answered on the path that
answers devices; the steps at hand stand in for the database.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mwl.dicom.answering import Question
from mwl.dicom.emulators import device
from mwl.dicom.emulators.keys import encoded
from mwl.dicom.encoding import decode_dataset
from mwl.errors import BadDocument, Problem
from mwl.mapping.devices.device import DeviceProfiles
from mwl.mapping.devices.examples import Example, ExampleFacts
from mwl.mapping.devices.profile import read
from mwl.mapping.facts import Facts, SiteFacts
from mwl.mapping.loader import Effective, fill
from mwl.model import Document
from mwl.workbench.bench import EXPLICIT_LE
from mwl.workbench.in_memory import AtHand
from mwl.workbench.judging import judged
from mwl.workbench.outcome import outcome
from mwl.workbench.query_file import read_identifier
from mwl.yamldoc import Place

_FOLDER = "queries"
_NOWHERE = SiteFacts()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one example; without *mistakes* it holds."""

    profile: str
    name: str
    file: str
    line: int
    mistakes: tuple[Problem, ...]


def run(profiles: DeviceProfiles, names: Sequence[str] = ()) -> Iterator[Result]:
    """Run the examples of the profiles *names*, of all where none is named; `KeyError` for an unknown one."""
    for name in names or profiles.names:
        effective = profiles.get(name)
        written = effective.data.get("tests") or ()
        for index in range(len(written)):
            place: Place = ("tests", index)
            at = effective.problem(place, "")
            told = str(written[index]["name"])
            try:
                mistakes = tuple(_mistakes(profiles, effective, index))
            except BadDocument as error:
                mistakes = error.problems
            yield Result(name, told, at.file, at.line, mistakes)


def _mistakes(profiles: DeviceProfiles, effective: Effective, index: int) -> Iterator[Problem]:
    variables = effective.data["tests"][index].get("vars") or {}
    filled = fill(effective, variables)
    example = read(filled).tests[index]
    profile = profiles.bind(filled.data["profile"], variables, _NOWHERE)
    place: Place = ("tests", index)
    facts = _facts(example.facts)
    items = [step.item(number, example.facts) for number, step in enumerate(example.steps, 1)]
    question = _question(example, filled, (*place, "query"), facts)
    found = outcome(AtHand(items), question, profile, facts, dt.UTC)
    yield from judged(example.expect, found, items, filled, (*place, "expect"))


def _facts(stated: ExampleFacts) -> Facts:
    return Facts(
        stated.calling_ae,
        stated.called_ae,
        address=stated.ip,
        implementation_uid=stated.impl_uid,
        implementation_version=stated.impl_version,
        now=stated.now.replace(tzinfo=dt.UTC),
    )


def _question(example: Example, written: Effective, place: Place, facts: Facts) -> Question:
    asked, codec = example.query, ""
    try:
        if asked.emulator:
            played = device(asked.emulator)
            begun = played.query(asked.asking, facts.now.date(), ae=facts.calling_ae, typed=asked.typed)
            codec = played.asking(asked.asking).codec
        else:
            begun = _from_file(asked.file, written, (*place, "file")) if asked.file else {}
        data = encoded(asked.laid_over(begun), EXPLICIT_LE, codec)
    except ValueError as error:  # text that needs a SpecificCharacterSet, or a query nobody knows
        raise BadDocument([written.problem(place, f"query: {error}")]) from None
    return Question(data, EXPLICIT_LE)


def _from_file(name: str, written: Effective, place: Place) -> Document:
    beside = Path(written.problem(place, "").file).parent
    folders = (beside / _FOLDER, beside.parent / _FOLDER)
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None or Path(name).name != name:
        message = f"file: there is no {name!r} in {' or '.join(map(str, folders))}"
        raise BadDocument([written.problem(place, message)])
    found = read_identifier(path.read_bytes(), str(path))
    return decode_dataset(found.keys, found.transfer_syntax) if isinstance(found.keys, bytes) else found.keys
