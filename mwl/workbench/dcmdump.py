"""A data set as text, in the form that DCMTK's dcmdump prints: written for people, and read back.

Engineers send each other such dumps by mail; `findscu -v` and `wlmscpfs -v` print them as well, with a
letter before each line; dump2dcm reads them in a shorter form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mwl.errors import MwlError
from mwl.mapping import paths
from mwl.model import Document, Element, name_value, person_name

_LINE = re.compile(
    r"(?:[DIWE]: )?\s*\((?P<group>[0-9a-fA-F]{4}),(?P<element>[0-9a-fA-F]{4})\)\s+"
    r"(?P<vr>[A-Za-z?]{2}|--?)(?:\s+(?P<rest>.*))?"
)
_TEXT = re.compile(r"\[(?P<text>.*)\](?:\s+#.*)?")
_BARE = re.compile(r"(?P<text>[^#\s][^#]*?)\s*(?:#.*)?")
_NOTHING = "(no value available)"
_SEPARATOR = "\\"  # PS3.5 6.4
_ITEM, _ITEM_END, _SEQUENCE_END = "FFFEE000", "FFFEE00D", "FFFEE0DD"
_NUMBERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_INDENT = "  "
_WIDTH = 40  # columns for a value, as dcmdump has it
_MOST_DEPTH = 16

# A sequence that is being read stands as the data set of its one attribute.
_Scope = tuple[str, Document]


class NoDump(MwlError):
    """The text holds no data set."""


def lines(document: Document, indent: str = "") -> Iterator[str]:
    """Yield a line an attribute, with its keyword, the items of a sequence indented below it."""
    for tag, element in sorted(document.items()):
        head = f"{indent}({tag[:4].lower()},{tag[4:].lower()}) {element['vr']}"
        if element["vr"] != "SQ":
            yield f"{head} {_shown(element):<{_WIDTH}} # {paths.keyword(tag)}"
            continue
        items = element.get("Value", [])
        yield f"{head} {f'(Sequence #={len(items)})':<{_WIDTH}} # {paths.keyword(tag)}"
        for item in items:
            yield f"{indent}{_INDENT}(fffe,e000) na (Item #={len(item)})"
            yield from lines(item, indent + _INDENT * 2)
            yield f"{indent}{_INDENT}(fffe,e00d) na (ItemDelimitationItem)"
        yield f"{indent}(fffe,e0dd) na (SequenceDelimitationItem)"


def _shown(element: Element) -> str:
    if "InlineBinary" in element:
        return f"(bytes, Base64) {element['InlineBinary']}"
    values = element.get("Value", [])
    if not values:
        return _NOTHING
    texts = (person_name(value) if isinstance(value, dict) else _plain(value) for value in values)
    text = _SEPARATOR.join(texts)
    return text if element["vr"] in _NUMBERS else f"[{text}]"


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def parse(text: str) -> Document:
    """Return the data set of a dump; what is no line of one is skipped.  Raises `NoDump`."""
    root: Document = {}
    scopes: list[_Scope] = [("root", root)]
    for line in text.splitlines():
        if match := _LINE.fullmatch(line.rstrip()):
            _take(scopes, (match["group"] + match["element"]).upper(), match["vr"], match["rest"] or "")
    found = {tag: element for tag, element in root.items() if not tag.startswith("0002")}  # file meta
    if not found:
        raise NoDump("no line of a dump: (gggg,eeee) VR [value]")
    return found


def _take(scopes: list[_Scope], tag: str, vr: str, rest: str) -> None:
    kind, document = scopes[-1]
    if tag == _ITEM:
        if kind == "sequence":
            item: Document = {}
            next(iter(document.values())).setdefault("Value", []).append(item)
            scopes.append(("item", item))
    elif tag in (_ITEM_END, _SEQUENCE_END):
        _end(scopes, "item" if tag == _ITEM_END else "sequence")
    else:
        if kind == "sequence":  # one without items need not say that it ends
            scopes.pop()
        _element(scopes, tag, vr, rest)


def _end(scopes: list[_Scope], kind: str) -> None:
    """Leave the innermost scope of a kind; one that was never begun does not end."""
    if scopes[-1][0] == "sequence" and kind == "item":
        scopes.pop()
    if scopes[-1][0] == kind:
        scopes.pop()


def _element(scopes: list[_Scope], tag: str, vr: str, rest: str) -> None:
    _, document = scopes[-1]
    if vr == "SQ" or rest.startswith("(Sequence"):
        if len(scopes) > _MOST_DEPTH:
            raise NoDump("a dump that is nested too deeply")
        document[tag] = {"vr": "SQ"}
        scopes.append(("sequence", {tag: document[tag]}))
    else:
        known = vr if vr.isupper() else paths.vr(tag)  # "na", "ox", "??": DCMTK did not know
        document[tag] = _value(known, rest)


def _value(vr: str, rest: str) -> Element:
    match = _TEXT.fullmatch(rest) or _BARE.fullmatch(rest)
    if rest.startswith(_NOTHING) or match is None:
        return {"vr": vr}
    # DCMTK names the UIDs it knows instead of writing them: "=FINDModalityWorklistInformationModel".
    parts = match["text"].removeprefix("=").split(_SEPARATOR)
    try:
        values = [_read(vr, part) for part in parts]
    except ValueError:
        return {"vr": vr}
    return {"vr": vr, "Value": values} if any(value not in (None, "") for value in values) else {"vr": vr}


def _read(vr: str, text: str) -> Any:
    if vr == "PN":
        return name_value(text) if text else None
    return int(text) if vr in _NUMBERS else text.strip()
