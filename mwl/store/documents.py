"""What a message changes in a document."""

from __future__ import annotations

from collections.abc import Collection

from mwl.model import Document, Element, values


def merged(stored: Document, sent: Document, *, assumed: Collection[str] = ()) -> Document:
    """Return *stored* changed by *sent*: absent keeps, empty empties, a sequence is replaced whole.

    That is D-25 for orders and B-09 for N-SET.  The tags in *assumed* were not sent: they fill gaps
    only.  An empty element has no "Value", however it was sent, so that the same content makes the
    same document.
    """
    taken = {tag: element for tag, element in sent.items() if tag not in assumed or not values(stored, tag)}
    return {**stored, **{tag: _element(element) for tag, element in taken.items()}}


def without(document: Document, tags: Collection[str]) -> Document:
    """Return *document* without these attributes."""
    return {tag: element for tag, element in document.items() if tag not in tags}


def _element(element: Element) -> Element:
    return {name: part for name, part in element.items() if name != "Value" or part}
