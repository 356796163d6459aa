"""The query that a command makes up, or takes from the record, to ask in a device's stead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mwl.cli.find import identify
from mwl.errors import BadDocument, Problem, Refusal, Refused

if TYPE_CHECKING:
    from mwl.dicom.answering import Question
    from mwl.model import Document
    from mwl.store import Store
    from mwl.store.queries import CapturedQuery
    from mwl.workbench.bench import Bench


def everything(keys: Sequence[str] = ()) -> Document:
    """Return an identifier that asks for all attributes of a worklist, matched by ``KEY=VALUE`` texts."""
    from mwl.dicom.keys import MATCHING
    from mwl.mapping import paths
    from mwl.model import STEP_SEQUENCE
    from mwl.workbench.provenance import values

    asked: Document = {}
    for path in sorted(MATCHING):
        whole = path[1:] if path[0] == STEP_SEQUENCE else path
        if len(whole) == 1:  # of a sequence whose key names nothing all is returned
            asked = paths.put(asked, path, {"vr": paths.vr(path[-1])})
    for _, path, element in values(identify(keys)):
        if "Value" in element or paths.get(asked, path) is None:
            asked = paths.put(asked, path, element)
    return asked


def recorded(store: Store, ae: str, number: int | None = None) -> CapturedQuery | None:
    """Return the query *number* on record, else the last of the device *ae*; None where there is none.

    Raises `Refused` for a number that no query has.
    """
    from mwl.store import queries

    if number is None:
        return store.read_now(lambda tx: queries.last(tx, ae))
    found = store.read_now(lambda tx: queries.get(tx, number))
    if found is None:
        raise Refused(Refusal.UNKNOWN, f"no query has the number {number}")
    return found


def question(
    bench: Bench, ae: str, query: CapturedQuery | None, keys: Sequence[str] = (), file: Path | None = None
) -> Question:
    """Return the query on record as it was asked, or one from a file, or one of *ae* made up of *keys*."""
    if query is not None:
        return bench.question(
            query.identifier,
            transfer_syntax=query.transfer_syntax,
            fuzzy=query.fuzzy,
            timezone=query.timezone,
        )
    if file is not None:
        return _of_file(bench, file)
    return bench.question(everything(keys), transfer_syntax=_preferred(bench, ae))


def _of_file(bench: Bench, file: Path) -> Question:
    from mwl.mapping.text.charset import Unfit
    from mwl.workbench.query_file import read_identifier

    found = read_identifier(file.read_bytes(), str(file))
    try:
        return bench.question(found.keys, transfer_syntax=found.transfer_syntax)
    except Unfit as error:
        raise BadDocument([Problem(str(file), 1, 1, str(error))]) from None


def _preferred(bench: Bench, ae: str) -> str:
    """Return the transfer syntax that the device's profile takes first."""
    from mwl.workbench.bench import EXPLICIT_LE

    try:
        wanted = bench.profile(ae)[1].transfer_syntaxes
    except Refused:  # it is no device: what it would be answered is told elsewhere
        wanted = ()
    return wanted[0] if wanted else EXPLICIT_LE
