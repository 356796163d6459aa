"""Whether two attributes say the same, as far as codes do: value and scheme, whatever they are called."""

from __future__ import annotations

from mwl.model import Document, items, text, values

_CODE_VALUES = ("00080100", "00080119", "00080120")  # Code Value, Long Code Value, URN Code Value
_SCHEME = "00080102"


def codes(document: Document, tag: str) -> frozenset[tuple[str, str]]:
    """Return the codes of the sequence *tag*, each with its scheme."""
    found = (
        (next(filter(None, (text(item, each) for each in _CODE_VALUES)), ""), text(item, _SCHEME))
        for item in items(document, tag)
    )
    return frozenset(code for code in found if code[0])


def agree(one: Document, other: Document) -> bool:
    """Tell whether everything *one* says is said by *other*; of a sequence one code in common is enough."""
    return all(_same(one, other, tag) for tag in one if values(one, tag))


def _same(one: Document, other: Document, tag: str) -> bool:
    if one[tag].get("vr") == "SQ":
        return bool(codes(one, tag) & codes(other, tag))
    return values(one, tag) == values(other, tag)
