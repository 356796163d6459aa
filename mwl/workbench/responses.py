"""What becomes of each entry of a list: the data set that is sent, or why there is none, with the notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mwl.dicom import answering
from mwl.dicom.answering import Asked, Composed
from mwl.errors import MwlError
from mwl.mapping.devices.device import Entry, Excluded, Withheld
from mwl.mapping.trace import Note, Recorder
from mwl.model import WorklistItem
from mwl.workbench import provenance


@dataclass(frozen=True, slots=True)
class Response:
    """One entry: *composed* where it is sent, else the *reason*."""

    item: WorklistItem
    steps: tuple[int, ...]  # keys of the steps in it
    notes: tuple[Note, ...]  # of one that is sent, those on what the device gets or asked for
    composed: Composed | None = None
    reason: str = ""
    path: str = ""  # the attribute it failed by
    origin: str = ""  # the line of the profile that decided
    intended: bool = False  # a filter left it out on purpose


def responses(asked: Asked, items: Sequence[WorklistItem]) -> Iterator[Response]:
    """Yield what becomes of *items*, in the order in which they are sent; one bad item costs none other."""
    for entry in answering.listed(asked, items).entries:
        yield response_to(asked, entry)


def response_to(asked: Asked, entry: Entry) -> Response:
    """Return what becomes of one entry of the list."""
    item, keys = entry.item, tuple(ref.key for ref in entry.refs)
    recorder = Recorder()
    try:
        composed = answering.compose(asked, item, recorder)
    except Withheld as left_out:
        notes, intended = tuple(recorder.notes), isinstance(left_out, Excluded)
        return Response(item, keys, notes, None, left_out.reason, left_out.path, left_out.origin, intended)
    except MwlError as error:
        return Response(item, keys, tuple(recorder.notes), None, str(error))
    returned = asked.profile.written.data.get("return")
    whole = isinstance(returned, dict) and returned.get("mode") == "all"
    told = provenance.concerning(recorder.notes, composed.document, None if whole else asked.requested)
    return Response(item, keys, tuple(told), composed)
